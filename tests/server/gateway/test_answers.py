"""The documents of answers, made from pieces."""

import pytest

from adapter_server.engines.engine import Piece, TokenLogprob, Usage
from adapter_server.gateway.answers import ChatForm, Head, TextForm

pytestmark = pytest.mark.unit

HEAD = Head("id-1", 1_700_000_000, "bot")


def piece(token: int, text: str, finish_reason: str | None = None) -> Piece:
    return Piece(token, text, finish_reason, TokenLogprob(token, text, -0.5), (TokenLogprob(9, "é", -0.25),))


PIECES = [piece(1, "Hel"), piece(2, "lo"), piece(3, "", "stop")]


def test_the_token_that_ended_a_chat_has_no_probability() -> None:
    told = ChatForm().whole(HEAD, PIECES, Usage(4, 3))
    assert told["choices"][0]["message"] == {"role": "assistant", "content": "Hello", "refusal": None}
    assert told["choices"][0]["finish_reason"] == "stop"
    content = told["choices"][0]["logprobs"]["content"]
    assert [token["token"] for token in content] == ["Hel", "lo"]
    assert content[0]["top_logprobs"] == [{"token": "é", "logprob": -0.25, "bytes": [0xC3, 0xA9]}]
    assert told["usage"] == {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}


def test_the_chunk_that_ends_a_chat_has_no_content() -> None:
    last = ChatForm().chunk(HEAD, PIECES[-1])["choices"][0]
    assert last == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}


def test_offsets_of_plain_tokens_count_characters() -> None:
    logprobs = TextForm().whole(HEAD, PIECES, Usage(4, 3))["choices"][0]["logprobs"]
    assert logprobs == {
        "tokens": ["Hel", "lo"],
        "token_logprobs": [-0.5, -0.5],
        "top_logprobs": [{"é": -0.25}, {"é": -0.25}],
        "text_offset": [0, 3],
    }


def test_a_plain_stream_has_no_opening() -> None:
    assert TextForm().opening(HEAD) is None
    assert TextForm().closing(HEAD, Usage(1, 2))["usage"]["total_tokens"] == 3
    assert ChatForm().opening(HEAD)["choices"][0]["delta"] == {"role": "assistant", "content": ""}
