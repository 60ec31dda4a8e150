"""Settings of methods that don't go together. Imports no torch: it is asked before anything is fetched."""

from collections.abc import Iterator

from adapter_contract import TrainerConfig, as_decimal
from adapter_contract.recipe import IA3, LoRA, PromptTuning
from adapter_trainer.architecture.modules import ALL_LINEAR


def method_problems(config: TrainerConfig) -> Iterator[str]:
    """Yield what is wrong with the method, whatever the base model, each with its field."""
    method = config.method
    if isinstance(method, LoRA):
        yield from lora_problems(method, has_parent=config.initialize_from is not None)
    elif isinstance(method, IA3):
        yield from _ia3(method)
    elif isinstance(method, PromptTuning) and method.initial_text is not None and config.initialize_from is not None:
        yield (
            "method.promptTuning.initialText: the embeddings begin as those of the adapter of initializeFrom: remove "
            "one of the two"
        )


def lora_problems(method: LoRA, *, has_parent: bool) -> Iterator[str]:
    """Yield what is wrong with LoRA, if an adapter to go on from was named or not."""
    if not 0 <= as_decimal(method.dropout) < 1:
        yield f"method.lora.dropout: {method.dropout} must be at least 0 and below 1"
    if ALL_LINEAR in method.target_modules and len(method.target_modules) > 1:
        yield "method.lora.targetModules: all-linear stands for all linear layers: name it alone, or name modules"
    if method.initialization != "PiSSA":
        return
    if as_decimal(method.dropout) > 0:
        yield (
            f"method.lora.dropout: {method.dropout} would drop principal parts of the base model, as which the factors "
            "of PiSSA begin: set it to 0"
        )
    if has_parent:
        yield (
            "method.lora.initialization: PiSSA begins with parts of the base model, initializeFrom with an earlier "
            "adapter: set it to Default (an adapter that was made with PiSSA goes on as LoRA of twice the rank), or "
            "remove initializeFrom"
        )
    if method.weight_decomposition == "Enabled":
        yield (
            "method.lora.initialization: an adapter that was made with PiSSA can't be converted to fit the unchanged "
            "base where weightDecomposition (DoRA) is Enabled: set one of them to its default"
        )


def _ia3(method: IA3) -> Iterator[str]:
    targets, feedforward = method.target_modules, method.feedforward_modules
    if feedforward is None or targets == (ALL_LINEAR,):
        return
    if targets is None:
        yield "method.ia3.feedforwardModules: they must be among targetModules, so name those, too"
    elif outside := [name for name in feedforward if name not in targets]:
        yield f"method.ia3.feedforwardModules: {', '.join(outside)} must be among targetModules: add them there"
