"""Reading a deployment's children, pods, reports and trainings from the API server's objects."""

from datetime import UTC, datetime
from typing import Any

import pytest

from adapter_operator.api.v1alpha1 import deployment_keys as keys
from adapter_operator.observe.deployment import Conflict
from adapter_operator.observe.served_trainings import FollowedTraining, Version, read_training
from adapter_operator.observe.server_pods import Nudge
from adapter_testing.serving_world import (
    OUTPUT,
    UID,
    ServingWorld,
    digest,
    follows,
    record,
    revision,
    serving,
    training,
)

pytestmark = pytest.mark.unit


def served() -> ServingWorld:
    return serving(follows(), trainings=[training()])


def test_nothing_is_read_from_nothing() -> None:
    observed = ServingWorld.of().observe()
    assert observed.deployment is None
    assert observed.sets == observed.pods == observed.conflicts == ()


class TestOwnership:
    @pytest.mark.parametrize("kind", ["Deployment", "Service", "PodDisruptionBudget"])
    @pytest.mark.parametrize(
        ("metadata", "leaving"),
        [
            ({}, False),
            ({"deletionTimestamp": "2030-01-31T12:00:00Z"}, True),
            (
                {"ownerReferences": [{"kind": "AdapterDeployment", "name": "support", "uid": "z", "controller": True}]},
                True,
            ),
            (
                {"ownerReferences": [{"kind": "AdapterDeployment", "name": "other", "uid": "z", "controller": True}]},
                False,
            ),
            ({"ownerReferences": [{"kind": "AdapterDeployment", "name": "support", "uid": UID}]}, False),
        ],
        ids=["bare", "terminating", "earlier", "another's", "not its controller"],
    )
    def test_an_object_of_our_name_that_is_not_ours_is_a_conflict(
        self, kind: str, metadata: dict[str, Any], leaving: bool
    ) -> None:
        world = ServingWorld.of()
        world.foreign["x"] = {"kind": kind, "metadata": {"name": "support", "uid": "x", **metadata}}
        observed = world.observe()
        assert observed.conflicts == (Conflict(kind, "support", leaving),)
        assert (observed.deployment, observed.service, observed.disruption_budget) == (None, None, None)

    def test_objects_of_other_names_are_nobodys_business(self) -> None:
        world = ServingWorld.of()
        world.foreign["a"] = {"kind": "Deployment", "metadata": {"name": "another", "uid": "x"}}
        world.foreign["b"] = {"kind": "ConfigMap", "metadata": {"name": "support-set-0123456789-set-0", "uid": "x"}}
        assert world.observe().conflicts == ()

    def test_pods_of_another_controller_are_not_ours(self) -> None:
        world = served()
        world.pods["support-1"]["metadata"]["ownerReferences"][0]["uid"] = "another"
        assert world.observe().pods == ()

    def test_pods_that_leave_or_have_ended_are_not_living_but_mount(self) -> None:
        world = served()
        world.start_pod()
        world.pods["support-1"]["metadata"]["deletionTimestamp"] = "2030-01-31T12:00:00Z"
        world.pods["support-2"]["status"]["phase"] = "Failed"
        observed = world.observe()
        assert observed.pods == ()
        assert observed.mounted_sets == set(world.config_maps)


def test_a_replica_set_without_replicas_mounts_nothing() -> None:
    world = served()
    world.pods.clear()
    assert world.observe().mounted_sets == set(world.config_maps)
    [replica_set] = world.replica_sets.values()
    replica_set["spec"]["replicas"] = 0
    assert world.observe().mounted_sets == frozenset()
    replica_set["status"] = {"replicas": 1}
    assert world.observe().mounted_sets == set(world.config_maps)


def test_a_set_that_cannot_be_read_is_there_without_content() -> None:
    world = served()
    [config_map] = world.config_maps.values()
    for data in ({}, None, {keys.SET_KEY: "no JSON"}):
        config_map["data"] = data
        [live] = world.observe().sets
        assert live.content is None


class TestDeploymentObject:
    def test_its_template_and_annotations_are_read(self) -> None:
        world = served()
        live = world.observe().deployment
        assert live.image == "registry.example/adapter-server:1.0"
        assert live.set_names == tuple(world.config_maps)
        assert live.contract_version == 1
        assert live.inputs_hash == world.status["resolved"]["templateInputsHash"]
        assert live.settled
        assert live.deadline_message is live.creation_failure is None

    def test_a_controller_that_has_not_seen_the_newest_spec(self) -> None:
        world = served()
        world.deployment["metadata"]["generation"] += 1
        assert not world.observe().deployment.settled

    def test_what_its_conditions_say(self) -> None:
        world = served()
        world.deployment["status"]["conditions"] = [
            {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"},
            {"type": "ReplicaFailure", "status": "True", "message": "forbidden"},
            {"type": "Available", "status": "True"},
        ]
        live = world.observe().deployment
        assert (live.deadline_message, live.creation_failure) == ("timed out", "forbidden")


class TestPods:
    def test_what_a_pod_is(self) -> None:
        world = served()
        world.pods["support-1"]["metadata"]["annotations"] |= {
            keys.SET_GENERATION: "3",
            keys.SET_NUDGE: "2@2030-01-31T11:59:58Z",
        }
        [pod] = world.observe().pods
        assert (pod.name, pod.uid, pod.running, pod.ready) == ("support-1", "uid-support-1", True, True)
        assert pod.created == pod.ready_since == datetime(2030, 1, 31, 12, tzinfo=UTC)
        assert pod.set_names == tuple(world.config_maps)
        assert pod.inputs_hash == world.status["resolved"]["templateInputsHash"]
        assert pod.nudge == Nudge(3, 2, datetime(2030, 1, 31, 11, 59, 58, tzinfo=UTC))
        assert pod.adapter("support-bot").served_digest == digest("support-bot 1")
        assert pod.adapter("another") is None

    def test_they_come_oldest_first(self) -> None:
        world = served()
        world.wait(1)
        world.start_pod()
        world.pods = dict(reversed(world.pods.items()))
        del world.pods["support-1"]["metadata"]["creationTimestamp"]
        assert [pod.name for pod in world.observe().pods] == ["support-1", "support-2"]

    @pytest.mark.parametrize(
        ("container", "failure"),
        [
            ({"state": {"running": {}}}, None),
            ({"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}, None),
            (
                {"state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}, "restartCount": 1},
                "container server ended with code 137, restarts: 1: OOMKilled",
            ),
            (
                {"lastState": {"terminated": {"exitCode": 64, "reason": "Error", "message": "no\nsuch base"}}},
                "container server ended with code 64, restarts: 0: no such base",
            ),
            (
                {"lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}},
                "container server ended with code 1, restarts: 0",
            ),
        ],
    )
    def test_how_its_container_last_ended(self, container: dict[str, Any], failure: str | None) -> None:
        world = served()
        world.set_ready("support-1", ready=False)
        world.pods["support-1"]["status"]["containerStatuses"] = [{"name": "server", **container}]
        [pod] = world.observe().pods
        assert pod.failure == failure

    def test_an_old_failure_of_a_ready_pod_is_forgotten(self) -> None:
        world = served()
        last = {"terminated": {"exitCode": 1}}
        world.pods["support-1"]["status"]["containerStatuses"] = [{"name": "server", "lastState": last}]
        [pod] = world.observe().pods
        assert pod.failure is None


class TestTrainings:
    def test_one_that_has_published_nothing(self) -> None:
        document = training(version=None, endpoint=None)
        del document["status"]
        assert read_training(document) == FollowedTraining("team-a", "support-bot", "uid-team-a-support-bot")

    def test_versions_of_status_and_revisions_newest_first(self) -> None:
        of = training(version=4, versions=[3], shared_with=["team-b"], labels={"a": "b"})
        other = training("other")
        found = read_training(of, [revision(of, 1), revision(of, 2, pruning=True), revision(other, 9)])
        assert found.current == Version(digest("support-bot 4"), record("support-bot", 4)["uri"], 4)
        assert [version.number for version in found.versions] == [4, 3, 2, 1]
        assert found.pruned == {digest("support-bot 2")}
        assert (found.shared_with, found.labels, found.output_uri) == ({"team-b"}, {"a": "b"}, OUTPUT)
        assert found.version(digest("support-bot 1")).number == 1
        assert found.version(digest("other 9")) is None
        assert found.reason == "Training"

    def test_what_has_no_location_or_number_is_no_version(self) -> None:
        document = training()
        document["status"]["adapter"] = {"digest": digest("x"), "version": 1}
        document["status"]["versions"] = [{"digest": digest("y"), "uri": "s3://bucket/y/"}]
        found = read_training(document)
        assert found.current is None
        assert found.versions == (Version(digest("y"), "s3://bucket/y/", None),)
        assert found.version(digest("y")) == found.versions[0]
