"""What a real Kubernetes 1.36 answered, played through the functions: objects, messages and causes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from adapter_devcluster.apiextensions import Admitted, Columns, Refused, Schema
from adapter_devcluster.apiextensions.go_time import SECOND, parse_date_time

pytestmark = pytest.mark.unit

Steps = list[dict[str, Any]]
SERVER_SET = {"creationTimestamp", "resourceVersion", "uid"}
STRICT = {"strict field validation refuses unknown fields"}


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def stored(answer: Admitted) -> dict[str, Any]:
    """The object with what a server would add to it."""
    added = {"creationTimestamp": "2026-01-01T00:00:00Z", "uid": "u", "resourceVersion": "1"}
    return {**answer.object, "metadata": {**answer.object["metadata"], **added}}


def seen(obj: dict[str, Any]) -> dict[str, Any]:
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k not in SERVER_SET}}


def check(step: dict[str, Any], answer: Admitted | Refused) -> None:
    if step["code"] in {200, 201}:
        assert isinstance(answer, Admitted), answer
        assert seen(answer.object) == seen(step["answer"])
        return
    assert isinstance(answer, Refused), answer
    assert answer.status["code"] == step["code"]
    if step["mode"] == "error":
        assert answer.status == step["answer"]


def play(steps: Steps, gadgets: Schema) -> list[str]:
    """Play creations and merge patches of one scenario in order; returns the names of the steps played."""
    objects: dict[str, Admitted] = {}
    played = []
    for step in steps:
        sent = copy.deepcopy(step["sent"])
        if step["code"] not in {200, 201, 400, 422} or not isinstance(sent, dict):
            continue
        mode = "Strict" if step["name"] in STRICT else "Ignore"
        if "kind" in sent:
            answer = gadgets.admit_create(sent, namespace="ns", field_validation=mode)
            name = sent["metadata"]["name"]
        else:
            name = step["answer"].get("details", step["answer"].get("metadata"))["name"]
            old = stored(objects[name])
            answer = gadgets.admit_update(old, merge_patch(old, sent))
        check(step, answer)
        played.append(step["name"])
        if isinstance(answer, Admitted):
            objects[name] = answer
    return played


def test_schema_recording(recording: Callable[[str], Steps], gadgets: Schema) -> None:
    steps = recording("custom_resource_schema")
    played = play(steps, gadgets)
    # Everything but the read at the end.
    assert played == [step["name"] for step in steps if step["code"] != 404]


def test_subresource_recording(recording: Callable[[str], Steps], gadgets: Schema) -> None:
    steps = {step["name"]: step for step in recording("custom_resource_subresources")}
    created = steps["status in a create is dropped"]
    answer = gadgets.admit_create(created["sent"], namespace="ns")
    check(created, answer)
    for name, subresource in {
        "main patch ignores status": "",
        "status patch ignores spec and keeps generation": "status",
        "metadata change keeps generation": "",
        "status patch can't change labels": "status",
        "unknown status fields are pruned": "status",
    }.items():
        old = stored(answer)
        answer = gadgets.admit_update(old, merge_patch(old, steps[name]["sent"]), subresource=subresource)
        check(steps[name], answer)
    old = stored(answer)
    answer = gadgets.admit_update(old, merge_patch(old, {"spec": {"replicas": 4}}))
    check(steps["after scale"], answer)
    old = stored(answer)
    put = {**old, "spec": {"size": "large"}, "status": {"phase": "W"}}
    check(steps["status put"], gadgets.admit_update(old, put, subresource="status"))


def test_table_recording(recording: Callable[[str], Steps], gadgets: Schema, gadget_crd: dict[str, Any]) -> None:
    steps = {step["name"]: step["answer"] for step in recording("custom_resource_table")}
    columns = Columns.compile(gadget_crd["spec"]["versions"][0])
    assert [{k: c[k] for k in ("name", "priority", "type")} for c in columns.definitions()] == steps["columns"]
    api = {"apiVersion": "conformance.adapters.dev/v1alpha1", "kind": "Gadget"}
    made = "2026-01-01T00:00:00Z"
    objects = []
    for name, spec, status in (
        ("a", {"size": "small"}, {}),
        ("b", {"size": "small", "mode": "fast"}, {"conditions": [{"type": "Ready", "status": "True"}]}),
    ):
        answer = gadgets.admit_create({**api, "metadata": {"name": name}, "spec": spec})
        assert isinstance(answer, Admitted)
        meta = {**answer.object["metadata"], "creationTimestamp": made}
        objects.append({**answer.object, "metadata": meta, "status": status})
    rows = [columns.cells(obj, parse_date_time(made) + 300 * SECOND) for obj in objects]
    assert [row[:4] + row[5:] for row in rows] == steps["cells without age"]
    assert [row[4] for row in rows] == ["5m", "5m"]
