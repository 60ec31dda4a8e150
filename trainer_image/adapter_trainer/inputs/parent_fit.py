"""Whether the adapter to go on from was made as the method says. Preflight and the training ask the same questions."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapter_contract.bottleneck import BOTTLENECK, BottleneckConfig
from adapter_contract.documents import parse_object
from adapter_contract.errors import ContractError
from adapter_contract.recipe import IA3, Bottleneck, LoRA, Method, PrefixTuning, PromptTuning
from adapter_contract.verify import ADAPTER_CONFIG_NAME
from adapter_trainer.architecture.modules import BOTTLENECK_NON_LINEARITY
from adapter_trainer.errors import BadData

Shapes = Mapping[str, Sequence[int]]
"""The shapes of an adapter's tensors by their names in the file."""

_MAX_CONFIG_BYTES = 1 << 20

_HARMLESS = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "encoder_hidden_size",
        "ensure_weight_tying",
        "exclude_modules",
        "feedforward_modules",
        "inference_mode",
        "init_ia3_weights",
        "layers_pattern",
        "layers_to_transform",
        "lora_dropout",
        "megatron_core",
        "num_attention_heads",
        "num_layers",
        "peft_version",
        "prefix_projection",
        "prompt_tuning_init",
        "prompt_tuning_init_text",
        "qalora_group_size",
        "revision",
        "target_modules",
        "task_type",
        "token_dim",
        "tokenizer_kwargs",
        "tokenizer_name_or_path",
    }
)
"""Settings of PEFT's configurations that the tensors' names and shapes carry, or that mattered to their training only.
Whatever else is set, and isn't compared, changes what must be computed."""

_NEUTRAL: Mapping[str, object] = {"bias": "none", "num_transformer_submodules": 1}
"""What such settings are where they change nothing."""

_INITIALIZATIONS = (True, False, None, "gaussian", "orthogonal", "eva")
"""What PEFT's `init_lora_weights` may be in an adapter that leaves the base's weights as they are."""


def read_parent_settings(directory: Path) -> Mapping[str, Any]:
    """Return what adapter_config.json of the adapter in a directory holds.

    Raises:
        BadData: it can't be read.
    """
    try:
        return parse_object((directory / ADAPTER_CONFIG_NAME).read_bytes(), limit=_MAX_CONFIG_BYTES)
    except (OSError, ContractError) as error:
        raise BadData(
            f"initializeFrom: {ADAPTER_CONFIG_NAME} of the adapter to go on from can't be read: {error}; name another "
            "version"
        ) from error


def setting_problems(method: Method, settings: Mapping[str, Any]) -> Iterator[str]:
    """Compare a method with an adapter's settings; each problem ends a sentence that begins with the adapter.

    Args:
        method: of the training.
        settings: in adapter_config.json.
    """
    wanted = _wanted(method)
    differing = [key for key, (_, value) in wanted.items() if settings.get(key, False) != value]
    if "peft_type" in differing:
        differing = ["peft_type"]
    for key in differing:
        field, value = wanted[key]
        yield f"was made with {key} {settings.get(key, False)!r}, but {field} asks for {value!r}: they must agree"
    if "peft_type" in differing:
        return
    if isinstance(method, Bottleneck):
        yield from () if differing else _document_problems(settings)
        return
    for key, value in settings.items():
        if key == "init_lora_weights":
            if value not in _INITIALIZATIONS:
                yield (
                    f"was made with {key} {value!r}, so it fits a changed base only: convert it to plain LoRA, or name "
                    "another adapter"
                )
        elif value and key not in wanted and key not in _HARMLESS and value != _NEUTRAL.get(key):
            yield f"was made with {key} {value!r}, which this release can't go on with: name another adapter"


def _wanted(method: Method) -> Mapping[str, tuple[str, object]]:
    """Return what the settings must be: by their keys, our field and its value there."""
    match method:
        case LoRA():
            return {
                "peft_type": ("method.type", "LORA"),
                "r": ("method.lora.rank", method.rank),
                "lora_alpha": ("method.lora.alpha", method.alpha),
                "use_rslora": ("method.lora.scaling (rank-stabilized)", method.scaling == "RankStabilized"),
                "use_dora": ("method.lora.weightDecomposition (DoRA)", method.weight_decomposition == "Enabled"),
            }
        case IA3():
            return {"peft_type": ("method.type", "IA3")}
        case PromptTuning():
            return {
                "peft_type": ("method.type", "PROMPT_TUNING"),
                "num_virtual_tokens": ("method.promptTuning.virtualTokens", method.virtual_tokens),
            }
        case PrefixTuning():
            return {
                "peft_type": ("method.type", "PREFIX_TUNING"),
                "num_virtual_tokens": ("method.prefixTuning.virtualTokens", method.virtual_tokens),
            }
        case Bottleneck():
            return {
                "peft_type": ("method.type", BOTTLENECK),
                "architecture": ("method.bottleneck.architecture", method.architecture),
                "size": ("method.bottleneck.size", method.size),
                "non_linearity": ("method.type Bottleneck", BOTTLENECK_NON_LINEARITY),
            }


def _document_problems(settings: Mapping[str, Any]) -> Iterator[str]:
    try:
        BottleneckConfig.from_object(settings)
    except ContractError as error:
        yield f"can't be gone on from: {error}: name another adapter"


def shape_problems(found: Shapes, wanted: Shapes) -> Iterator[str]:
    """Compare the tensors that an adapter has with those that it must have; problems as in `setting_problems`."""
    if differing := sorted(wanted.keys() ^ found.keys()):
        yield (
            f"has other target modules than method says ({len(differing)} tensors differ, such as {differing[0]}): set "
            "them to the adapter's own"
        )
    for name in sorted(wanted.keys() & found.keys()):
        if tuple(wanted[name]) != tuple(found[name]):
            yield (
                f"holds {name} of the shape {list(found[name])}, but method and baseModel ask for "
                f"{list(wanted[name])}: name an adapter that was made with these settings"
            )
            return
