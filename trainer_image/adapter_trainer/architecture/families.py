"""Which model families are trained: what config.json says about that, before any weights are read. Imports no torch.

Families in `TESTED_FAMILIES` are tested: packed training gives the gradients of unpacked training, and the model gives
what it gives with transformers' own attention. Refused by name is what would be trained wrongly or not at all, though
it might run: experts that get no adapter, images that would be ignored, attention in both directions, layers that carry
a state, weights that are quantized already. Any other causal language model that transformers knows is trained, with a
warning: most are Llama with small changes, and the trainer tries out, when it loads a model, whether its attention can
be computed document by document. Where it can't, each document is computed by itself with the model's own attention,
which is slower but right. To refuse them all would help nobody; to say nothing would promise what no test has shown.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from adapter_trainer.errors import BadConfiguration

TESTED_FAMILIES = ("gemma", "gemma2", "gemma3_text", "llama", "mistral", "phi", "phi3", "qwen2", "qwen3")
"""transformers' `model_type` of the families that are tested."""

_EXPERT_COUNTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts", "num_moe_experts")
_EXPERT_FAMILIES = frozenset({"arctic", "dbrx", "deepseek_v2", "deepseek_v3", "gpt_oss", "mixtral"})
_OTHER_MEDIA = (
    "vision_config",
    "audio_config",
    "text_config",
    "image_token_id",
    "image_token_index",
    "mm_vision_tower",
    "vision_tower",
)
_STATES = (
    "conv_L_cache",
    "hybrid_override_pattern",
    "layers_block_type",
    "linear_num_heads",
    "linear_num_key_heads",
    "lru_width",
    "mamba_d_conv",
    "mamba_d_state",
    "ssm_cfg",
    "ssm_state_size",
    "state_size",
)
_STATE_FAMILIES = frozenset({"falcon_mamba", "mamba", "mamba2", "recurrent_gemma", "rwkv", "xlstm"})
_LAYER_TYPES = frozenset({"full_attention", "sliding_attention"})
_CAUSAL_HEADS = ("ForCausalLM", "GPT2LMHeadModel", "OpenAIGPTLMHeadModel", "CTRLLMHeadModel")
_ENCODERS = frozenset({"bert", "camembert", "electra", "megatron-bert", "roberta", "roformer", "xlm-roberta"})

_ORIGINAL = "original_max_position_embeddings"
_LEARNED_POSITIONS = {
    "biogpt": "max_position_embeddings",
    "gpt2": "n_positions",
    "gpt_bigcode": "n_positions",
    "gpt_neo": "max_position_embeddings",
    "openai-gpt": "n_positions",
    "opt": "max_position_embeddings",
}
"""Where families whose positions are weights, one for each, say how many there are."""


def read_base_config(directory: Path) -> dict[str, Any]:
    """Return the configuration of the base model in a directory.

    Raises:
        BadConfiguration: config.json can't be read, or is no JSON object.
    """
    try:
        data = (directory / "config.json").read_bytes()
    except OSError as error:
        raise _unreadable(str(error)) from error
    return parse_base_config(data)


def parse_base_config(data: bytes) -> dict[str, Any]:
    """Return the configuration that the bytes of a config.json are, taken as transformers takes them.

    Raises:
        BadConfiguration: they are no JSON object.
    """
    try:
        config = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise _unreadable(str(error)) from error
    if not isinstance(config, dict):
        raise _unreadable("it is no JSON object")
    return config


def _unreadable(reason: str) -> BadConfiguration:
    return BadConfiguration(f"baseModel: config.json of the base model can't be read: {reason}; copy the model again")


def require_supported_family(config: Mapping[str, Any], *, longest: int) -> list[str]:
    """Refuse a base model that can't be trained right; return warnings about one that can.

    Args:
        config: of config.json.
        longest: tokens of the longest document, learned virtual ones included.

    Raises:
        BadConfiguration: all that is in the way.
    """
    problems = family_problems(config, longest=longest)
    if problems:
        raise BadConfiguration("; ".join(problems))
    return family_warnings(config, longest=longest)


def family_problems(config: Mapping[str, Any], *, longest: int) -> list[str]:
    """Return why a base model can't be trained, each with what to do; arguments as above."""
    family = _family(config)
    found = [*_kinds(config, family), *_attention(config), *_changing_positions(config, family, longest)]
    found += _learned_positions(config, family, longest)
    found = found or list(_unknown(config, family))
    return [f"baseModel: {what}" for what in found] + quantized_problems(config)


def quantized_problems(config: Mapping[str, Any]) -> list[str]:
    """Return that the files hold quantized weights, if they do: part of `family_problems`."""
    name = next((key for key in ("quantization_config", "compression_config") if config.get(key)), None)
    if name is None:
        return []
    return [
        f"baseModel: the base model's files are quantized already ({name} in config.json): give the original weights, "
        "which are quantized here as quantization says"
    ]


def family_warnings(config: Mapping[str, Any], *, longest: int = 0) -> list[str]:
    """Return what a user should know of a base model that can be trained; arguments as above."""
    family = _family(config)
    found = []
    if family not in TESTED_FAMILIES:
        found.append(
            f"baseModel: models of type {family} are not tested with this release, which is with "
            f"{', '.join(TESTED_FAMILIES)}: look at the evaluation before you use the adapter"
        )
    limit = config.get("max_position_embeddings")
    if isinstance(limit, int) and longest > limit:
        found.append(
            f"hyperparameters.maxSequenceLength: examples may have {longest} tokens, virtual ones included, and the "
            f"base model was made for {limit} (max_position_embeddings in config.json)"
        )
    return found


def _family(config: Mapping[str, Any]) -> str:
    family = config.get("model_type")
    return family if isinstance(family, str) else ""


def _names(config: Mapping[str, Any], key: str) -> list[str]:
    names = config.get(key)
    return [str(name) for name in names] if isinstance(names, list) else []


def _kinds(config: Mapping[str, Any], family: str) -> Iterator[str]:
    """Tell what kind of model it is, where that isn't a plain causal language model; the first finding is enough."""
    architectures = _names(config, "architectures")
    shown = architectures[0] if architectures else family
    if config.get("is_encoder_decoder"):
        yield f"{shown} is an encoder-decoder model: give a causal (decoder-only) language model"
    elif media := next((name for name in _OTHER_MEDIA if config.get(name) is not None), None):
        yield (
            f"{shown} is a multimodal model ({media} in config.json), and this release trains text models only: give "
            "the text model of the family by itself"
        )
    elif architectures and not any(name.endswith(_CAUSAL_HEADS) for name in architectures):
        yield f"{shown} is no causal language model: give one whose architectures in config.json end in ForCausalLM"
    elif family in _ENCODERS and not config.get("is_decoder"):
        yield f"{shown} attends to tokens behind, too (is_decoder is not set): give a causal language model"
    elif experts := _experts(config, family):
        yield f"{shown} is a mixture of experts ({experts}), which this release doesn't train: give a dense model"
    elif state := _state(config, family):
        yield (
            f"{shown} has recurrent or convolutional layers ({state}), which this release doesn't train: give a model "
            "with attention in every layer"
        )


def _experts(config: Mapping[str, Any], family: str) -> str | None:
    if family in _EXPERT_FAMILIES or "moe" in family:
        return f"model_type {family}"
    counts = ((name, config.get(name)) for name in _EXPERT_COUNTS)
    return next((f"{name} {count}" for name, count in counts if isinstance(count, int) and count > 1), None)


def _state(config: Mapping[str, Any], family: str) -> str | None:
    if family in _STATE_FAMILIES:
        return f"model_type {family}"
    return next((name for name in _STATES if config.get(name) is not None), None)


def _attention(config: Mapping[str, Any]) -> Iterator[str]:
    if config.get("use_bidirectional_attention"):
        yield "it attends to tokens behind, too (use_bidirectional_attention in config.json): give a causal model"
    if others := sorted(set(_names(config, "layer_types")) - _LAYER_TYPES):
        yield (
            f"it has layers of type {', '.join(others)} (layer_types in config.json), and this release trains "
            f"{' and '.join(sorted(_LAYER_TYPES))} only: give another model"
        )


def _changing_positions(config: Mapping[str, Any], family: str, longest: int) -> Iterator[str]:
    """Refuse rotary positions whose frequencies would change with the longest document that happens to be in a row.

    With `longrope` and `dynamic` scaling, transformers takes other frequencies for all of a batch as soon as one
    position in it lies beyond the length that the model was pretrained with. Up to that length they are constant.
    """
    scaling = config.get("rope_parameters") or config.get("rope_scaling")
    if not isinstance(scaling, Mapping):
        return
    # Phi-3 takes longrope for these, too.
    changing = {"dynamic", "longrope"} | ({"su", "yarn"} if family == "phi3" else set())
    # Gemma 3 has a scaling for each type of layer.
    for one in [one for one in scaling.values() if isinstance(one, Mapping)] or [scaling]:
        kind = one.get("rope_type") or one.get("type")
        if kind not in changing:
            continue
        limits = (one.get(_ORIGINAL), config.get(_ORIGINAL), config.get("max_position_embeddings"))
        limit = next((limit for limit in limits if isinstance(limit, int)), None)
        if limit is None:
            yield f"its rotary positions ({kind}) have no {_ORIGINAL} in config.json: add it"
        elif longest > limit:
            yield (
                f"its rotary positions ({kind}) change beyond {limit} tokens, where training would depend on what "
                f"stands beside an example, and examples may have {_lower(longest, limit)}"
            )


def _learned_positions(config: Mapping[str, Any], family: str, longest: int) -> Iterator[str]:
    limit = config.get(_LEARNED_POSITIONS.get(family, ""))
    if isinstance(limit, int) and longest > limit:
        yield f"it has no more than {limit} positions, and examples may have {_lower(longest, limit)}"


def _lower(longest: int, limit: int) -> str:
    return (
        f"{longest} tokens, virtual ones included: lower hyperparameters.maxSequenceLength by {longest - limit} or more"
    )


def _unknown(config: Mapping[str, Any], family: str) -> Iterator[str]:
    if family in TESTED_FAMILIES:
        return
    if not family:
        yield "config.json has no model_type: give the directory of a model in the layout of transformers"
        return
    import transformers  # noqa: PLC0415 - slow to import, and rarely needed
    from transformers import CONFIG_MAPPING  # noqa: PLC0415 - likewise

    if family not in CONFIG_MAPPING:
        own = ", and code that a model brings with it (auto_map) is not run" if config.get("auto_map") else ""
        yield (
            f"transformers {transformers.__version__} doesn't know model_type {family}{own}: give a model of a family "
            f"that is tested ({', '.join(TESTED_FAMILIES)})"
        )
