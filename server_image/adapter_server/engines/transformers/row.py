"""One request inside the engine: from chosen tokens to pieces of text."""

from collections.abc import Callable, Sequence, Set
from typing import Protocol

import torch
from torch import Tensor

from adapter_server.engines.engine import EngineError, FinishReason, GenerationRequest, NotFinite, Piece, TokenLogprob
from adapter_server.engines.transformers.adapter_layers import Adapter
from adapter_server.engines.transformers.detokenizer import Detokenizer
from adapter_server.engines.transformers.sampling import Sampler
from adapter_server.engines.transformers.stop_texts import StopTexts

Decode = Callable[[Sequence[int]], str]


class Sink(Protocol):
    """Where the pieces of a row go."""

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants them any more."""

    def put(self, piece: Piece) -> None:
        """Take the next piece; the one with a finish reason is the last."""

    def end(self, error: EngineError | None) -> None:
        """Note that nothing follows: an error, or None once it was cancelled."""


class Row:
    """A request that waits or is computed, and what was generated for it.

    Attributes:
        adapter: None for the base, and once the row has ended: an ended row holds no memory of an adapter.
        generated: tokens of the answer so far.
        ended: the reader has got everything.
        restarts: how often its computation was begun anew, after an error that may have been another row's.
    """

    def __init__(
        self,
        request: GenerationRequest,
        adapter: Adapter | None,
        sink: Sink,
        *,
        stop_token_ids: Set[int],
        decode: Decode,
        on_end: Callable[["Row"], None],
    ) -> None:
        self.request = request
        self.adapter = adapter
        self.generated: list[int] = []
        self.ended = False
        self.restarts = 0
        self._decode = decode
        self._stop_token_ids = stop_token_ids | (adapter.stop_token_ids if adapter else frozenset())
        self._sampler = Sampler.of(request)
        self._detokenizer = Detokenizer(decode, request.prompt_tokens)
        self._stop_texts = StopTexts(request.stop)
        self._on_end = on_end
        self._sink = sink

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants the answer any more."""
        return self._sink.cancelled

    @property
    def context(self) -> tuple[int, ...]:
        """All tokens, in order: prompt and answer."""
        return self.request.prompt_tokens + tuple(self.generated)

    def advance(self, logits: Tensor) -> bool:
        """Choose the next token and hand its piece to the reader; return whether the row goes on.

        Args:
            logits: [vocabulary], float32, on the CPU.

        Raises:
            NotFinite: the logits hold no numbers.
        """
        # The maximum of a row with a NaN is NaN.
        if not torch.isfinite(logits.max()):
            raise NotFinite(f"{self.request.adapter or 'the base model'} computes values that are no finite numbers")
        token_id = self._sampler.choose(logits)
        self.generated.append(token_id)
        text, reason = self._text_and_reason(token_id)
        logprob, top = self._logprobs(token_id, logits)
        # A reader that has seen the end also finds the row gone from the engine's counts.
        if reason is not None:
            self._release()
        self._sink.put(Piece(token_id, text, reason, logprob, top))
        return reason is None

    def end(self, error: EngineError | None) -> None:
        """End the row before its answer is complete."""
        self._release()
        self._sink.end(error)

    def _release(self) -> None:
        self.adapter = None
        self.ended = True
        self._on_end(self)

    def _text_and_reason(self, token_id: int) -> tuple[str, FinishReason | None]:
        ended = token_id in self._stop_token_ids
        text = "" if ended else self._stop_texts.push(self._detokenizer.push(token_id))
        if self._stop_texts.found:
            return text, "stop"
        if not ended and len(self.generated) < self.request.max_tokens:
            return text, None
        text += self._stop_texts.push(self._detokenizer.finish()) + self._stop_texts.flush()
        return text, "stop" if ended or self._stop_texts.found else "length"

    def _logprobs(self, token_id: int, logits: Tensor) -> tuple[TokenLogprob | None, tuple[TokenLogprob, ...]]:
        count = self.request.top_logprobs
        if count is None:
            return None, ()
        values = torch.log_softmax(logits, dim=-1)
        best = values.topk(min(count, values.shape[0]))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        top = tuple(self._token_logprob(token, value) for token, value in pairs)
        return self._token_logprob(token_id, float(values[token_id])), top

    def _token_logprob(self, token_id: int, value: float) -> TokenLogprob:
        return TokenLogprob(token_id, self._decode([token_id]), value)
