"""``python -m adapter_devcluster``, as its users run it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapter_devcluster.command_line import main
from adapter_testing.kubectl import Kubectl, table
from adapter_testing.processes import alive_with_mark, mark
from adapter_testing.waiting import until

pytestmark = pytest.mark.integration

USAGE = 2


@dataclass(frozen=True)
class Commands:
    """The program, with a state directory of its own."""

    directory: Path

    def __call__(self, command: str, *flags: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "adapter_devcluster", command, "--directory", str(self.directory), *map(str, flags)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def up(self, *flags: str | Path) -> list[str]:
        """Start a cluster that has to start; returns what is said."""
        done = self("up", *flags)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout.splitlines()

    def down(self) -> None:
        """Stop it."""
        done = self("down")
        assert (done.returncode, done.stdout, done.stderr) == (0, "stopped\n", "")

    @property
    def pid(self) -> int:
        """The cluster's process."""
        return int(json.loads((self.directory / "cluster.json").read_text())["pid"])


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    found = Commands(tmp_path / "state")
    yield found
    found("down")


class Http:
    """Requests to the server of a kubeconfig, as its user."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        self.server = config["clusters"][0]["cluster"]["server"]
        self._token = config["users"][0]["user"]["token"]

    def __call__(self, path: str, body: Any = None) -> tuple[int, Any]:
        with closing(self.connect()) as connection:
            answer = self.ask(connection, path, body)
            return answer.status, json.loads(answer.read())

    def connect(self) -> HTTPConnection:
        return HTTPConnection(self.server.removeprefix("http://"), timeout=10)

    def ask(self, connection: HTTPConnection, path: str, body: Any = None) -> HTTPResponse:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        if body is None:
            connection.request("GET", path, headers=headers)
        else:
            connection.request("POST", path, json.dumps(body), headers)
        return connection.getresponse()


def sleeper(word: str, **spec: Any) -> dict[str, Any]:
    """A pod of a shell and its child, both with a mark to be found by."""
    script = "trap '' TERM; sleep 1000 & echo ready; wait; sleep 1000"
    containers = [
        {
            "name": "main",
            "image": "devcluster.local/host",
            "command": ["sh", "-c", script],
            "env": [{"name": "MARK", "value": word}],
        }
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "sleeper"},
        "spec": {"containers": containers, "terminationGracePeriodSeconds": 1, **spec},
    }


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_up_status_and_down(commands: Commands, home: Path) -> None:
    said = commands.up("--gpus", "2")
    kubeconfig = commands.directory / "kubeconfig"
    server = Http(kubeconfig).server
    assert server.startswith("https://127.0.0.1:")
    assert said == [f"ready: {server}", f"export KUBECONFIG={kubeconfig}"]
    assert kubeconfig.stat().st_mode & 0o077 == 0
    # Ready means ready: the first command finds all of it.
    kubectl = Kubectl(kubeconfig, home)
    assert table(kubectl("get", "nodes"))[1][:2] == ["devcluster", "Ready"]
    assert kubectl("get", "nodes", "-o", "jsonpath={.items[0].status.allocatable.nvidia\\.com/gpu}") == "2"

    status = commands("status")
    assert (status.returncode, status.stderr) == (0, "")
    assert status.stdout == f"running: {server} (pid {commands.pid})\nexport KUBECONFIG={kubeconfig}\n"
    again = commands("up")
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == (
        f"adapter_devcluster: a cluster runs already (pid {commands.pid}, {server}): stop it with `down`\n"
    )

    word, pid = mark(), commands.pid
    kubectl("apply", "-f", "-", stdin=sleeper(word))
    kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=20s")
    assert len(alive_with_mark(word)) >= 2
    commands.down()
    assert alive_with_mark(word) == []
    assert not is_alive(pid)
    gone = commands("status")
    assert (gone.returncode, gone.stdout) == (1, "no cluster is running\n")


def test_down_without_a_cluster(commands: Commands) -> None:
    done = commands("down")
    assert (done.returncode, done.stdout, done.stderr) == (0, "no cluster is running\n", "")


def test_a_killed_cluster_leaves_no_process(commands: Commands, home: Path) -> None:
    commands.up()
    kubectl, word = Kubectl(commands.directory / "kubeconfig", home), mark()
    kubectl("apply", "-f", "-", stdin=sleeper(word))
    kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=20s")
    os.kill(commands.pid, signal.SIGKILL)
    until(lambda: alive_with_mark(word) == [])
    gone = commands("status")
    assert (gone.returncode, gone.stdout) == (1, "no cluster is running\n")
    # What it left behind is in nobody's way.
    commands.up("--no-node")
    commands.down()


def test_flags_that_leave_parts_out(commands: Commands, tmp_path: Path) -> None:
    kubeconfig, audit = tmp_path / "elsewhere" / "config", tmp_path / "audit.log"
    flags = ("--no-node", "--no-controllers", "--http", "--kubeconfig", kubeconfig, "--audit-log", audit)
    port = free_port()
    said = commands.up(*flags, "--port", str(port))
    assert said == [f"ready: http://127.0.0.1:{port}", f"export KUBECONFIG={kubeconfig}"]
    http = Http(kubeconfig)
    assert http("/api/v1/nodes")[1]["items"] == []
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}},
    }
    assert http("/apis/batch/v1/namespaces/default/jobs", job)[0] == 201
    assert http("/api/v1/namespaces/default/pods")[1]["items"] == []
    commands.down()
    entries = [json.loads(line) for line in audit.read_text().splitlines()]
    assert [(one["verb"], one["objectRef"]["resource"], one["responseStatus"]["code"]) for one in entries] == [
        ("list", "nodes", 200),
        ("create", "jobs", 201),
        ("list", "pods", 200),
    ]
    assert {one["user"]["username"] for one in entries} == {"devcluster-admin"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def test_faults_by_flags(commands: Commands) -> None:
    flags = ("--fail-nth=2", "--fail-code=503", "--delay-seconds=0.2", "--cut-watches-after=1", "--seed=7")
    commands.up("--no-node", "--http", *flags)
    http = Http(commands.directory / "kubeconfig")
    path = "/api/v1/namespaces/default/configmaps"
    codes = []
    for name in ("a", "b", "c"):
        began = time.monotonic()
        codes.append(http(path, {"metadata": {"name": name}})[0])
        if codes[-1] == 201:
            assert time.monotonic() - began >= 0.2
    assert codes == [201, 503, 201]
    plan = http("/devcluster/faults")[1]["plan"]
    assert (plan["seed"], [rule["effect"] for rule in plan["calls"]]) == (7, ["Fail", "Delay"])
    assert plan["watches"][0]["cut_after_events"] == 1
    with closing(http.connect()) as connection:
        watch = http.ask(connection, f"{path}?watch=true")
        assert json.loads(watch.readline())["type"] == "ADDED"
        http(path, {"metadata": {"name": "d"}})
        with pytest.raises((IncompleteRead, ConnectionResetError)):
            watch.read()


def test_images_by_flags(commands: Commands, home: Path) -> None:
    commands.up("--image", f"registry.example.dev/greeter:*={sys.executable} -c 'print(\"hello\")'")
    kubectl = Kubectl(commands.directory / "kubeconfig", home)
    kubectl("run", "greeter", "--image=registry.example.dev/greeter:1", "--restart=Never")
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/greeter", "--timeout=20s")
    assert kubectl("logs", "greeter") == "hello\n"
    commands.down()


def test_a_port_that_is_taken(commands: Commands) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = commands("up", "--no-node", "--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"adapter_devcluster: the cluster did not start; {commands.directory}/cluster.log says:\n"
        f"adapter_devcluster: can't start: [Errno 98] error while attempting to bind on address ('127.0.0.1', {port}): "
        "address already in use\n\n"
    )
    assert commands("status").returncode == 1


@pytest.mark.parametrize(
    ("flag", "value", "problem"),
    [
        ("--port", "70000", "70000 is out of range: 0 to 65535"),
        ("--gpus", "-1", "-1 is out of range: 0 or more"),
        ("--gpus", "1.5", "1.5 is not a number"),
        ("--fail-nth", "0", "0 is out of range: 1 or more"),
        ("--fail-share", "2", "2 is out of range: 0 to 1"),
        ("--hold-share", "nan", "nan is out of range: 0 to 1"),
        ("--delay-seconds", "-1", "-1 is out of range: 0 or more"),
        ("--bookmark-seconds", "0", "0 is out of range: 0.01 or more"),
    ],
)
def test_numbers_that_make_no_sense(flag: str, value: str, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["up", f"{flag}={value}"])
    assert ended.value.code == USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[-1] == f"python -m adapter_devcluster up: error: argument {flag}: {problem}"


def test_an_image_that_makes_no_sense(commands: Commands) -> None:
    done = commands("up", "--image=nonsense")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-2] == "adapter_devcluster: --image 'nonsense': expected PATTERN=COMMAND"


def test_a_directory_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = Commands(tmp_path / "file" / "state")("up", "--no-node")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"adapter_devcluster: can't start: [Errno 20] Not a directory: '{tmp_path}/file/state'\n"


def test_paths_are_told_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = Commands(Path("state"))
    try:
        assert commands.up("--no-node")[1] == f"export KUBECONFIG={tmp_path}/state/kubeconfig"
    finally:
        commands.down()


def test_the_foreground_ends_on_a_signal(commands: Commands) -> None:
    command = [sys.executable, "-m", "adapter_devcluster", "up", "--foreground", "--no-node"]
    command += ["--directory", str(commands.directory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as said:
        assert said.readline().startswith("ready: https://")
        # Whoever comes second in the foreground is refused too.
        assert subprocess.run(command, capture_output=True, check=False).returncode == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert commands("status").returncode == 1


def test_two_that_start_at_once(commands: Commands) -> None:
    arguments = ["up", "--no-node", "--directory", str(commands.directory)]
    command = [sys.executable, "-m", "adapter_devcluster", *arguments]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    answers = [process.communicate(timeout=60) for process in both]
    assert sorted(process.returncode for process in both) == [0, 1]
    assert [b"runs already" in err or b"is starting or stopping" in err for _, err in answers].count(True) == 1
    commands.down()
