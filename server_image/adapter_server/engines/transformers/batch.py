"""The rows that are being computed; only the engine's thread knows them.

An error of one row ends that row. Where an error can't be told to be one row's, all begin anew, each alone: from
their tokens so far, so that their readers notice nothing, and the one that fails again is the one that ends.
"""

import logging
from collections.abc import Sequence

from torch import Tensor

from adapter_server.engines.engine import EngineError, GenerationFailed
from adapter_server.engines.transformers.kv_cache import KVCache
from adapter_server.engines.transformers.model_runner import ModelRunner
from adapter_server.engines.transformers.row import Row

_log = logging.getLogger(__name__)
MAX_RESTARTS = 1


class Batch:
    """All rows, with their keys and values.

    Attributes:
        rows: replaced, never changed, so that other threads may count them.
    """

    def __init__(self, runner: ModelRunner) -> None:
        self.rows: tuple[Row, ...] = ()
        self._runner = runner
        self._cache = KVCache()

    def drop_cancelled(self) -> None:
        """End the rows that nobody waits for."""
        kept = [index for index, row in enumerate(self.rows) if not row.cancelled]
        dropped = [row for row in self.rows if row.cancelled]
        self._keep(kept)
        for row in dropped:
            row.end(None)

    def start(self, rows: Sequence[Row]) -> None:
        """Compute the first token of new rows; those that go on join the others."""
        try:
            logits, cache = self._runner.prefill([row.context for row in rows], [row.adapter for row in rows])
            alive = _advance(rows, logits)
            if alive:
                cache.keep(alive)
                self._cache.join(cache)
                self.rows += tuple(rows[index] for index in alive)
        except Exception as error:
            if len(rows) == 1:
                _fail(rows[0], error)
                return
            _log.exception("%d requests could not be started together; each is tried alone", len(rows))
            for row in [row for row in rows if not row.ended]:
                self.start([row])

    def step(self) -> None:
        """Compute the next token of every row."""
        if not self.rows:
            return
        try:
            tokens = [row.generated[-1] for row in self.rows]
            logits = self._runner.decode(self._cache, tokens, [row.adapter for row in self.rows])
            self._keep(_advance(self.rows, logits))
        except Exception:
            _log.exception("a step of %d requests failed; each begins anew", len(self.rows))
            self._restart()

    def _keep(self, indices: Sequence[int]) -> None:
        if len(indices) < len(self.rows):
            self.rows = tuple(self.rows[index] for index in indices)
            self._cache.keep(indices)

    def _restart(self) -> None:
        rows = [row for row in self.rows if not row.ended]
        self.rows, self._cache = (), KVCache()
        for row in rows:
            row.restarts += 1
            if row.restarts > MAX_RESTARTS:
                _fail(row, GenerationFailed("the computation failed again after it was begun anew"))
            else:
                self.start([row])


def _advance(rows: Sequence[Row], logits: Tensor) -> list[int]:
    """Give each row its next token; return the indices of those that go on."""
    alive = []
    for index, row in enumerate(rows):
        try:
            if row.advance(logits[index]):
                alive.append(index)
        except Exception as error:
            _fail(row, error)
    return alive


def _fail(row: Row, error: Exception) -> None:
    _log.error("a request on %s failed", row.request.adapter or "the base model", exc_info=error)
    row.end(error if isinstance(error, EngineError) else GenerationFailed(f"the computation failed: {error}"))
