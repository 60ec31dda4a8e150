"""The core group's other kinds: configuration, accounts, namespaces, nodes, quotas, events."""

from __future__ import annotations

from typing import Final

from adapter_devcluster.objects import Object, labels_of, section
from adapter_devcluster.presentation.columns.base import (
    AGE,
    NAME,
    NONE,
    UNKNOWN,
    Cell,
    Column,
    KindColumns,
    age,
    condition_status,
    name,
    number,
    since,
)
from adapter_devcluster.presentation.published_schemas import META

_CORE: Final = "io.k8s.api.core.v1."
_EVENT: Final = f"{_CORE}Event"
_NODE_INFO: Final = f"{_CORE}NodeSystemInfo"
_NODE_STATUS: Final = f"{_CORE}NodeStatus"
_ROLE_PREFIX: Final = "node-role.kubernetes.io/"


def _config_map(obj: Object, now: int) -> list[Cell]:
    return [name(obj), len(obj.get("data") or {}) + len(obj.get("binaryData") or {}), age(obj, now)]


def _secret(obj: Object, now: int) -> list[Cell]:
    return [name(obj), obj.get("type", ""), len(obj.get("data") or {}), age(obj, now)]


def _service_account(obj: Object, now: int) -> list[Cell]:
    return [name(obj), len(obj.get("secrets") or []), age(obj, now)]


def _namespace(obj: Object, now: int) -> list[Cell]:
    return [name(obj), section(obj, "status").get("phase", ""), age(obj, now)]


def _resource_quota(obj: Object, now: int) -> list[Cell]:
    hard, used = section(obj, "status", "hard"), section(obj, "status", "used")
    texts = {one: f"{one}: {used.get(one, '0')}/{hard[one]}" for one in sorted(hard)}
    requests = ", ".join(text for one, text in texts.items() if not one.startswith("limits."))
    limits = ", ".join(text for one, text in texts.items() if one.startswith("limits."))
    return [name(obj), requests, limits, age(obj, now)]


def _node(obj: Object, now: int) -> list[Cell]:
    status, info = section(obj, "status"), section(obj, "status", "nodeInfo")
    ready = condition_status(status.get("conditions"), "Ready")
    words = ["Unknown" if ready is None else "Ready" if ready == "True" else "NotReady"]
    if section(obj, "spec").get("unschedulable"):
        words.append("SchedulingDisabled")
    return [
        name(obj),
        ",".join(words),
        ",".join(_roles(obj)) or NONE,
        age(obj, now),
        info.get("kubeletVersion", ""),
        _address(status, "InternalIP"),
        _address(status, "ExternalIP"),
        info.get("osImage") or UNKNOWN,
        info.get("kernelVersion") or UNKNOWN,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _roles(node: Object) -> list[str]:
    labels = labels_of(node)
    roles = {one.removeprefix(_ROLE_PREFIX) for one in labels if one.startswith(_ROLE_PREFIX)}
    return sorted((roles | {labels.get("kubernetes.io/role", "")}) - {""})


def _address(status: Object, kind: str) -> str:
    found = (str(one.get("address")) for one in status.get("addresses") or [] if one.get("type") == kind)
    return next(found, NONE)


def _event(obj: Object, now: int) -> list[Cell]:
    """Both groups' events: ``events.k8s.io`` names some fields otherwise, and their old ones ``deprecated``."""
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    first = since(obj.get("firstTimestamp") or obj.get("deprecatedFirstTimestamp") or obj.get("eventTime"), now)
    latest = obj.get("lastTimestamp") or obj.get("deprecatedLastTimestamp")
    last = since(latest, now) if latest else first
    count = number(obj, "count") or number(obj, "deprecatedCount") or 1
    if series := obj.get("series"):
        last, count = since(series.get("lastObservedTime"), now), number(series, "count")
    kind = str(about.get("kind", "")).lower()
    return [
        last,
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{kind}/{about['name']}" if about.get("name") else kind,
        about.get("fieldPath", ""),
        _source(obj),
        str(obj.get("message") or obj.get("note") or "").strip(),
        first,
        count,
        name(obj),
    ]


def _source(event: Object) -> str:
    source = event.get("source") or event.get("deprecatedSource") or {}
    component = source.get("component") or event.get("reportingComponent") or event.get("reportingController") or ""
    instance = source.get("host") or event.get("reportingInstance") or ""
    return f"{component}, {instance}" if instance else str(component)


_EVENTS: Final = KindColumns(
    (
        Column("Last Seen", (_EVENT, "lastTimestamp")),
        Column("Type", (_EVENT, "type")),
        Column("Reason", (_EVENT, "reason")),
        Column("Object", (_EVENT, "involvedObject")),
        Column("Subobject", (f"{_CORE}ObjectReference", "fieldPath"), wide=True),
        Column("Source", (_EVENT, "source"), wide=True),
        Column("Message", (_EVENT, "message")),
        Column("First Seen", (_EVENT, "firstTimestamp"), wide=True),
        Column("Count", (_EVENT, "count"), wide=True),
        Column("Name", (f"{META}ObjectMeta", "name"), wide=True, format="name"),
    ),
    _event,
)

COLUMNS: Final = {
    ("", "ConfigMap"): KindColumns((NAME, Column("Data", (f"{_CORE}ConfigMap", "data")), AGE), _config_map),
    ("", "Secret"): KindColumns(
        (NAME, Column("Type", (f"{_CORE}Secret", "type")), Column("Data", (f"{_CORE}Secret", "data")), AGE), _secret
    ),
    ("", "ServiceAccount"): KindColumns(
        (NAME, Column("Secrets", (f"{_CORE}ServiceAccount", "secrets")), AGE), _service_account
    ),
    ("", "Namespace"): KindColumns((NAME, Column("Status", "The status of the namespace"), AGE), _namespace),
    ("", "ResourceQuota"): KindColumns(
        (
            NAME,
            Column("Request", "What may be requested, and what is."),
            Column("Limit", "The limits that may be set, and those that are."),
            AGE,
        ),
        _resource_quota,
    ),
    ("", "Node"): KindColumns(
        (
            NAME,
            Column("Status", "The status of the node"),
            Column("Roles", "The roles of the node"),
            AGE,
            Column("Version", (_NODE_INFO, "kubeletVersion")),
            Column("Internal-IP", (_NODE_STATUS, "addresses"), wide=True),
            Column("External-IP", (_NODE_STATUS, "addresses"), wide=True),
            Column("OS-Image", (_NODE_INFO, "osImage"), wide=True),
            Column("Kernel-Version", (_NODE_INFO, "kernelVersion"), wide=True),
            Column("Container-Runtime", (_NODE_INFO, "containerRuntimeVersion"), wide=True),
        ),
        _node,
    ),
    ("", "Event"): _EVENTS,
    ("events.k8s.io", "Event"): _EVENTS,
}
