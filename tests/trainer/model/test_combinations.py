import subprocess
import sys

import pytest

from adapter_contract import TrainerConfig
from adapter_testing.learning_lab import learning_config
from adapter_testing.trainer_lab import trainer_config
from adapter_trainer.model.combinations import method_problems

pytestmark = pytest.mark.unit

PARENT = {"name": "support-bot-1", "digest": f"sha256:{'0' * 64}", "location": {"uri": "file:///adapters"}}


def of(method: dict[str, object], **changes: object) -> TrainerConfig:
    return trainer_config(
        dataset={"type": "Path", "path": "/data"}, base_model="/base", output="file:///out", method=method, **changes
    )


@pytest.mark.parametrize(
    "method",
    [
        {"weightDecomposition": "Enabled", "scaling": "RankStabilized"},
        {"initialization": "PiSSA", "scaling": "RankStabilized"},
    ],
    ids=str,
)
def test_what_goes_together(method: dict[str, object]) -> None:
    assert list(method_problems(learning_config(method=method))) == []


@pytest.mark.parametrize(
    ("method", "beginnings"),
    [
        ({"initialization": "PiSSA", "weightDecomposition": "Enabled"}, ["method.lora.initialization: an adapter"]),
        ({"initialization": "PiSSA", "dropout": "0.05"}, ["method.lora.dropout: 0.05 would drop principal parts of"]),
        ({"dropout": "1"}, ["method.lora.dropout: 1 must be at least 0 and below 1"]),
        ({"targetModules": ["q_proj", "all-linear"]}, ["method.lora.targetModules: all-linear stands for all"]),
        (
            {"initialization": "PiSSA", "weightDecomposition": "Enabled", "dropout": "-0.1"},
            ["method.lora.dropout: -0.1", "method.lora.initialization: an adapter"],
        ),
    ],
    ids=str,
)
def test_what_does_not(method: dict[str, object], beginnings: list[str]) -> None:
    problems = list(method_problems(learning_config(method=method)))
    assert len(problems) == len(beginnings)
    assert all(problem.startswith(beginning) for problem, beginning in zip(problems, beginnings, strict=True))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, None),
        ({"targetModules": ["all-linear"], "feedforwardModules": ["down_proj"]}, None),
        ({"targetModules": ["up_proj", "down_proj"], "feedforwardModules": ["down_proj"]}, None),
        (
            {"targetModules": ["v_proj"], "feedforwardModules": ["down_proj", "v_proj"]},
            "method.ia3.feedforwardModules: down_proj must be among targetModules: add them there",
        ),
        (
            {"feedforwardModules": ["down_proj"]},
            "method.ia3.feedforwardModules: they must be among targetModules, so name those, too",
        ),
    ],
    ids=str,
)
def test_modules_of_ia3(fields: dict[str, object], problem: str | None) -> None:
    assert list(method_problems(of({"type": "IA3", **fields}))) == ([] if problem is None else [problem])


def test_pissa_takes_no_parent() -> None:
    (problem,) = method_problems(learning_config(method={"initialization": "PiSSA"}, initializeFrom=PARENT))
    assert problem.startswith("method.lora.initialization: PiSSA begins with parts of the base model, initializeFrom")
    assert list(method_problems(learning_config(initializeFrom=PARENT))) == []


def test_embeddings_begin_in_one_way_only() -> None:
    tuning = {"type": "PromptTuning", "virtualTokens": 4}
    (problem,) = method_problems(of(tuning | {"initialText": "Answer briefly."}, initializeFrom=PARENT))
    assert problem.startswith("method.promptTuning.initialText: the embeddings begin as those of the adapter of init")
    assert list(method_problems(of(tuning | {"initialText": "Answer briefly."}))) == []
    assert list(method_problems(of(tuning, initializeFrom=PARENT))) == []


def test_it_is_asked_without_torch() -> None:
    code = "import sys, adapter_trainer.model.combinations; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
