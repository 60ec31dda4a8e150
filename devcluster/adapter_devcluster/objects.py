"""Kubernetes objects as plain JSON values, and the few reads that everything here needs.

An object from a `Client` or from the store is shared: nobody changes it in place. `copy` makes one's own.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

Object: TypeAlias = dict[str, Any]
# A generated name is a prefix, cut if need be, and so many letters: a label can hold it.
GENERATED: Final = 5
LONGEST_PREFIX: Final = 63 - GENERATED
# Namespace ("" for what is cluster-scoped) and name.
Key: TypeAlias = tuple[str, str]


def meta(obj: Mapping[str, Any]) -> Object:
    """Return an object's metadata, as it lies in the object; an empty one where there is none."""
    found = obj.get("metadata")
    return found if isinstance(found, dict) else {}


def section(obj: Mapping[str, Any], *names: str) -> Object:
    """Return a nested object (``section(pod, "spec", "securityContext")``); an empty one where there is none."""
    found: Any = obj
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, dict) else {}


def key(obj: Mapping[str, Any]) -> Key:
    """Return namespace and name."""
    found = meta(obj)
    return str(found.get("namespace") or ""), str(found.get("name") or "")


def uid(obj: Mapping[str, Any]) -> str:
    """Return the uid, "" where the object has none yet."""
    return str(meta(obj).get("uid") or "")


def asked_name(new: Mapping[str, Any]) -> str:
    """Return the name that the refusal of a new object shows: the prefix, where the name was generated from it.

    A server generates names after most of admission, so equal refusals have equal words.
    """
    name, prefix = key(new)[1], str(meta(new).get("generateName") or "")
    stem = prefix[:LONGEST_PREFIX]
    return prefix if stem and name.startswith(stem) and len(name) == len(stem) + GENERATED else name


def labels_of(obj: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels; empty where there are none."""
    found = meta(obj).get("labels")
    return found if isinstance(found, dict) else {}


def annotations_of(obj: Mapping[str, Any]) -> dict[str, str]:
    """Return the annotations; empty where there are none."""
    found = meta(obj).get("annotations")
    return found if isinstance(found, dict) else {}


def owner_references(obj: Mapping[str, Any]) -> list[Object]:
    """Return the owner references; empty where there are none."""
    found = meta(obj).get("ownerReferences")
    return found if isinstance(found, list) else []


def controller_of(obj: Mapping[str, Any]) -> Object | None:
    """Return the owner reference of the controller, if there is one."""
    return next((one for one in owner_references(obj) if one.get("controller") is True), None)


def is_deleting(obj: Mapping[str, Any]) -> bool:
    """Whether deletion has begun."""
    return "deletionTimestamp" in meta(obj)


def copy(value: Any) -> Any:  # noqa: ANN401 - a JSON value of any kind
    """Return a deep copy of a JSON value; several times faster than ``copy.deepcopy``."""
    if isinstance(value, dict):
        return {name: copy(item) if isinstance(item, dict | list) else item for name, item in value.items()}
    if isinstance(value, list):
        return [copy(item) if isinstance(item, dict | list) else item for item in value]
    return value


def timestamp(moment: dt.datetime | None = None) -> str:
    """Return a moment (default: now) as metav1.Time is written: UTC, whole seconds."""
    moment = moment or dt.datetime.now(dt.UTC)
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_timestamp(moment: dt.datetime | None = None) -> str:
    """Return a moment (default: now) as metav1.MicroTime is written: UTC, microseconds."""
    moment = moment or dt.datetime.now(dt.UTC)
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> dt.datetime:
    """Read a timestamp. Raises ValueError."""
    return dt.datetime.fromisoformat(text)
