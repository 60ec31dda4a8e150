"""Whether the training fits the memory of the GPU, as far as an estimate can tell."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from adapter_contract import TrainerConfig
from adapter_trainer.architecture.shape import ModelShape
from adapter_trainer.estimate import MemoryEstimate
from adapter_trainer.preflight.codes import Code
from adapter_trainer.preflight.ledger import Ledger

TIGHT_PERCENT = 90
"""From this share of the GPU's memory on there is a warning: what estimates leave out decides then."""


class EstimateMemory(Protocol):
    """Estimates from the base model's shape, the configuration, and the sequences that are learned from."""

    def __call__(
        self, shape: ModelShape, config: TrainerConfig, lengths: Sequence[int], labels: Sequence[int]
    ) -> MemoryEstimate:
        """Return the estimate, from each sequence's tokens and learned tokens."""
        ...


def check_memory(ledger: Ledger, config: TrainerConfig, estimate: MemoryEstimate) -> None:
    """Compare an estimate with the memory of the GPU, where that is known.

    It is an error if even the longest example alone won't fit, with layers that are computed again in the backward
    pass; a warning if the training will come near the limit, or has to go that way.
    """
    available = config.gpu_memory_bytes
    if available is None or estimate.total_bytes * 100 < available * TIGHT_PERCENT:
        return
    if estimate.least_bytes > available:
        ledger.add(
            Code.GPUMemoryInsufficient,
            f"gpuMemoryBytes: the training needs about {_gib(estimate.least_bytes)} at least, but the GPU has "
            f"{_gib(available)} ({_listed(estimate.least_parts)}): {_FIX}",
        )
        return
    ledger.add(
        Code.GPUMemoryTight,
        f"gpuMemoryBytes: the training would take about {_gib(estimate.total_bytes)} of the GPU's {_gib(available)} "
        f"({_listed(estimate.parts)}): where that doesn't fit, it goes on more slowly, with "
        f"{_gib(estimate.least_bytes)} at least; to spare that, {_FIX}",
    )


_FIX = (
    "lower hyperparameters.maxSequenceLength, quantize the base (quantization.type NF4), or ask for a larger GPU "
    "(pod.gpuMemory)"
)


def _listed(parts: Mapping[str, int]) -> str:
    largest_first = sorted(parts.items(), key=lambda part: (-part[1], part[0]))
    return ", ".join(f"{name} {_gib(size)}" for name, size in largest_first)


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
