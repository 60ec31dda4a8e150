"""What clients are told of an engine's errors."""

import pytest

from adapter_server.engines.engine import (
    AdapterNotLoaded,
    ContextLengthExceeded,
    EngineUnavailable,
    GenerationFailed,
    InvalidRequest,
)
from adapter_server.gateway.errors import of_engine

pytestmark = pytest.mark.unit


def test_a_prompt_that_is_wrong_is_named_as_the_client_named_it() -> None:
    too_long = of_engine(ContextLengthExceeded(600, 10, 256), prompt="messages")
    assert (too_long.status, too_long.param, too_long.code) == (400, "messages", "context_length_exceeded")
    too_many = of_engine(ContextLengthExceeded(200, 100, 256), prompt="messages")
    assert (too_many.param, too_many.code) == ("max_tokens", "context_length_exceeded")
    template = of_engine(InvalidRequest("messages", "the template refuses it"), prompt="messages")
    assert (template.status, template.param, template.code) == (400, "messages", None)


def test_a_dead_engine_is_to_be_asked_later_and_a_failure_is_the_servers() -> None:
    dead = of_engine(EngineUnavailable("the engine was closed"), prompt="prompt")
    assert (dead.status, dead.code, dead.response().headers["retry-after"]) == (503, "engine_unavailable", "2")
    for failure in (GenerationFailed("no numbers"), AdapterNotLoaded("bot--1")):
        told = of_engine(failure, prompt="prompt")
        assert (told.status, told.kind) == (500, "server_error")
