"""LoRA adapters from their files, as the PEFT library writes them.

What this engine would have to compute differently is refused by the name of the setting, never left out.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from adapter_contract import AdapterManifest
from adapter_contract.verify import ADAPTER_CONFIG_NAME, WEIGHTS_NAME
from adapter_server.engines.engine import AdapterRefused
from adapter_server.engines.transformers.engine_fit import EngineFit
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


class LoRAFiles:
    """Settings of a LoRA adapter that fit an engine.

    Args:
        config: adapter_config.json.
        manifest: of the artifact.
        fit: what they must fit.

    Raises:
        AdapterRefused: they don't.
    """

    def __init__(self, config: Mapping[str, Any], manifest: AdapterManifest, fit: EngineFit) -> None:
        _check_config(config)
        self._scaling = _scaling(config, manifest, fit)
        self._manifest = manifest
        self._fit = fit

    def adapter(self, tensors: Mapping[str, Tensor]) -> LoRAAdapter:
        """Return the adapter in memory.

        Raises:
            AdapterRefused: the tensors are no factors for the base's linear layers, or no finite numbers.
        """
        factors = _by_layer(tensors)
        return LoRAAdapter(
            {layer: self._pair(layer, factors[layer]) for layer in sorted(factors)},
            stop_token_ids=frozenset(token.id for token in self._manifest.prompt_format.stop_tokens),
        )

    def _pair(self, layer: str, factors: Mapping[str, Tensor]) -> LoRAPair:
        if layer not in self._fit.shapes:
            raise AdapterRefused("AdapterRefused", f"it changes {layer}, which is no linear layer of the base")
        if missing := {"A", "B"} - factors.keys():
            raise AdapterRefused("AdapterRefused", f"the tensor lora_{min(missing)} of {layer} is missing")
        (wide, narrow), rank = self._fit.shapes[layer], self._manifest.adapter.rank
        for factor, shape in (("A", (rank, narrow)), ("B", (wide, rank))):
            if tuple(factors[factor].shape) != shape:
                raise AdapterRefused(
                    "AdapterRefused",
                    f"lora_{factor} of {layer} has the shape {list(factors[factor].shape)}, not {list(shape)}",
                )
        return LoRAPair(
            self._fit.weight(f"lora_A of {layer}", factors["A"]),
            self._fit.weight(f"lora_B of {layer}", factors["B"], scaling=self._scaling),
        )


def _check_config(config: Mapping[str, Any]) -> None:
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


def _scaling(config: Mapping[str, Any], manifest: AdapterManifest, fit: EngineFit) -> float:
    """Return the scaling of all layers."""
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


def _by_layer(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Return the tensors by layer and factor."""
    factors: dict[str, dict[str, Tensor]] = {}
    foreign = []
    for name in sorted(tensors):
        if match := _TENSOR_NAME.match(name):
            factors.setdefault(match["layer"], {})[match["factor"]] = tensors[name]
        else:
            foreign.append(name)
    if foreign:
        raise AdapterRefused("AdapterRefused", f"{WEIGHTS_NAME} holds what is no LoRA weight: {_some(foreign)}")
    return factors


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
