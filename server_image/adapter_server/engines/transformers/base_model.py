"""The base model from its directory into memory."""

import inspect
import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from transformers.utils.logging import disable_progress_bar

from adapter_contract import Digest
from adapter_contract.s3 import LocalModel, StorageError, base_digest
from adapter_server.engines.engine import BaseModelError, EngineSettings
from adapter_server.engines.transformers.prompts import Prompts

_DTYPES: Final = {"BFloat16": torch.bfloat16, "Float16": torch.float16, "Float32": torch.float32}
_ATTENTION: Final = frozenset({"full_attention", "sliding_attention"})
_INPUTS: Final = frozenset({"input_ids", "attention_mask", "position_ids", "past_key_values", "logits_to_keep"})
_BFLOAT16_FLAGS: Final = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
_PACKED_ROWS: Final = 32
_MISSING_TOLD: Final = 3
_CPU_INFORMATION: Final = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A base model that is ready to compute.

    Attributes:
        model: a causal language model of transformers, in eval mode.
        vocabulary: how many tokens have an embedding.
        hidden_size: features between blocks; None where the base has no one number for it.
        max_positions: how many tokens the base can tell apart; None where it has no limit.
        stop_token_ids: tokens that end an answer.
    """

    model: Any
    prompts: Prompts
    digest: Digest
    compute_dtype: torch.dtype
    device: torch.device
    vocabulary: int
    hidden_size: int | None
    max_positions: int | None
    stop_token_ids: frozenset[int]


def load_base(settings: EngineSettings) -> BaseModel:
    """Load a base model; nothing is fetched, no code of its directory is run, weights are safetensors.

    Raises:
        BaseModelError: with what is wrong, and the fix.
    """
    digest = _digest(settings)
    directory = settings.base_directory
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = compute_dtype(settings, device)
    disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        _check_layers(config.get_text_config(decoder=True))
        prompts = Prompts(AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False))
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            directory,
            config=config,
            dtype=dtype,
            device_map={"": device},
            quantization_config=_quantization(settings, dtype),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise BaseModelError(f"the base model in {directory} can't be loaded: {error}") from error
    model, loading = loaded
    _check_complete(directory, loading["missing_keys"])
    _check_inputs(model)
    _keep_odd_layers_unpacked(model)
    model.eval()
    return BaseModel(
        model=model,
        prompts=prompts,
        digest=digest,
        compute_dtype=dtype,
        device=device,
        vocabulary=model.get_input_embeddings().num_embeddings,
        hidden_size=getattr(config.get_text_config(decoder=True), "hidden_size", None),
        max_positions=getattr(config.get_text_config(decoder=True), "max_position_embeddings", None),
        stop_token_ids=prompts.stop_token_ids(model.generation_config.eos_token_id),
    )


def compute_dtype(settings: EngineSettings, device: torch.device) -> torch.dtype:
    """Return what activations are computed in."""
    if settings.compute_type != "Auto":
        return _DTYPES[settings.compute_type]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if _cpu_has_bfloat16() else torch.float32


def _cpu_has_bfloat16() -> bool:
    """Tell whether the CPU multiplies bfloat16 itself (x86: AVX-512 BF16, AMX; Arm: BF16); elsewhere it is slow."""
    try:
        lines = _CPU_INFORMATION.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return not _BFLOAT16_FLAGS.isdisjoint(flags.split())


def _digest(settings: EngineSettings) -> Digest:
    model = LocalModel(settings.base_directory)
    try:
        digest = base_digest(model, identity=settings.base_identity, cache_directory=settings.digest_cache_directory)
    except StorageError as error:
        raise BaseModelError(str(error)) from error
    if settings.base_digest not in {None, digest}:
        raise BaseModelError(
            f"the base model in {settings.base_directory} has digest {digest}, but {settings.base_digest} is wanted: "
            "mount the same revision"
        )
    return digest


def _check_complete(directory: Path, missing: Collection[str]) -> None:
    """Refuse a base without some of its weights: transformers gives such weights random values."""
    if missing:
        first = ", ".join(sorted(missing)[:_MISSING_TOLD])
        raise BaseModelError(
            f"the base model in {directory} lacks {len(missing)} of its weights ({first}): "
            "put the complete safetensors files of a causal language model there"
        )


def _check_layers(config: Any) -> None:  # noqa: ANN401 - one class per model
    if unknown := sorted(set(getattr(config, "layer_types", None) or ()) - _ATTENTION):
        raise BaseModelError(f"models with layers of {', '.join(unknown)} can't be served by this engine")


def _check_inputs(model: Any) -> None:  # noqa: ANN401 - one class per model
    if missing := sorted(_INPUTS - inspect.signature(model.forward).parameters.keys()):
        raise BaseModelError(f"{type(model).__name__} can't be served by this engine: it takes no {', '.join(missing)}")


def _quantization(settings: EngineSettings, dtype: torch.dtype) -> Any:  # noqa: ANN401 - transformers leaves it untyped
    configured: Any = BitsAndBytesConfig
    if settings.quantization == "NF4":
        # As in training (QLoRA, Dettmers et al. 2023, arXiv:2305.14314), so that an adapter meets the same base.
        return configured(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
        )
    if settings.quantization == "Int8":
        # It says of each layer at each step that it computes in float16.
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        return configured(load_in_8bit=True)
    return None


def _keep_odd_layers_unpacked(model: Any) -> None:  # noqa: ANN401 - one class per model
    """Let bitsandbytes compute 4-bit layers as stored whose sizes its packed layout for CPUs can't hold.

    On CPUs with AVX-512 BF16 it packs every layer at its first use, and fails where the rows are no multiple of 32,
    or where a block of weights with one scale spans two rows (bitsandbytes 0.50, `nn/modules.py`).
    """
    for module in model.modules():
        if getattr(module, "support_avx512bf16_for_cpu", False):
            block = module.weight.quant_state.blocksize
            fits = module.out_features % _PACKED_ROWS == 0 and module.in_features % block == 0
            module.support_avx512bf16_for_cpu = fits
