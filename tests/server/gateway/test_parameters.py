"""What a request may ask for, and the words in which anything else is refused."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from adapter_server.engines.engine import Piece, Usage
from adapter_server.gateway.answers import ChatForm, Head
from adapter_server.gateway.errors import ApiError
from adapter_server.gateway.parameters import ChatParameters, TextParameters, parse_parameters

pytestmark = pytest.mark.unit


def chat(**members: Any) -> ChatParameters:
    body = {"model": "bot", "messages": [{"role": "user", "content": "hello"}], **members}
    return parse_parameters(ChatParameters, json.dumps(body).encode())


def test_defaults_are_those_of_the_openai_api() -> None:
    found = chat()
    assert (found.temperature, found.top_p, found.stop, found.seed, found.stream) == (1.0, 1.0, [], None, False)
    assert (found.wanted_tokens, found.wanted_logprobs, found.include_usage) == (None, None, False)


def test_null_means_absent() -> None:
    assert chat(max_tokens=None, tools=None, stop=None, unheard_of=None) == chat()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 1),
        ("presence_penalty", 0),
        ("frequency_penalty", 0.0),
        ("logit_bias", {}),
        ("response_format", {"type": "text"}),
        ("tools", []),
        ("tool_choice", "none"),
        ("store", False),
    ],
)
def test_a_neutral_value_of_an_unsupported_parameter_is_no_error(name: str, value: object) -> None:
    assert chat(**{name: value}) == chat()


@pytest.mark.parametrize(
    ("members", "param", "words"),
    [
        ({"n": 2}, "n", "supports no other value than 1"),
        ({"tools": [{"type": "function"}]}, "tools", "no other value than []"),
        ({"response_format": {"type": "json_object"}}, "response_format", 'no other value than {"type": "text"}'),
        ({"presence_penalty": 0.5}, "presence_penalty", "no other value than 0"),
        ({"top_k": 3}, "top_k", "does not support this parameter; it supports logprobs, max_completion_tokens"),
        ({"model": 3}, "model", "valid string"),
        ({"model": ""}, "model", "at least 1 character"),
        ({"messages": []}, "messages", "at least 1 item"),
        ({"messages": "hello"}, "messages", "valid list"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role", "'system', 'user' or 'assistant'"),
        ({"messages": [{"role": "user"}]}, "messages.0.content", "Field required"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages.0.content", "a text or a list is required"),
        ({"messages": [{"role": "user", "content": "x", "audio": {}}]}, "messages.0.audio", "support this member"),
        ({"messages": [{"role": "user", "content": "x", "name": 3}]}, "messages.0.name", "valid string"),
        ({"messages": [{"role": "assistant", "content": None}]}, "messages.0.content", "Field required"),
        ({"messages": ["hello"]}, "messages.0", "valid dictionary"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages.0.content.0.type",
            "'text'",
        ),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"max_tokens": "8"}, "max_tokens", "valid integer"),
        ({"max_tokens": 8, "max_completion_tokens": 9}, None, "mean the same: give one of them"),
        ({"temperature": 2.5}, "temperature", "less than or equal to 2"),
        ({"temperature": True}, "temperature", "valid number"),
        ({"top_p": 0}, "top_p", "greater than 0"),
        ({"stop": ""}, "stop.0", "at least 1 character"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "at most 4 items"),
        ({"seed": 2**63}, "seed", "less than or equal to"),
        ({"stream_options": {"include_usage": True}}, None, "stream_options needs stream: true"),
        ({"top_logprobs": 3}, None, "top_logprobs needs logprobs: true"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "less than or equal to 20"),
    ],
)
def test_a_refusal_names_the_parameter(members: dict[str, Any], param: str | None, words: str) -> None:
    with pytest.raises(ApiError) as refused:
        chat(**members)
    assert (refused.value.status, refused.value.param) == (400, param)
    assert words in str(refused.value)
    assert param is None or str(refused.value).startswith(f"{param}: ")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"model": "a", "model": "b"}'])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError, match="the body must be one JSON object") as refused:
        parse_parameters(ChatParameters, body)
    assert refused.value.body["error"]["type"] == "invalid_request_error"


def test_texts_and_lists_of_parts_are_the_same() -> None:
    parts = [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]
    found = chat(messages=[{"role": "system", "content": "be kind"}, {"role": "user", "content": parts}])
    assert [message.rendered() for message in found.messages] == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "hello"},
    ]


def test_an_answer_may_be_sent_back_as_it_came() -> None:
    pieces = [Piece(7, "by the sea"), Piece(2, "", "stop")]
    answer = ChatForm().whole(Head("chatcmpl-1", 0, "bot"), pieces, Usage(3, 2))
    parsed = ChatCompletion.model_validate(answer).choices[0].message
    for message in (answer["choices"][0]["message"], parsed.model_dump()):
        assert None in message.values()
        [found] = chat(messages=[message]).messages
        assert found.rendered() == {"role": "assistant", "content": "by the sea"}


def test_the_name_of_a_speaker_is_accepted_and_not_used() -> None:
    [found] = chat(messages=[{"role": "user", "content": "x", "name": "Ada"}]).messages
    assert found.rendered() == {"role": "user", "content": "x"}


def test_lengths_stops_and_probabilities_have_two_spellings() -> None:
    assert chat(max_tokens=7).wanted_tokens == 7
    assert chat(max_completion_tokens=7).wanted_tokens == 7
    assert chat(max_tokens=7, max_completion_tokens=7).wanted_tokens == 7
    assert chat(stop="END").stop == chat(stop=["END"]).stop == ["END"]
    assert chat(logprobs=True).wanted_logprobs == 0
    assert chat(logprobs=True, top_logprobs=5).wanted_logprobs == 5
    assert chat(stream=True, stream_options={"include_usage": True}).include_usage is True


def test_plain_prompts_are_one_text() -> None:
    def text(**members: Any) -> TextParameters:
        return parse_parameters(TextParameters, json.dumps({"model": "bot", **members}).encode())

    assert text(prompt="hello").prompt == text(prompt=["hello"], echo=False, best_of=1).prompt == ["hello"]
    assert text(prompt="hello", logprobs=2).wanted_logprobs == 2
    for prompt, param in ((["a", "b"], "prompt"), ([1, 2], "prompt"), ({}, "prompt")):
        with pytest.raises(ApiError) as refused:
            text(prompt=prompt)
        assert str(refused.value.param).startswith(param)
