"""Requests that an engine can't carry out are refused by the name of the parameter."""

import math
from dataclasses import replace

import pytest

from adapter_server.engines.engine import ContextLengthExceeded, GenerationRequest, InvalidRequest
from adapter_server.engines.request_check import check_request

pytestmark = pytest.mark.unit

REQUEST = GenerationRequest(prompt_tokens=(5, 6, 7), max_tokens=4)


def check(request: GenerationRequest, length: int = 16) -> GenerationRequest:
    return check_request(request, vocabulary=100, max_model_length=length)


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"prompt_tokens": ()}, "prompt_tokens"),
        ({"prompt_tokens": (1, 100)}, "prompt_tokens"),
        ({"prompt_tokens": (-1,)}, "prompt_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.01}, "top_p"),
        ({"top_p": math.nan}, "top_p"),
        ({"seed": 2**63}, "seed"),
        ({"seed": -(2**63) - 1}, "seed"),
        ({"top_logprobs": -1}, "top_logprobs"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"stop": ("end", "")}, "stop"),
        ({"max_tokens": 14}, "max_tokens"),
        ({"prompt_tokens": (1,) * 16, "clip_max_tokens": True}, "prompt_tokens"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(changes: dict, parameter: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        check(replace(REQUEST, **changes))
    assert refusal.value.parameter == parameter


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt_tokens": (0, 99)},
        {"temperature": 0.0, "top_p": 1.0, "top_logprobs": 0},
        {"temperature": 2.0, "top_p": 1e-9, "top_logprobs": 20},
        {"seed": 2**63 - 1},
        {"seed": -(2**63)},
        {"max_tokens": 13},
    ],
)
def test_values_at_their_bounds_are_taken_as_they_are(changes: dict) -> None:
    request = replace(REQUEST, **changes)
    assert check(request) == request


def test_a_request_that_is_too_long_says_how_long_it_may_be() -> None:
    with pytest.raises(ContextLengthExceeded) as refusal:
        check(replace(REQUEST, max_tokens=14))
    assert str(refusal.value) == (
        "this model's maximum context length is 16 tokens, but the request needs 17: 3 of the prompt and 14 of the "
        "answer; ask for at most 13 or shorten the prompt"
    )


def test_a_client_that_named_no_number_gets_what_fits() -> None:
    assert check(replace(REQUEST, max_tokens=1000, clip_max_tokens=True)).max_tokens == 13
    assert check(replace(REQUEST, max_tokens=2, clip_max_tokens=True)).max_tokens == 2


def test_a_prompt_without_room_for_an_answer_is_refused() -> None:
    with pytest.raises(ContextLengthExceeded, match="shorten the prompt"):
        check(replace(REQUEST, clip_max_tokens=True), length=3)
