"""Adoption and release: which objects a controller has, by their controller reference and its selector.

Source: ``pkg/controller/controller_ref_manager.go``, v1.36.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from adapter_devcluster.client import Change, Client
from adapter_devcluster.objects import (
    Key,
    Object,
    controller_of,
    is_deleting,
    key,
    labels_of,
    meta,
    owner_references,
    section,
    uid,
)
from adapter_devcluster.selectors import Selector, label_selector
from adapter_devcluster.statuses import StatusError

Claim = Literal["keep", "adopt", "release", "ignore"]


def controller_reference(owner: Object) -> Object:
    """Return the owner reference of what a controller creates or adopts for ``owner``."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": meta(owner)["name"],
        "uid": uid(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def judge_claim(owner: Object, selector: Selector, candidate: Object) -> Claim:
    """Decide what ``owner`` does about an object of its namespace. Pure."""
    matches = selector.matches(labels_of(candidate))
    controller = controller_of(candidate)
    if controller is not None:
        if controller.get("uid") != uid(owner):
            return "ignore"
        if matches:
            return "keep"
        return "ignore" if is_deleting(owner) else "release"
    if is_deleting(owner) or is_deleting(candidate) or not matches:
        return "ignore"
    return "adopt"


def claim(
    client: Client, owner: Object, resource: str, selector: Selector, candidates: Iterable[Object]
) -> list[Object]:
    """Adopt and release objects as it takes, and return those that ``owner`` has. May raise StatusError."""
    claimed = []
    for candidate in candidates:
        match judge_claim(owner, selector, candidate):
            case "keep":
                claimed.append(candidate)
            case "adopt":
                references = [*owner_references(candidate), controller_reference(owner)]
                claimed.append(_set_owners(client, resource, candidate, references))
            case "release":
                references = [one for one in owner_references(candidate) if one.get("uid") != uid(owner)]
                _set_owners(client, resource, candidate, references)
            case _:
                pass
    return claimed


def _set_owners(client: Client, resource: str, obj: Object, references: list[Object]) -> Object:
    metadata = {"uid": uid(obj), "ownerReferences": references or None}
    return client.patch(resource, *key(obj), {"metadata": metadata})


def possible_owners(client: Client, resource: str, change: Change) -> list[Key]:
    """Return which objects of ``resource`` select a changed object that nobody controls, and so may adopt it."""
    orphan = change.object
    if change.type == "DELETED" or is_deleting(orphan) or controller_of(orphan) is not None:
        return []
    return [
        key(owner)
        for owner in client.list(resource, key(orphan)[0])
        if label_selector(section(owner, "spec").get("selector")).matches(labels_of(orphan))
    ]


def namespace_is_terminating(error: StatusError) -> bool:
    """Whether a creation failed only because its namespace is going."""
    causes = error.status.get("details", {}).get("causes", [])
    return any(one.get("reason") == "NamespaceTerminating" for one in causes)
