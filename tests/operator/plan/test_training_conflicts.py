"""Children whose names are taken by objects of somebody else."""

from copy import deepcopy
from typing import Any

import pytest

from adapter_testing.training_lab import TrainingLab, digest_of

pytestmark = pytest.mark.unit


def foreign(lab: TrainingLab, kind: str, name: str, *, owner: dict[str, Any] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": kind, "metadata": {"name": name, "namespace": "team-a", "uid": "uid-foreign"}}
    if owner is not None:
        found["metadata"]["ownerReferences"] = [owner]
    store = {"Job": lab.jobs, "ConfigMap": lab.config_maps, "ControllerRevision": lab.revisions}[kind]
    store[name] = found
    return found


def config_map_name() -> str:
    lab = TrainingLab()
    lab.reconcile()
    return next(iter(lab.config_maps))


@pytest.mark.parametrize("kind", ["Job", "ConfigMap"])
def test_a_foreign_object_is_a_conflict_and_nothing_is_created(kind: str) -> None:
    name = "support-bot-r1-a1" if kind == "Job" else config_map_name()
    lab = TrainingLab()
    foreign(lab, kind, name)
    lab.reconcile()
    assert lab.reason == "NameConflict"
    assert f"{kind} {name}" in lab.message
    assert "run" not in lab.status
    assert lab.posted == []
    assert lab.requeue_after == 60
    assert lab.plan().is_empty
    (lab.jobs if kind == "Job" else lab.config_maps).pop(name)
    lab.reconcile()
    assert lab.reason == "Starting"


def test_one_that_is_being_deleted_is_waited_for() -> None:
    lab = TrainingLab()
    foreign(lab, "Job", "support-bot-r1-a1")["metadata"]["deletionTimestamp"] = "2030-01-31T12:00:00Z"
    lab.reconcile()
    assert lab.reason == "Pending"
    assert lab.requeue_after == 10


def test_children_of_an_earlier_training_of_the_same_name_are_waited_for() -> None:
    lab = TrainingLab()
    owner = {"kind": "AdapterTraining", "name": "support-bot", "uid": "uid-0", "controller": True}
    foreign(lab, "Job", "support-bot-r1-a1", owner=owner)
    lab.reconcile()
    assert lab.reason == "Pending"


def test_a_foreign_revision_keeps_the_result_from_being_recorded_until_it_is_gone() -> None:
    lab = TrainingLab()
    lab.reconcile()
    lab.run_pod()
    lab.reconcile()
    foreign(lab, "ControllerRevision", "support-bot-v1")
    lab.succeed(digest_of("a"))
    lab.reconcile()
    assert lab.reason == "NameConflict"
    assert "ControllerRevision support-bot-v1" in lab.message
    assert "adapter" not in lab.status
    del lab.revisions["support-bot-v1"]
    lab.reconcile()
    assert lab.reason == "Succeeded"
    assert lab.status["adapter"]["version"] == 1


def test_a_revision_of_ours_that_cannot_be_read_stands_in_the_way_too() -> None:
    lab = TrainingLab()
    lab.reconcile()
    lab.run_pod()
    lab.succeed(digest_of("a"))
    lab.reconcile()
    broken = deepcopy(lab.revisions["support-bot-v1"])
    broken["metadata"]["name"], broken["data"] = "support-bot-v2", {"digest": "nonsense"}
    lab.revisions["support-bot-v2"] = broken
    lab.edit({"hyperparameters": {"seed": 3}})
    lab.reconcile()
    lab.run_pod()
    lab.succeed(digest_of("b"))
    lab.reconcile()
    assert lab.reason == "NameConflict"
