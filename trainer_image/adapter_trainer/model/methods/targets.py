"""The modules of a base model that a method adapts, by their names."""

from collections.abc import Iterable

from torch import nn

from adapter_trainer.errors import BadConfiguration

_SHOWN = 12


def require_linear(model: nn.Module, names: Iterable[str], field: str) -> None:
    """Refuse names that are not all names of linear layers.

    Args:
        model: the base.
        names: of modules, in full or the last parts of them, such as `q_proj` or `layers.1.mlp.up_proj`.
        field: of the configuration, for messages.

    Raises:
        BadConfiguration: a name is none of a module, or of one that is not linear; the message names some that are.
    """
    modules = dict(model.named_modules())
    for name in names:
        named = [module for full, module in modules.items() if full == name or full.endswith(f".{name}")]
        if named and all(isinstance(module, nn.Linear) for module in named):
            continue
        fault = f"{type(named[0]).__name__} layers can't be adapted" if named else "the base model has no such module"
        linear = {full.rpartition(".")[2]: None for full, module in modules.items() if isinstance(module, nn.Linear)}
        shown = ", ".join(list(linear)[:_SHOWN]) or "none"
        raise BadConfiguration(f"{field}: {name}: {fault}; its linear layers are {shown}")
