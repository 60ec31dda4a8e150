"""Adapters of the rows that are computed at the moment, for the hooks of all methods.

What a hook adds depends only on the rows that are being computed: on their adapters, which nobody changes once they
are made. So adapters come and go while others compute, without a lock, and the memory of one is free when the last
row that uses it has ended.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """One adapter in memory, of any method.

    Attributes:
        stop_token_ids: tokens that end an answer of this adapter, beside the base's own.
    """

    stop_token_ids: frozenset[int] = field(default=frozenset(), kw_only=True)


AnyAdapter = TypeVar("AnyAdapter", bound=Adapter)


@dataclass(frozen=True, slots=True)
class Segment(Generic[AnyAdapter]):
    """Rows of one adapter; None stands for all rows."""

    adapter: AnyAdapter
    rows: Tensor | None

    def add(self, y: Tensor, x: Tensor, change: Callable[[Tensor], Tensor]) -> None:
        """Add to the segment's rows of y, in place, what they change by.

        Args:
            y: [rows, tokens, features].
            x: [rows, tokens, other features], what the change depends on; it may be y.
            change: from [chosen rows, tokens, other features] to [chosen rows, tokens, features].
        """
        if self.rows is None:
            y.add_(change(x))
        else:
            y.index_add_(0, self.rows, change(x.index_select(0, self.rows)).to(y.dtype))


class AdapterLayers(Generic[AnyAdapter]):
    """Modules of a model whose hooks apply the adapters of one method.

    Attributes:
        segments: of the rows that are computed at the moment, those whose adapters are of this method.
    """

    def __init__(self, kind: type[AnyAdapter]) -> None:
        self.segments: tuple[Segment[AnyAdapter], ...] = ()
        self._kind = kind
        self._tokens = (0, 0)

    @contextmanager
    def applied(self, adapters: Sequence[Adapter | None], tokens: int, device: torch.device) -> Iterator[None]:
        """Apply each row's adapter within the context; those of other methods are left to others.

        Args:
            adapters: of each row; None is the base.
            tokens: in each row of the input.
            device: of the model.
        """
        by_adapter: dict[AnyAdapter, list[int]] = {}
        for row, adapter in enumerate(adapters):
            if isinstance(adapter, self._kind):
                by_adapter.setdefault(adapter, []).append(row)
        self._tokens = (len(adapters), tokens)
        self.segments = tuple(
            Segment(adapter, None if len(rows) == len(adapters) else torch.tensor(rows, device=device))
            for adapter, rows in by_adapter.items()
        )
        try:
            yield
        finally:
            self.segments = ()

    def in_rows(self, name: str, states: Tensor) -> Tensor:
        """Return a view [rows, tokens, features]; some models flatten rows and tokens into one dimension.

        Raises:
            ValueError: the module of this name computes something else than the tokens of all rows.
        """
        rows, tokens = self._tokens
        if states.dim() == 3 and states.shape[0] == rows:
            return states
        if states.dim() == 2 and states.shape[0] == rows * tokens:
            return states.view(rows, tokens, -1)
        raise ValueError(f"layer {name} computes {tuple(states.shape)}, which can't be told apart by request")
