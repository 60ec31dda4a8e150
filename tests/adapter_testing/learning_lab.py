"""What the tests of the training itself share: small configurations, prepared examples, an observer that records."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapter_contract import Phase, Quantization, TrainerConfig
from adapter_contract.recipe import LoRA
from adapter_testing.trainer_lab import trainer_config
from adapter_trainer.examples.example import UNLABELLED, Example, PreferencePair, Unit, tokens_of
from adapter_trainer.examples.prepare import PreparedExamples
from adapter_trainer.training.observer import StepReport

METHOD: dict[str, Any] = {
    "type": "LoRA",
    "rank": 4,
    "alpha": 8,
    "dropout": "0",
    "targetModules": ["all-linear"],
    "scaling": "Standard",
    "weightDecomposition": "Disabled",
    "initialization": "Default",
}
HYPERPARAMETERS: dict[str, Any] = {
    "epochs": "2",
    "learningRate": "1e-2",
    "scheduler": "Constant",
    "warmup": "0",
    "batchSize": 4,
    "maxSequenceLength": 128,
    "packing": "Enabled",
    "seed": 0,
    "optimizer": "AdamW",
    "weightDecay": "0",
    "maxGradientNorm": "1",
}
HOLDOUT: dict[str, Any] = {"holdout": {"type": "Percent", "percent": "25"}, "metrics": ["Loss"]}
PREFERENCE: dict[str, Any] = {"type": "DirectPreferenceOptimization", "beta": "0.1"}
NF4 = Quantization(type="NF4", compute_type="BFloat16", double_quantization="Enabled")
FLOAT32 = Quantization(type="None", compute_type="Float32", double_quantization="Disabled")


def learning_config(
    *,
    dataset: Mapping[str, Any] | None = None,
    method: Mapping[str, Any] | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    **changes: object,
) -> TrainerConfig:
    """Return a configuration: LoRA of rank 4 at a constant rate, without evaluation.

    Args:
        dataset: changes to the member of this name.
        method: likewise.
        hyperparameters: likewise.
        changes: whole members by their JSON names.
    """
    config = trainer_config(
        dataset={"type": "Path", "path": "/data"},
        base_model="/base",
        output="file:///output",
        method=METHOD | dict(method or {}),
        hyperparameters=HYPERPARAMETERS | dict(hyperparameters or {}),
        **({"evaluation": None} | changes),
    )
    document = json.loads(config.to_json())
    document["dataset"] |= dict(dataset or {})
    return TrainerConfig.from_object(document)


def lora(**changes: object) -> LoRA:
    """Return the method; changes by their JSON names."""
    return LoRA.model_validate_json(json.dumps(METHOD | changes))


def example(tokens: Sequence[int], *, learned_from: int = 1) -> Example:
    """Return a sequence that is learned from a position on."""
    labels = [UNLABELLED] * learned_from + list(tokens[learned_from:])
    return Example.of(tokens, labels)


def examples_of(count: int, *, first: int = 0) -> tuple[Example, ...]:
    """Return sequences of different lengths and tokens that repeat themselves, so that they can be learned."""
    made = []
    for number in range(first, first + count):
        length = 5 + (7 * number) % 23
        made.append(
            example([(number * 31 + 3 * (position % 4)) % 300 + 3 for position in range(length)], learned_from=2)
        )
    return tuple(made)


def pairs_of(count: int, *, first: int = 0) -> tuple[PreferencePair, ...]:
    """Return pairs of different lengths whose chosen answers are of other tokens than the rejected ones."""
    made = []
    for number in range(first, first + count):
        prompt = [(number * 31 + 7 * position) % 100 + 3 for position in range(2 + number % 5)]
        chosen = [200 + (number + position) % 10 for position in range(2 + (3 * number) % 7)]
        rejected = [300 + (number + 2 * position) % 10 for position in range(2 + (5 * number) % 6)]
        made.append(
            PreferencePair(*(example(prompt + answer, learned_from=len(prompt)) for answer in (chosen, rejected)))
        )
    return tuple(made)


def prepared(training: Sequence[Unit], evaluation: Sequence[Unit] = ()) -> PreparedExamples:
    """Return prepared examples without files."""
    return PreparedExamples(
        training=tuple(training),
        evaluation=tuple(evaluation),
        dropped=0,
        tokens=sum(map(tokens_of, training)),
        labelled_tokens=sum(one.labelled_tokens for one in training),
        evaluation_digest=None,
        detected_format="Text",
        warnings=(),
    )


class Recorder:
    """An observer that keeps what it is told, and stops where it is asked to."""

    def __init__(self, *, stop: Callable[["Recorder"], bool] = lambda _: False) -> None:
        self.phases: list[Phase] = []
        self.reports: list[StepReport] = []
        self.evaluations: list[tuple[int, dict[str, float]]] = []
        self.asked = 0
        self._stop = stop

    def phase(self, phase: Phase) -> None:
        """Keep the phase."""
        self.phases.append(phase)

    def step(self, report: StepReport) -> None:
        """Keep the report."""
        self.reports.append(report)

    def evaluated(self, step: int, metrics: Mapping[str, float]) -> None:
        """Keep the metrics."""
        self.evaluations.append((step, dict(metrics)))

    def stop_requested(self) -> bool:
        """Tell whether to stop."""
        self.asked += 1
        return self._stop(self)


def copied(directory: Path, to: Path) -> Path:
    """Copy a model's directory, to spoil the copy."""
    shutil.copytree(directory, to)
    return to
