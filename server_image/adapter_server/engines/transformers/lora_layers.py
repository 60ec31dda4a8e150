"""LoRA beside the linear layers of a base model that itself stays as it is.

Each linear layer gets one hook. What it adds depends only on the rows that are being computed: on their adapters,
which nobody changes once they are made. So adapters come and go while others compute, without a lock, and the
memory of one is free when the last row that uses it has ended.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True, eq=False)
class LoRAPair:
    """The two factors of one layer's change, after Hu et al. 2021 (arXiv:2106.09685).

    Attributes:
        down: [rank, in], called A.
        up: [out, rank], called B, times the scaling.
    """

    down: Tensor
    up: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class LoRAAdapter:
    """One adapter in memory.

    Attributes:
        pairs: by the name of the layer in the base model.
        stop_token_ids: tokens that end an answer of this adapter, beside the base's own.
    """

    pairs: Mapping[str, LoRAPair]
    stop_token_ids: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class _Segment:
    """Rows of one adapter; None stands for all rows."""

    adapter: LoRAAdapter
    rows: Tensor | None


class LoRALayers:
    """All linear layers of a model, with the adapters of the rows that are computed at the moment.

    Attributes:
        shapes: (out, in) of each linear layer by its name.
    """

    def __init__(self, model: nn.Module) -> None:
        self.shapes: dict[str, tuple[int, int]] = {}
        self._segments: tuple[_Segment, ...] = ()
        self._tokens = (0, 0)
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear):
                self.shapes[name] = (module.out_features, module.in_features)
                module.register_forward_hook(partial(self._add_change, name))

    @contextmanager
    def applied(self, adapters: Sequence[LoRAAdapter | None], tokens: int, device: torch.device) -> Iterator[None]:
        """Apply each row's adapter within the context.

        Args:
            adapters: of each row; None is the base.
            tokens: in each row of the input.
            device: of the model.
        """
        by_adapter: dict[LoRAAdapter, list[int]] = {}
        for row, adapter in enumerate(adapters):
            if adapter is not None:
                by_adapter.setdefault(adapter, []).append(row)
        self._tokens = (len(adapters), tokens)
        self._segments = tuple(
            _Segment(adapter, None if len(rows) == len(adapters) else torch.tensor(rows, device=device))
            for adapter, rows in by_adapter.items()
        )
        try:
            yield
        finally:
            self._segments = ()

    def _add_change(self, name: str, _module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        for segment in self._segments:
            if (pair := segment.adapter.pairs.get(name)) is not None:
                x, y = self._in_rows(name, inputs[0]), self._in_rows(name, output)
                if segment.rows is None:
                    y.add_(_change(pair, x))
                else:
                    y.index_add_(0, segment.rows, _change(pair, x.index_select(0, segment.rows)).to(y.dtype))

    def _in_rows(self, name: str, states: Tensor) -> Tensor:
        """Return a view [rows, tokens, features]; some models flatten rows and tokens into one dimension."""
        rows, tokens = self._tokens
        if states.dim() == 3 and states.shape[0] == rows:
            return states
        if states.dim() == 2 and states.shape[0] == rows * tokens:
            return states.view(rows, tokens, -1)
        raise ValueError(f"layer {name} computes {tuple(states.shape)}, which can't be told apart by request")


def _change(pair: LoRAPair, x: Tensor) -> Tensor:
    return functional.linear(functional.linear(x.to(pair.down.dtype), pair.down), pair.up)
