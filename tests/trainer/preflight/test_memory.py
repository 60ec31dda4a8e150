"""The estimate of the GPU's memory, once there is one: when it is an error, a warning, and left out."""

from collections.abc import Sequence

import pytest

from adapter_contract import ExitCode, TrainerConfig
from adapter_testing.preflight_lab import PreflightWorld, codes
from adapter_trainer.architecture.shape import ModelShape
from adapter_trainer.estimate import MemoryEstimate, estimate_memory

pytestmark = pytest.mark.integration

GIB = 2**30


def estimator(total: int, least: int, seen: list[tuple[ModelShape, list[int], list[int]]] | None = None):
    def estimate(
        shape: ModelShape, config: TrainerConfig, lengths: Sequence[int], labels: Sequence[int]
    ) -> MemoryEstimate:
        if seen is not None:
            seen.append((shape, list(lengths), list(labels)))
        parts = {"base weights": GIB, "activations": 2 * GIB}
        return MemoryEstimate(total, parts, least, parts)

    return estimate


@pytest.mark.parametrize(
    ("total", "least", "errors", "warnings"),
    [
        (int(40.1 * GIB), int(24.1 * GIB), {"GPUMemoryInsufficient"}, set()),
        (int(40.1 * GIB), 10 * GIB, set(), {"GPUMemoryTight"}),
        (23 * GIB, 10 * GIB, set(), {"GPUMemoryTight"}),
        (20 * GIB, 10 * GIB, set(), set()),
    ],
)
def test_it_is_compared_with_the_gpus_memory(
    total: int, least: int, errors: set[str], warnings: set[str], world: PreflightWorld
) -> None:
    world.change(gpuMemoryBytes=24 * GIB)
    report = world.check(estimate=estimator(total, least))
    assert codes(report) == (errors, warnings)
    assert report.estimated_memory_bytes == total
    assert report.exit_code == (ExitCode.BAD_CONFIGURATION if errors else ExitCode.DONE)
    for finding in (*report.errors, *report.warnings):
        assert "24.0 GiB (activations 2.0 GiB, base weights 1.0 GiB)" in finding.message
        assert "gpuMemoryBytes" in finding.message


def test_it_sees_the_models_shape_and_every_sequence(world: PreflightWorld) -> None:
    seen: list[tuple[ModelShape, list[int], list[int]]] = []
    world.change(gpuMemoryBytes=24 * GIB)
    report = world.check(estimate=estimator(GIB, GIB, seen))
    ((shape, lengths, labels),) = seen
    assert (shape.family, shape.layers) == ("llama", 2)
    assert len(lengths) == len(labels) == report.examples
    assert sum(lengths) == report.tokens
    assert all(0 < learned < length for learned, length in zip(labels, lengths, strict=True))


def test_the_real_estimate_fits_a_tiny_model_easily(world: PreflightWorld) -> None:
    world.change(gpuMemoryBytes=24 * GIB)
    report = world.check(estimate=estimate_memory)
    assert codes(report) == (set(), set())
    assert report.estimated_memory_bytes is not None
    assert GIB // 4 < report.estimated_memory_bytes < 2 * GIB


def test_without_a_gpus_memory_nothing_is_compared(world: PreflightWorld) -> None:
    report = world.check(estimate=estimator(10**15, 10**15))
    assert codes(report) == (set(), set())
    assert report.estimated_memory_bytes is None


def test_what_it_needs_may_be_missing(world: PreflightWorld) -> None:
    world.change(gpuMemoryBytes=GIB)
    world.data.unlink()
    report = world.check(estimate=estimator(1, 1))
    assert codes(report) == ({"DatasetNotFound"}, {"CheckSkipped"})
