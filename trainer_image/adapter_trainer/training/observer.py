"""What a training tells while it runs and when it is done. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from adapter_contract import Phase


@dataclass(frozen=True, slots=True)
class StepReport:
    """An optimizer step is done.

    Attributes:
        step, total_steps: from 1 on.
        epoch: passes over the data so far, with a fraction.
        loss: of this step under the objective (mean per labelled token, or per pair), in nats, before its update.
        tokens_per_second: of training so far, without padding and without evaluations.
        estimated_remaining_seconds: of training, without the evaluations to come.
    """

    step: int
    total_steps: int
    epoch: float
    loss: float
    tokens_per_second: float
    estimated_remaining_seconds: float


class Observer(Protocol):
    """Who watches a training, and may stop it."""

    def phase(self, phase: Phase) -> None:
        """The training does something else from now on."""

    def step(self, report: StepReport) -> None:
        """An optimizer step is done."""

    def evaluated(self, step: int, metrics: Mapping[str, float]) -> None:
        """The weights after a step were evaluated."""

    def stop_requested(self) -> bool:
        """Tell whether to stop; asked before each row of tokens, also in evaluations."""
        ...


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What an optimizer step was like; `gradient_norm` is that before clipping."""

    step: int
    epoch: float
    loss: float
    learning_rate: float
    gradient_norm: float


@dataclass(frozen=True, slots=True)
class EvaluationPoint:
    """The metrics of the weights after a step."""

    step: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class TrainingOutcome:
    """How a training ended.

    Attributes:
        steps: optimizer steps that were done.
        selected_step: the one whose weights are in the model now.
        metrics: of these weights; empty without evaluation.
        trained_tokens: read in training, without padding.
        curve: by step.
        evaluations: in order.
        micro_batch_tokens: the token budget of a row at the end; None where each example had a row of its own.
        peak_memory_bytes: of the GPU; None without one.
        warnings: sentences for people.
    """

    steps: int
    selected_step: int
    metrics: dict[str, float]
    trained_tokens: int
    curve: tuple[CurvePoint, ...]
    evaluations: tuple[EvaluationPoint, ...]
    micro_batch_tokens: int | None
    peak_memory_bytes: int | None
    warnings: tuple[str, ...]
