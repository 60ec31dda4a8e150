"""The program as a process: how it ends, what it writes where, and that it needs no torch."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapter_contract import ExitCode, PreflightReport, S3Location
from adapter_contract.s3 import open_store
from adapter_testing.preflight_lab import PreflightWorld, codes
from adapter_testing.seaweedfs import SeaweedFS, mount_secret
from adapter_testing.trainer_lab import Ended, TrainerProcess

pytestmark = pytest.mark.integration

MODULE = "adapter_trainer.preflight"


def run(world: PreflightWorld, config: bytes | None = None) -> Ended:
    return TrainerProcess(world.directory / "pod", config or world.config, module=MODULE).end()


def at(location: S3Location) -> dict[str, object]:
    return {"location": location.model_dump(mode="json", by_alias=True, exclude_none=True)}


def test_the_report_is_the_termination_message_and_the_last_line_of_the_log(world: PreflightWorld) -> None:
    ended = run(world)
    assert ended.exit_code == ExitCode.DONE
    assert ended.stderr == ""
    assert PreflightReport.from_object(ended.documents[-1]) == ended.report
    assert ended.report.examples == 560
    assert ended.report.input_digest is not None


def test_findings_are_lines_of_the_log_with_their_codes(world: PreflightWorld) -> None:
    world.append("{")
    world.data.with_name("kept").write_bytes(b"")
    ended = run(world)
    assert ended.exit_code == ended.report.exit_code == ExitCode.BAD_DATA
    (line,) = [document for document in ended.documents if document.get("code") == "ExamplesInvalid"]
    assert (line["level"], line["count"]) == ("ERROR", 1)


def test_what_is_too_long_for_the_termination_message_stands_whole_in_the_log(world: PreflightWorld) -> None:
    world.append(*["{" * (number + 1) for number in range(40)])
    world.change(method={"targetModules": [f"module_{number}_of_another_family" for number in range(64)]})
    ended = run(world)
    assert len(ended.termination_message.encode()) <= 4096
    whole = PreflightReport.from_object(ended.documents[-1])
    assert codes(whole)[0] == {"ExamplesInvalid", "TargetModulesInvalid"}
    assert len(whole.to_json()) > 4096
    assert [finding.code for finding in ended.report.errors] == [finding.code for finding in whole.errors]


FORBIDDEN = ("torch", "peft", "bitsandbytes")
WATCHED = f"""
import importlib.abc, runpy, sys

class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {FORBIDDEN!r}:
            print("IMPORTED", name, file=sys.stderr)
            raise AssertionError(name)

sys.meta_path.insert(0, Watch())
sys.argv = ["preflight"]
runpy.run_module("{MODULE}", run_name="__main__", alter_sys=True)
"""


def test_it_ends_well_where_torch_can_not_be_imported(world: PreflightWorld) -> None:
    pod = TrainerProcess(world.directory / "pod", world.config, module=MODULE)
    ended = subprocess.run(
        [sys.executable, "-c", WATCHED], env=pod.environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    report = PreflightReport.from_json((world.directory / "pod" / "termination-log").read_bytes())
    assert report.input_digest is not None


@pytest.mark.parametrize("package", ["preflight.checkup", "examples.prepare", "inputs.base_model", "inputs.parent",
                                     "architecture.modules", "architecture.families", "training.support"])  # fmt: skip
def test_what_it_is_made_of_imports_no_torch_of_its_own(package: str) -> None:
    # transformers imports torch by itself where it finds it; None lets it find none.
    code = f"""
import sys
for name in {FORBIDDEN!r}:
    sys.modules[name] = None
import adapter_trainer.{package}
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_wrong_configuration_is_reported(world: PreflightWorld) -> None:
    document = json.loads(world.config.to_json())
    ended = run(world, json.dumps(document | {"reuse": "Perhaps"}).encode())
    assert ended.exit_code == ended.report.exit_code == ExitCode.BAD_CONFIGURATION
    assert codes(ended.report)[0] == {"ConfigurationInvalid"}
    assert "reuse" in ended.report.errors[0].message


def test_a_configuration_without_a_run_ends_with_plain_words(world: PreflightWorld) -> None:
    ended = run(world, b"no json")
    assert ended.exit_code == ExitCode.BAD_CONFIGURATION
    assert ended.termination_message.startswith("the configuration ")


def test_disabled_checks_nothing_and_says_so(world: PreflightWorld) -> None:
    world.change(preflight={"mode": "Disabled"})
    world.data.unlink()
    ended = run(world)
    assert ended.exit_code == ExitCode.DONE
    assert codes(ended.report) == (set(), {"PreflightDisabled"})
    assert not world.output.exists()


def test_warn_reports_errors_and_lets_the_run_start(world: PreflightWorld) -> None:
    world.change(preflight={"mode": "Warn"})
    world.data.unlink()
    ended = run(world)
    assert ended.exit_code == ExitCode.DONE
    assert codes(ended.report)[0] == {"DatasetNotFound"}


def test_a_work_directory_that_can_not_be_written_is_told(world: PreflightWorld) -> None:
    pod = TrainerProcess(world.directory / "pod", world.config, module=MODULE)
    (world.directory / "pod" / "work").write_text("in the way")
    ended = pod.end()
    assert ended.exit_code == ended.report.exit_code == ExitCode.INTERNAL
    assert codes(ended.report)[0] == {"CheckFailed"}


@contextmanager
def silent_store() -> Iterator[tuple[str, threading.Event]]:
    """A store that takes a connection and never answers; the event tells that it was asked."""
    asked = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1)
                asked.set()
                connection.recv(1 << 20)
                while connection.recv(1 << 16):
                    pass

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked


def test_sigterm_ends_it_with_what_is_known(world: PreflightWorld, secret: Path) -> None:
    with silent_store() as (endpoint, asked):
        location = S3Location(
            uri="s3://adapters/data", endpoint_url=endpoint, region="us-east-1", credentials_directory=str(secret)
        )
        world.change(dataset={"source": {"type": "S3", **at(location)}})
        pod = TrainerProcess(world.directory / "pod", world.config, module=MODULE)
        process = pod.start()
        assert asked.wait(60)
        process.send_signal(signal.SIGTERM)
        ended = pod.end()
    assert ended.exit_code == ended.report.exit_code == ExitCode.INTERRUPTED
    assert codes(ended.report)[0] == {"Interrupted"}
    assert ended.report.base_digest is not None


def test_a_store_that_is_down_is_unreachable(world: PreflightWorld, secret: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    location = S3Location(
        uri="s3://adapters/out",
        endpoint_url=f"http://127.0.0.1:{port}",
        region="us-east-1",
        credentials_directory=str(secret),
    )
    world.change(output=at(location))
    ended = run(world)
    assert ended.exit_code == ExitCode.STORAGE_UNAVAILABLE
    assert codes(ended.report)[0] == {"OutputUnreachable"}
    assert ended.report.input_digest is not None  # the rest was checked all the same


@pytest.fixture
def reader(seaweedfs: SeaweedFS, tmp_path: Path) -> Path:
    return mount_secret(tmp_path / "reader", seaweedfs.reader)


def test_who_may_only_read_is_denied_the_output_and_no_key_is_told(
    world: PreflightWorld, seaweedfs: SeaweedFS, reader: Path
) -> None:
    world.change(output=at(seaweedfs.location("read-only", secret=reader)))
    ended = run(world)
    assert ended.exit_code == ExitCode.PERMISSION
    assert codes(ended.report)[0] == {"OutputAccessDenied"}
    for secret in (seaweedfs.reader.secret_key, seaweedfs.reader.access_key):
        assert secret not in ended.stdout + ended.stderr + ended.termination_message


def test_a_wrong_key_is_denied_and_not_told(world: PreflightWorld, seaweedfs: SeaweedFS, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    (wrong / "AWS_ACCESS_KEY_ID").write_text(seaweedfs.admin.access_key)
    (wrong / "AWS_SECRET_ACCESS_KEY").write_text("not-the-key-of-anybody")
    location = seaweedfs.location("data/train.jsonl", secret=wrong)
    world.change(dataset={"source": {"type": "S3", **at(location)}})
    ended = run(world)
    assert codes(ended.report)[0] == {"DatasetAccessDenied"}
    assert ended.exit_code == ExitCode.PERMISSION
    assert "not-the-key-of-anybody" not in ended.stdout + ended.termination_message


def test_it_leaves_nothing_in_the_store_but_the_owner(
    world: PreflightWorld, seaweedfs: SeaweedFS, location: S3Location
) -> None:
    world.change(output=at(location))
    assert run(world).exit_code == ExitCode.DONE
    with open_store(location) as store:
        assert [found.key for found in store.list_objects()] == ["support-bot/owner.json"]


def test_the_environment_of_the_test_has_torch() -> None:
    """Else the tests that forbid it would prove nothing."""
    code = "import torch"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"})
