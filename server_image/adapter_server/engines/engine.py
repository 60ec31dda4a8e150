"""What an engine is to the rest of the server: load and unload adapters, generate a stream of tokens.

Nothing here imports an engine's libraries, so that the gateway can be read, typed and tested without them.
Adapters are known by their engine names (`adapter_contract.engine_name`): other bytes, another name.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from adapter_contract import AdapterManifest, Digest, EngineFacts

RefusalReason = Literal["AdapterRefused", "BaseModelMismatch", "MethodNotSupported", "RankExceedsEngine"]
FinishReason = Literal["stop", "length"]
MAX_TOP_LOGPROBS = 20


class EngineError(Exception):
    """Something that an engine can't do; the message says what and why."""


class EngineUnavailable(EngineError):
    """The engine was not started, was closed, or died: nothing will be answered until the process starts anew."""


class BaseModelError(EngineError):
    """The base model can't be served from these files: `start` ends with it, and trying again does not help."""


class AdapterNotLoaded(EngineError):
    """No adapter of this engine name is loaded."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"the engine has no adapter {name!r}")


class AdapterRefused(EngineError):
    """An adapter does not fit this engine; only another version of it, or another engine, helps.

    Attributes:
        reason: as in the adapter's status and in the conditions of the deployment.
    """

    def __init__(self, reason: RefusalReason, message: str) -> None:
        self.reason: RefusalReason = reason
        super().__init__(message)


class InvalidRequest(EngineError):
    """The request can't be carried out as it stands.

    Attributes:
        parameter: of the request, by the name that GenerationRequest has for it.
    """

    def __init__(self, parameter: str, message: str) -> None:
        self.parameter = parameter
        super().__init__(message)


class ContextLengthExceeded(InvalidRequest):
    """Prompt and answer together are longer than the engine's `max_model_length`, all in tokens."""

    def __init__(self, prompt_tokens: int, max_tokens: int, max_model_length: int) -> None:
        self.prompt_tokens = prompt_tokens
        self.max_tokens = max_tokens
        self.max_model_length = max_model_length
        if prompt_tokens >= max_model_length:
            parameter, fix = "prompt_tokens", "shorten the prompt"
        else:
            parameter, fix = "max_tokens", f"ask for at most {max_model_length - prompt_tokens} or shorten the prompt"
        super().__init__(
            parameter,
            f"this model's maximum context length is {max_model_length} tokens, but the request needs "
            f"{prompt_tokens + max_tokens}: {prompt_tokens} of the prompt and {max_tokens} of the answer; {fix}",
        )


class GenerationFailed(EngineError):
    """One request ended with an error; others went on."""


class NotFinite(GenerationFailed):
    """The model's output for a request holds no numbers: weights, of an adapter most likely, are too large."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What an engine is started with.

    Attributes:
        base_directory: holds the base model's configuration, tokenizer and safetensors files.
        base_model_name: the name that adapters name as their base.
        quantization: how the base is held in memory.
        compute_type: of activations and adapters; Auto is BFloat16 where the hardware computes it, else Float16 on
            a GPU and Float32 on a CPU.
        max_active_adapters: distinct adapters in use at the same moment; requests for further ones wait.
        max_rank: largest rank of a LoRA adapter.
        max_model_length: tokens of prompt and answer together.
        base_digest: what the base's digest must be, where that is known.
        base_identity: what names the base's bytes for ever, as `base_digest` in the contract takes it.
        digest_cache_directory: writable; keeps the base's digest where its own directory can't be written.
        max_batch_size: requests that are computed at the same moment; further ones wait in their order.
        max_prefill_tokens: tokens of prompts, padded, that are computed between two steps of the running requests,
            which they hold up; a longer prompt is computed alone.
    """

    base_directory: Path
    base_model_name: str
    max_active_adapters: int
    max_rank: int
    max_model_length: int
    quantization: Literal["None", "NF4", "Int8"] = "None"
    compute_type: Literal["Auto", "BFloat16", "Float16", "Float32"] = "Auto"
    base_digest: Digest | None = None
    base_identity: str | None = None
    digest_cache_directory: Path | None = None
    max_batch_size: int = 32
    max_prefill_tokens: int = 512


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What to generate.

    Attributes:
        prompt_tokens: at least one.
        max_tokens: of the answer, at least one. Prompt and answer must fit into `max_model_length`.
        clip_max_tokens: ask for fewer tokens where `max_tokens` does not fit; for clients that named no number.
            A prompt that leaves no room for one token is refused either way.
        adapter: engine name; None is the base.
        temperature: 0 takes the most likely token; else what logits are divided by, up to 2.
        top_p: sample among the most likely tokens that together have this probability, in (0, 1].
        seed: makes sampling repeatable; None takes a fresh one.
        stop: texts that end the answer and are not part of it; none empty.
        top_logprobs: how many of the most likely tokens to tell beside each token, 0 to 20; None tells no
            probabilities at all.
    """

    prompt_tokens: tuple[int, ...]
    max_tokens: int
    clip_max_tokens: bool = False
    adapter: str | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token with the natural logarithm of the probability that the model gave it, before temperature and top_p."""

    token_id: int
    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Piece:
    """What one generated token added to the answer.

    Attributes:
        token_id: the token; the one that ended the answer, too.
        text: new text, always whole characters. Empty for a token that ended the answer or whose text is held
            back: an unfinished character, or what may be the beginning of a stop text. Texts of all pieces
            together are the answer.
        finish_reason: only of the last piece.
        logprob, top_logprobs: where the request asked for them.
    """

    token_id: int
    text: str
    finish_reason: FinishReason | None = None
    logprob: TokenLogprob | None = None
    top_logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a request so far; the token that ended the answer counts."""

    prompt_tokens: int
    completion_tokens: int


class GenerationStream(Protocol):
    """The pieces of one answer, in order; for one reader."""

    @property
    def usage(self) -> Usage:
        """Tokens as far as they were read."""

    def __aiter__(self) -> AsyncIterator[Piece]:
        """Return itself."""

    async def __anext__(self) -> Piece:
        """Return the next piece; after the last one, or after `cancel`, StopAsyncIteration.

        Raises:
            GenerationFailed: this request failed.
            EngineUnavailable: the engine died or was closed.
        """

    def cancel(self) -> None:
        """End the request at the engine's next step. Once it has ended, nothing happens."""


class Engine(Protocol):
    """One base model in memory with any number of adapters. All methods may be called from any thread."""

    @property
    def facts(self) -> EngineFacts:
        """What runs, as the pod reports it. `base_digest` is known once `start` has returned."""

    @property
    def max_model_length(self) -> int:
        """Tokens of prompt and answer together: as configured, or fewer where the base can't do as many."""

    @property
    def failure(self) -> EngineError | None:
        """Why nothing can be answered, for health checks: not started, closed, or died. None while all is well."""

    @property
    def loaded(self) -> Sequence[str]:
        """Engine names of the adapters that requests may name, sorted."""

    @property
    def queued_requests(self) -> int:
        """Requests that wait for their first token."""

    @property
    def running_requests(self) -> int:
        """Requests that are being computed."""

    def start(self) -> None:
        """Load the base model; blocks until requests can be answered.

        Raises:
            BaseModelError: these files can't be served.
        """

    def load(self, name: str, directory: Path, manifest: AdapterManifest) -> None:
        """Load a verified artifact under an engine name; blocks, while requests go on being answered.

        An adapter that is loaded under the name already stays: equal names mean equal bytes.

        Args:
            name: engine name.
            directory: where the files are; not read any more after the return.
            manifest: the one that `verify_artifact` returned for this directory.

        Raises:
            AdapterRefused: it does not fit.
            EngineUnavailable: the engine does not run.
        """

    def probe(self, name: str) -> None:
        """Generate one token with an adapter; blocks.

        Raises:
            AdapterNotLoaded: there is none.
            AdapterRefused: its weights give no numbers.
            EngineUnavailable: the engine does not run.
        """

    def unload(self, name: str) -> None:
        """Forget an adapter at once for new requests; its memory is free as soon as the last request on it ends.

        Raises:
            AdapterNotLoaded: there is none.
        """

    def uses(self, name: str) -> int:
        """Requests on an adapter that wait or run, also after it was unloaded."""

    def generate(self, request: GenerationRequest) -> GenerationStream:
        """Queue a request; to be called in a running event loop, which the stream then belongs to.

        Raises:
            InvalidRequest: the request can't be carried out; ContextLengthExceeded where it is too long.
            AdapterNotLoaded: the adapter it names is not there.
            EngineUnavailable: the engine does not run.
        """

    def render_chat(self, messages: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
        """Return the prompt's tokens for a conversation, by the base's chat template, up to where the answer begins.

        Args:
            messages: as in the OpenAI API: `role` and `content`, a text.

        Raises:
            InvalidRequest: the template refuses the conversation, or the base has no template.
        """

    def encode(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a plain prompt, with what the tokenizer puts before every text."""

    def close(self) -> None:
        """End every request with EngineUnavailable, and the engine; blocks until its thread has ended."""
