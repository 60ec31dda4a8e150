"""The best weights so far, and when to stop looking for better ones."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import nn

from adapter_contract import EvaluationConfig
from adapter_trainer.training.observer import EvaluationPoint

_HIGHER_IS_BETTER = frozenset({"TokenAccuracy", "PreferenceAccuracy"})


class Selection:
    """Follows the evaluations of a run.

    Attributes:
        metric: by which weights are better or worse; of equal ones, the earlier are better.
    """

    def __init__(self, config: EvaluationConfig) -> None:
        self.metric = config.select_best.metric if config.select_best else "Loss"
        self._keeps = config.select_best is not None
        self._patience = config.early_stopping.patience if config.early_stopping else None
        self._best: EvaluationPoint | None = None
        self._since_best = 0
        self._weights: Sequence[torch.Tensor] = ()

    def add(self, point: EvaluationPoint, weights: Iterable[nn.Parameter]) -> None:
        """Judge an evaluation; the weights are copied if they are to be selected and the best so far."""
        if self._best is not None and not self._is_better(point.metrics, self._best.metrics):
            self._since_best += 1
            return
        self._best, self._since_best = point, 0
        if self._keeps:
            self._weights = [weight.detach().clone() for weight in weights]

    @property
    def is_exhausted(self) -> bool:
        """Whether the value has not become better for as many evaluations as patience allows."""
        return self._patience is not None and self._since_best >= self._patience

    def restore(self, weights: Iterable[nn.Parameter]) -> EvaluationPoint | None:
        """Put the best weights back where the configuration selects them; return their evaluation then."""
        if not self._keeps or self._best is None:
            return None
        with torch.no_grad():
            for weight, best in zip(weights, self._weights, strict=True):
                weight.copy_(best)
        return self._best

    def _is_better(self, new: Mapping[str, float], old: Mapping[str, float]) -> bool:
        if self.metric in _HIGHER_IS_BETTER:
            return new[self.metric] > old[self.metric]
        return new[self.metric] < old[self.metric]
