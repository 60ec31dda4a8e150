"""One tiny base model, three adapters of it and what PEFT makes of them, for all tests of the engines."""

from collections.abc import Iterator

import pytest
import torch

from adapter_server.engines.transformers import TransformersEngine
from adapter_testing.engine_lab import FIRST, SECOND, Lab, build_lab, engine_settings, started


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return build_lab(tmp_path_factory.mktemp("engines"))


@pytest.fixture
def engine(lab: Lab) -> Iterator[TransformersEngine]:
    """The base in float32, with the first two adapters."""
    with started(engine_settings(lab.base)) as running:
        lab.load(running, FIRST, SECOND)
        yield running
