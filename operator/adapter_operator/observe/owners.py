"""Whose an object is: told by the UID of its controller, never by its name."""

from collections.abc import Mapping
from typing import Any


def controller_uid(document: Mapping[str, Any]) -> str | None:
    """UID of the object's controller, if it has one."""
    for reference in document["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return str(reference["uid"])
    return None


def is_controlled_by(document: Mapping[str, Any], uid: str) -> bool:
    """Whether the object with this UID controls it. An object with no UID yet controls nothing."""
    return uid != "" and controller_uid(document) == uid


def is_being_deleted(document: Mapping[str, Any]) -> bool:
    """Whether the object is on its way out."""
    return "deletionTimestamp" in document["metadata"]
