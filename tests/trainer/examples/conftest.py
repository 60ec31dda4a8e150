from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from adapter_testing.trainer_lab import build_tokenizer
from adapter_trainer.examples.templates import load_tokenizer


@pytest.fixture(scope="session")
def tokenizer_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def tokenizer(tokenizer_directory: Path) -> PreTrainedTokenizerBase:
    """A tokenizer of its own, whose template a test may change."""
    return load_tokenizer(tokenizer_directory)
