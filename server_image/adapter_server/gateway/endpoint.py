"""One request for an answer, from its arrival to its end: `/v1/chat/completions` and `/v1/completions`.

The version that answers is pinned before anything else is done, and held until the last byte is sent. So an answer
never mixes versions, and a version is unloaded only when its last answer is out.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Generic, TypeVar

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from adapter_server.engines.engine import Engine, EngineError, GenerationStream, Piece
from adapter_server.gateway.answers import AnswerForm, ChatForm, Head, TextForm, new_identity
from adapter_server.gateway.errors import ApiError, invalid, of_engine, timed_out
from adapter_server.gateway.parameters import ChatParameters, Sampling, TextParameters, parse_parameters
from adapter_server.gateway.requests import ClientGone, read_body, while_connected
from adapter_server.gateway.service import Service
from adapter_server.logs import log_fields
from adapter_server.sync.aliases import Lease

DIGEST_HEADER = "x-adapter-digest"
REFUSAL_SECONDS = 1.0
"""How long a client is given to take the news that its request failed."""
_CLIENT_GONE = 499
"""As nginx logs it; no client ever sees it."""

_access_log = logging.getLogger("adapter_server.access")
_log = logging.getLogger(__name__)
S = TypeVar("S", bound=Sampling)


@dataclass(frozen=True)
class Kind(Generic[S]):
    """What differs between the kinds of requests.

    Attributes:
        parameters: the model of the body.
        form: of the answer.
        prompt: name of the parameter that holds the prompt.
        render: from the parameters to the prompt's tokens.
    """

    parameters: type[S]
    form: AnswerForm
    prompt: str
    render: Callable[[Engine, S], tuple[int, ...]]


CHAT = Kind(
    ChatParameters,
    ChatForm(),
    "messages",
    lambda engine, given: engine.render_chat([message.rendered() for message in given.messages]),
)
TEXT = Kind(TextParameters, TextForm(), "prompt", lambda engine, given: engine.encode(given.prompt[0]))


@dataclass
class Record:
    """What the access log and the metrics tell of one request."""

    path: str
    began: float
    key: str | None = None
    model: str | None = None
    digest: str | None = None
    status: int = _CLIENT_GONE
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    first_token_seconds: float | None = None
    finish_reason: str | None = None
    error: str | None = None
    started: bool = False


class CompletionEndpoint(Generic[S]):
    """An ASGI application for one kind of request."""

    def __init__(self, service: Service, kind: Kind[S]) -> None:
        self._service = service
        self._kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        record = Record(scope["path"], asyncio.get_running_loop().time())
        client = _Client(scope, receive, send, record, self._service)
        try:
            await self._within_time(client)
        except ClientGone:
            record.error = "client_gone"
        except ApiError as error:
            await client.refuse(error)
        finally:
            self._account(record)

    async def _within_time(self, client: "_Client") -> None:
        seconds = self._service.request_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                await self._answer(client)
        except TimeoutError as error:
            raise timed_out(seconds) from error

    async def _answer(self, client: "_Client") -> None:
        key = self._service.key_of(Headers(scope=client.scope).get("authorization"))
        client.record.key = key.name
        parameters = parse_parameters(self._kind.parameters, await read_body(client.receive))
        self._require_length(parameters)
        running = self._service.require_running()
        with running.models.lease(parameters.model, key) as lease:
            client.record.model, client.record.digest = lease.model, lease.digest
            try:
                await while_connected(client.receive, self._generate(client, running.engine, lease, parameters))
            except EngineError as error:
                raise of_engine(error, prompt=self._kind.prompt) from error

    def _require_length(self, parameters: Sampling) -> None:
        wanted, most = parameters.wanted_tokens, self._service.limits.max_output_tokens
        if wanted is not None and wanted > most:
            raise invalid("max_tokens", f"max_tokens: {wanted} is more than the {most} that this server gives")

    async def _generate(self, client: "_Client", engine: Engine, lease: Lease, parameters: S) -> None:
        prompt = await asyncio.to_thread(self._kind.render, engine, parameters)
        client.record.prompt_tokens = len(prompt)
        stream = self._service.generate(lease, prompt, parameters)
        form = self._kind.form
        head = Head(new_identity(form.identity_prefix), int(time.time()), lease.model)
        try:
            pieces = _observed(stream, client.record)
            if parameters.stream:
                await _stream(client, form, head, stream, pieces, include_usage=parameters.include_usage)
            else:
                answer = [piece async for piece in pieces]
                await client.send_json(form.whole(head, answer, stream.usage))
        finally:
            client.record.completion_tokens = stream.usage.completion_tokens
            stream.cancel()

    def _account(self, record: Record) -> None:
        metrics, seconds = self._service.metrics, asyncio.get_running_loop().time() - record.began
        if record.model is not None:
            metrics.prompt_tokens.labels(record.model).inc(record.prompt_tokens or 0)
            metrics.generation_tokens.labels(record.model).inc(record.completion_tokens or 0)
            metrics.latency.labels(record.model).observe(seconds)
            if record.first_token_seconds is not None:
                metrics.first_token.labels(record.model).observe(record.first_token_seconds)
            if record.finish_reason is not None:
                metrics.requests.labels(record.model, record.finish_reason).inc()
        if record.error is not None:
            metrics.refusals.labels(str(record.status)).inc()
        log_fields(
            _access_log,
            f"POST {record.path} {record.status}",
            {
                "status": record.status,
                "key": record.key,
                "model": record.model,
                "digest": record.digest,
                "promptTokens": record.prompt_tokens,
                "completionTokens": record.completion_tokens,
                "finishReason": record.finish_reason,
                "firstTokenSeconds": _rounded(record.first_token_seconds),
                "seconds": _rounded(seconds),
                "error": record.error,
            },
        )


async def _observed(stream: GenerationStream, record: Record) -> AsyncIterator[Piece]:
    async for piece in stream:
        if record.first_token_seconds is None:
            record.first_token_seconds = asyncio.get_running_loop().time() - record.began
        if piece.finish_reason is not None:
            record.finish_reason = piece.finish_reason
        yield piece


async def _stream(
    client: "_Client",
    form: AnswerForm,
    head: Head,
    stream: GenerationStream,
    pieces: AsyncIterator[Piece],
    *,
    include_usage: bool,
) -> None:
    """Send the answer as server-sent events. They begin with the first piece: an error before it gets a status."""
    async for piece in pieces:
        if not client.record.started:
            await client.open_stream()
            opening = form.opening(head)
            if opening is not None:
                await client.send_event(opening)
        if piece.text or piece.finish_reason is not None or piece.logprob is not None:
            await client.send_event(form.chunk(head, piece))
    if include_usage:
        await client.send_event(form.closing(head, stream.usage))
    await client.send_last_event()


class _Client:
    """The other side of one request, and what it has been sent."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, record: Record, service: Service) -> None:
        self.scope = scope
        self.receive = receive
        self.record = record
        self._send = send
        self._service = service
        self._streams = False

    async def send_json(self, document: dict[str, object], status: int = HTTPStatus.OK) -> None:
        """Send a whole answer."""
        await self._respond(JSONResponse(document, status, self._headers()))

    async def refuse(self, error: ApiError) -> None:
        """Tell an error: as the response, or in a stream that has begun as its last event.

        A whole answer that has begun has no place for it and just ends. A client that does not read is not waited for.
        """
        self.record.error = error.code or error.kind
        try:
            async with asyncio.timeout(REFUSAL_SECONDS):
                await self._tell(error)
        except TimeoutError:
            _log.warning("the client does not read that its request failed: %s", error)

    async def _tell(self, error: ApiError) -> None:
        if self.record.started:
            _log.warning("an answer ended early: %s", error)
            if self._streams:
                await self.send_event(error.body, more=False)
            return
        response = error.response()
        response.headers.update(self._headers())
        await self._respond(response)

    async def open_stream(self) -> None:
        """Begin a stream of events."""
        headers = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", **self._headers()}
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        self._begin(HTTPStatus.OK)
        self._streams = True
        await self._send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": raw})

    async def send_event(self, document: dict[str, object], *, more: bool = True) -> None:
        """Send one event of the stream."""
        data = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        await self._send_body(f"data: {data}\n\n".encode(), more=more)

    async def send_last_event(self) -> None:
        """End the stream as clients of the OpenAI API expect."""
        await self._send_body(b"data: [DONE]\n\n", more=False)

    async def _send_body(self, body: bytes, *, more: bool) -> None:
        message: Message = {"type": "http.response.body", "body": body, "more_body": more}
        await self._send(message)

    async def _respond(self, response: JSONResponse) -> None:
        self._begin(response.status_code)
        await response(self.scope, self.receive, self._send)

    def _begin(self, status: int) -> None:
        self.record.started = True
        self.record.status = status

    def _headers(self) -> dict[str, str]:
        headers = {} if self.record.digest is None else {DIGEST_HEADER: self.record.digest}
        # A pod that leaves takes no further request on this connection.
        return {**headers, "connection": "close"} if self._service.draining.is_set() else headers


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
