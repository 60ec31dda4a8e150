from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from adapter_testing.families_lab import family_model
from adapter_trainer.architecture.shape import ModelShape, shape_of_directory


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads that share tiny operations out would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def shape_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ModelShape]:
    """The shape of a tiny model of a family, from its files; each is read once."""
    made: dict[str, ModelShape] = {}

    def shape(name: str, **changes: object) -> ModelShape:
        key = f"{name}{sorted(changes.items())}"
        if key not in made:
            directory: Path = tmp_path_factory.mktemp("model") / name
            family_model(name, **changes).save_pretrained(directory)
            made[key] = shape_of_directory(directory)
        return made[key]

    return shape
