"""The pod's environment, and what is refused in it."""

import json
import logging
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from adapter_contract import ExitCode, ServerConfig
from adapter_contract.pods import (
    ADAPTER_SET_FILE,
    MANAGEMENT_PORT_VARIABLE,
    SERVER_CONFIG,
    SERVING_PORT_VARIABLE,
    TERMINATION_FILE,
    WORK_DIRECTORY,
)
from adapter_server.base_model import Stopped, base_directory, start_engine
from adapter_server.errors import ServerError
from adapter_server.listeners import bind
from adapter_server.logs import JsonLines
from adapter_server.program import Program, write_termination_message
from adapter_server.startup import read_startup
from adapter_testing.server_lab import Pod

pytestmark = pytest.mark.unit

HUB = {"type": "HuggingFace", "repository": "tests/tiny-llama"}


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path / "pod", tmp_path / "base")


def changed(pod: Pod, **members: Any) -> str:
    return json.dumps(pod.config | members)


def test_the_environment_of_a_pod_is_read_with_the_default_ports(pod: Pod) -> None:
    startup = read_startup(pod.environment)
    assert (startup.serving_port, startup.management_port, startup.address) == (8000, 8081, pod.address)
    assert (startup.work, startup.set_file) == (pod.work, pod.set_directory / "adapter-set.json")
    other = read_startup({**pod.environment, SERVING_PORT_VARIABLE: "1", MANAGEMENT_PORT_VARIABLE: "2"})
    assert (other.serving_port, other.management_port) == (1, 2)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        (SERVER_CONFIG, None, "the environment variable ADAPTER_SERVER_CONFIG is missing"),
        (SERVER_CONFIG, "{}", "ADAPTER_SERVER_CONFIG: expected a document of kind ServerConfig"),
        (ADAPTER_SET_FILE, None, "the environment variable ADAPTER_SET_FILE is missing"),
        (WORK_DIRECTORY, "/dev/null/work", "is no directory that can be written: mount an emptyDir there"),
        (SERVING_PORT_VARIABLE, "http", "ADAPTER_SERVING_PORT: 'http' is no port number"),
        (MANAGEMENT_PORT_VARIABLE, "65536", "ADAPTER_MANAGEMENT_PORT: '65536' is no port number"),
        ("ADAPTER_MOUNTS", "/a:/b", "lists 2 paths"),
    ],
)
def test_a_variable_that_is_wrong_is_named(pod: Pod, variable: str, value: str | None, words: str) -> None:
    environment = {name: text for name, text in {**pod.environment, variable: value}.items() if text is not None}
    with pytest.raises(ServerError) as refused:
        read_startup(environment)
    assert refused.value.exit_code is ExitCode.BAD_CONFIGURATION
    assert words in str(refused.value)


def test_what_this_release_can_not_do_is_refused_by_field(pod: Pod) -> None:
    vllm = changed(pod, engine={**pod.config["engine"], "type": "VLLM"})
    with pytest.raises(ServerError, match=r"engine\.type VLLM can't be run by this release"):
        read_startup({**pod.environment, SERVER_CONFIG: vllm})


def base_model(pod: Pod, source: dict[str, Any]) -> ServerConfig:
    return ServerConfig.from_json(changed(pod, baseModel={**pod.config["baseModel"], "source": source}))


def test_a_base_on_the_hub_is_refused(pod: Pod) -> None:
    with pytest.raises(ServerError, match=r"baseModel\.source\.huggingFace can't be read by this release") as refused:
        base_directory(base_model(pod, HUB), pod.work, threading.Event())
    assert refused.value.exit_code is ExitCode.BAD_CONFIGURATION


def test_a_download_ends_when_the_process_is_told_to(pod: Pod, tmp_path: Path) -> None:
    stored = tmp_path / "store"
    stored.mkdir()
    (stored / "config.json").write_text("{}")
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(Stopped):
        base_directory(base_model(pod, {"type": "S3", "location": {"uri": stored.as_uri()}}), pod.work, stopping)
    assert list((pod.work / "base-model").iterdir()) == []


def test_a_work_directory_that_takes_nothing_is_told(pod: Pod, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (pod.work / "base-model").write_text("a file in the way")
    config = base_model(pod, {"type": "S3", "location": {"uri": tmp_path.as_uri()}})
    with pytest.raises(ServerError, match=r"^baseModel: .*base-model"):
        start_engine(config, pod.work, threading.Event())


def test_a_termination_message_that_can_not_be_written_is_logged(
    pod: Pod, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_termination_message({TERMINATION_FILE: str(tmp_path)}, "words")
    assert f"the termination message can't be written to {tmp_path}: Is a directory" in caplog.text
    write_termination_message({}, "words")
    write_termination_message(pod.environment, "words")
    assert (pod.directory / "termination-log").read_text() == "words\n"


def test_a_record_with_an_error_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("adapter_server").error("it failed", exc_info=KeyError("x"))
    line = json.loads(JsonLines().format(caplog.records[0]))
    assert (line["level"], line["message"]) == ("error", "it failed")
    assert line["exception"].splitlines()[-1] == "KeyError: 'x'"


def test_no_address_means_all() -> None:
    with bind("", 0) as listening:
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            assert connection.getpeername()[1] == port


def test_keys_that_can_not_be_read_leave_the_door_shut(pod: Pod, tmp_path: Path) -> None:
    keyed = changed(pod, apiKeysFile=str(tmp_path / "keys.yaml"))
    with pytest.raises(ServerError, match=r"apiKeysFile: the API key file .*keys\.yaml can't be read") as refused:
        Program(read_startup({**pod.environment, SERVER_CONFIG: keyed}))
    assert refused.value.exit_code is ExitCode.BAD_CONFIGURATION
