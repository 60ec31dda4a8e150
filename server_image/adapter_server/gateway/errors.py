"""Refusals in the form of the OpenAI API: https://platform.openai.com/docs/guides/error-codes."""

import math
from typing import Any

from starlette.responses import JSONResponse

from adapter_server.engines.engine import ContextLengthExceeded, EngineError, EngineUnavailable, InvalidRequest

RETRY_SECONDS = 2


class ApiError(Exception):
    """What the client is told instead of an answer.

    Attributes:
        status: of HTTP.
        param: the parameter that is wrong, where one is.
        code: a word for programs.
        retry_after: seconds after which the same request may succeed.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code
        self.retry_after = retry_after

    @property
    def body(self) -> dict[str, Any]:
        """The JSON document."""
        return {"error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """Return the whole response."""
        headers = {} if self.retry_after is None else {"retry-after": str(math.ceil(self.retry_after))}
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return JSONResponse(self.body, self.status, headers)


def invalid(param: str | None, message: str, *, code: str | None = None) -> ApiError:
    """A request that can't be carried out as it stands."""
    return ApiError(400, message, param=param, code=code)


def not_ready(message: str, *, code: str = "not_ready") -> ApiError:
    """Something that will come by itself."""
    return ApiError(503, message, kind="service_unavailable", code=code, retry_after=RETRY_SECONDS)


def queue_full(waiting: int) -> ApiError:
    """More requests wait than may."""
    message = f"{waiting} requests wait already, as many as may: try again later, or ask for more replicas"
    return ApiError(429, message, kind="rate_limit_error", code="queue_full", retry_after=1)


def timed_out(seconds: float) -> ApiError:
    """The request took longer than a request may."""
    message = f"the request took longer than {seconds:g} s: ask for fewer tokens, or try again when there is less load"
    return ApiError(504, message, kind="timeout", code="request_timeout")


def of_engine(error: EngineError, *, prompt: str) -> ApiError:
    """Return what the client is told of an engine's error; `prompt` is the parameter that the prompt came in."""
    match error:
        case InvalidRequest():
            param = prompt if error.parameter in {"prompt_tokens", "messages", "prompt"} else error.parameter
            code = "context_length_exceeded" if isinstance(error, ContextLengthExceeded) else None
            return invalid(param, str(error), code=code)
        case EngineUnavailable():
            return not_ready(str(error), code="engine_unavailable")
    return ApiError(500, f"the request failed: {error}", kind="server_error", code="generation_failed")
