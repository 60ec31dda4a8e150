"""From a verified artifact to an adapter in memory, or the reason why it does not fit.

Only the files' own tensors are read, from safetensors; no class of the PEFT library is built. What a method's
settings must be is in `lora_files` and `bottleneck_files`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from adapter_contract import AdapterManifest
from adapter_contract.verify import ADAPTER_CONFIG_NAME, WEIGHTS_NAME
from adapter_server.engines.engine import AdapterRefused
from adapter_server.engines.transformers.adapter_layers import Adapter
from adapter_server.engines.transformers.bottleneck_files import BottleneckFiles
from adapter_server.engines.transformers.engine_fit import EngineFit
from adapter_server.engines.transformers.lora_files import LoRAFiles

_METHODS: Mapping[str, type[LoRAFiles] | type[BottleneckFiles]] = {"LoRA": LoRAFiles, "Bottleneck": BottleneckFiles}


def read_adapter(directory: Path, manifest: AdapterManifest, fit: EngineFit) -> Adapter:
    """Check an artifact against an engine and read it into memory of its own.

    Raises:
        AdapterRefused: with the reason; the message names what differs, and the fix where there is one.
    """
    _check_manifest(manifest, fit)
    files = _METHODS[manifest.adapter.method](_read_config(directory), manifest, fit)
    return files.adapter(_read_tensors(directory / WEIGHTS_NAME))


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
    if adapter.method not in _METHODS:
        raise AdapterRefused(
            "MethodNotSupported", f"its method is {adapter.method}; this engine serves {' and '.join(_METHODS)} only"
        )
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


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise AdapterRefused("AdapterRefused", f"{path.name} can't be read: {error}") from error
    if not tensors:
        raise AdapterRefused("AdapterRefused", f"{path.name} holds no tensors")
    return tensors
