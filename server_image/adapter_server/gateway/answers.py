"""The documents of the OpenAI API that an answer consists of. Pure.

https://platform.openai.com/docs/api-reference/chat/object and .../chat/streaming, .../completions/object
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from adapter_server.engines.engine import Piece, TokenLogprob, Usage

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    """What all documents of one answer have in common.

    Attributes:
        identity: random, of the answer.
        created: Unix time in seconds.
        model: the name that the client sent.
    """

    identity: str
    created: int
    model: str


def new_identity(prefix: str) -> str:
    """Return an identity for an answer."""
    return f"{prefix}-{secrets.token_hex(12)}"


def usage_json(usage: Usage) -> JSON:
    """Return the token counts."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


class AnswerForm(Protocol):
    """One of the two forms of answers."""

    identity_prefix: str

    def whole(self, head: Head, pieces: Sequence[Piece], usage: Usage) -> JSON:
        """Return the answer as one document."""
        ...

    def opening(self, head: Head) -> JSON | None:
        """Return the first document of a stream, before any text; None where there is none."""
        ...

    def chunk(self, head: Head, piece: Piece) -> JSON:
        """Return the document of a stream that carries one piece."""
        ...

    def closing(self, head: Head, usage: Usage) -> JSON:
        """Return the last document of a stream, with the token counts."""
        ...


class ChatForm:
    """`chat.completion` and `chat.completion.chunk`."""

    identity_prefix = "chatcmpl"

    def whole(self, head: Head, pieces: Sequence[Piece], usage: Usage) -> JSON:
        """Return the answer as one document."""
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": "".join(piece.text for piece in pieces), "refusal": None},
            "logprobs": _chat_logprobs(pieces),
            "finish_reason": pieces[-1].finish_reason if pieces else None,
        }
        return {**_head(head, "chat.completion"), "choices": [choice], "usage": usage_json(usage)}

    def opening(self, head: Head) -> JSON | None:
        """Return the document that says who speaks."""
        return self._chunk(head, {"role": "assistant", "content": ""}, None, None)

    def chunk(self, head: Head, piece: Piece) -> JSON:
        """Return the document of a stream that carries one piece."""
        delta = {"content": piece.text} if piece.text else {}
        return self._chunk(head, delta, _chat_logprobs([piece]), piece.finish_reason)

    def closing(self, head: Head, usage: Usage) -> JSON:
        """Return the document with the token counts."""
        return {**_head(head, "chat.completion.chunk"), "choices": [], "usage": usage_json(usage)}

    def _chunk(self, head: Head, delta: JSON, logprobs: JSON | None, finish_reason: str | None) -> JSON:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        return {**_head(head, "chat.completion.chunk"), "choices": [choice]}


class TextForm:
    """`text_completion`."""

    identity_prefix = "cmpl"

    def whole(self, head: Head, pieces: Sequence[Piece], usage: Usage) -> JSON:
        """Return the answer as one document."""
        return {**self._document(head, pieces), "usage": usage_json(usage)}

    def opening(self, head: Head) -> JSON | None:  # noqa: ARG002 - one form of two
        """Return nothing: plain text has no role."""
        return None

    def chunk(self, head: Head, piece: Piece) -> JSON:
        """Return the document of a stream that carries one piece."""
        return self._document(head, [piece])

    def closing(self, head: Head, usage: Usage) -> JSON:
        """Return the document with the token counts."""
        return {**_head(head, "text_completion"), "choices": [], "usage": usage_json(usage)}

    def _document(self, head: Head, pieces: Sequence[Piece]) -> JSON:
        choice = {
            "index": 0,
            "text": "".join(piece.text for piece in pieces),
            "logprobs": _text_logprobs(pieces),
            "finish_reason": pieces[-1].finish_reason if pieces else None,
        }
        return {**_head(head, "text_completion"), "choices": [choice]}


def _head(head: Head, kind: str) -> JSON:
    return {"id": head.identity, "object": kind, "created": head.created, "model": head.model}


def _told(pieces: Sequence[Piece]) -> list[tuple[TokenLogprob, tuple[TokenLogprob, ...]]]:
    """Return the tokens whose probabilities are told: those of the text, not the one that ended it."""
    return [
        (piece.logprob, piece.top_logprobs)
        for piece in pieces
        if piece.logprob is not None and piece.finish_reason != "stop"
    ]


def _chat_logprobs(pieces: Sequence[Piece]) -> JSON | None:
    told = _told(pieces)
    if not told:
        return None
    content = [{**_token(token), "top_logprobs": [_token(other) for other in top]} for token, top in told]
    return {"content": content, "refusal": None}


def _token(token: TokenLogprob) -> JSON:
    return {"token": token.text, "logprob": token.logprob, "bytes": list(token.text.encode())}


def _text_logprobs(pieces: Sequence[Piece]) -> JSON | None:
    told = _told(pieces)
    if not told:
        return None
    offsets, offset = [], 0
    for token, _ in told:
        offsets.append(offset)
        offset += len(token.text)
    return {
        "tokens": [token.text for token, _ in told],
        "token_logprobs": [token.logprob for token, _ in told],
        "top_logprobs": [{other.text: other.logprob for other in top} for _, top in told],
        "text_offset": offsets,
    }
