"""Bytes of the frozen base model's weights, as the device holds them."""

from adapter_contract import Quantization
from adapter_trainer.architecture.shape import ModelShape
from adapter_trainer.estimate.device import Device

COMPUTE_BYTES = {"BFloat16": 2, "Float16": 2, "Float32": 4}
_STORED = {"BFloat16": "BF16", "Float16": "F16", "Float32": "F32"}

_FOUR_BITS = 4 + 32 / 64
"""Bits of a weight in NF4 or FP4: its own, and its share of a scale in float32 for each block of 64."""

_FOUR_BITS_DOUBLE = 4 + 8 / 64 + 32 / (64 * 256)
"""The same with double quantization: scales have 8 bits, and one in float32 for each 256 of them (QLoRA, section 3)."""


def resident_weight_bytes(shape: ModelShape, quantization: Quantization, device: Device) -> int:
    """Return the bytes of the weights while the training runs."""
    size = COMPUTE_BYTES[quantization.compute_type]
    quantized = quantization.type != "None"
    if device.kind == "GPU":
        others = (shape.parameters - shape.linear_parameters) * size
        return others + _linear_bytes(shape, quantization, size)
    if not _is_stored_so(shape, quantization):
        return shape.parameters * size
    # The file's pages stay mapped into memory; a CPU holds quantized values in the compute type beside them.
    return shape.weight_bytes + (shape.linear_parameters * size if quantized else 0)


def loading_bytes(shape: ModelShape, quantization: Quantization, device: Device) -> int:
    """Return the bytes of the weights at the worst moment of loading them, where that is more than they take later."""
    if device.kind == "GPU":
        return resident_weight_bytes(shape, quantization, device)
    if _is_stored_so(shape, quantization):
        return resident_weight_bytes(shape, quantization, device)
    return shape.parameters * COMPUTE_BYTES[quantization.compute_type] + shape.weight_bytes


def _linear_bytes(shape: ModelShape, quantization: Quantization, size: int) -> int:
    elements = shape.linear_parameters
    if quantization.type == "None":
        return elements * size
    if quantization.type == "Int8":
        return elements + 4 * sum(module.out_features for module in shape.linear)
    bits = _FOUR_BITS_DOUBLE if quantization.double_quantization == "Enabled" else _FOUR_BITS
    return int(elements * bits / 8)


def _is_stored_so(shape: ModelShape, quantization: Quantization) -> bool:
    """Tell whether the files hold weights in the type that is computed in, so that they are used where they lie."""
    return shape.dtype == _STORED[quantization.compute_type]
