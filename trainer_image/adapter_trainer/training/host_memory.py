"""Choosing, before the first step on a CPU, rows that fit into memory.

A GPU refuses memory that it doesn't have. On a CPU the kernel ends the process, so nothing can be tried out there:
what rows will take is computed from what rows of a few tokens keep, and compared with what is left.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Any, TypeAlias

from torch import nn

from adapter_trainer.examples.example import Unit
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.training.memory import RowBudget
from adapter_trainer.training.row_memory import RowMemory, RowSize, measure_checkpointed, measure_rows

Steps: TypeAlias = Callable[[], Iterable[Sequence[Unit]]]

_SMALLEST_TOKENS = 64
"""Rows are not made smaller: most examples are longer, and matrix products with fewer rows are slow."""

_ADAPTER_COPIES = 5
"""Of the adapter's weights: two of the optimizer, the gradients, those of rows that are done, the best weights."""

_PASSING_TENSORS = 4
"""As wide as a layer's widest, that are there for a moment."""

_PASSING_LAYERS = 3
"""Of what a layer keeps, that are there while it computes again: that, its gradients, and what they leave free between.
Measured on SmolLM2-135M with a row of 2,048 tokens: 399 MiB; computed: 373, before `_SLACK`."""

_ROOMY_TENSORS = 40
"""No layer keeps more numbers per token than as many times its hidden and intermediate sizes; LoRA with dropout on all
linear layers keeps 8 times, with DoRA twice that."""

_CHUNK_BYTES = 100 << 20
"""What `model.fused.head` takes for a moment, at most."""

_LOGIT_BYTES = 10
"""For a logit in bfloat16: itself, its share in float32, and both once more in the type of the other."""

_SLACK = 1.1
"""The allocator leaves gaps between blocks of many sizes."""

_GIB = 1 << 30


def fit_host_memory(model: AdaptedModel, steps: Steps, budget: RowBudget, *, at_once: int, available: int) -> None:
    """Let layers compute again, and if that isn't enough make rows smaller, until a run fits into memory.

    Args:
        model: with the weights that training begins with; they stay as they are.
        steps: the units of each optimizer step, anew whenever it is called.
        budget: of rows, to change.
        at_once: how many rows are computed at the same time.
        available: bytes that the process may take beside those that it has, the model among them.
    """
    if _is_roomy(model, steps, budget, at_once, available):
        return
    needs = _Needs(
        model, steps, budget, at_once, measure_rows(model), measure_checkpointed(model, budget.checkpointing)
    )
    tokens, again = budget.tokens, False
    needed = first = needs.bytes(tokens, again=again)
    if needed > available and budget.checkpointing.layers:
        again = True
        needed = needs.bytes(tokens, again=again)
    while needed > available and tokens > _SMALLEST_TOKENS:
        tokens //= 2
        needed = needs.bytes(tokens, again=again)
    short = f"the training would need about {_gib(first)} beside the model, and {_gib(available)} of memory are left"
    if again:
        budget.compute_again(short)
    if tokens < budget.tokens:
        budget.remark(f"rows have {tokens} tokens at most, and not {budget.tokens}, because {short}")
        budget.tokens = tokens
    if needed > available:
        budget.remark(
            f"memory may run out: even so the training needs about {_gib(needed)}, and {_gib(available)} are left: "
            "raise pod.resources, or lower hyperparameters.maxSequenceLength"
        )


def _is_roomy(model: AdaptedModel, steps: Steps, budget: RowBudget, at_once: int, available: int) -> bool:
    """Tell whether there is so much memory that measuring rows isn't worth its seconds."""
    config: Any = model.base.model.config.get_text_config()
    tokens = max(budget.tokens, *(budget.size([unit]) for units in steps() for unit in units))
    wide = config.hidden_size + config.intermediate_size
    row = _ROOMY_TENSORS * model.base.compute_dtype.itemsize * wide * config.num_hidden_layers * tokens + _CHUNK_BYTES
    adapter = sum(weight.nbytes for weight in model.weights()) * (_ADAPTER_COPIES + at_once)
    # DoRA with dropout keeps a copy of each weight.
    copies = sum(parameter.nbytes for parameter in model.base.model.parameters())
    needed: int = (row + copies) * at_once + adapter
    return needed < available


def _gib(size: int) -> str:
    return f"{size / _GIB:.2f} GiB"


@dataclass(frozen=True, slots=True)
class _Needs:
    """What a run takes beside the model and its adapter, at its peak."""

    model: AdaptedModel
    steps: Steps
    budget: RowBudget
    at_once: int
    kept: RowMemory
    kept_again: RowMemory

    def bytes(self, tokens: int, *, again: bool) -> int:
        """Return it for rows of so many tokens, whose layers may compute again."""
        peak = max(self._step(units, tokens, again=again) for units in self.steps())
        adapter = sum(weight.nbytes for weight in self.model.weights())
        return round((peak + adapter * (_ADAPTER_COPIES + self.at_once)) * _SLACK)

    def _step(self, units: Sequence[Unit], tokens: int, *, again: bool) -> int:
        rows = (self._row(row, again=again) for row in self.budget.rows(units, tokens))
        return sum(nlargest(self.at_once, rows))

    def _row(self, units: Sequence[Unit], *, again: bool) -> int:
        sequences = [len(sequence.tokens) for unit in units for sequence in unit.sequences]
        row = RowSize(
            tokens=self.budget.size(units),
            labels=sum(unit.labelled_tokens for unit in units),
            longest=max(sequences) + self.model.virtual_tokens,
        )
        kept = self.kept.of(row)
        if again:
            layers = self.budget.checkpointing.layers
            kept = self.kept_again.of(row) + kept * min(_PASSING_LAYERS, layers) // layers
        return kept + self._passing(row)

    def _passing(self, row: RowSize) -> int:
        base = self.model.base
        model: Any = base.model
        layers = [module for module in model.get_decoder().modules() if isinstance(module, nn.Linear)]
        widest = max((max(layer.in_features, layer.out_features) for layer in layers), default=0)
        in_layers = _PASSING_TENSORS * base.compute_dtype.itemsize * widest * row.tokens
        logits: int = row.labels * model.config.get_text_config().vocab_size
        return in_layers + min(_CHUNK_BYTES, logits * _LOGIT_BYTES)
