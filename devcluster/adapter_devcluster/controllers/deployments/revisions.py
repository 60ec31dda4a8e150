"""Annotations that number the ReplicaSets of a Deployment and note its size; and which old ones to delete.

``kubectl rollout history`` and ``undo`` read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from adapter_devcluster.controllers.deployments.templates import age
from adapter_devcluster.controllers.replica_sets import wanted_replicas
from adapter_devcluster.objects import Object, annotations_of, is_deleting, meta, section

REVISION: Final = "deployment.kubernetes.io/revision"
HISTORY: Final = "deployment.kubernetes.io/revision-history"
DESIRED: Final = "deployment.kubernetes.io/desired-replicas"
MAXIMUM: Final = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED: Final = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
        REVISION,
        HISTORY,
        DESIRED,
        MAXIMUM,
    }
)
_LONGEST_HISTORY: Final = 2000
_UNLIMITED: Final = 2**31 - 1


def revision(obj: Object) -> int:
    """Return the revision of a ReplicaSet or a Deployment; 0 where there is none that can be read."""
    return _number(annotations_of(obj).get(REVISION)) or 0


def desired_replicas(replica_set: Object) -> int | None:
    """Return the Deployment's replicas at the time when the ReplicaSet was last scaled."""
    return _number(annotations_of(replica_set).get(DESIRED))


def max_replicas(replica_set: Object) -> int | None:
    """Return the most pods that the Deployment might have had at that time."""
    return _number(annotations_of(replica_set).get(MAXIMUM))


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def size_annotations(replicas: int, maximum: int) -> dict[str, str]:
    """Return what a ReplicaSet notes when it is scaled."""
    return {DESIRED: str(replicas), MAXIMUM: str(maximum)}


def new_annotations(deployment: Object, replica_set: Object, old: Sequence[Object]) -> dict[str, str]:
    """Return the annotations of the new ReplicaSet: the Deployment's, and a revision above the ``old`` ones'.

    The revision that a reused ReplicaSet had before goes into its history.
    """
    found = dict(annotations_of(replica_set))
    found |= {name: value for name, value in annotations_of(deployment).items() if name not in _NOT_COPIED}
    number = max(map(revision, old), default=0) + 1
    before = annotations_of(replica_set).get(REVISION)
    if revision(replica_set) < number:
        found[REVISION] = str(number)
        if before is not None:
            found[HISTORY] = _history(found.get(HISTORY, ""), before)
    return found


def _history(earlier: str, before: str) -> str:
    """Append a revision; the oldest ones make room."""
    numbers = [one for one in earlier.split(",") if one]
    while numbers and len(",".join([*numbers, before])) > _LONGEST_HISTORY:
        numbers.pop(0)
    return ",".join([*numbers, before])


def surplus(deployment: Object, old: Sequence[Object]) -> list[Object]:
    """Return the old ReplicaSets over ``revisionHistoryLimit`` that are empty, and known to be."""
    limit = section(deployment, "spec").get("revisionHistoryLimit")
    if limit is None or limit == _UNLIMITED:
        return []
    alive = sorted((one for one in old if not is_deleting(one)), key=lambda one: (revision(one), age(one)))
    return [one for one in alive[: max(0, len(alive) - int(limit))] if _is_empty(one)]


def _is_empty(replica_set: Object) -> bool:
    status = section(replica_set, "status")
    observed = int(status.get("observedGeneration") or 0) >= int(meta(replica_set).get("generation") or 0)
    return observed and wanted_replicas(replica_set) == 0 and not status.get("replicas")
