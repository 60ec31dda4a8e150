"""The engine: one thread that owns the model and computes all rows, step by step.

Between two steps rows leave (ended, cancelled) and join (as `admission` says), so that no answer, however long,
keeps another one waiting. What other threads change is guarded by one lock: the queue, and which adapters new
requests may name. A row holds its adapter itself, so unloading one never takes it from a row.
"""

import importlib.metadata
import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from adapter_contract import AdapterManifest, EngineFacts
from adapter_server.engines.engine import (
    AdapterNotLoaded,
    AdapterRefused,
    BaseModelError,
    EngineError,
    EngineSettings,
    EngineUnavailable,
    GenerationRequest,
    GenerationStream,
    NotFinite,
)
from adapter_server.engines.request_check import check_request
from adapter_server.engines.stream import AsyncStream
from adapter_server.engines.transformers.adapter_files import read_adapter
from adapter_server.engines.transformers.adapter_layers import Adapter
from adapter_server.engines.transformers.admission import AdmissionLimits, Candidate, admit
from adapter_server.engines.transformers.base_model import BaseModel, load_base
from adapter_server.engines.transformers.batch import Batch
from adapter_server.engines.transformers.bottleneck_layers import BottleneckLayers
from adapter_server.engines.transformers.engine_fit import EngineFit
from adapter_server.engines.transformers.lora_layers import LoRALayers
from adapter_server.engines.transformers.model_runner import ModelRunner
from adapter_server.engines.transformers.probe import Probe
from adapter_server.engines.transformers.row import Row, Sink

_log = logging.getLogger(__name__)
_PROBE_TEXT = "Hello"


@dataclass(frozen=True, slots=True)
class _Started:
    """What exists once the base model is in memory."""

    base: BaseModel
    fit: EngineFit
    max_model_length: int


class TransformersEngine:
    """Serves a base model with LoRA and bottleneck adapters; `Engine` says what the methods promise."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._limits = AdmissionLimits(
            settings.max_batch_size, settings.max_active_adapters, settings.max_prefill_tokens
        )
        self._work = threading.Condition()
        self._waiting: deque[Row] = deque()
        self._probes: list[Row] = []
        self._live: set[Row] = set()
        self._adapters: dict[str, Adapter] = {}
        self._failure: EngineError | None = EngineUnavailable("the engine was not started")
        self._closing = False
        self._started: _Started | None = None
        self._thread: threading.Thread | None = None

    @property
    def facts(self) -> EngineFacts:
        """What runs."""
        started = self._started
        with self._work:
            active = {row.request.adapter for row in self._live.difference(self._waiting)} - {None}
        return EngineFacts(
            type="Transformers",
            version=", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("transformers", "torch")),
            base_model_name=self._settings.base_model_name,
            base_digest=started.base.digest if started else None,
            max_rank=self._settings.max_rank,
            active_adapters=len(active),
            cached_adapters=len(self._adapters),
        )

    @property
    def max_model_length(self) -> int:
        """Tokens of prompt and answer together."""
        return self._started.max_model_length if self._started else self._settings.max_model_length

    @property
    def failure(self) -> EngineError | None:
        """Why nothing can be answered; None while all is well."""
        return self._failure

    @property
    def loaded(self) -> Sequence[str]:
        """Engine names that requests may name, sorted."""
        with self._work:
            return sorted(self._adapters)

    @property
    def queued_requests(self) -> int:
        """Requests that wait for their first token."""
        with self._work:
            return len(self._waiting)

    @property
    def running_requests(self) -> int:
        """Requests that are being computed."""
        with self._work:
            return len(self._live) - len(self._waiting)

    def start(self) -> None:
        """Load the base model and compute a first token with it."""
        settings = self._settings
        base = load_base(settings)
        linear, sublayers = LoRALayers(base.model), BottleneckLayers(base.model)
        fit = EngineFit(
            base_model_name=settings.base_model_name,
            base_digest=base.digest,
            max_rank=settings.max_rank,
            shapes=linear.shapes,
            sublayers=sublayers.names,
            hidden_size=base.hidden_size,
            vocabulary=base.vocabulary,
            template_digest=base.prompts.template_digest,
            compute_dtype=base.compute_dtype,
            device=base.device,
        )
        length = _model_length(settings.max_model_length, base.max_positions)
        batch = Batch(ModelRunner(base.model, (linear, sublayers)))
        with self._work:
            self._started = _Started(base, fit, length)
            self._failure = None
        self._thread = threading.Thread(target=self._run, args=(batch,), name="engine", daemon=True)
        self._thread.start()
        try:
            self._probe(None)
        except EngineError as error:
            self.close()
            raise BaseModelError(f"the base model in {settings.base_directory} can't be served: {error}") from error

    def load(self, name: str, directory: Path, manifest: AdapterManifest) -> None:
        """Read an adapter in the calling thread, and let requests name it."""
        with self._work:
            started = self._running()
            if name in self._adapters:
                return
        adapter = read_adapter(directory, manifest, started.fit)
        with self._work:
            self._running()
            self._adapters.setdefault(name, adapter)

    def probe(self, name: str) -> None:
        """Generate one token with an adapter."""
        try:
            self._probe(name)
        except NotFinite as error:
            raise AdapterRefused("AdapterRefused", f"a first token can't be generated: {error}") from error

    def unload(self, name: str) -> None:
        """Forget an adapter; rows that use it still hold it."""
        with self._work:
            if self._adapters.pop(name, None) is None:
                raise AdapterNotLoaded(name)

    def uses(self, name: str) -> int:
        """Requests on an adapter that wait or run."""
        with self._work:
            return sum(row.request.adapter == name for row in self._live)

    def generate(self, request: GenerationRequest) -> GenerationStream:
        """Queue a request."""
        with self._work:
            stream = AsyncStream(len(request.prompt_tokens))
            self._waiting.append(self._new_row(request, stream))
        return stream

    def render_chat(self, messages: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
        """Return the prompt's tokens for a conversation."""
        return self._running().base.prompts.render_chat(messages)

    def encode(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a plain prompt."""
        return self._running().base.prompts.encode(text)

    def close(self) -> None:
        """End every request and the thread."""
        with self._work:
            self._closing = True
            self._failure = self._failure or EngineUnavailable("the engine was closed")
            self._work.notify()
        if self._thread is not None:
            self._thread.join()

    def _running(self) -> _Started:
        if self._failure is not None or self._started is None:
            raise EngineUnavailable(str(self._failure))
        return self._started

    def _probe(self, name: str | None) -> None:
        prompt = self.encode(_PROBE_TEXT) or (0,)
        request = GenerationRequest(prompt_tokens=prompt, max_tokens=1, adapter=name, temperature=0)
        probe = Probe()
        with self._work:
            self._probes.append(self._new_row(request, probe))
        probe.wait()

    def _new_row(self, request: GenerationRequest, sink: Sink) -> Row:
        """Make a live row, to be queued under the same lock."""
        started = self._running()
        name = request.adapter
        if name is not None and name not in self._adapters:
            raise AdapterNotLoaded(name)
        row = Row(
            check_request(request, vocabulary=started.base.vocabulary, max_model_length=started.max_model_length),
            None if name is None else self._adapters[name],
            sink,
            stop_token_ids=started.base.stop_token_ids,
            decode=started.base.prompts.decode,
            on_end=self._forget,
        )
        self._live.add(row)
        self._work.notify()
        return row

    def _forget(self, row: Row) -> None:
        with self._work:
            self._live.discard(row)

    def _run(self, batch: Batch) -> None:
        """Compute until the engine is closed; the thread's whole life."""
        try:
            while self._step(batch):
                pass
            error = EngineUnavailable("the engine was closed")
        except BaseException as cause:
            # Whatever it is, nobody computes any more: health checks must see it, and readers must not wait.
            _log.critical("the engine's thread died", exc_info=cause)
            error = EngineUnavailable(f"the engine's thread died: {cause!r}")
        with self._work:
            self._failure = error
            left = tuple(self._live)
        for row in left:
            row.end(error)

    def _step(self, batch: Batch) -> bool:
        """Let rows leave and join, and compute one token of each; False once the engine is closed."""
        batch.drop_cancelled()
        with self._work:
            self._work.wait_for(lambda: self._closing or self._probes or self._waiting or batch.rows)
            if self._closing:
                return False
            cancelled = self._take_cancelled()
            admitted = self._take_admitted(batch)
        for row in cancelled:
            row.end(None)
        if admitted:
            batch.start(admitted)
        batch.step()
        return True

    def _take_cancelled(self) -> list[Row]:
        cancelled = [row for row in self._waiting if row.cancelled]
        if cancelled:
            self._waiting = deque(row for row in self._waiting if not row.cancelled)
        return cancelled

    def _take_admitted(self, batch: Batch) -> list[Row]:
        """Take the rows that are computed next out of the queues; probes, of one token, wait for nobody."""
        probes, self._probes = self._probes, []
        count = admit(
            [
                Candidate(len(row.request.prompt_tokens), row.request.adapter)
                for row in islice(self._waiting, self._limits.max_batch_size)
            ],
            running=len(batch.rows),
            active_adapters={row.request.adapter for row in batch.rows if row.request.adapter is not None},
            limits=self._limits,
        )
        return probes + [self._waiting.popleft() for _ in range(count)]


def _model_length(configured: int, max_positions: int | None) -> int:
    if max_positions is None or configured <= max_positions:
        return configured
    _log.warning("engine.maxModelLength is %d, but the base model ends at %d: that is used", configured, max_positions)
    return max_positions
