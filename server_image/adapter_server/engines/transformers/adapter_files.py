"""From a verified artifact to a LoRA adapter in memory, or the reason why it does not fit.

Only the files' own tensors are read, from safetensors; no class of the PEFT library is built. What this engine
would have to compute differently is refused by the name of the setting, never left out.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from adapter_contract import AdapterManifest, Digest
from adapter_contract.verify import ADAPTER_CONFIG_NAME, WEIGHTS_NAME
from adapter_server.engines.engine import AdapterRefused
from adapter_server.engines.transformers.lora_layers import LoRAAdapter, LoRAPair

_TENSOR_NAME = re.compile(r"^base_model\.model\.(?P<layer>.+)\.lora_(?P<factor>[AB])\.weight$")
_SHOWN = 3

_HARMLESS = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "ensure_weight_tying",
        "exclude_modules",
        "fan_in_fan_out",
        "inference_mode",
        "init_lora_weights",
        "layers_pattern",
        "layers_to_transform",
        "lora_alpha",
        "lora_dropout",
        "megatron_core",
        "peft_type",
        "peft_version",
        "qalora_group_size",
        "r",
        "revision",
        "target_modules",
        "task_type",
        "use_rslora",
    }
)
"""Settings of PEFT's LoraConfig that the weights already carry, that matter in training only, or that are read here.
Whatever else is set changes what must be computed."""

_INITIALIZATIONS = (True, False, None, "gaussian", "orthogonal", "eva")
"""Initializations that leave the base as it is; PiSSA, OLoRA, CorDA and LoftQ train against a changed one."""


@dataclass(frozen=True, slots=True)
class EngineFit:
    """What an adapter must fit.

    Attributes:
        shapes: (out, in) of the base's linear layers.
        compute_dtype, device: what the adapter becomes.
        template_digest: of the base's chat template; None where it has none.
    """

    base_model_name: str
    base_digest: Digest
    max_rank: int
    shapes: Mapping[str, tuple[int, int]]
    vocabulary: int
    template_digest: Digest | None
    compute_dtype: torch.dtype
    device: torch.device


def read_adapter(directory: Path, manifest: AdapterManifest, fit: EngineFit) -> LoRAAdapter:
    """Check an artifact against an engine and read it into memory of its own.

    Raises:
        AdapterRefused: with the reason; the message names what differs, and the fix where there is one.
    """
    _check_manifest(manifest, fit)
    scaling = _check_config(_read_config(directory), manifest, fit)
    factors = _read_factors(directory / WEIGHTS_NAME)
    pairs = {layer: _pair(layer, factors[layer], scaling, manifest, fit) for layer in sorted(factors)}
    return LoRAAdapter(pairs, frozenset(token.id for token in manifest.prompt_format.stop_tokens))


def _check_manifest(manifest: AdapterManifest, fit: EngineFit) -> None:
    base, adapter, prompts = manifest.base_model, manifest.adapter, manifest.prompt_format
    if base.name != fit.base_model_name:
        raise AdapterRefused("BaseModelMismatch", f"it was trained on {base.name}, not on {fit.base_model_name}")
    if base.digest != fit.base_digest:
        raise AdapterRefused(
            "BaseModelMismatch",
            f"it was trained on a {base.name} with digest {base.digest}, but the one served here has "
            f"{fit.base_digest}: serve the same revision",
        )
    if adapter.method != "LoRA":
        raise AdapterRefused("MethodNotSupported", f"its method is {adapter.method}; this engine serves LoRA only")
    if adapter.rank is not None and adapter.rank > fit.max_rank:
        raise AdapterRefused("RankExceedsEngine", f"its rank {adapter.rank} is over engine.maxRank {fit.max_rank}")
    if prompts.tokenizer_digest is not None:
        raise AdapterRefused("AdapterRefused", "it brings a tokenizer of its own; only the base's can be used")
    if prompts.chat_template_digest not in {None, fit.template_digest}:
        raise AdapterRefused("AdapterRefused", "it was trained with another chat template than the base's")
    if unknown := [token.id for token in prompts.stop_tokens if token.id >= fit.vocabulary]:
        raise AdapterRefused("AdapterRefused", f"its stop token {unknown[0]} is not in the base's vocabulary")


def _read_config(directory: Path) -> dict[str, Any]:
    try:
        config = json.loads((directory / ADAPTER_CONFIG_NAME).read_bytes())
    except (OSError, ValueError) as error:
        raise AdapterRefused("AdapterRefused", f"{ADAPTER_CONFIG_NAME} can't be read: {error}") from error
    if not isinstance(config, dict):
        raise AdapterRefused("AdapterRefused", f"{ADAPTER_CONFIG_NAME} is not a JSON object")
    return config


def _check_config(config: Mapping[str, Any], manifest: AdapterManifest, fit: EngineFit) -> float:
    """Return the scaling of all layers."""
    if config.get("peft_type") != "LORA":
        raise AdapterRefused(
            "MethodNotSupported", f"{ADAPTER_CONFIG_NAME}: peft_type is {config.get('peft_type')!r}, not 'LORA'"
        )
    if config.get("use_dora"):
        raise AdapterRefused(
            "MethodNotSupported", "it is a DoRA adapter (weightDecomposition); this engine has LoRA only"
        )
    if (initial := config.get("init_lora_weights")) not in _INITIALIZATIONS:
        raise AdapterRefused(
            "MethodNotSupported", f"init_lora_weights {initial!r} changes the base: convert the adapter to plain LoRA"
        )
    for name, value in config.items():
        if name not in _HARMLESS and value and (name, value) != ("bias", "none"):
            raise AdapterRefused("AdapterRefused", f"{ADAPTER_CONFIG_NAME}: this engine can't serve {name}: {value!r}")
    return _scaling(config, manifest, fit)


def _scaling(config: Mapping[str, Any], manifest: AdapterManifest, fit: EngineFit) -> float:
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if type(rank) is not int or rank < 1 or isinstance(alpha, bool) or not isinstance(alpha, int | float):
        raise AdapterRefused("AdapterRefused", f"{ADAPTER_CONFIG_NAME}: r is {rank!r} and lora_alpha is {alpha!r}")
    if rank > fit.max_rank:
        raise AdapterRefused("RankExceedsEngine", f"its rank {rank} is over engine.maxRank {fit.max_rank}")
    if rank != manifest.adapter.rank:
        raise AdapterRefused(
            "AdapterRefused", f"{ADAPTER_CONFIG_NAME}: r is {rank}, but the manifest says {manifest.adapter.rank}"
        )
    # Rank-stabilized LoRA: Kalajdzievski 2023, arXiv:2312.03732.
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _read_factors(path: Path) -> dict[str, dict[str, Tensor]]:
    """Return the tensors by layer and factor."""
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise AdapterRefused("AdapterRefused", f"{path.name} can't be read: {error}") from error
    factors: dict[str, dict[str, Tensor]] = {}
    foreign = []
    for name in sorted(tensors):
        if match := _TENSOR_NAME.match(name):
            factors.setdefault(match["layer"], {})[match["factor"]] = tensors[name]
        else:
            foreign.append(name)
    if foreign:
        raise AdapterRefused("AdapterRefused", f"{path.name} holds what is no LoRA weight: {_some(foreign)}")
    if not factors:
        raise AdapterRefused("AdapterRefused", f"{path.name} holds no tensors")
    return factors


def _pair(
    layer: str, factors: Mapping[str, Tensor], scaling: float, manifest: AdapterManifest, fit: EngineFit
) -> LoRAPair:
    if layer not in fit.shapes:
        raise AdapterRefused("AdapterRefused", f"it changes {layer}, which is no linear layer of the base")
    if missing := {"A", "B"} - factors.keys():
        raise AdapterRefused("AdapterRefused", f"the tensor lora_{min(missing)} of {layer} is missing")
    (wide, narrow), rank = fit.shapes[layer], manifest.adapter.rank
    for factor, shape in (("A", (rank, narrow)), ("B", (wide, rank))):
        _check_tensor(f"lora_{factor} of {layer}", factors[factor], shape)
    down = factors["A"].to(fit.device, fit.compute_dtype, copy=True)
    up = (factors["B"].float() * scaling).to(fit.device, fit.compute_dtype)
    if not (torch.isfinite(down).all() and torch.isfinite(up).all()):
        raise AdapterRefused("AdapterRefused", f"the weights of {layer} are not finite in {fit.compute_dtype}")
    return LoRAPair(down, up)


def _check_tensor(what: str, tensor: Tensor, shape: tuple[int | None, int | None]) -> None:
    if tuple(tensor.shape) != shape:
        raise AdapterRefused("AdapterRefused", f"{what} has the shape {list(tensor.shape)}, not {list(shape)}")
    if not tensor.is_floating_point():
        raise AdapterRefused("AdapterRefused", f"{what} has the dtype {tensor.dtype}, not one of floating point")


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
