"""What the gateway works with: the engine once it runs, the models, the limits, and whether the pod takes requests."""

import asyncio
from dataclasses import dataclass, field

from adapter_contract import RequestLimits
from adapter_server.changes import Changes
from adapter_server.engines.engine import Engine, GenerationRequest, GenerationStream
from adapter_server.gateway.errors import not_ready, queue_full
from adapter_server.gateway.keys import EVERYBODY, ApiKey, Keys
from adapter_server.gateway.models import Models
from adapter_server.gateway.parameters import Sampling
from adapter_server.metrics import Metrics
from adapter_server.sync.aliases import Lease
from adapter_server.sync.set_file import SetFile
from adapter_server.sync.synchronizer import Synchronizer


@dataclass(frozen=True)
class Running:
    """What is there once the base is loaded."""

    engine: Engine
    models: Models
    synchronizer: Synchronizer
    set_file: SetFile


@dataclass
class Service:
    """The state that all requests share.

    Attributes:
        running: None while the base is loading.
        draining: set when the pod leaves: it is not ready any more, but answers.
        changes: announces what may change the pod's report.
    """

    limits: RequestLimits
    metrics: Metrics
    keys: Keys | None = None
    running: Running | None = None
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    changes: Changes = field(default_factory=Changes)

    def key_of(self, authorization: str | None) -> ApiKey:
        """Return whose request it is; ApiError 401 where it is nobody's."""
        return EVERYBODY if self.keys is None else self.keys.holder(authorization)

    def require_running(self) -> Running:
        """Return what answers; ApiError 503 while the base is loading or when the engine is dead."""
        if self.running is None:
            raise not_ready("the base model is being loaded; try again later")
        if self.running.engine.failure is not None:
            raise not_ready(f"the engine does not answer: {self.running.engine.failure}", code="engine_unavailable")
        return self.running

    @property
    def request_timeout_seconds(self) -> int:
        """How long a request may take, from its arrival: the set may change what the pod was started with."""
        changed = None if self.running is None else self.running.synchronizer.request_timeout_seconds
        return changed or self.limits.request_timeout_seconds

    @property
    def health_problem(self) -> str | None:
        """Why the process should be started anew; None while it is well."""
        if self.running is not None and self.running.engine.failure is not None:
            return f"the engine does not answer: {self.running.engine.failure}"
        return None

    @property
    def ready_problem(self) -> str | None:
        """Why the pod should get no requests; None when it should."""
        if self.draining.is_set():
            return "the pod is leaving"
        if self.running is None:
            return "the base model is being loaded"
        if self.health_problem is not None:
            return self.health_problem
        if self.running.synchronizer.generation is None:
            problem = self.running.set_file.problem
            return "no adapter set was applied yet" if problem is None else problem.message
        if not self.running.synchronizer.ready:
            return "a Required adapter is not loaded yet"
        return None

    def generate(self, lease: Lease, prompt: tuple[int, ...], parameters: Sampling) -> GenerationStream:
        """Queue a request.

        Raises:
            ApiError: 429 where as many wait as may; 503 where the engine is dead.
            EngineError: the request can't be carried out.
        """
        engine = self.require_running().engine
        waiting = engine.queued_requests
        if waiting >= self.limits.max_queued_requests:
            raise queue_full(waiting)
        wanted = parameters.wanted_tokens
        return engine.generate(
            GenerationRequest(
                prompt_tokens=prompt,
                max_tokens=self.limits.max_output_tokens if wanted is None else wanted,
                clip_max_tokens=wanted is None,
                adapter=lease.adapter,
                temperature=parameters.temperature,
                top_p=parameters.top_p,
                seed=parameters.seed,
                stop=tuple(parameters.stop),
                top_logprobs=parameters.wanted_logprobs,
            )
        )
