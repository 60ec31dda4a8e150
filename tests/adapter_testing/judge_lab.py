"""Puts objects before the judges of the built-in kinds, as the API server does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adapter_devcluster.apiextensions import Admitted, Refused
from adapter_devcluster.builtin import BUILTIN, judge_for
from adapter_devcluster.objects import Object, copy
from adapter_devcluster.resource_types import Judge, ResourceType

CREATED = "2026-01-01T00:00:00Z"
UID = "0b6cbd28-92e2-4d24-9c8c-9e5f2f6a6b1f"
_TYPES = {(one.api_version, one.kind): one for one in BUILTIN}
Findings = list[tuple[str, str]]


def type_of(obj: Object) -> ResourceType:
    """Return the type of an object."""
    return _TYPES[obj["apiVersion"], obj["kind"]]


def judge_of(obj: Object) -> Judge:
    """Return the judge of an object."""
    return judge_for(type_of(obj))


def manifest(api_version: str, kind: str, name: str = "a", **content: Any) -> Object:
    """Make an object; ``metadata`` in ``content`` is added to its name."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, **content.pop("metadata", {})},
        **content,
    }


def create(obj: Object, **options: Any) -> Admitted | Refused:
    """Judge a creation in namespace ``ns``."""
    sent = {**obj, "metadata": {**obj.get("metadata", {}), "uid": UID, "creationTimestamp": CREATED}}
    return judge_of(obj).admit_create(sent, namespace="ns" if type_of(obj).namespaced else "", **options)


def created(obj: Object, **options: Any) -> Object:
    """Return an object as it is stored."""
    outcome = create(obj, **options)
    assert isinstance(outcome, Admitted), outcome
    stored = dict(outcome.object)
    stored["metadata"] = {**outcome.object["metadata"], "resourceVersion": "1"}  # type: ignore[dict-item]
    return stored


def findings(outcome: Admitted | Refused) -> Findings:
    """Return field and reason of each cause, in order; nothing where an object was taken."""
    if isinstance(outcome, Admitted):
        return []
    return sorted((error.field, str(error.reason).removeprefix("FieldValue")) for error in outcome.errors)


def refusal(obj: Object) -> Findings:
    """Return why a new object is refused."""
    return findings(create(obj))


def update(old: Object, change: Callable[[Object], object], subresource: str = "") -> Admitted | Refused:
    """Judge a change of a stored object, made in a copy of it."""
    new = copy(old)
    change(new)
    return judge_of(old).admit_update(old, new, subresource=subresource)


def updated(old: Object, change: Callable[[Object], object], subresource: str = "") -> Object:
    """Return a stored object after a change."""
    outcome = update(old, change, subresource)
    assert isinstance(outcome, Admitted), outcome
    return dict(outcome.object)


def change_refusal(old: Object, change: Callable[[Object], object], subresource: str = "") -> Findings:
    """Return why a change is refused."""
    return findings(update(old, change, subresource))


def pod(**spec: Any) -> Object:
    """Make a pod with one container."""
    return manifest("v1", "Pod", spec={"containers": [{"name": "main", "image": "example.test/app:1"}], **spec})


def template(labels: dict[str, str] | None = None, **spec: Any) -> Object:
    """Make a pod template with one container."""
    return {"metadata": {"labels": labels or {"app": "a"}}, "spec": pod(**spec)["spec"]}


def job(**spec: Any) -> Object:
    """Make a job whose pods never restart."""
    return manifest("batch/v1", "Job", spec={"template": template(restartPolicy="Never"), **spec})


def deployment(**spec: Any) -> Object:
    """Make a deployment."""
    return manifest(
        "apps/v1",
        "Deployment",
        spec={"selector": {"matchLabels": {"app": "a"}}, "template": template(), **spec},
    )
