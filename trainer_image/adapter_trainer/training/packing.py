"""Dividing examples into rows that fit into memory and that workers can share."""

import heapq
from collections.abc import Sequence

SMALLEST_TOKENS = 128
"""Smaller rows are not worth a worker of their own: matrix products are slow with few rows."""


def pack(lengths: Sequence[int], budget: int, *, pieces: int) -> list[list[int]]:
    """Divide documents into rows of at most `budget` tokens; a longer document gets a row of its own.

    Rows are about equally long: documents go, longest first, to the shortest row so far, and there are as many rows as
    the budget needs, up to the next multiple of `pieces` unless rows would become very small.

    Args:
        lengths: tokens of each document.
        budget: tokens of a row; 0 gives each document a row of its own.
        pieces: how many rows are computed at once.

    Returns:
        Positions in `lengths`, row by row; within a row in ascending order.
    """
    if budget == 0:
        return [[document] for document in range(len(lengths))]
    total = sum(lengths)
    needed = -(-total // budget)
    count = max(needed, min(-(-needed // pieces) * pieces, total // SMALLEST_TOKENS))
    while (more := len(rows := _spread(lengths, budget, count)) - count) > 0:
        # The rows that had to be added are nearly empty: with more from the start, all are about equally long.
        count += -(-more // 2)
    return [sorted(row) for row in rows]


def _spread(lengths: Sequence[int], budget: int, count: int) -> list[list[int]]:
    """Divide documents into so many rows at most, or into more where the budget needs them."""
    rows: list[list[int]] = []
    shortest = [(0, -1)] * count  # (tokens, row); -1 where the row is not begun
    for document in sorted(range(len(lengths)), key=lambda position: (-lengths[position], position)):
        tokens, row = shortest[0]
        if tokens and tokens + lengths[document] > budget:
            heapq.heappush(shortest, (lengths[document], len(rows)))
            rows.append([document])
            continue
        if row < 0:
            row = len(rows)
            rows.append([])
        rows[row].append(document)
        heapq.heapreplace(shortest, (tokens + lengths[document], row))
    return rows
