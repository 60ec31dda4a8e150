"""Metrics of this pod, by vLLM's names where it has them, so that dashboards and autoscalers fit both engines.

https://docs.vllm.ai/en/latest/design/metrics.html
"""

from collections.abc import Callable, Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from adapter_contract import AdapterState, AdapterStatus
from adapter_server.engines.engine import Engine

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """All metrics. `model_name` is the base's or an adapter's name, never what a client made up."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "vllm:request_success",
            "Requests that were answered to their end, by why the answer ended.",
            ("model_name", "finished_reason"),
            registry=self.registry,
        )
        self.refusals = Counter(
            "adapter_server:request_refusals",
            "Requests that got an error, by HTTP status.",
            ("status",),
            registry=self.registry,
        )
        self.prompt_tokens = Counter(
            "vllm:prompt_tokens", "Tokens of prompts.", ("model_name",), registry=self.registry
        )
        self.generation_tokens = Counter(
            "vllm:generation_tokens", "Tokens that were generated.", ("model_name",), registry=self.registry
        )
        self.first_token = Histogram(
            "vllm:time_to_first_token_seconds",
            "From the arrival of a request to its first token.",
            ("model_name",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.latency = Histogram(
            "vllm:e2e_request_latency_seconds",
            "From the arrival of a request to its end.",
            ("model_name",),
            buckets=_SECONDS,
            registry=self.registry,
        )

    def watch_engine(self, engine: Engine) -> None:
        """Show the engine's queue."""
        waiting = Gauge("vllm:num_requests_waiting", "Requests that wait.", registry=self.registry)
        waiting.set_function(lambda: engine.queued_requests)
        running = Gauge("vllm:num_requests_running", "Requests that are computed.", registry=self.registry)
        running.set_function(lambda: engine.running_requests)

    def watch_adapters(self, statuses: Callable[[], dict[str, AdapterStatus]]) -> None:
        """Show how many adapters are in each state."""
        self.registry.register(_AdapterStates(statuses))

    def render(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _AdapterStates(Collector):
    def __init__(self, statuses: Callable[[], dict[str, AdapterStatus]]) -> None:
        self._statuses = statuses

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily("adapter_server:adapters", "Adapters by state.", labels=("state",))
        states = [status.state for status in self._statuses().values()]
        for state in AdapterState:
            family.add_metric((state.value,), states.count(state))
        yield family
