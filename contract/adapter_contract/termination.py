"""Fitting a document into a Kubernetes termination message, which is cut at 4,096 bytes without a word.

https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

from adapter_contract.documents import Document

MAX_TERMINATION_BYTES = 4096
"""The kubelet's limit for one container."""

KEPT_CHARACTERS = 200
"""A text is cut down to this length before anything else is given up."""

D = TypeVar("D", bound=Document)


class DoesNotFitError(RuntimeError):
    """Not even the last stage fits: a bug in the stages, which a property test rules out."""


def cut(text: str, length: int) -> str:
    """Return the first `length` characters and a note that says how many there were; whole texts stay."""
    return text if len(text) <= length else f"{text[:length]} [cut; {len(text)} characters in all]"


def fit(stages: Iterable[D], texts: Callable[[D], Iterable[str]], shorten: Callable[[D, int], D]) -> bytes:
    """Return the canonical bytes of the richest form that has at most 4,096 bytes.

    Args:
        stages: the document itself, then forms of it with ever less in them.
        texts: the texts in a form that may be cut.
        shorten: a form with every text cut to a number of characters (by `cut`).

    In each stage the texts are cut as little as needed, but not below `KEPT_CHARACTERS`, before the next
    stage is tried; in the last one they may vanish.

    Raises:
        DoesNotFitError: the last stage with empty texts is still too large.
    """
    last: D | None = None
    for stage in stages:
        message = _fitted(stage, texts, shorten, least=KEPT_CHARACTERS)
        if message is not None:
            return message
        last = stage
    message = None if last is None else _fitted(last, texts, shorten, least=0)
    if message is None:
        raise DoesNotFitError(f"no form of the document has at most {MAX_TERMINATION_BYTES} bytes")
    return message


def _fitted(
    document: D, texts: Callable[[D], Iterable[str]], shorten: Callable[[D, int], D], *, least: int
) -> bytes | None:
    """Bisect for the greatest length of the texts, at least `least`, at which the document fits."""
    whole = document.to_json()
    if len(whole) <= MAX_TERMINATION_BYTES:
        return whole
    best = shorten(document, least).to_json()
    if len(best) > MAX_TERMINATION_BYTES:
        return None
    low, high = least, min(max((len(text) for text in texts(document)), default=least), MAX_TERMINATION_BYTES)
    while low < high:
        middle = (low + high + 1) // 2
        candidate = shorten(document, middle).to_json()
        if len(candidate) <= MAX_TERMINATION_BYTES:
            low, best = middle, candidate
        else:
            high = middle - 1
    return best
