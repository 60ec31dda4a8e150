"""The peak of a training's memory, before it starts: what it takes, part by part.

Nothing is fitted to a curve: sizes come from the shapes of weights and activations. Two things are not known from
shapes, the libraries' own memory and what the allocator can't use; on a CPU they were measured, on a GPU they are
assumptions that no GPU has confirmed yet, as is the graph that a GPU computes (see `estimate.activations`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adapter_contract import TrainerConfig
from adapter_contract.recipe import LoRA
from adapter_trainer.architecture.shape import ModelShape
from adapter_trainer.estimate.activations import Activations, activations
from adapter_trainer.estimate.adapter import FLOAT32, trainable_parameters
from adapter_trainer.estimate.device import GPU, Device
from adapter_trainer.estimate.rows import RowSize, step_rows, unit_sizes
from adapter_trainer.estimate.weights import loading_bytes, resident_weight_bytes


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes that a training needs at its peak.

    Attributes:
        total_bytes: where memory limits nothing.
        parts: what that is made of, by a word for people.
        least_bytes: with which it can still run, more slowly: rows hold one example, or one pair, each, and layers are
            computed again in the backward pass. No room is left for gaps between blocks of memory.
        least_parts: what that is made of.
    """

    total_bytes: int
    parts: Mapping[str, int]
    least_bytes: int
    least_parts: Mapping[str, int]


def estimate_memory(
    shape: ModelShape,
    config: TrainerConfig,
    lengths: Sequence[int],
    labels: Sequence[int] | None = None,
    *,
    device: Device = GPU,
) -> MemoryEstimate:
    """Estimate the peak of a training's memory: the GPU's, or on a CPU the process's resident set.

    Args:
        shape: of the base model.
        config: of the run.
        lengths: tokens of each sequence that is learned from, at least one; both of a pair stand behind one another.
        labels: learned tokens of each; all tokens without it.
        device: to train on.

    Raises:
        BadConfiguration: a module that the method names doesn't exist or can't be adapted.
    """
    accounts = activations(shape, config, device)
    units = unit_sizes(config, lengths, labels)

    def in_flight(rows: Sequence[RowSize]) -> list[RowSize]:
        return sorted(rows, key=accounts.kept, reverse=True)[: device.rows_at_once]

    steps = (in_flight(rows) for rows in step_rows(config, units, device))
    usual = max(steps, key=lambda rows: _kept(accounts, rows, checkpointing=False))
    alone = in_flight(units)[: config.hyperparameters.batch_size]
    usual_parts = _parts(shape, config, device, accounts, usual, checkpointing=False)
    least_parts = _parts(shape, config, device, accounts, alone, checkpointing=True)
    loading = device.library_bytes + loading_bytes(shape, config.quantization, device)
    total, least = (max(sum(parts.values()), loading) for parts in (usual_parts, least_parts))
    return MemoryEstimate(total, usual_parts, min(least, total), least_parts)


def _parts(
    shape: ModelShape,
    config: TrainerConfig,
    device: Device,
    accounts: Activations,
    rows: Sequence[RowSize],
    *,
    checkpointing: bool,
) -> dict[str, int]:
    """Return what a training takes while it computes some rows at once."""
    kept = _kept(accounts, rows, checkpointing=checkpointing)
    passing = sum(accounts.passed(row) for row in rows)
    return _fixed_parts(shape, config, device, len(rows)) | {
        "activations": kept,
        "logits and buffers": passing,
        "allocator": 0 if checkpointing else (kept + passing) * device.slack_percent // 100,
    }


def _fixed_parts(shape: ModelShape, config: TrainerConfig, device: Device, rows: int) -> dict[str, int]:
    """Return what is there whatever the rows are."""
    trained = trainable_parameters(shape, config.method) * FLOAT32
    pissa = isinstance(config.method, LoRA) and config.method.initialization == "PiSSA"
    best = config.evaluation is not None and config.evaluation.select_best is not None
    shares = rows if rows == 1 else rows + 1  # gradients of rows that are done, until they are added up
    return {
        "base weights": resident_weight_bytes(shape, config.quantization, device),
        "adapter weights": trained * (1 + pissa + best),
        "gradients": trained * (1 + shares),
        "optimizer": 2 * trained,
        "libraries": device.library_bytes,
    }


def _kept(accounts: Activations, rows: Sequence[RowSize], *, checkpointing: bool) -> int:
    return sum(accounts.kept(row, checkpointing=checkpointing) for row in rows)
