import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from adapter_contract import AdapterFacts, PromptFormat, StopToken, TrainerConfig, sha256_bytes
from adapter_testing.trainer_lab import BASE_NAME, trainer_config
from adapter_trainer.inputs.digests import KnownDigests
from adapter_trainer.publishing.manifest import Circumstances
from adapter_trainer.publishing.trained import ExampleCounts, Trained


@pytest.fixture
def config(tmp_path: Path) -> TrainerConfig:
    return trainer_config(
        dataset={"type": "Path", "path": "/adapter/dataset/train.jsonl"},
        base_model="/adapter/base-model",
        output=f"file://{tmp_path}/store",
    )


@pytest.fixture
def digests(config: TrainerConfig) -> KnownDigests:
    known = KnownDigests(
        dataset=sha256_bytes(b"dataset"), evaluation=sha256_bytes(b"evaluation"), base=sha256_bytes(b"base")
    )
    return known.with_inputs(config.run.recipe_hash)


@pytest.fixture
def trained() -> Trained:
    return Trained(
        facts=AdapterFacts(
            method="LoRA",
            rank=4,
            target_modules=("layers.0.v_proj", "layers.0.q_proj", "layers.1.q_proj"),
            trainable_parameters=1234,
            size_bytes=64,
            dtype="Float32",
        ),
        prompt_format=PromptFormat(stop_tokens=(StopToken(id=2, text="<|im_end|>"),)),
        examples=ExampleCounts(training=16, evaluation=4, dropped=1, tokens=400, labelled_tokens=120),
        steps=8,
        trained_tokens=800,
        metrics={"Loss": 1.25, "Perplexity": float("inf")},
        curve=({"step": 1, "loss": 2.5}, {"step": 2, "loss": float("nan")}),
        device="a CPU",
    )


@pytest.fixture
def circumstances() -> Circumstances:
    begin, end = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 1, 2, 3, 9, 5, tzinfo=UTC)
    return Circumstances(
        start_time=begin,
        end_time=end,
        gpu_seconds=0,
        libraries={"torch": "2.13.0"},
        dataset_uri="/adapter/dataset/train.jsonl",
    )


@pytest.fixture
def adapter(tmp_path: Path) -> Callable[[str], Path]:
    """Make a directory with what the training leaves."""

    def make(name: str) -> Path:
        directory = tmp_path / name
        directory.mkdir()
        (directory / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": BASE_NAME}))
        save_file({"a": np.zeros(16, dtype=np.float32)}, directory / "adapter_model.safetensors")
        return directory

    return make
