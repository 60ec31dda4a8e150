"""The trainings that a deployment may follow, as far as it needs to know them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from adapter_operator.observe.owners import controller_uid, is_being_deleted
from adapter_operator.observe.pods import JSON

PRUNING: Final = "adapters.dev/pruning"
"""Annotation of a revision whose artifact is being deleted: nothing may begin to use it."""


@dataclass(frozen=True)
class Version:
    """One version of an adapter: its digest, where it lies, and its number in its training."""

    digest: str
    uri: str
    number: int | None = None


@dataclass(frozen=True)
class FollowedTraining:
    """What a deployment reads of an AdapterTraining. Its spec may be one that this release can't carry out.

    Attributes:
        shared_with: namespaces whose deployments may serve it.
        reason: of its condition Ready.
        current: the promoted version that deployments follow.
        versions: all that are known by status and revisions, newest first.
        pruned: digests whose artifacts are being deleted.
        output_uri: prefix that it publishes under; None until its first run starts.
        endpoint_url: of the store that it publishes to; None is AWS.
    """

    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str] = field(default_factory=dict)
    terminating: bool = False
    shared_with: frozenset[str] = frozenset()
    reason: str = ""
    current: Version | None = None
    versions: tuple[Version, ...] = ()
    pruned: frozenset[str] = frozenset()
    output_uri: str | None = None
    endpoint_url: str | None = None

    def version(self, digest: str) -> Version | None:
        """A version by its digest, where its location is known."""
        known = (*((self.current,) if self.current else ()), *self.versions)
        return next((version for version in known if version.digest == digest), None)


def read_training(document: JSON, revisions: Iterable[JSON] = ()) -> FollowedTraining:
    """Read an AdapterTraining and the ControllerRevisions that it controls."""
    metadata, spec, status = document["metadata"], document.get("spec") or {}, document.get("status") or {}
    storage = (status.get("resolved") or {}).get("storage") or {}
    own = [revision for revision in revisions if controller_uid(revision) == metadata["uid"]]
    return FollowedTraining(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        labels=metadata.get("labels") or {},
        terminating=is_being_deleted(document),
        shared_with=frozenset((spec.get("sharing") or {}).get("namespaces") or ()),
        reason=next((one["reason"] for one in status.get("conditions") or () if one["type"] == "Ready"), ""),
        current=_version(status.get("adapter") or {}),
        versions=_known_versions(status, own),
        pruned=frozenset(_data(one).get("digest", "") for one in own if _is_pruned(one)),
        output_uri=storage.get("uri"),
        endpoint_url=storage.get("endpointURL"),
    )


def _known_versions(status: JSON, revisions: list[JSON]) -> tuple[Version, ...]:
    listed = [_version(one) for one in status.get("versions") or ()]
    kept = [
        _version({**_data(one), "version": one.get("revision")})
        for one in sorted(revisions, key=lambda one: int(one.get("revision") or 0), reverse=True)
    ]
    return tuple(version for version in (*listed, *kept) if version is not None)


def _version(document: Mapping[str, Any]) -> Version | None:
    digest, uri, number = document.get("digest"), document.get("uri"), document.get("version")
    if not digest or not uri:
        return None
    return Version(digest, uri, number if isinstance(number, int) else None)


def _data(revision: JSON) -> Mapping[str, Any]:
    return revision.get("data") or {}


def _is_pruned(revision: JSON) -> bool:
    return PRUNING in (revision["metadata"].get("annotations") or {})
