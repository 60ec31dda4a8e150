"""Loading the base model."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from adapter_contract import Quantization
from adapter_trainer.architecture.families import quantized_problems, read_base_config
from adapter_trainer.errors import BadConfiguration
from adapter_trainer.failures import is_out_of_memory
from adapter_trainer.model.attention import enable_packing
from adapter_trainer.model.fused.fuse import fuse_base
from adapter_trainer.model.fused.head import has_plain_head
from adapter_trainer.model.parallel import Workers, workers
from adapter_trainer.model.quantized_cache import MadeOf, QuantizedCache, read_weights, write_weights
from adapter_trainer.model.rounding import quantized_layers, round_weights

_DTYPES = {"BFloat16": torch.bfloat16, "Float32": torch.float32}


@dataclass(frozen=True)
class BaseModel:
    """A frozen base model on the device where it is trained, in evaluation mode: dropout is the adapter's alone.

    Attributes:
        model: transformers' model.
        quantization: how its weights are held.
        compute_dtype: of activations.
        packable: whether several documents may stand in one row.
        directory: with the files of the base model, among them its tokenizer's.
        plain_head: whether logits are the product of the decoder's last states with the head, and no more.
    """

    model: PreTrainedModel
    quantization: Quantization
    compute_dtype: torch.dtype
    packable: bool
    directory: Path
    plain_head: bool = False

    @classmethod
    def of(
        cls, model: PreTrainedModel, quantization: Quantization, compute_dtype: torch.dtype, directory: Path
    ) -> "BaseModel":
        """Return a loaded model, frozen and in evaluation mode, as training wants it: some layers are changed."""
        if model.device.type == "cpu":
            fuse_base(model)
        packable = enable_packing(model)
        return cls(model, quantization, compute_dtype, packable, directory, has_plain_head(model))

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


def load_base(
    directory: Path,
    quantization: Quantization,
    *,
    before_quantizing: Callable[[PreTrainedModel], None] | None = None,
    cache: QuantizedCache | None = None,
) -> BaseModel:
    """Load a base model, frozen, quantized as asked for, onto the GPU if there is one.

    Args:
        directory: with config.json and safetensors; pickles are not read, and no code of the model's is run.
        quantization: None keeps the weights in the compute type.
        before_quantizing: may change the model's weights, in the compute type and in host memory, in place; what comes
            of it is quantized, so it is not what another run may share.
        cache: of the base model; quantized weights that aren't there yet are put there.

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
    placed = _layers(quantization, dtype) if on_gpu else {}
    if before_quantizing is None:
        model = load_packed(directory, quantization, placed, cache) if cache else _load(directory, dtype, placed)
    else:
        model = _load(directory, dtype, {})
        before_quantizing(model)
        if on_gpu:
            model = _placed(model, dtype, placed)
    model.requires_grad_(requires_grad=False)
    model.train(mode=False)
    with workers(model.device) as side_by_side:
        if not on_gpu and quantization.type != "None":
            _round(model, quantization, side_by_side, None if before_quantizing else cache)
        return BaseModel.of(model, quantization, dtype, directory)


def _round(
    model: PreTrainedModel, quantization: Quantization, side_by_side: Workers, cache: QuantizedCache | None
) -> None:
    """Round the weights, or take them from the cache."""
    layers = quantized_layers(model)
    if not layers:
        raise BadConfiguration(
            f"quantization.type: the base model has no linear layers for {quantization.type}: set it to None"
        )
    if cache is None:
        round_weights(layers, quantization, side_by_side)
        return
    made_of = cache.made_of(quantization, "Rounded")
    rest = _not_found(cache, made_of, layers)
    if rest:
        round_weights(rest, quantization, side_by_side)
        size = sum(layer.weight.nbytes for layer in layers.values())
        cache.keep(made_of, write_weights(layers), size)


def _not_found(cache: QuantizedCache, made_of: MadeOf, layers: Mapping[str, nn.Linear]) -> Mapping[str, nn.Linear]:
    """Give layers their rounded weights from the cache; return those that have to be rounded."""
    if (entry := cache.find(made_of)) is None:
        return layers
    before = {name: layer.weight.data for name, layer in layers.items()}
    try:
        read_weights(entry, layers)
    except (OSError, ValueError, SafetensorError) as error:
        cache.discard(made_of, str(error))
        return {name: layer for name, layer in layers.items() if layer.weight.data_ptr() == before[name].data_ptr()}
    return {}


def load_packed(
    directory: Path, quantization: Quantization, placed: dict[str, Any], cache: QuantizedCache
) -> PreTrainedModel:
    """Load into bitsandbytes' layers as `placed` says, packed weights from the cache where they are there."""
    dtype = _DTYPES[quantization.compute_type]
    if "quantization_config" not in placed:
        return _load(directory, dtype, placed)
    made_of = cache.made_of(quantization, "Packed")
    if (entry := cache.find(made_of)) is not None:
        try:
            # The entry's config.json says how its weights are packed.
            return _load(entry, dtype, {"device_map": placed["device_map"]})
        except (BadConfiguration, OSError) as error:
            cache.discard(made_of, str(error))
    model = _load(directory, dtype, placed)
    size = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
    cache.keep(made_of, model.save_pretrained, size)
    return model


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


def _placed(model: PreTrainedModel, dtype: torch.dtype, layers: dict[str, Any]) -> PreTrainedModel:
    """Return the model anew, in the layers that transformers would load it into; see `_layers`."""
    placed: PreTrainedModel = type(model).from_pretrained(
        None, config=model.config, state_dict=model.state_dict(), dtype=dtype, **layers
    )
    return placed


def _refuse_quantized(directory: Path) -> None:
    if problems := quantized_problems(read_base_config(directory)):
        raise BadConfiguration("; ".join(problems))
