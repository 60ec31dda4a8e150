"""Kubernetes objects as the API server gives them, and the few fields that every part of the runtime reads."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Object = dict[str, Any]


class Key(NamedTuple):
    """What a queue holds: an object by its kind, namespace and name. Two lives of a name share a key."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """For logs."""
        return f"{self.kind} {self.namespace}/{self.name}"


def key_of(obj: Mapping[str, Any]) -> Key:
    """The key of an object."""
    metadata = obj["metadata"]
    return Key(obj["kind"], metadata.get("namespace") or "", metadata["name"])


def uid_of(obj: Mapping[str, Any]) -> str:
    """The UID of an object, empty in a manifest."""
    return str(obj["metadata"].get("uid") or "")


def version_of(obj: Mapping[str, Any]) -> int:
    """The resource version as a number, 0 in a manifest.

    Resource versions of one kind are decimal numbers that may be compared, by the API's own promise
    (https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/5504-comparable-resource-version).
    """
    return int(obj["metadata"].get("resourceVersion") or 0)


def owner_uids(obj: Mapping[str, Any]) -> Iterator[str]:
    """The UIDs of all owners."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        yield reference["uid"]


def controller_uid(obj: Mapping[str, Any]) -> str:
    """The UID of the owner that is the controller, or nothing."""
    references = obj["metadata"].get("ownerReferences") or ()
    return next((str(one["uid"]) for one in references if one.get("controller")), "")


def is_being_deleted(obj: Mapping[str, Any]) -> bool:
    """Whether the object waits for its end."""
    return bool(obj["metadata"].get("deletionTimestamp"))
