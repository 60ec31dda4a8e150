"""Going on from an earlier adapter."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from adapter_contract.recipe import Method
from adapter_contract.verify import WEIGHTS_NAME
from adapter_trainer.errors import BadConfiguration, BadData
from adapter_trainer.inputs.parent_fit import read_parent_settings, setting_problems, shape_problems
from adapter_trainer.model.adapted import AdaptedModel


def load_parent(model: AdaptedModel, method: Method, directory: Path) -> None:
    """Take over the weights of an earlier adapter; they stay as they are where it does not fit.

    Args:
        model: with an adapter of the method.
        method: of the training.
        directory: of a verified artifact.

    Raises:
        BadConfiguration: it was made with another method, or other settings of it; all that differs.
        BadData: its files can't be read.
    """
    _require_none(setting_problems(method, read_parent_settings(directory)))
    state = _read_weights(directory)
    _require_none(shape_problems(_shapes(state), _shapes(model.tensors())))
    model.take_over(state)


def _require_none(problems: Iterable[str]) -> None:
    if found := list(problems):
        raise BadConfiguration(f"initializeFrom: the adapter to go on from {'; it '.join(found)}")


def _read_weights(directory: Path) -> dict[str, torch.Tensor]:
    try:
        state: dict[str, torch.Tensor] = load_file(directory / WEIGHTS_NAME)
    except (OSError, SafetensorError) as error:
        raise BadData(
            f"initializeFrom: {WEIGHTS_NAME} of the adapter to go on from can't be read: {error}; name another version"
        ) from error
    return state


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
