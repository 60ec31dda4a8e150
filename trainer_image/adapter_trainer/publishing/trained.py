"""What the training hands over to be published, whatever made it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adapter_contract import AdapterFacts, PromptFormat


@dataclass(frozen=True, slots=True)
class ExampleCounts:
    """The examples of the training, counted: see `DatasetRecord`."""

    training: int
    evaluation: int
    dropped: int
    tokens: int
    labelled_tokens: int


@dataclass(frozen=True, slots=True)
class Trained:
    """An adapter whose weights and configuration lie in a directory.

    Attributes:
        facts: of the weights.
        prompt_format: how prompts were built.
        examples: what was learned from.
        steps: optimizer steps.
        trained_tokens: tokens that went through the model for a gradient, over all epochs.
        metrics: on the held-out examples, of these weights.
        curve: what was measured along the way, as JSON objects in the order of steps.
        device: that it was trained on.
        device_count: how many accelerators of it; 0 for a CPU.
        micro_batch_tokens: the token budget of a micro-batch at the end.
        peak_memory_bytes: of the accelerator, where there is one.
    """

    facts: AdapterFacts
    prompt_format: PromptFormat
    examples: ExampleCounts
    steps: int
    trained_tokens: int
    metrics: Mapping[str, float]
    curve: Sequence[Mapping[str, object]]
    device: str
    device_count: int = 0
    micro_batch_tokens: int | None = None
    peak_memory_bytes: int | None = None
