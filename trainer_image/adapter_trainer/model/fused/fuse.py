"""Which parts of a base model are computed by functions of our own."""

import logging

from transformers import PreTrainedModel

from adapter_trainer.model.fused.norm import fuse_norm
from adapter_trainer.model.fused.swiglu import fuse_gate

_log = logging.getLogger(__name__)


def fuse_base(model: PreTrainedModel) -> None:
    """Let a frozen model on a CPU keep less for the backward pass; what it computes stays the same."""
    norms = sum([fuse_norm(module) for module in model.modules()])
    gates = sum([fuse_gate(module) for module in model.modules()])
    _log.debug("%d normalisations and %d gates are computed in one function each", norms, gates)
