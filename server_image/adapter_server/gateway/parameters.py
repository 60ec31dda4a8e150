"""What clients may ask for: the parameters of the OpenAI API that are carried out; all others are refused by name.

A parameter that would change the answer is never ignored: an unknown one is an error, and one that only has its
neutral value here (such as `n`) is accepted with that value.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from adapter_contract import ContractError
from adapter_contract.documents import parse_object
from adapter_server.engines.engine import MAX_TOP_LOGPROBS
from adapter_server.gateway.errors import ApiError, invalid

MAX_BODY_BYTES = 4 << 20
MAX_STOP_TEXTS = 4

_NEUTRAL: Mapping[str, Any] = {
    "best_of": 1,
    "echo": False,
    "frequency_penalty": 0,
    "logit_bias": {},
    "n": 1,
    "presence_penalty": 0,
    "response_format": {"type": "text"},
    "store": False,
    "tool_choice": "none",
    "tools": [],
}

StopText = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Seed = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
TokenCount = Annotated[int, Field(ge=1)]


def _as_list(value: object) -> object:
    """Take one text as a list of one; so each error names its place in the list that the client sent."""
    if not isinstance(value, str | list):
        raise ValueError("a text or a list is required")  # noqa: TRY004 - pydantic wants it for its report
    return [value] if isinstance(value, str) else value


def _as_parts(value: object) -> object:
    listed = _as_list(value)
    return [{"type": "text", "text": value}] if isinstance(value, str) else listed


class Parameters(BaseModel):
    """A part of a request: strict types, and nothing that is not named."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class TextPart(Parameters):
    """A piece of a message's content."""

    type: Literal["text"]
    text: str


class ChatMessage(Parameters):
    """One message of the conversation so far.

    Members that are null are taken as absent: clients send an answer back as they got it, with `"refusal": null` and
    the like. `name` is accepted and not used: chat templates have no place for it.
    """

    role: Literal["system", "user", "assistant"]
    content: Annotated[list[TextPart], BeforeValidator(_as_parts), Field(min_length=1)]
    name: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        return {member: value for member, value in given.items() if value is not None}

    def rendered(self) -> dict[str, str]:
        """Return it with its content as one text."""
        return {"role": self.role, "content": "".join(part.text for part in self.content)}


class StreamOptions(Parameters):
    """How an answer is streamed."""

    include_usage: bool = False


class Sampling(Parameters, ABC):
    """What both kinds of requests have.

    `user` is accepted and not used: it has no influence on answers in the OpenAI API either.
    """

    model: Annotated[str, StringConstraints(min_length=1)]
    max_tokens: TokenCount | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    stop: Annotated[list[StopText], BeforeValidator(_as_list), Field(max_length=MAX_STOP_TEXTS)] = []
    seed: Seed | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    user: str | None = None

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options needs stream: true")
        return self

    @property
    def wanted_tokens(self) -> int | None:
        """The longest answer that the client wants, where it says so."""
        return self.max_tokens

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with the token counts."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    @abstractmethod
    def wanted_logprobs(self) -> int | None:
        """How many of the most likely tokens to tell beside each one; None tells no probabilities."""


class ChatParameters(Sampling):
    """`POST /v1/chat/completions`: https://platform.openai.com/docs/api-reference/chat/create."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_completion_tokens: TokenCount | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None

    @model_validator(mode="after")
    def _logprobs_fit(self) -> Self:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs: true")
        return self

    @model_validator(mode="after")
    def _lengths_agree(self) -> Self:
        if None not in {self.max_tokens, self.max_completion_tokens} and self.max_tokens != self.max_completion_tokens:
            raise ValueError("max_tokens and max_completion_tokens mean the same: give one of them")
        return self

    @property
    def wanted_tokens(self) -> int | None:
        """The longest answer that the client wants, where it says so."""
        return self.max_completion_tokens if self.max_tokens is None else self.max_tokens

    @property
    def wanted_logprobs(self) -> int | None:
        """How many of the most likely tokens to tell beside each one; None tells no probabilities."""
        return (self.top_logprobs or 0) if self.logprobs else None


class TextParameters(Sampling):
    """`POST /v1/completions`: https://platform.openai.com/docs/api-reference/completions/create."""

    prompt: Annotated[list[str], BeforeValidator(_as_list), Field(min_length=1, max_length=1)]
    logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None

    @property
    def wanted_logprobs(self) -> int | None:
        """How many of the most likely tokens to tell beside each one; None tells no probabilities."""
        return self.logprobs


S = TypeVar("S", bound=Sampling)


def parse_parameters(kind: type[S], body: bytes) -> S:
    """Read a request's body.

    Raises:
        ApiError: 400, naming the parameter and what it may be.
    """
    try:
        given = parse_object(body, limit=MAX_BODY_BYTES)
    except ContractError as error:
        raise invalid(None, f"the body must be one JSON object: {error}") from error
    parameters = {name: value for name, value in given.items() if value is not None}
    for name, neutral in _NEUTRAL.items():
        if name in parameters and name not in kind.model_fields and parameters.pop(name) != neutral:
            raise invalid(name, f"{name}: this server supports no other value than {json.dumps(neutral)}")
    try:
        return kind.model_validate(parameters)
    except ValidationError as error:
        raise _refusal(kind, error) from error


def _refusal(kind: type[Sampling], error: ValidationError) -> ApiError:
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = [str(part) for part in problem["loc"]]
    param = ".".join(place) or None
    if problem["type"] == "extra_forbidden":
        if len(place) == 1:
            known = ", ".join(sorted(kind.model_fields))
            return invalid(param, f"{param}: this server does not support this parameter; it supports {known}")
        return invalid(param, f"{param}: this server does not support this member")
    message = problem["msg"].removeprefix("Value error, ")
    return invalid(param, message if param is None else f"{param}: {message}")
