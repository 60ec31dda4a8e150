"""Whether an engine can carry out a request: what no engine needs a model for."""

import math
from dataclasses import replace

from adapter_server.engines.engine import MAX_TOP_LOGPROBS, ContextLengthExceeded, GenerationRequest, InvalidRequest

MAX_TEMPERATURE = 2.0
_MAX_SEED = 2**63


def check_request(request: GenerationRequest, *, vocabulary: int, max_model_length: int) -> GenerationRequest:
    """Return the request with `max_tokens` clipped where it asks for that.

    Args:
        request: as it came.
        vocabulary: how many tokens the model knows.
        max_model_length: tokens of prompt and answer together.

    Raises:
        InvalidRequest: a value is out of its range; ContextLengthExceeded where the request is too long.
    """
    _require(len(request.prompt_tokens) > 0, "prompt_tokens", "the prompt has no tokens")
    known = min(request.prompt_tokens) >= 0 and max(request.prompt_tokens) < vocabulary
    _require(known, "prompt_tokens", f"tokens of the prompt must be 0 to {vocabulary - 1}")
    _require(request.max_tokens >= 1, "max_tokens", f"max_tokens is {request.max_tokens}, but must be at least 1")
    _check_sampling(request)
    _require("" not in request.stop, "stop", "a stop text is empty")
    return _fitted(request, max_model_length)


def _check_sampling(request: GenerationRequest) -> None:
    temperature, top_p, seed, top = request.temperature, request.top_p, request.seed, request.top_logprobs
    _require(
        math.isfinite(temperature) and 0 <= temperature <= MAX_TEMPERATURE,
        "temperature",
        f"temperature is {temperature}, but must be 0 to {MAX_TEMPERATURE:g}",
    )
    _require(0 < top_p <= 1, "top_p", f"top_p is {top_p}, but must be above 0 and at most 1")
    _require(seed is None or -_MAX_SEED <= seed < _MAX_SEED, "seed", f"seed is {seed}, but must fit into 64 bits")
    _require(
        top is None or 0 <= top <= MAX_TOP_LOGPROBS,
        "top_logprobs",
        f"top_logprobs is {top}, but must be 0 to {MAX_TOP_LOGPROBS}",
    )


def _fitted(request: GenerationRequest, max_model_length: int) -> GenerationRequest:
    prompt, room = len(request.prompt_tokens), max_model_length - len(request.prompt_tokens)
    if room < 1 or (request.max_tokens > room and not request.clip_max_tokens):
        raise ContextLengthExceeded(prompt, request.max_tokens, max_model_length)
    return replace(request, max_tokens=min(request.max_tokens, room))


def _require(condition: bool, parameter: str, message: str) -> None:
    if not condition:
        raise InvalidRequest(parameter, message)
