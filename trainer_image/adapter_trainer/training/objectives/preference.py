"""Direct preference optimization (Rafailov et al. 2023, arXiv:2305.18290)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar

import torch
from torch.nn import functional

from adapter_trainer.errors import Diverged
from adapter_trainer.examples.example import PreferencePair, Unit
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.fused.head import Likelihoods
from adapter_trainer.model.rows import Row, make_row
from adapter_trainer.training.objectives.likelihood import likelihood_metrics
from adapter_trainer.training.objectives.objective import Objective
from adapter_trainer.training.passes import Passes


@dataclass(frozen=True, slots=True)
class PairWithReference(PreferencePair):
    """A pair, and what the reference thinks of it.

    Attributes:
        reference: log likelihoods of the chosen and of the rejected answer under the reference, in nats.
    """

    reference: tuple[float, float]


class Preference(Objective):
    """Every pair counts the same; its loss is -log sigmoid(beta * margin).

    The margin of a pair is how much more the model has come to prefer the chosen to the rejected answer than the
    reference does: (log p(chosen) - log p_ref(chosen)) - (log p(rejected) - log p_ref(rejected)), where log p is the
    sum over the answer's tokens, its end among them, given the prompt. It is what the paper calls the difference of
    the implicit rewards, but for the factor beta.

    The reference is the model as training begins: the bare base under a fresh adapter, and under `initializeFrom` the
    base with the parent's adapter, which is where the method's authors begin, too, after supervised fine-tuning. It
    never changes, so its likelihoods are computed once, before the first step, and kept as two numbers per pair. That
    takes no second model, and half the passes of computing them in each step with the adapter switched off, which
    besides would refer a parent's adapter to the bare base: the loss would pull towards what the parent has learned to
    leave behind.
    """

    unit: ClassVar[type[Unit]] = PreferencePair

    def __init__(self, beta: float) -> None:
        """Hold the model to its reference: the more, the greater beta is, which is above 0."""
        self._beta = beta

    def begin(self, model: AdaptedModel, units: Sequence[Unit], passes: Passes) -> Sequence[Unit]:
        """Return the pairs with the likelihoods under the model as it is now; errors as in `Objective`.

        Raises:
            Diverged: a likelihood is not finite.
        """
        pairs = [_pair(unit) for unit in super().begin(model, units, passes)]

        def refer(row: list[Unit]) -> list[tuple[int, tuple[float, float]]]:
            with torch.no_grad():
                found = _likelihoods(model, row).tolist()
            return [(id(unit), (chosen, rejected)) for unit, (chosen, rejected) in zip(row, found, strict=True)]

        # Rows come in an order of their own. Pairs are found again by which objects they are, not by all their tokens.
        reference = dict(one for row in passes.over(pairs, refer) for one in row)
        if not all(map(math.isfinite, chain.from_iterable(reference.values()))):
            raise Diverged(
                "before the first step: the likelihood of an answer is not finite: the base model, or the adapter of "
                "initializeFrom, is broken, or too coarse in quantization.type"
            )
        return [PairWithReference(pair.chosen, pair.rejected, reference[id(pair)]) for pair in pairs]

    def weight(self, units: Sequence[Unit]) -> int:
        """Return the number of pairs, however long they are."""
        return len(units)

    def loss(self, model: AdaptedModel, units: Sequence[Unit]) -> torch.Tensor:
        """Return the sum of the pairs' losses, in nats."""
        return self._losses(_margins(_likelihoods(model, units), units)).sum()

    def _losses(self, margins: torch.Tensor) -> torch.Tensor:
        return -functional.logsigmoid(self._beta * margins)

    def measure(self, model: AdaptedModel, units: Sequence[Unit]) -> dict[str, float]:
        """Return the loss, how many margins are above 0, how many pairs there are, and what the likelihood needs.

        That is of the chosen answers' tokens: the rejected ones are not to become likely.
        """
        nats: list[torch.Tensor] = []
        hits: list[torch.Tensor] = []
        for row, found in _found(model, units):
            nats += _nats(row, found)
            hits += torch.split(found.hits, row.labels)
        margins = _margins(_by_pair(nats), units)
        chosen = torch.cat(nats[::2])
        return {
            "loss": float(self._losses(margins).sum()),
            "preferred": int((margins > 0).sum()),
            "pairs": len(units),
            "nats": float(chosen.sum()),
            "hits": int(torch.cat(hits[::2]).sum()),
            "labels": len(chosen),
        }

    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Return Loss (mean over pairs), PreferenceAccuracy, Perplexity and TokenAccuracy.

        PreferenceAccuracy is the share of pairs whose margin is above 0; a margin of 0 is a miss, so the reference
        itself has 0. Perplexity and TokenAccuracy are those of the chosen answers' tokens: they tell whether the model
        still finds likely what it is to say, which the loss, a difference, does not.
        """
        return {
            "Loss": sums["loss"] / sums["pairs"],
            "PreferenceAccuracy": sums["preferred"] / sums["pairs"],
            **likelihood_metrics(sums),
        }


def _pair(unit: Unit) -> PreferencePair:
    if not isinstance(unit, PreferencePair):
        raise TypeError(f"{type(unit).__name__} is no pair")
    return unit


def _reference(unit: Unit) -> tuple[float, float]:
    if not isinstance(unit, PairWithReference):
        raise TypeError("the pair has no reference: see Preference.begin")
    return unit.reference


def _margins(likelihoods: torch.Tensor, units: Sequence[Unit]) -> torch.Tensor:
    """Return the margins, [pairs], from log likelihoods, [pairs, 2]."""
    gained = likelihoods - likelihoods.new_tensor([_reference(unit) for unit in units])
    return gained[:, 0] - gained[:, 1]


def _likelihoods(model: AdaptedModel, units: Sequence[Unit]) -> torch.Tensor:
    """Return the log likelihoods of the chosen and of the rejected answers, [pairs, 2], in nats."""
    return _by_pair([nats for row, found in _found(model, units) for nats in _nats(row, found)])


def _by_pair(nats: Sequence[torch.Tensor]) -> torch.Tensor:
    return -torch.stack([answer.sum() for answer in nats]).view(-1, 2)


def _nats(row: Row, found: Likelihoods) -> tuple[torch.Tensor, ...]:
    """Return the negative log likelihoods of the learned tokens, document by document."""
    return torch.split(-found.log_probabilities, row.labels)


def _found(model: AdaptedModel, units: Sequence[Unit]) -> Iterator[tuple[Row, Likelihoods]]:
    """Yield the likelihoods of all sequences, in order: in one row, unless the model can't keep them apart there."""
    sequences = [sequence for unit in units for sequence in unit.sequences]
    rows = [sequences] if model.base.packable else [[sequence] for sequence in sequences]
    for documents in rows:
        row = make_row(documents, model.base.device)
        yield row, model.label_likelihoods(row)
