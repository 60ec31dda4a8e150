"""What is known of the machine that a training will run on, and how the training uses it."""

from dataclasses import dataclass
from typing import Literal

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Device:
    """Where the model is trained.

    Attributes:
        kind: a GPU, or a CPU.
        threads: of a CPU: how many rows are computed at once, up to four.
    """

    kind: Literal["GPU", "CPU"]
    threads: int = 1

    @property
    def row_tokens(self) -> int:
        """Tokens of a packed row, at most, as `training.memory` has it."""
        return 512 if self.kind == "CPU" else 8192

    @property
    def pieces(self) -> int:
        """What the number of rows is made a multiple of, as `model.parallel` has it."""
        return 4 if self.kind == "CPU" else 1

    @property
    def rows_at_once(self) -> int:
        """How many rows are under way at the same time."""
        return min(self.threads, self.pieces) if self.kind == "CPU" else 1

    @property
    def library_bytes(self) -> int:
        """What the process takes before it holds anything of a model.

        On a CPU, measured with torch 2.13 and transformers 5.23: code and data of the libraries, once used. On a GPU,
        an assumption: a CUDA context, its kernels, and the workspaces of cuBLAS.
        """
        return 500 * MIB if self.kind == "CPU" else 700 * MIB

    @property
    def slack_percent(self) -> int:
        """What the allocator holds but can't use, in percent of what is taken and given back in each step.

        On a CPU it is much: glibc keeps blocks of up to 32 MiB that were given back in its heap, where blocks of other
        sizes then don't fit. Measured in four trainings, it was 25 to 72 percent; with `MALLOC_MMAP_THRESHOLD_` set
        to 128 KiB, which is too slow, 3. On a GPU it is an assumption.
        """
        return 45 if self.kind == "CPU" else 10


GPU = Device("GPU")
