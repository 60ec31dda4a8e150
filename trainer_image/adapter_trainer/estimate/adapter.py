"""How many parameters a method trains."""

from adapter_contract.bottleneck import bottleneck_tensors
from adapter_contract.recipe import IA3, Bottleneck, LoRA, Method, PromptTuning
from adapter_trainer.architecture.modules import resolve_modules
from adapter_trainer.architecture.shape import LinearModule, ModelShape

FLOAT32 = 4
"""Bytes of each number of the adapter, its gradients and the optimizer's moments."""


def trainable_parameters(shape: ModelShape, method: Method) -> int:
    """Return the number of parameters that are trained: exactly as many as the adapted model has.

    Raises:
        BadConfiguration: a module that the method names doesn't exist or can't be adapted.
    """
    if isinstance(method, LoRA):
        return sum(_low_rank(module, method) for module in target_layers(shape, method))
    if isinstance(method, IA3):
        inputs = set(resolve_modules(method, shape).feedforward)
        targets = target_layers(shape, method)
        return sum(module.in_features if module.name in inputs else module.out_features for module in targets)
    if isinstance(method, Bottleneck):
        sizes = bottleneck_tensors("", size=method.size, hidden_size=shape.hidden_size).values()
        each = sum(size[0] * (size[1] if len(size) > 1 else 1) for size in sizes)
        return each * len(resolve_modules(method, shape).names)
    if isinstance(method, PromptTuning):
        return method.virtual_tokens * shape.hidden_size
    return method.virtual_tokens * shape.layers * 2 * shape.key_value_heads * shape.head_dim


def target_layers(shape: ModelShape, method: Method) -> list[LinearModule]:
    """Return the linear layers that a method adapts, in the order of the blocks; errors as above."""
    names = set(resolve_modules(method, shape).names)
    return [module for module in (*shape.linear, shape.output_head) if module.name in names]


def _low_rank(module: LinearModule, method: LoRA) -> int:
    magnitudes = module.out_features if method.weight_decomposition == "Enabled" else 0
    return method.rank * (module.in_features + module.out_features) + magnitudes
