"""Texts that end an answer, found in a text that arrives in parts."""

from collections.abc import Sequence


class StopTexts:
    """Finds the stop text that ends first, and never lets out what may become a part of one.

    How the text is cut into parts makes no difference to what is let out in all.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = tuple(texts)
        self._held = ""
        self.found = False

    def push(self, text: str) -> str:
        """Add a part and return what is certainly before every stop text; once one is `found`, nothing more."""
        if self.found:
            return ""
        self._held += text
        # The one that ends first is what a reader of single characters would find; of those the longest.
        ends = [(start + len(stop), start) for stop in self._texts if (start := self._held.find(stop)) >= 0]
        if ends:
            self.found = True
            before, self._held = self._held[: min(ends)[1]], ""
            return before
        return self._take(len(self._held) - self._undecided())

    def flush(self) -> str:
        """Return what was held back, at the end of the text."""
        return self._take(len(self._held))

    def _take(self, length: int) -> str:
        taken, self._held = self._held[:length], self._held[length:]
        return taken

    def _undecided(self) -> int:
        """Return the length of the longest end of the text with which a stop text begins."""
        longest = 0
        for stop in self._texts:
            for length in range(min(len(stop) - 1, len(self._held)), longest, -1):
                if self._held.endswith(stop[:length]):
                    longest = length
                    break
        return longest
