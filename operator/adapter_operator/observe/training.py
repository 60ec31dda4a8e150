"""What the cluster holds of one AdapterTraining, read from the objects as the API server gave them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from adapter_contract.progress import Progress
from adapter_operator.api.v1alpha1.training import AdapterTraining
from adapter_operator.api.v1alpha1.version_record import VersionRecord
from adapter_operator.observe.owners import controller_uid, is_being_deleted, is_controlled_by
from adapter_operator.observe.training_attempts import Numbers, ObservedAttempt, observe_attempts
from adapter_operator.observe.training_parents import ParentTraining, observe_parent

JSON = Mapping[str, Any]


@dataclass(frozen=True)
class ForeignObject:
    """An object that the training does not control but whose name it may need.

    Attributes:
        kind, name: of the object.
        leaving: it is being deleted, or belongs to an earlier training of the same name and is about to be.

    """

    kind: str
    name: str
    leaving: bool


@dataclass(frozen=True)
class ObservedConfigMap:
    """A config map with a TrainerConfig of one of the runs."""

    name: str
    uid: str


@dataclass(frozen=True)
class ObservedTraining:
    """All that the planner knows of the cluster.

    Attributes:
        attempts: by the numbers of run and attempt.
        config_maps: those that the training controls, by name.
        versions: promoted ones, by their ControllerRevisions, oldest first.
        foreign: what others own, by kind and name.
        parents: trainings of the namespace by name, as far as they were handed in.

    """

    attempts: Mapping[Numbers, ObservedAttempt] = field(default_factory=dict)
    config_maps: Mapping[str, ObservedConfigMap] = field(default_factory=dict)
    versions: tuple[VersionRecord, ...] = ()
    foreign: Mapping[tuple[str, str], ForeignObject] = field(default_factory=dict)
    parents: Mapping[str, ParentTraining] = field(default_factory=dict)

    def version_with(self, digest: str) -> VersionRecord | None:
        """The promoted version of a digest."""
        return next((version for version in self.versions if version.digest == digest), None)


def observe_training(
    training: AdapterTraining,
    *,
    jobs: Iterable[JSON],
    pods: Iterable[JSON],
    config_maps: Iterable[JSON],
    revisions: Iterable[JSON],
    progress: Mapping[str, Progress],
    trainings: Mapping[str, JSON],
    events: Iterable[JSON] = (),
) -> ObservedTraining:
    """Read what there is.

    Args:
        training: whose children are meant.
        jobs: raw Jobs. Those that the training does not control count as foreign: they only stand in the way. The
            same holds for `config_maps` and `revisions`.
        config_maps: raw config maps.
        revisions: raw controller revisions.
        pods: raw pods below the training's Jobs.
        progress: newest report by the UID of the pod.
        trainings: raw trainings of the namespace by name; at least the one that initializeFrom names, if it exists.
        events: raw Kubernetes events about Jobs and pods.

    """
    name, uid = training.metadata.name, training.metadata.uid
    own, foreign = _sorted_by_owner(name, uid, {"Job": jobs, "ConfigMap": config_maps, "ControllerRevision": revisions})
    versions, unreadable = _versions(own["ControllerRevision"])
    return ObservedTraining(
        attempts=observe_attempts(name, own["Job"], pods, progress, events),
        config_maps={
            found["metadata"]["name"]: ObservedConfigMap(found["metadata"]["name"], found["metadata"]["uid"])
            for found in own["ConfigMap"]
        },
        versions=versions,
        foreign=foreign | unreadable,
        parents={other: observe_parent(other, document) for other, document in trainings.items()},
    )


def _sorted_by_owner(
    name: str, uid: str, objects: Mapping[str, Iterable[JSON]]
) -> tuple[dict[str, list[JSON]], dict[tuple[str, str], ForeignObject]]:
    own: dict[str, list[JSON]] = {kind: [] for kind in objects}
    foreign: dict[tuple[str, str], ForeignObject] = {}
    for kind, documents in objects.items():
        for document in documents:
            if is_controlled_by(document, uid):
                own[kind].append(document)
                continue
            found = document["metadata"]["name"]
            leaving = is_being_deleted(document) or _is_predecessors(document, name)
            foreign[kind, found] = ForeignObject(kind, found, leaving)
    return own, foreign


def _is_predecessors(document: JSON, name: str) -> bool:
    """Whether a training of this name controlled it that is gone: the garbage collector will take it."""
    owners = document["metadata"].get("ownerReferences") or ()
    names = {(owner["kind"], owner["name"]) for owner in owners if owner["uid"] == controller_uid(document)}
    return ("AdapterTraining", name) in names


def _versions(
    revisions: Iterable[JSON],
) -> tuple[tuple[VersionRecord, ...], dict[tuple[str, str], ForeignObject]]:
    """The records in order; what can't be read only stands in the way, like an object of somebody else."""
    versions, unreadable = [], {}
    for revision in revisions:
        try:
            versions.append(VersionRecord.model_validate(revision.get("data"), by_alias=True, by_name=False))
        except ValidationError:
            name = revision["metadata"]["name"]
            unreadable["ControllerRevision", name] = ForeignObject("ControllerRevision", name, leaving=False)
    return tuple(sorted(versions, key=lambda version: version.version)), unreadable
