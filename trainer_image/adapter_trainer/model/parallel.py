"""Several pieces of work at once on a CPU, each on a thread of its own.

PyTorch would rather share out each single operation and let all threads wait for each other after it, some ten thousand
times per second of training. Where other processes use the same processors, as in any pod with neighbours, one thread
that waits for its turn then holds up all the others: measured on 2 busy cores, 2 threads were half as fast as one.
Whole pieces of work wait for each other a few times per optimizer step only. Up to four threads they are also computed
the same way however many threads there are, so that the result is the same, bit for bit.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

PIECES = 4
"""How many pieces of work are done at once at most; work should come in multiples of it."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Threads that work side by side; none at all where a GPU does the work."""

    pool: ThreadPoolExecutor | None
    count: int

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield the result for each item, in the order of the items, which are asked for as they are needed."""
        if self.pool is None:
            yield from map(work, items)
            return
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(self.pool.submit(work, item))
                if len(waiting) > self.count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def workers(device: torch.device) -> Iterator[Workers]:
    """Share the processors out among pieces of work, instead of among the parts of each operation."""
    threads = torch.get_num_threads()
    if device.type != "cpu":
        yield Workers(None, 1)
        return
    count = min(threads, PIECES)
    each = threads // count
    torch.set_num_threads(each)
    try:
        with ThreadPoolExecutor(count, "worker", initializer=torch.set_num_threads, initargs=(each,)) as pool:
            yield Workers(pool, count)
    finally:
        torch.set_num_threads(threads)
