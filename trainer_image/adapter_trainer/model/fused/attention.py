"""Causal attention inside each document of a row, by plain matrix products.

PyTorch's kernel for CPUs takes several times longer for the backward pass of documents of a few hundred tokens. Scores
and their softmax are computed in float32 and never kept: the backward pass computes them again from queries and keys,
block by block, so memory grows with the length of a document, and not with its square.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

_BLOCK = 160
"""Queries that are computed at once, at most: keys that come after the last of them are skipped, and what is computed
stays in the processor's caches."""


@dataclass(frozen=True, slots=True)
class Documents:
    """Where documents stand in a row.

    Attributes:
        queries: tokens of each document.
        keys: keys of each document: its tokens, and before them what all of them see (a prefix).
        window: how many keys back a token sees, itself included; None for all.
    """

    queries: tuple[int, ...]
    keys: tuple[int, ...]
    window: int | None = None

    def blocks(self) -> Iterator["_Block"]:
        """Yield the blocks of all documents."""
        first_query = first_key = 0
        for queries, keys in zip(self.queries, self.keys, strict=True):
            before = keys - queries
            size = -(-queries // -(-queries // _BLOCK))
            for start in range(0, queries, size):
                end = min(start + size, queries)
                begin = 0 if self.window is None or before else max(0, start - self.window + 1)
                yield _Block(
                    slice(first_query + start, first_query + end),
                    slice(first_key + begin, first_key + before + end),
                    before + start - begin,
                    None if before else self.window,
                )
            first_query += queries
            first_key += keys


@dataclass(frozen=True, slots=True)
class _Block:
    """Queries and the keys that any of them sees; `offset` keys stand before the one of the first query."""

    queries: slice
    keys: slice
    offset: int
    window: int | None

    def bias(self, device: torch.device) -> torch.Tensor:
        """Return what is added to scores, [queries, keys]: minus infinity where a query doesn't see a key."""
        shape = (self.queries.stop - self.queries.start, self.keys.stop - self.keys.start)
        bias = torch.full(shape, -math.inf, device=device).triu_(self.offset + 1)
        if self.window is not None:
            bias += torch.full(shape, -math.inf, device=device).tril_(self.offset - self.window)
        return bias


def documents_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, documents: Documents, scaling: float | None = None
) -> torch.Tensor:
    """Attend within each document.

    Args:
        query: [1, heads, tokens, size].
        key: [1, key heads, keys, size]; `heads` is a multiple of the key heads.
        value: [1, key heads, keys, size].
        documents: where they stand.
        scaling: of scores; 1 / sqrt(size) without it.

    Returns:
        [1, tokens, heads, size].
    """
    scale = 1 / math.sqrt(query.shape[-1]) if scaling is None else scaling
    attended: torch.Tensor = _Attention.apply(query, key, value, documents, scale)  # type: ignore[no-untyped-call]  # torch's
    return attended


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        documents: Documents,
        scale: float,
    ) -> torch.Tensor:
        ctx.save_for_backward(query, key, value)
        ctx.documents, ctx.scale = documents, scale
        heads = _Heads(query, key)
        attended = query.new_empty(1, query.shape[2], query.shape[1], value.shape[3])
        for block in documents.blocks():
            likely = _likely(_scaled(heads.queries(query, block), scale), key, block).to(value.dtype)
            result = torch.bmm(likely, value[0, :, block.keys])
            attended[0, block.queries] = heads.ungrouped(result).transpose(0, 1)
        return attended

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # noqa: ANN401 - torch's
        query, key, value = ctx.saved_tensors
        heads = _Heads(query, key)
        of_query = torch.empty_like(query)
        of_key = torch.zeros_like(key)
        of_value = torch.zeros_like(value)
        incoming = gradient.transpose(1, 2)
        for block in ctx.documents.blocks():
            queries = heads.queries(query, block)
            keys = key[0, :, block.keys]
            values = value[0, :, block.keys]
            likely = _likely(_scaled(queries, ctx.scale), key, block)
            outgoing = heads.queries(incoming, block)
            of_value[0, :, block.keys] += torch.bmm(likely.to(value.dtype).transpose(1, 2), outgoing)
            of_likely = torch.bmm(outgoing, values.transpose(1, 2)).to(likely.dtype)
            scores = torch._softmax_backward_data(of_likely, likely, -1, likely.dtype)  # noqa: SLF001 - in one pass
            of_scores = scores.mul_(ctx.scale).to(query.dtype)
            of_query[0, :, block.queries] = heads.ungrouped(torch.bmm(of_scores, keys))
            of_key[0, :, block.keys] += torch.bmm(of_scores.transpose(1, 2), queries)
        return of_query, of_key, of_value, None, None


def _scaled(queries: torch.Tensor, scale: float) -> torch.Tensor:
    return queries.to(_wide(queries.dtype), copy=True).mul_(scale)


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype.itemsize < torch.float32.itemsize else dtype


def _likely(scaled_queries: torch.Tensor, key: torch.Tensor, block: _Block) -> torch.Tensor:
    """Return how much each query attends to each key, [key heads, queries of a group, keys], in float32 at least."""
    keys = key[0, :, block.keys].to(_wide(key.dtype))
    scores = torch.bmm(scaled_queries, keys.transpose(1, 2))
    queries = block.queries.stop - block.queries.start
    scores.view(scores.shape[0], -1, queries, scores.shape[2]).add_(block.bias(key.device))
    return torch.softmax(scores, -1)


class _Heads:
    """Heads that share keys are computed as one, with as many times the queries."""

    def __init__(self, query: torch.Tensor, key: torch.Tensor) -> None:
        self.heads = query.shape[1]
        self.groups = key.shape[1]

    def queries(self, tensor: torch.Tensor, block: _Block) -> torch.Tensor:
        """Return the block's part of [1, heads, tokens, size] as [key heads, queries of a group, size]."""
        return tensor[0, :, block.queries].reshape(self.groups, -1, tensor.shape[3])

    def ungrouped(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return [key heads, queries of a group, size] as [heads, queries, size]."""
        return tensor.view(self.heads, -1, tensor.shape[2])


def plain_documents(lengths: Sequence[int], window: int | None = None) -> Documents:
    """Return documents without anything before their tokens."""
    return Documents(tuple(lengths), tuple(lengths), window)
