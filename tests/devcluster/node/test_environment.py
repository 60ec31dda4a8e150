"""Environment and command line of containers."""

import base64
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.node.environment import (
    ConfigError,
    command_line,
    container_environment,
    expand,
    inherited,
)
from adapter_devcluster.objects import Object

pytestmark = pytest.mark.unit

POD: Object = {
    "metadata": {
        "name": "p",
        "namespace": "ns",
        "uid": "u-1",
        "labels": {"app": "x", "b": 'quo"te'},
        "annotations": {"note": "two\nlines"},
    },
    "spec": {
        "nodeName": "n1",
        "serviceAccountName": "sa",
        "containers": [
            {
                "name": "main",
                "resources": {"limits": {"memory": "1Gi", "cpu": "1500m"}, "requests": {"memory": "512Mi"}},
            },
            {"name": "other", "resources": {"requests": {"cpu": "250m"}}},
        ],
    },
    "status": {"podIP": "127.64.0.1", "podIPs": [{"ip": "127.64.0.1"}], "hostIP": "127.0.0.1"},
}
STORED: dict[tuple[str, str, str], Object] = {
    ("configmaps", "ns", "cfg"): {
        "kind": "ConfigMap",
        "data": {"a": "1", "b": "$(a)"},
        "binaryData": {"raw": base64.b64encode(b"raw").decode()},
    },
    ("secrets", "ns", "key"): {"kind": "Secret", "data": {"token": base64.b64encode("gehéim".encode()).decode()}},
}


def lookup(resource: str, namespace: str, name: str) -> Object | None:
    return STORED.get((resource, namespace, name))


def environment(container: Object, base: dict[str, str] | None = None) -> dict[str, str]:
    whole = {**POD["spec"]["containers"][0], **container}
    return container_environment(POD, whole, base or {}, lookup, {"memory": "8Gi", "cpu": "4"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)", "1"),
        ("x$(A)y$(B)", "x1y2"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(MISSING)", "$(MISSING)"),
        ("$A ${A} $", "$A ${A} $"),
        ("$(A", "$(A"),
        ("$$", "$"),
        ("$(B)$$$$", "2$$"),
    ],
)
def test_expansion(text: str, expected: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == expected


@given(st.text())
def test_expansion_without_dollars_changes_nothing(text: str) -> None:
    text = text.replace("$", "")
    assert expand(text, {"": "x"}) == text


def test_values_see_those_before_them() -> None:
    env = environment(
        {
            "env": [
                {"name": "A", "value": "1"},
                {"name": "B", "value": "$(A)-$(BASE)-$(LATER)"},
                {"name": "LATER", "value": "x"},
                {"name": "EMPTY"},
            ]
        },
        {"BASE": "base", "A": "overridden"},
    )
    assert env == {"BASE": "base", "A": "1", "B": "1-base-$(LATER)", "LATER": "x", "EMPTY": ""}


def test_keys_of_config_maps_and_secrets_are_not_expanded() -> None:
    env = environment(
        {
            "env": [
                {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "cfg", "key": "b"}}},
                {"name": "RAW", "valueFrom": {"configMapKeyRef": {"name": "cfg", "key": "raw"}}},
                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "key", "key": "token"}}},
                {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "no", "key": "x", "optional": True}}},
                {"name": "NONE2", "valueFrom": {"secretKeyRef": {"name": "key", "key": "x", "optional": True}}},
            ]
        }
    )
    assert env == {"B": "$(a)", "RAW": "raw", "TOKEN": "gehéim"}


def test_whole_config_maps_and_secrets() -> None:
    env = environment(
        {
            "envFrom": [
                {"prefix": "C_", "configMapRef": {"name": "cfg"}},
                {"secretRef": {"name": "key"}},
                {"secretRef": {"name": "no", "optional": True}},
                {"configMapRef": {"name": "no", "optional": True}},
            ],
            "env": [{"name": "C_a", "value": "mine"}],
        }
    )
    assert env == {"C_a": "mine", "C_b": "$(a)", "C_raw": "raw", "token": "gehéim"}


@pytest.mark.parametrize(
    ("container", "problem"),
    [
        ({"envFrom": [{"configMapRef": {"name": "no"}}]}, 'configmap "no" not found'),
        ({"envFrom": [{"secretRef": {"name": "no"}}]}, 'secret "no" not found'),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "no", "key": "x"}}}]},
            'secret "no" not found',
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "cfg", "key": "x"}}}]},
            "couldn't find key x in ConfigMap ns/cfg",
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "key", "key": "x"}}}]},
            "couldn't find key x in Secret ns/key",
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nothing"}}}]},
            "unsupported fieldPath: spec.nothing",
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "memory"}}}]},
            "unsupported container resource: memory",
        ),
    ],
)
def test_what_is_missing_is_named(container: Object, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        environment(container)
    assert str(raised.value) == problem


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "p"),
        ("metadata.namespace", "ns"),
        ("metadata.uid", "u-1"),
        ("metadata.labels", 'app="x"\nb="quo\\"te"'),
        ("metadata.annotations", 'note="two\\nlines"'),
        ("metadata.labels['app']", "x"),
        ("metadata.annotations['absent']", ""),
        ("spec.nodeName", "n1"),
        ("spec.serviceAccountName", "sa"),
        ("status.podIP", "127.64.0.1"),
        ("status.podIPs", "127.64.0.1"),
        ("status.hostIP", "127.0.0.1"),
    ],
)
def test_fields_of_the_pod(path: str, expected: str) -> None:
    env = environment({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": path}}}]})
    assert env == {"A": expected}


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"resource": "limits.memory"}, str(1 << 30)),
        ({"resource": "limits.memory", "divisor": "1Mi"}, "1024"),
        ({"resource": "requests.memory", "divisor": "1Gi"}, "1"),
        ({"resource": "limits.cpu"}, "2"),
        ({"resource": "limits.cpu", "divisor": "1m"}, "1500"),
        ({"resource": "requests.cpu", "divisor": "1m"}, "1500"),
        ({"resource": "limits.cpu", "containerName": "other"}, "4"),
        ({"resource": "requests.cpu", "containerName": "other", "divisor": "1m"}, "250"),
        ({"resource": "requests.memory", "containerName": "other"}, "0"),
        ({"resource": "limits.memory", "containerName": "other", "divisor": "0"}, str(8 << 30)),
    ],
)
def test_resources_of_the_container(reference: dict[str, Any], expected: str) -> None:
    assert environment({"env": [{"name": "A", "valueFrom": {"resourceFieldRef": reference}}]}) == {"A": expected}


def test_the_command_line() -> None:
    env = {"A": "1"}
    assert command_line({"args": ["$(A)", "$$(A)"]}, ["entry", "point"], env) == ["entry", "point", "1", "$(A)"]
    assert command_line({"command": ["own$(A)"], "args": ["x"]}, ["entry"], env) == ["own1", "x"]
    assert command_line({}, ["entry"], env) == ["entry"]


def test_little_of_the_node_leaks_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name in ("PATH", "LANG", "AWS_SECRET_ACCESS_KEY", "KUBECONFIG", "HOME", "PYTHONPATH"):
        monkeypatch.setenv(name, f"its {name}")
    assert inherited({"IMAGE": "x", "LANG": "image's"}) == {
        "PATH": f"{Path(sys.executable).parent}:its PATH",
        "LANG": "image's",
        "PYTHONPATH": "its PYTHONPATH",
        "IMAGE": "x",
    }
