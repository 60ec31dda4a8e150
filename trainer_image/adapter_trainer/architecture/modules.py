"""Which modules of a base model a method adapts: the PEFT library's rules, without the PEFT library.

A name means every module of that name and every module whose name ends with it behind a dot; `all-linear` alone
means all linear layers but the output head.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from adapter_contract.bottleneck import bottleneck_modules
from adapter_contract.recipe import IA3, Bottleneck, LoRA, Method
from adapter_trainer.architecture.shape import OUTPUT_HEAD, ModelShape, natural_order
from adapter_trainer.errors import BadConfiguration

ALL_LINEAR = "all-linear"

IA3_DEFAULTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "gemma": (("q_proj", "v_proj", "down_proj"), ("down_proj",)),
    "gemma2": (("q_proj", "v_proj", "down_proj"), ("down_proj",)),
    "gemma3_text": (("q_proj", "v_proj", "down_proj"), ("down_proj",)),
    "llama": (("k_proj", "v_proj", "down_proj"), ("down_proj",)),
    "mistral": (("k_proj", "v_proj", "down_proj"), ("down_proj",)),
    "phi": (("q_proj", "v_proj", "fc2"), ("fc2",)),
    "phi3": (("qkv_proj", "down_proj"), ("down_proj",)),
    "qwen2": (("q_proj", "v_proj", "down_proj"), ("down_proj",)),
    "qwen3": (("q_proj", "v_proj", "down_proj"), ("down_proj",)),
}
"""By family: the modules that IA3 rescales where none are named, and those of them whose input it rescales.

They are the PEFT library's own; it has none for phi3, whose queries, keys and values are one layer.
"""

BOTTLENECK_NON_LINEARITY: Final = "relu"
"""Of the bottleneck adapters that are trained; their format knows others, too."""


@dataclass(frozen=True, slots=True)
class TargetModules:
    """The modules that get an adapter, by their full names, in the order of the blocks.

    Attributes:
        names: all of them.
        feedforward: those whose input IA3 rescales; its other modules' output.
    """

    names: tuple[str, ...]
    feedforward: tuple[str, ...] = ()


def resolve_modules(method: Method, shape: ModelShape) -> TargetModules:
    """Return the modules that a method adapts; none for a method that adapts no layer.

    Raises:
        BadConfiguration: a name means no module, or one that the method can't adapt; all such names.
    """
    if isinstance(method, LoRA):
        names = _resolved(method.target_modules, shape, "method.lora.targetModules")
        if method.initialization == "PiSSA":
            _check_decomposable(method, shape, names)
        return TargetModules(names)
    if isinstance(method, IA3):
        return _resolved_ia3(method, shape)
    if isinstance(method, Bottleneck):
        return _sublayers(method, shape)
    return TargetModules(())


def ia3_modules(method: IA3, family: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the modules that IA3 rescales, and of those whose input it rescales, where these are named.

    Raises:
        BadConfiguration: none are named, and there is no default for the model family.
    """
    if method.target_modules is None and family not in IA3_DEFAULTS:
        raise BadConfiguration(
            f"method.ia3.targetModules: there is no default for the model family {family}: name the modules"
        )
    default_targets, default_feedforward = IA3_DEFAULTS.get(family, ((), ()))
    targets = method.target_modules or default_targets
    if method.feedforward_modules is not None or targets == (ALL_LINEAR,):
        return targets, method.feedforward_modules or default_feedforward
    return targets, tuple(name for name in targets if name.rpartition(".")[2] in default_feedforward)


def _resolved_ia3(method: IA3, shape: ModelShape) -> TargetModules:
    targets, feedforward = ia3_modules(method, shape.family)
    names = _resolved(targets, shape, "method.ia3.targetModules")
    return TargetModules(names, tuple(name for name in names if any(_means(end, name) for end in feedforward)))


def _sublayers(method: Bottleneck, shape: ModelShape) -> TargetModules:
    names = bottleneck_modules(sorted(shape.others, key=natural_order), method.architecture)
    if not names:
        raise BadConfiguration(
            f"method.type: Bottleneck needs blocks with self_attn and mlp, which the model family {shape.family} has "
            "under other names: take LoRA"
        )
    return TargetModules(names)


def _check_decomposable(method: LoRA, shape: ModelShape, names: Sequence[str]) -> None:
    sizes = {module.name: min(module.out_features, module.in_features) for module in (*shape.linear, shape.output_head)}
    small = next((name for name in names if sizes[name] < method.rank), None)
    if small is not None:
        raise BadConfiguration(
            f"method.lora.rank: PiSSA takes the {method.rank} largest parts of each weight, but {small} has only "
            f"{sizes[small]}: lower the rank"
        )
    if shape.tied_embeddings and OUTPUT_HEAD in names:
        raise BadConfiguration(
            f"method.lora.targetModules: PiSSA changes {OUTPUT_HEAD}, whose weights are the embeddings' too in this "
            "base model: leave it out, or set method.lora.initialization to Default"
        )


def _resolved(targets: Sequence[str], shape: ModelShape, field: str) -> tuple[str, ...]:
    linear = [module.name for module in shape.linear]
    if tuple(targets) == (ALL_LINEAR,):
        return tuple(linear)
    adaptable = [*linear, OUTPUT_HEAD]
    unfit = [*shape.others, *shape.embeddings]
    problems = [problem for target in targets if (problem := _problem(target, adaptable, unfit))]
    if problems:
        raise BadConfiguration(
            f"{field}: {'; '.join(problems)}: name linear layers, such as {', '.join(_endings(linear)[:8])}, or "
            f"{ALL_LINEAR} alone for all of them"
        )
    return tuple(name for name in adaptable if any(_means(target, name) for target in targets))


def _problem(target: str, adaptable: Sequence[str], unfit: Sequence[str]) -> str | None:
    if target == ALL_LINEAR:
        return f"{ALL_LINEAR} must stand alone"
    wrong = min((name for name in unfit if _means(target, name)), default=None)
    if wrong is not None:
        return f"{target} means {wrong}, which can't be adapted"
    if not any(_means(target, name) for name in adaptable):
        return f"the base model has no module {target}"
    return None


def _means(target: str, name: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _endings(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(name.rpartition(".")[2] for name in names))
