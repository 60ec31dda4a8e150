"""One token of an answer, waited for by a thread."""

from concurrent.futures import Future

from adapter_server.engines.engine import EngineError, Piece


class Probe:
    """A reader for rows of one token, outside any event loop."""

    cancelled = False

    def __init__(self) -> None:
        self._answer: Future[Piece] = Future()

    def put(self, piece: Piece) -> None:
        """Take the only piece."""
        self._answer.set_result(piece)

    def end(self, error: EngineError | None) -> None:
        """Take the error that came in its place."""
        self._answer.set_exception(error)

    def wait(self) -> Piece:
        """Return the piece, or raise the error."""
        return self._answer.result()
