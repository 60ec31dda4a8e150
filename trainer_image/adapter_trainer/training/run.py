"""The training loop."""

import hashlib
import math
import random
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import nn

from adapter_contract import EvaluationConfig, Phase, TrainerConfig, as_float
from adapter_trainer.errors import Diverged, Interrupted
from adapter_trainer.examples.example import Example
from adapter_trainer.examples.prepare import PreparedExamples
from adapter_trainer.model.dropout import drawing
from adapter_trainer.model.lora import TrainableModel
from adapter_trainer.model.parallel import Workers, workers
from adapter_trainer.training.evaluation import evaluate
from adapter_trainer.training.memory import RowBudget
from adapter_trainer.training.observer import CurvePoint, EvaluationPoint, Observer, StepReport, TrainingOutcome
from adapter_trainer.training.rows import gradients
from adapter_trainer.training.schedule import Schedule
from adapter_trainer.training.selection import Selection
from adapter_trainer.training.support import require_supported


def train(
    model: TrainableModel, examples: PreparedExamples, config: TrainerConfig, observer: Observer
) -> TrainingOutcome:
    """Train the adapter in `model`, in place.

    On the CPU, the same model, examples, configuration, libraries and number of threads give the same weights, bit
    for bit.

    Raises:
        BadConfiguration: this release can't carry out the configuration.
        Diverged: the loss or a gradient is no longer finite; the weights are those before that step.
        Interrupted: the observer wants to stop.
        OutOfMemory: memory doesn't hold even one example.
    """
    require_supported(config)
    _seed(config.hyperparameters.seed)
    with workers(model.base.device) as side_by_side:
        return _Run(model, examples, config, observer, side_by_side).run()


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _row_seed(seed: int, step: int, row: int) -> int:
    digest = hashlib.sha256(f"dropout/{seed}/{step}/{row}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


class _Run:
    def __init__(
        self,
        model: TrainableModel,
        examples: PreparedExamples,
        config: TrainerConfig,
        observer: Observer,
        side_by_side: Workers,
    ) -> None:
        self._model = model
        self._examples = examples.training
        self._given = config.hyperparameters
        self._observer = observer
        self._workers = side_by_side
        self._schedule = Schedule(len(examples.training), config.hyperparameters)
        self._budget = RowBudget(model.base, packing=config.hyperparameters.packing == "Enabled")
        self._weights = list(model.weights())
        self._optimizer = torch.optim.AdamW(
            self._weights, weight_decay=as_float(config.hyperparameters.weight_decay), fused=True
        )
        self._evaluations = (
            _Evaluations(config.evaluation, examples.evaluation, self._weights) if config.evaluation else None
        )
        self._curve: list[CurvePoint] = []
        self._tokens = 0
        self._seconds = 0.0

    def run(self) -> TrainingOutcome:
        self._observer.phase(Phase.TRAINING)
        total = self._schedule.total_steps
        step = 0
        for step in range(1, total + 1):
            began = time.perf_counter()
            self._curve.append(self._step(step))
            self._seconds += time.perf_counter() - began
            self._report(self._curve[-1], total)
            if self._evaluations is not None and self._evaluations.are_due(step, self._schedule):
                self._evaluate(step, self._evaluations)
                if self._evaluations.selection.is_exhausted:
                    break
        return self._outcome(step)

    def _step(self, step: int) -> CurvePoint:
        batch = [self._examples[position] for position in self._schedule.batch(step)]
        labelled = sum(example.labelled_tokens for example in batch)
        loss = self._budget.fitting(batch, lambda rows: self._gradients(step, rows, labelled))
        norm = nn.utils.get_total_norm([weight.grad for weight in self._weights if weight.grad is not None])
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise Diverged(
                f"step {step}: the loss is {loss:g} and the norm of the gradients {float(norm):g}: lower "
                "hyperparameters.learningRate, or set hyperparameters.maxGradientNorm"
            )
        limit = as_float(self._given.max_gradient_norm)
        if limit > 0:
            nn.utils.clip_grads_with_norm_(self._weights, limit, norm)
        rate = self._schedule.learning_rate(step)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._tokens += sum(len(example.tokens) for example in batch)
        return CurvePoint(step, self._schedule.epoch(step), loss, rate, float(norm))

    def _gradients(self, step: int, rows: Sequence[list[Example]], labelled: int) -> float:
        """Add up, always in the same order, the gradients of the mean loss of the whole step; return that loss."""
        self._optimizer.zero_grad()
        total = torch.zeros((), device=self._model.base.device)

        def compute(numbered: tuple[int, list[Example]]) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
            number, row = numbered
            with drawing(_row_seed(self._given.seed, step, number)):
                return gradients(self._model, row, labelled)

        with self._model.dropping_out():
            for loss, shares in self._workers.map(compute, self._until_stopped(rows)):
                total += loss
                for weight, share in zip(self._weights, shares, strict=True):
                    weight.grad = share if weight.grad is None else weight.grad.add_(share)
        return float(total)

    def _until_stopped(self, rows: Sequence[list[Example]]) -> Iterator[tuple[int, list[Example]]]:
        for numbered in enumerate(rows):
            if self._observer.stop_requested():
                raise Interrupted("the training was asked to stop")
            yield numbered

    def _report(self, point: CurvePoint, total: int) -> None:
        self._observer.step(
            StepReport(
                step=point.step,
                total_steps=total,
                epoch=point.epoch,
                loss=point.loss,
                tokens_per_second=self._tokens / self._seconds,
                estimated_remaining_seconds=self._seconds / point.step * (total - point.step),
            )
        )

    def _evaluate(self, step: int, evaluations: "_Evaluations") -> None:
        self._observer.phase(Phase.EVALUATING)
        point = evaluations.add(
            step, evaluate(self._model.base, evaluations.examples, self._budget, self._workers, self._observer)
        )
        self._observer.evaluated(step, point.metrics)
        self._observer.phase(Phase.TRAINING)

    def _outcome(self, steps: int) -> TrainingOutcome:
        selected = self._evaluations.selected() if self._evaluations else None
        on_gpu = self._model.base.device.type == "cuda"
        return TrainingOutcome(
            steps=steps,
            selected_step=selected.step if selected else steps,
            metrics=dict(selected.metrics) if selected else {},
            trained_tokens=self._tokens,
            curve=tuple(self._curve),
            evaluations=tuple(self._evaluations.points) if self._evaluations else (),
            micro_batch_tokens=self._budget.tokens or None,
            peak_memory_bytes=torch.cuda.max_memory_allocated() if on_gpu else None,
            warnings=self._warnings(),
        )

    def _warnings(self) -> tuple[str, ...]:
        if self._given.packing == "Enabled" and not self._model.base.packable:
            return ("hyperparameters.packing: this model can't keep packed examples apart, so each was computed alone",)
        return ()


class _Evaluations:
    """The evaluations of a run, and the choice among the weights that were evaluated."""

    def __init__(self, config: EvaluationConfig, examples: Sequence[Example], weights: Sequence[nn.Parameter]) -> None:
        self._interval = config.interval_steps
        self.examples = examples
        self._weights = weights
        self.selection = Selection(config)
        self._wanted = {"Loss", self.selection.metric, *config.metrics}
        self.points: list[EvaluationPoint] = []

    def are_due(self, step: int, schedule: Schedule) -> bool:
        """Tell whether the weights after a step are evaluated; those after the last one always are."""
        if step == schedule.total_steps:
            return True
        return schedule.ends_epoch(step) if self._interval is None else step % self._interval == 0

    def add(self, step: int, measured: Mapping[str, float]) -> EvaluationPoint:
        """Judge the weights as they are after a step by what was measured."""
        point = EvaluationPoint(step, {name: value for name, value in measured.items() if name in self._wanted})
        self.points.append(point)
        self.selection.add(point, self._weights)
        return point

    def selected(self) -> EvaluationPoint:
        """Put the weights that are to be published into the model; return their evaluation."""
        return self.selection.restore(self._weights) or self.points[-1]
