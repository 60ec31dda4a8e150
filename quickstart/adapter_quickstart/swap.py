"""Traffic around the swaps of an adapter, and what became of its requests."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from adapter_contract import Phase, Progress
from adapter_quickstart import chat

_NEAR_THE_END_PERCENT = 95
_SECONDS_TO_SWAP = 120.0
_ANSWERS = 8

Show = Callable[[str], None]


class SwapFailed(RuntimeError):
    """The clients never got an answer from the version that is wanted."""


class Swaps:
    """Clients that ask without a pause, from near the end of a training on: before, they would slow it down."""

    def __init__(self, endpoint: str, model: str, questions: Sequence[str]) -> None:
        self._endpoint = endpoint
        self._model = model
        self._questions = questions
        self._stack = ExitStack()
        self._traffic: chat.Traffic | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def on_progress(self, progress: Progress) -> None:
        """Start the clients when the training is nearly done."""
        if progress.phase is Phase.UPLOADING or (progress.percent or 0) >= _NEAR_THE_END_PERCENT:
            self.traffic()

    def traffic(self) -> chat.Traffic:
        """Return the traffic, started."""
        if self._traffic is None:
            self._traffic = self._stack.enter_context(chat.traffic(self._endpoint, self._model, self._questions))
        return self._traffic

    def await_answers(self, digest: str, show: Show, *, seconds: float = _SECONDS_TO_SWAP) -> None:
        """Wait until the clients are answered by a version.

        Raises:
            SwapFailed: they are not in time.
        """
        traffic = self.traffic()
        if not traffic.wait_for(digest, seconds, in_a_row=_ANSWERS):
            failed = f"; {len(traffic.failed)} requests failed, such as: {traffic.failed[0]}" if traffic.failed else ""
            raise SwapFailed(f"the clients are not answered by {digest} within {seconds:.0f} s{failed}")
        show(
            f"answers come from {digest[:19]}... now; so far {sum(traffic.answered.values())} answers, "
            f"{len(traffic.failed)} failed requests"
        )

    def finish(self, show: Show) -> chat.Traffic:
        """Stop the clients, and say what they saw."""
        traffic = self.traffic()
        self._stack.close()
        for digest, answers in traffic.answered.items():
            show(f"{answers} answers from {digest}")
        show(f"{len(traffic.failed)} failed requests")
        for failure in traffic.failed[:5]:
            show(f"failed: {failure}")
        return traffic
