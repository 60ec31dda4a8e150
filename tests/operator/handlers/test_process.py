"""The operator as a process: its arguments, its log, its exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapter_devcluster.devcluster import DevCluster
from adapter_devcluster.serving.faults import CallFault, FaultPlan
from adapter_operator.handlers.operator import Operator, PartEnded, StartError
from adapter_operator.handlers.settings_file import SettingsFileError, read_settings
from adapter_testing.manifests import committed_crd, example
from adapter_testing.operator_lab import SETTINGS, OperatorLab
from adapter_testing.waiting import until

pytestmark = pytest.mark.integration

DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(SETTINGS))
    return path


@pytest.fixture
def cluster() -> Iterator[DevCluster]:
    with DevCluster(node=False) as found:
        yield found


def install_definitions(cluster: DevCluster) -> None:
    client = cluster.cluster.api.client("test")
    for kind in ("AdapterTraining", "AdapterDeployment"):
        definition = committed_crd(kind)
        cluster.call(partial(client.create, DEFINITIONS, definition))


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "adapter_operator", "--probe-port", "0", *map(str, arguments)]
    environment = {**os.environ, "ADAPTER_BIND_ADDRESS": "127.0.0.1", "KUBECONFIG": "/nowhere"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def log_of(output: str) -> list[dict[str, Any]]:
    """Every line is a JSON object."""
    return [json.loads(line) for line in output.splitlines()]


def test_it_works_until_it_is_told_to_end(cluster: DevCluster, settings: Path) -> None:
    install_definitions(cluster)
    client = cluster.cluster.api.client("test")
    training = example("minimal", "AdapterTraining")
    training["metadata"]["namespace"] = "default"
    cluster.call(lambda: client.create("adaptertrainings.adapters.dev", training))
    process = start("--settings", settings, "--kubeconfig", cluster.kubeconfig)
    try:
        until(lambda: bool(cluster.call(lambda: client.list("jobs.batch", "default"))))
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, output
    entries = log_of(output)
    messages = [entry["message"] for entry in entries]
    assert any("everything is listed" in message for message in messages)
    assert any(message.startswith("stopping: ") for message in messages)
    assert {entry["severity"] for entry in entries} <= {"info", "warn"}
    assert cluster.token not in output


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("clusterName: lab\n", "images: "),
        (yaml.safe_dump({**SETTINGS, "imagse": {}}), "imagse: unknown field"),
        ("a: b: c", "settings.yaml: "),
        (None, "No such file"),
    ],
)
def test_settings_that_can_not_be_used_end_it_at_once(tmp_path: Path, content: str | None, expected: str) -> None:
    path = tmp_path / "settings.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsFileError, match=expected):
        read_settings(path)


def test_it_says_why_it_can_not_start(tmp_path: Path) -> None:
    process = start("--settings", tmp_path / "missing.yaml")
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    (entry,) = log_of(output)
    assert entry["message"].startswith("the operator ends: ")
    assert "missing.yaml" in entry["message"]
    assert entry["severity"] == "fatal"


def test_without_its_definitions_it_does_not_start(cluster: DevCluster, settings: Path) -> None:
    process = start("--settings", settings, "--kubeconfig", cluster.kubeconfig)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "install the chart adapter-operator-crds" in log_of(output)[-1]["message"]


def test_the_laboratory_tells_why_an_operator_does_not_start() -> None:
    with OperatorLab(start=False) as lab:
        lab.cluster.call(lambda: lab.client.delete(DEFINITIONS, "", "adapterdeployments.adapters.dev"))

        def is_gone() -> bool:
            served = lab.cluster.call(lambda: lab.client.resource_for("adapters.dev/v1alpha1", "AdapterDeployment"))
            return served is None

        lab.until(is_gone)
        with pytest.raises(StartError, match=r"adapterdeployments\.adapters\.dev"):
            lab.start_operator()


def test_a_watch_that_dies_ends_the_operator() -> None:
    with OperatorLab(start=False) as lab:
        lab.cluster.set_faults(FaultPlan(calls=(CallFault(verbs=("list",), resources=("pods",), code=410),)))
        lab.start_operator()
        lab.until(lambda: lab._failure is not None)
        with pytest.raises(PartEnded, match="watches: "):
            lab.stop_operator()
        lab.cluster.set_faults(FaultPlan())


def test_a_worker_that_dies_ends_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    with OperatorLab() as lab:
        operator = lab.operator
        assert isinstance(operator, Operator)
        monkeypatch.setattr(type(operator.queue), "done", lambda *_: 1 / 0)
        lab.apply(example("minimal", "AdapterTraining"))
        lab.until(lambda: lab._failure is not None)
        with pytest.raises(PartEnded, match="worker"):
            lab.stop_operator()
