"""From any exception to the exit code and the message that the operator shows."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from adapter_contract import ExitCode
from adapter_contract.s3 import StorageError
from adapter_trainer import errors
from adapter_trainer.errors import TrainerError
from adapter_trainer.stopping import Stopped

_BY_CODE: dict[ExitCode, type[TrainerError]] = {
    kind.exit_code: kind
    for kind in (
        errors.BadConfiguration,
        errors.BadData,
        errors.InputMissing,
        errors.StorageUnavailable,
        errors.Internal,
        errors.Interrupted,
        errors.OutOfMemory,
        errors.PermissionDenied,
        errors.Diverged,
    )
}

_OUT_OF_MEMORY_TYPES = frozenset({"OutOfMemoryError"})
"""torch's, by name, so that this module needs no torch."""

_OUT_OF_MEMORY_TEXTS = (
    "CUDA out of memory",
    "CUDA error: out of memory",
    "can't allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""How torch reports it as a plain RuntimeError: by CUDA itself, by its allocator of the CPU, and by cuBLAS."""

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_MEMORY_FIX = "lower hyperparameters.batchSize or maxSequenceLength, or give the pod more memory (pod.resources, gpus)"


def as_trainer_error(error: BaseException) -> TrainerError:
    """Return the error that an attempt ends with; one that is no TrainerError is its cause."""
    if isinstance(error, TrainerError):
        return error
    found = _translated(error)
    found.__cause__ = error
    return found


def is_expected(error: TrainerError) -> bool:
    """Tell whether the message says all there is to say; else the log needs the traceback."""
    return type(error) is not errors.Internal


def _translated(error: BaseException) -> TrainerError:
    if isinstance(error, Stopped):
        return errors.Interrupted(str(error))
    if isinstance(error, StorageError):
        return _BY_CODE[error.exit_code](str(error))
    if is_out_of_memory(error):
        return errors.OutOfMemory(f"memory ran out ({_first_line(error)}); {_MEMORY_FIX}")
    if isinstance(error, OSError):
        return _of_operating_system(error)
    return errors.Internal(f"{type(error).__name__}: {_first_line(error)}; the log has the traceback")


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory of the machine or of an accelerator ran out."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    if any(kind.__name__ in _OUT_OF_MEMORY_TYPES for kind in type(error).__mro__):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY_TEXTS)


def _of_operating_system(error: OSError) -> TrainerError:
    what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    if error.errno in _NO_ROOM:
        return errors.Internal(f"the pod's disk is full ({what}); raise pod.scratch")
    if isinstance(error, PermissionError):
        return errors.PermissionDenied(f"the file system refuses access ({what}); check the mount, its owner and mode")
    return errors.Internal(f"the operating system fails ({what}); look at the node and its volumes")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:500]


@contextmanager
def about(field: str) -> Iterator[None]:
    """Let the errors of a store, or of a mounted file, name the field of the configuration that led there.

    Raises:
        TrainerError: in place of a `StorageError`, with the same exit code.
    """
    try:
        yield
    except StorageError as error:
        raise _BY_CODE[error.exit_code](f"{field}: {error}") from error
