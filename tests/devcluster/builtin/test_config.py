from __future__ import annotations

import base64
from typing import Any

import pytest

from adapter_devcluster.objects import Object
from adapter_testing.judge_lab import change_refusal, created, manifest, refusal, updated

pytestmark = pytest.mark.unit


def _config_map(**content: Any) -> Object:
    return manifest("v1", "ConfigMap", **content)


def _secret(**content: Any) -> Object:
    return manifest("v1", "Secret", **content)


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# --- ConfigMaps -----------------------------------------------------------------------------------------------------


def test_a_config_map_is_stored_as_it_is() -> None:
    found = created(_config_map(data={"a": "", "b.c_d-e": "x"}, binaryData={"z": "dg=="}, immutable=False))
    assert (found["data"], found["binaryData"], found["immutable"]) == ({"a": "", "b.c_d-e": "x"}, {"z": "dg=="}, False)
    assert "generation" not in found["metadata"]
    assert created(_config_map(data={})).keys() == {"apiVersion", "kind", "metadata"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"data": {"a/b": ""}}, [("data[a/b]", "Invalid")]),
        ({"data": {"..": ""}}, [("data[..]", "Invalid")]),
        ({"data": {".": ""}}, [("data[.]", "Invalid")]),
        ({"data": {"..a": ""}}, [("data[..a]", "Invalid")]),
        ({"data": {"a" * 254: ""}}, [(f"data[{'a' * 254}]", "Invalid")]),
        ({"binaryData": {"": "dg=="}}, [("binaryData[]", "Invalid")]),
        ({"data": {"k": ""}, "binaryData": {"k": "dg=="}}, [("data[k]", "Invalid")]),
        ({"data": {"k": "x" * (1024 * 1024)}}, []),
        ({"data": {"k": "x" * (1024 * 1024)}, "binaryData": {"b": "dg=="}}, [("", "TooLong")]),
    ],
)
def test_what_is_wrong_with_a_config_map(content: Object, expected: Any) -> None:
    assert refusal(_config_map(**content)) == expected


def test_a_frozen_config_map() -> None:
    old = created(_config_map(data={"k": "1"}, immutable=True))
    assert change_refusal(old, lambda one: one["metadata"].update(labels={"a": "b"})) == []
    assert change_refusal(old, lambda one: one.update(data={"k": "2"})) == [("data", "Forbidden")]
    assert change_refusal(old, lambda one: one.update(binaryData={"k2": "dg=="})) == [("binaryData", "Forbidden")]
    assert change_refusal(old, lambda one: one.update(immutable=None)) == [("immutable", "Forbidden")]
    free = created(_config_map(data={"k": "1"}))
    assert updated(free, lambda one: one.update(data={"k": "2"}, immutable=True))["data"] == {"k": "2"}


# --- Secrets --------------------------------------------------------------------------------------------------------


def test_texts_become_data() -> None:
    found = created(_secret(data={"a": "dg==", "b": "dg=="}, stringData={"b": "ü", "c": ""}))
    assert found["data"] == {"a": "dg==", "b": _encoded("ü"), "c": ""}
    assert found["type"] == "Opaque"
    assert "stringData" not in found
    assert "data" not in created(_secret(stringData={}))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"stringData": {"/": ""}}, [("data[/]", "Invalid")]),
        ({"stringData": {"k": "x" * (1024 * 1024 + 1)}}, [("data", "TooLong")]),
        ({"type": "kubernetes.io/tls"}, [("data[tls.crt]", "Required"), ("data[tls.key]", "Required")]),
        ({"type": "kubernetes.io/tls", "stringData": {"tls.crt": "", "tls.key": ""}}, []),
        (
            {"type": "kubernetes.io/basic-auth"},
            [("data[password]", "Required"), ("data[username]", "Required")],
        ),
        ({"type": "kubernetes.io/basic-auth", "stringData": {"username": "u"}}, []),
        ({"type": "kubernetes.io/ssh-auth"}, [("data[ssh-privatekey]", "Required")]),
        ({"type": "kubernetes.io/dockerconfigjson"}, [("data[.dockerconfigjson]", "Required")]),
        (
            {"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "{"}},
            [("data[.dockerconfigjson]", "Invalid")],
        ),
        ({"type": "kubernetes.io/dockercfg", "stringData": {".dockercfg": "{}"}}, []),
        (
            {"type": "kubernetes.io/service-account-token"},
            [("metadata.annotations[kubernetes.io/service-account.name]", "Required")],
        ),
        ({"type": "example.test/mine"}, []),
    ],
)
def test_what_is_wrong_with_a_secret(content: Object, expected: Any) -> None:
    assert refusal(_secret(**content)) == expected


def test_what_may_change_in_a_secret() -> None:
    old = created(_secret(stringData={"k": "1"}, type="example.test/mine"))
    assert change_refusal(old, lambda one: one.update(type="other")) == [("type", "Invalid")]
    assert updated(old, lambda one: one.update(stringData={"l": "2"}))["data"].keys() == {"k", "l"}
    frozen = updated(old, lambda one: one.update(immutable=True))
    assert change_refusal(frozen, lambda one: one.update(stringData={"k": "2"})) == [("data", "Forbidden")]


# --- ServiceAccounts ------------------------------------------------------------------------------------------------


def test_service_accounts() -> None:
    account = manifest("v1", "ServiceAccount", automountServiceAccountToken=False, secrets=[{"name": "s"}])
    assert created(account)["automountServiceAccountToken"] is False
    assert refusal({**account, "imagePullSecrets": [{"name": "A"}]}) == [("imagePullSecrets[0].name", "Invalid")]


# --- what all kinds have in common --------------------------------------------------------------------------------


def test_an_update_keeps_what_only_the_server_sets() -> None:
    old = created(_config_map())
    old["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 0}

    def forget(one: Object) -> None:
        one["metadata"] = {"name": "a", "creationTimestamp": "2020-01-01T00:00:00Z", "generation": 9}

    assert updated(old, forget)["metadata"] == old["metadata"]


def test_an_update_may_need_a_resource_version() -> None:
    def forget(one: Object) -> None:
        del one["metadata"]["resourceVersion"]

    assert updated(created(_config_map()), forget)["metadata"]["resourceVersion"] == "1"
    account = created(manifest("v1", "ServiceAccount"))
    assert change_refusal(account, forget) == [("metadata.resourceVersion", "Invalid")] * 2


def test_no_finalizer_comes_to_what_is_being_deleted() -> None:
    old = created(_config_map(metadata={"finalizers": ["example.test/hold"]}))
    old["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    # Found by what all kinds have in common, and by the kind's own validation.
    expected = [("metadata.finalizers", "Forbidden")] * 2
    assert change_refusal(old, lambda one: one["metadata"]["finalizers"].append("example.test/more")) == expected
