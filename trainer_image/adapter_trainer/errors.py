"""How an attempt can fail: one class per exit code; the message names the object, the field or line, and the fix.

Whatever else is raised is turned into one of these by `adapter_trainer.failures`.
"""

from typing import ClassVar

from adapter_contract import ExitCode


class TrainerError(Exception):
    """The attempt ends without an adapter; `exit_code` decides what the operator does next."""

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL


class BadConfiguration(TrainerError):
    """The configuration can't be carried out, however often it is tried."""

    exit_code = ExitCode.BAD_CONFIGURATION


class BadData(TrainerError):
    """The examples can't be learned from, or an input has other bytes than it must have."""

    exit_code = ExitCode.BAD_DATA


class InputMissing(TrainerError):
    """An input is not there (yet)."""

    exit_code = ExitCode.INPUT_MISSING


class StorageUnavailable(TrainerError):
    """A store or a volume doesn't answer."""

    exit_code = ExitCode.STORAGE_UNAVAILABLE


class Internal(TrainerError):
    """Something went wrong that is nobody's input: a bug, or a machine that fails."""

    exit_code = ExitCode.INTERNAL


class Interrupted(TrainerError):
    """The process was asked to stop."""

    exit_code = ExitCode.INTERRUPTED


class OutOfMemory(TrainerError):
    """Memory of the machine or of the accelerator ran out."""

    exit_code = ExitCode.OUT_OF_MEMORY


class PermissionDenied(TrainerError):
    """A store or a file system refuses access."""

    exit_code = ExitCode.PERMISSION


class Diverged(TrainerError):
    """The loss or the weights are no longer finite numbers."""

    exit_code = ExitCode.DIVERGED
