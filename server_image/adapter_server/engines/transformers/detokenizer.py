"""Text of tokens that arrive one by one, in whole characters."""

from collections.abc import Callable, Sequence

CONTEXT_TOKENS = 6
_UNFINISHED = "\N{REPLACEMENT CHARACTER}"


class Detokenizer:
    """Turns tokens into text that only ever grows by whole characters.

    A token's text depends on its neighbours: characters are spread over tokens, and some tokenizers drop a space at
    the beginning of a text. So each token is decoded behind the ones that were let out last, as in the servers of
    this field, beginning with the end of the prompt.

    Args:
        decode: tokens to text, without special tokens; bytes that are no character give U+FFFD.
        prompt: tokens before the first one.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], prompt: Sequence[int] = ()) -> None:
        self._decode = decode
        self._context = list(prompt[-CONTEXT_TOKENS:])
        while self._context and decode(self._context).startswith(_UNFINISHED):  # it begins within a character
            del self._context[0]
        self._held: list[int] = []

    def push(self, token_id: int) -> str:
        """Add a token and return the text that it makes certain; empty within a character."""
        self._held.append(token_id)
        text = self._new_text()
        if not text or text.endswith(_UNFINISHED):
            return ""
        self._context, self._held = self._held, []
        return text

    def finish(self) -> str:
        """Return what is left at the end, without the beginning of a character."""
        return self._new_text().rstrip(_UNFINISHED)

    def _new_text(self) -> str:
        return self._decode(self._context + self._held)[len(self._decode(self._context)) :]
