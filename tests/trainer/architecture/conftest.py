from collections.abc import Callable
from pathlib import Path

import pytest

from adapter_testing.families_lab import family_model
from adapter_trainer.architecture.shape import ModelShape, shape_of_directory


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A tiny model of a family as transformers saves it; each is saved once."""
    made: dict[str, Path] = {}

    def save(name: str, **changes: object) -> Path:
        key = f"{name}{sorted(changes.items())}"
        if key not in made:
            made[key] = tmp_path_factory.mktemp("model") / name
            family_model(name, **changes).save_pretrained(made[key])
        return made[key]

    return save


@pytest.fixture(scope="session")
def shape_of(saved: Callable[..., Path]) -> Callable[..., ModelShape]:
    return lambda name, **changes: shape_of_directory(saved(name, **changes))
