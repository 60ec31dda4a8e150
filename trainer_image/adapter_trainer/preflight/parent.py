"""Whether the adapter to go on from is there, is what its digest promises, and fits base model and method."""

from pathlib import Path

from adapter_contract import BaseModelConfig, Digest, InitialAdapter, TrainerConfig
from adapter_contract.bottleneck import bottleneck_tensors
from adapter_contract.recipe import IA3, Bottleneck, Method, PrefixTuning, PromptTuning
from adapter_contract.safetensors_header import read_header
from adapter_contract.verify import WEIGHTS_NAME
from adapter_trainer.architecture.modules import TargetModules
from adapter_trainer.architecture.shape import ModelShape
from adapter_trainer.inputs.parent import FetchedParent, fetch_parent
from adapter_trainer.inputs.parent_fit import Shapes, read_parent_settings, setting_problems, shape_problems
from adapter_trainer.preflight.base_model import BaseFacts
from adapter_trainer.preflight.codes import PARENT, Code
from adapter_trainer.preflight.ledger import Ledger

_PREFIX = "base_model.model."
"""PEFT's, before the name of a module of the base."""

_VIRTUAL = "prompt_embeddings"
"""PEFT's, of what prompt tuning and prefix tuning learn."""


def check_parent(ledger: Ledger, config: TrainerConfig, base: BaseFacts, directory: Path) -> Digest | None:
    """Fetch and verify the adapter to go on from, and compare it with what is to be trained.

    Args:
        ledger: for what is found.
        config: with mounted paths as they really are.
        base: what is known of the base model; what is not is not compared.
        directory: to download to; it must not exist yet.

    Returns:
        Its digest; None where there is none, or it could not be verified.
    """
    initial = config.initialize_from
    if initial is None:
        return None
    parent = ledger.attempt(PARENT, lambda: _fetched(initial, config.base_model, base.digest, directory))
    if parent is None:
        return None
    if base.digest is None:
        ledger.skipped("whether the adapter to go on from belongs to the base model", "the base's digest is not known")
    for problem in _problems(config.method, base, directory):
        ledger.add(Code.ParentUnfit, f"initializeFrom: {initial.name}, {initial.digest}: it {problem}")
    return parent.stored.digest


def _fetched(
    initial: InitialAdapter, base: BaseModelConfig, base_digest: Digest | None, directory: Path
) -> FetchedParent:
    return fetch_parent(initial, base, base_digest, directory)


def _problems(method: Method, base: BaseFacts, directory: Path) -> list[str]:
    problems = [*setting_problems(method, read_parent_settings(directory))]
    if problems or base.shape is None or base.targets is None:
        return problems
    return [*shape_problems(_shapes(directory), expected_shapes(method, base.shape, base.targets))]


def _shapes(directory: Path) -> Shapes:
    with (directory / WEIGHTS_NAME).open("rb") as stream:
        return {tensor.name: tensor.shape for tensor in read_header(stream).tensors}


def expected_shapes(method: Method, shape: ModelShape, targets: TargetModules) -> Shapes:
    """Return the shapes of the tensors that an adapter of a method has, by their names in its file."""
    if isinstance(method, PromptTuning):
        return {_VIRTUAL: (method.virtual_tokens, shape.hidden_size)}
    if isinstance(method, PrefixTuning):
        return {_VIRTUAL: (method.virtual_tokens, 2 * shape.layers * shape.key_value_heads * shape.head_dim)}
    wanted: dict[str, tuple[int, ...]] = {}
    if isinstance(method, Bottleneck):
        for name in targets.names:
            wanted |= bottleneck_tensors(name, size=method.size, hidden_size=shape.hidden_size)
        return wanted
    sizes = {module.name: (module.out_features, module.in_features) for module in (*shape.linear, shape.output_head)}
    for name in targets.names:
        out, into = sizes[name]
        if isinstance(method, IA3):
            wanted[f"{_PREFIX}{name}.ia3_l"] = (1, into) if name in targets.feedforward else (out, 1)
            continue
        wanted[f"{_PREFIX}{name}.lora_A.weight"] = (method.rank, into)
        wanted[f"{_PREFIX}{name}.lora_B.weight"] = (out, method.rank)
        if method.weight_decomposition == "Enabled":
            wanted[f"{_PREFIX}{name}.lora_magnitude_vector"] = (out,)
    return wanted
