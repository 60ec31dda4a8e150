"""Putting an adapter on a base model, fresh or as an earlier one left it."""

from pathlib import Path

import torch

from adapter_contract import Quantization
from adapter_contract.recipe import Bottleneck, LoRA, Method, PrefixTuning, PromptTuning
from adapter_trainer.errors import BadConfiguration
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.base import BaseModel, load_base
from adapter_trainer.model.combinations import lora_problems
from adapter_trainer.model.methods.bottleneck import BottleneckAdapter
from adapter_trainer.model.methods.ia3 import IA3Adapter
from adapter_trainer.model.methods.lora import LoRAAdapter
from adapter_trainer.model.methods.pissa import PiSSAAdapter, PrincipalParts
from adapter_trainer.model.methods.prefix_tuning import PrefixTuningAdapter
from adapter_trainer.model.methods.prompt_tuning import PromptTuningAdapter
from adapter_trainer.model.parent import load_parent
from adapter_trainer.model.quantized_cache import QuantizedCache


def attach_adapter(base: BaseModel, method: Method, *, parent: Path | None, seed: int) -> AdaptedModel:
    """Put an adapter on a base model, which then can't take another.

    Args:
        base: the model, whose layers are changed in place.
        method: which adapter, and its settings.
        parent: directory of a verified adapter to go on from.
        seed: of the initial weights.

    Raises:
        BadConfiguration: the base can't take the adapter (a target module doesn't exist, ...), or the parent was made
            with other settings.
        BadData: the parent's files can't be read.
    """
    if isinstance(method, LoRA) and method.initialization == "PiSSA":
        raise ValueError("PiSSA needs the base before it is quantized: see load_adapted")
    torch.manual_seed(seed)
    model = _attached(base, method)
    if parent is not None:
        load_parent(model, method, parent)
    return model


def load_adapted(
    directory: Path,
    quantization: Quantization,
    method: Method,
    *,
    parent: Path | None,
    seed: int,
    cache: QuantizedCache | None = None,
) -> AdaptedModel:
    """Load a base model and put an adapter on it.

    Args:
        directory: of the base model.
        quantization: how its weights are held.
        method: which adapter, and its settings.
        parent: directory of a verified adapter to go on from.
        seed: of the initial weights.
        cache: of the base under this quantization.

    Raises:
        BadConfiguration: as `load_base` and `attach_adapter` have it.
        BadData: the parent's files can't be read.
    """
    if not isinstance(method, LoRA) or method.initialization != "PiSSA":
        return attach_adapter(load_base(directory, quantization, cache=cache), method, parent=parent, seed=seed)
    if problems := list(lora_problems(method, has_parent=parent is not None)):
        raise BadConfiguration("; ".join(problems))
    parts = PrincipalParts(method)
    base = load_base(directory, quantization, before_quantizing=parts.take_out)
    torch.manual_seed(seed)
    return PiSSAAdapter(base, method, parts)


def _attached(base: BaseModel, method: Method) -> AdaptedModel:
    if isinstance(method, LoRA):
        return LoRAAdapter(base, method)
    if isinstance(method, PromptTuning):
        return PromptTuningAdapter(base, method)
    if isinstance(method, PrefixTuning):
        return PrefixTuningAdapter(base, method)
    if isinstance(method, Bottleneck):
        return BottleneckAdapter(base, method)
    return IA3Adapter(base, method)
