"""The training loop."""

import hashlib
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import nn

from adapter_contract import Phase, TrainerConfig, as_float
from adapter_trainer.errors import Diverged, Interrupted
from adapter_trainer.examples.example import Unit, tokens_of
from adapter_trainer.examples.prepare import PreparedExamples
from adapter_trainer.memory_limit import available_memory
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.dropout import drawing
from adapter_trainer.model.parallel import Workers, workers
from adapter_trainer.training.evaluation import Evaluations, evaluate
from adapter_trainer.training.host_memory import fit_host_memory
from adapter_trainer.training.memory import RowBudget
from adapter_trainer.training.objectives.choice import objective_of
from adapter_trainer.training.objectives.objective import gradients
from adapter_trainer.training.observer import CurvePoint, Observer, StepReport, TrainingOutcome
from adapter_trainer.training.passes import Passes
from adapter_trainer.training.rehearsal import rehearse
from adapter_trainer.training.schedule import Schedule
from adapter_trainer.training.support import require_supported


def train(
    model: AdaptedModel,
    examples: PreparedExamples,
    config: TrainerConfig,
    observer: Observer,
    *,
    available: Callable[[], int | None] = available_memory,
) -> TrainingOutcome:
    """Train the adapter in `model`, in place.

    On the CPU, the same model, examples, configuration, libraries and number of threads give the same weights, bit
    for bit, as long as memory doesn't ask for smaller rows.

    Args:
        model: with the weights to begin with.
        examples: to learn from, and to evaluate on.
        config: of the run.
        observer: who is told, and may stop it.
        available: how many bytes the process may take beside those that it has; None if that isn't known.

    Raises:
        BadConfiguration: this release can't carry out the configuration.
        Diverged: the loss or a gradient is no longer finite; the weights are those before that step.
        Interrupted: the observer wants to stop.
        OutOfMemory: memory doesn't hold even one example.
    """
    require_supported(config)
    _seed(config.hyperparameters.seed)
    with workers(model.base.device) as side_by_side:
        run = _Run(model, examples, config, observer, side_by_side)
        try:
            return run.run(available)
        finally:
            run.budget.checkpointing.switch_off()


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
        model: AdaptedModel,
        examples: PreparedExamples,
        config: TrainerConfig,
        observer: Observer,
        side_by_side: Workers,
    ) -> None:
        self._model = model
        self._objective = objective_of(config.objective)
        self._examples = examples
        self._units: Sequence[Unit] = ()
        self._given = config.hyperparameters
        self._observer = observer
        self._workers = side_by_side
        self._schedule = Schedule(len(examples.training), config.hyperparameters)
        self.budget = RowBudget(model, packing=config.hyperparameters.packing == "Enabled")
        self._passes = Passes(self.budget, side_by_side, observer)
        self._weights = model.weights()
        self._optimizer = torch.optim.AdamW(
            self._weights, weight_decay=as_float(config.hyperparameters.weight_decay), fused=True
        )
        self._evaluation = config.evaluation
        self._evaluations: Evaluations | None = None
        self._curve: list[CurvePoint] = []
        self._tokens = 0
        self._seconds = 0.0

    def run(self, available: Callable[[], int | None]) -> TrainingOutcome:
        self._observer.phase(Phase.TRAINING)
        self._begin(available)
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

    def _begin(self, available: Callable[[], int | None]) -> None:
        """Find rows that fit into memory, and let the objective prepare the units with the weights as they are."""
        training = self._examples.training
        if self._model.base.device.type == "cuda":
            rehearse(self._objective, self._model, training, self._schedule, self._passes)
        elif (left := available()) is not None:
            steps = partial(self._batches, training)
            fit_host_memory(self._model, steps, self.budget, at_once=self._workers.count, available=left)
        self._units = self._objective.begin(self._model, training, self._passes)
        if self._evaluation is not None:
            held_out = self._objective.begin(self._model, self._examples.evaluation, self._passes)
            self._evaluations = Evaluations(self._evaluation, held_out, self._weights)

    def _batches(self, units: Sequence[Unit]) -> Iterator[list[Unit]]:
        for step in range(1, self._schedule.total_steps + 1):
            yield [units[position] for position in self._schedule.batch(step)]

    def _step(self, step: int) -> CurvePoint:
        batch = [self._units[position] for position in self._schedule.batch(step)]
        divisor = self._objective.weight(batch)
        loss = self.budget.fitting(batch, lambda rows: self._gradients(step, rows, divisor), backward=True)
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
        self._tokens += sum(map(tokens_of, batch))
        return CurvePoint(step, self._schedule.epoch(step), loss, rate, float(norm))

    def _gradients(self, step: int, rows: Sequence[list[Unit]], divisor: int) -> float:
        """Add up, always in the same order, the gradients of the mean loss of the whole step; return that loss."""
        self._optimizer.zero_grad()
        total = torch.zeros((), device=self._model.base.device)

        def compute(numbered: tuple[int, list[Unit]]) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
            number, row = numbered
            with drawing(_row_seed(self._given.seed, step, number)):
                return gradients(self._objective, self._model, row, divisor)

        with self._model.dropping_out():
            for loss, shares in self._workers.map(compute, self._until_stopped(rows)):
                total += loss
                for weight, share in zip(self._weights, shares, strict=True):
                    weight.grad = share if weight.grad is None else weight.grad.add_(share)
        return float(total)

    def _until_stopped(self, rows: Sequence[list[Unit]]) -> Iterator[tuple[int, list[Unit]]]:
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

    def _evaluate(self, step: int, evaluations: Evaluations) -> None:
        self._observer.phase(Phase.EVALUATING)
        measured = evaluate(self._objective, self._model, evaluations.units, self._passes)
        point = evaluations.add(step, measured)
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
            micro_batch_tokens=self.budget.tokens or None,
            peak_memory_bytes=torch.cuda.max_memory_allocated() if on_gpu else None,
            warnings=self._warnings(),
        )

    def _warnings(self) -> tuple[str, ...]:
        if self._given.packing == "Enabled" and not self._model.base.packable:
            alone = "hyperparameters.packing: this model can't keep packed examples apart, so each was computed alone"
            return (alone, *self.budget.remarks)
        return tuple(self.budget.remarks)
