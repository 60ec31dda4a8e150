"""Loading the base model."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from adapter_contract import Quantization
from adapter_trainer.errors import BadConfiguration
from adapter_trainer.failures import is_out_of_memory
from adapter_trainer.model.attention import enable_packing
from adapter_trainer.model.parallel import workers
from adapter_trainer.model.rounding import round_weights

_DTYPES = {"BFloat16": torch.bfloat16, "Float32": torch.float32}


@dataclass(frozen=True)
class BaseModel:
    """A frozen base model on the device where it is trained, in evaluation mode: dropout is the adapter's alone.

    Attributes:
        model: transformers' model.
        quantization: how its weights are held.
        compute_dtype: of activations.
        packable: whether several documents may stand in one row.
    """

    model: PreTrainedModel
    quantization: Quantization
    compute_dtype: torch.dtype
    packable: bool

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.model.device

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """Compute in `compute_dtype`, whatever the type of the adapter's weights."""
        mixed = self.compute_dtype != torch.float32
        # Each weight of the adapter is used once per pass, so a cache of casts would win nothing, and threads share it.
        dtype = self.compute_dtype if mixed else None
        with torch.autocast(self.device.type, dtype=dtype, enabled=mixed, cache_enabled=False):
            yield


def load_base(directory: Path, quantization: Quantization) -> BaseModel:
    """Load a base model, frozen, quantized as asked for, onto the GPU if there is one.

    Args:
        directory: with config.json and safetensors; pickles are not read, and no code of the model's is run.
        quantization: None keeps the weights in the compute type.

    Raises:
        BadConfiguration: the model can't be loaded or quantized, or weights of it are missing.
    """
    if quantization.compute_type not in _DTYPES:
        raise BadConfiguration(
            f"quantization.computeType: this release computes in {' or '.join(_DTYPES)}, not in "
            f"{quantization.compute_type}"
        )
    dtype = _DTYPES[quantization.compute_type]
    _refuse_quantized(directory)
    on_gpu = torch.cuda.is_available()
    model = _load(directory, dtype, _layers(quantization, dtype) if on_gpu else {})
    model.requires_grad_(requires_grad=False)
    model.train(mode=False)
    with workers(model.device) as side_by_side:
        if not on_gpu and quantization.type != "None" and round_weights(model, quantization, side_by_side) == 0:
            raise BadConfiguration(
                f"quantization.type: the base model has no linear layers for {quantization.type}: set it to None"
            )
        return BaseModel(model, quantization, dtype, enable_packing(model))


def _layers(quantization: Quantization, dtype: torch.dtype) -> dict[str, Any]:
    """Return what makes transformers load onto the GPU, with bitsandbytes' layers where weights are quantized."""
    place: dict[str, Any] = {"device_map": {"": 0}}
    if quantization.type == "None":
        return place
    if quantization.type == "Int8":
        return place | {"quantization_config": _bitsandbytes(load_in_8bit=True)}
    config = _bitsandbytes(
        load_in_4bit=True,
        bnb_4bit_quant_type=quantization.type.lower(),
        bnb_4bit_compute_dtype=dtype,
        bnb_4bit_use_double_quant=quantization.double_quantization == "Enabled",
    )
    return place | {"quantization_config": config}


def _bitsandbytes(**options: object) -> BitsAndBytesConfig:
    return BitsAndBytesConfig(**options)  # type: ignore[no-untyped-call]  # transformers gives it no types


def _load(directory: Path, dtype: torch.dtype, layers: dict[str, Any]) -> PreTrainedModel:
    disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers gives it no types
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            directory,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            **layers,
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        # An error number is the system's: the volume, not the model, is at fault.
        if is_out_of_memory(error) or getattr(error, "errno", None) is not None:
            raise
        raise BadConfiguration(f"baseModel: transformers can't load the base model: {error}") from error
    model: PreTrainedModel = loaded[0]
    if missing := sorted(loaded[1]["missing_keys"]):
        raise BadConfiguration(
            f"baseModel: {len(missing)} weights of the base model are missing from its files, such as {missing[0]}: "
            "its directory must hold all of a causal language model"
        )
    return model


def _refuse_quantized(directory: Path) -> None:
    try:
        config = json.loads((directory / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise BadConfiguration(f"baseModel: config.json of the base model can't be read: {error}") from error
    if isinstance(config, dict) and config.get("quantization_config"):
        raise BadConfiguration(
            "baseModel: the base model's files are quantized already (quantization_config in config.json): give the "
            "original weights, which are quantized here as quantization says"
        )
