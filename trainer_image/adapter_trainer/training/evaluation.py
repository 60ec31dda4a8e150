"""Measuring held-out examples: when, how, and what becomes of it."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from adapter_contract import EvaluationConfig
from adapter_trainer.errors import Diverged
from adapter_trainer.examples.example import Unit
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.training.objectives.objective import Objective
from adapter_trainer.training.observer import EvaluationPoint
from adapter_trainer.training.passes import Passes
from adapter_trainer.training.schedule import Schedule
from adapter_trainer.training.selection import Selection


def evaluate(objective: Objective, model: AdaptedModel, units: Sequence[Unit], passes: Passes) -> dict[str, float]:
    """Measure the weights as they are; return the metrics that the objective has.

    Args:
        objective: what is measured.
        model: with these weights.
        units: as `Objective.begin` gave them.
        passes: to compute with the model.

    Raises:
        Diverged: the loss is not finite.
        Interrupted, OutOfMemory: from the passes.
    """

    def measure(row: list[Unit]) -> dict[str, float]:
        with torch.no_grad():
            return objective.measure(model, row)

    sums: defaultdict[str, float] = defaultdict(float)
    for measured in passes.over(units, measure):
        for name, value in measured.items():
            sums[name] += value
    metrics = objective.metrics(sums)
    if not math.isfinite(metrics["Loss"]):
        raise Diverged(f"the loss on the evaluation set is {metrics['Loss']}: lower hyperparameters.learningRate")
    return metrics


class Evaluations:
    """The evaluations of a run, and the choice among the weights that were evaluated.

    Attributes:
        units: what is held out, as `Objective.begin` gave it.
        selection: of the best weights.
        points: the evaluations so far.
    """

    def __init__(self, config: EvaluationConfig, units: Sequence[Unit], weights: Sequence[nn.Parameter]) -> None:
        self._interval = config.interval_steps
        self.units = units
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
