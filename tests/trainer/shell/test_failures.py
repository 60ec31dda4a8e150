"""Whatever is raised becomes an exit code and a message."""

import errno
import os

import pytest

from adapter_contract import ExitCode, s3
from adapter_trainer import errors
from adapter_trainer.failures import about, as_trainer_error, is_expected, is_out_of_memory
from adapter_trainer.stopping import Stopped

pytestmark = pytest.mark.unit


class OutOfMemoryError(RuntimeError):
    """By the name of torch's."""


def system_error(number: int, path: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), path)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (errors.Diverged("the loss is nan"), 78, "the loss is nan"),
        (Stopped("stopped by SIGTERM"), 75, "stopped by SIGTERM"),
        (s3.NotFound("read", "s3://b/x", "gone", "look"), 66, "cannot read s3://b/x: gone; look"),
        (s3.AccessDenied("read", "s3://b/x", "no", "ask"), 77, "cannot read s3://b/x: no; ask"),
        (s3.Unreachable("read", "s3://b/x", "down", "wait"), 69, "cannot read s3://b/x: down; wait"),
        (s3.Conflict("read", "s3://b/x", "other", "see"), 70, "cannot read s3://b/x: other; see"),
        (s3.Corrupted("read", "s3://b/x", "cut", "copy"), 65, "cannot read s3://b/x: cut; copy"),
        (s3.InvalidLocation("use", "s3://b/x", "bad", "fix"), 64, "cannot use s3://b/x: bad; fix"),
        (s3.StorageError("use", "s3://b/x", "full", "buy"), 70, "cannot use s3://b/x: full; buy"),
        (MemoryError(), 76, "memory ran out (MemoryError); lower hyperparameters.batchSize"),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate"), 76, "memory ran out (CUDA out of memory."),
        (RuntimeError("CUDA error: out of memory"), 76, "memory ran out (CUDA error"),
        (system_error(errno.ENOMEM), 76, "memory ran out ([Errno 12] Cannot allocate memory)"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 99"), 76, "memory ran out (DefaultCPUAllocator"),
        (system_error(errno.ENOSPC, "/adapter/work/x"), 70, "the pod's disk is full (/adapter/work/x: No space left"),
        (
            system_error(errno.EACCES, "/adapter/x"),
            77,
            "the file system refuses access (/adapter/x: Permission denied)",
        ),
        (system_error(errno.EIO), 70, "the operating system fails (Input/output error)"),
        (OSError("odd"), 70, "the operating system fails (odd)"),
        (KeyError("weight"), 70, "KeyError: 'weight'; the log has the traceback"),
        (ValueError("one\ntwo"), 70, "ValueError: one; the log has the traceback"),
        (SystemExit(), 70, "SystemExit: SystemExit; the log has the traceback"),
    ],
)
def test_every_error_has_a_code_and_a_message(error: BaseException, code: int, message: str) -> None:
    found = as_trainer_error(error)
    assert found.exit_code == code
    assert str(found).startswith(message)
    assert found is error or found.__cause__ is error


def test_each_code_of_a_failure_has_its_class() -> None:
    kinds = errors.TrainerError.__subclasses__()
    assert {kind.exit_code for kind in kinds} == set(ExitCode) - {ExitCode.DONE}


def test_only_the_unexpected_needs_a_traceback() -> None:
    assert is_expected(errors.BadData("line 3"))
    assert not is_expected(as_trainer_error(KeyError("x")))


def test_other_runtime_errors_are_no_lack_of_memory() -> None:
    assert not is_out_of_memory(RuntimeError("shapes differ"))
    assert not is_out_of_memory(ValueError("CUDA out of memory"))


def test_a_stores_error_names_the_field_that_led_there() -> None:
    cause = s3.NotFound("read", "s3://b/x", "gone", "look")
    missing = pytest.raises(errors.InputMissing, match=r"^dataset\.source: cannot read s3://b/x: gone; look$")
    with missing as caught, about("dataset.source"):
        raise cause
    assert caught.value.__cause__ is cause


def test_other_errors_pass_through() -> None:
    with pytest.raises(errors.BadData, match=r"^as it is$"), about("dataset.source"):
        raise errors.BadData("as it is")
