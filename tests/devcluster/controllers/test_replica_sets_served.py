"""The ReplicaSet controller on the real server, with the test as the kubelet."""

import pytest

from adapter_devcluster.controllers.replica_sets import ReplicaSetController
from adapter_devcluster.objects import controller_of, labels_of, meta, section
from adapter_testing.controller_lab import NAMESPACE, at_rest, eventually, play

pytestmark = pytest.mark.integration

SETS = "replicasets.apps"


def replica_set(name="r", replicas=2, **spec):
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "main", "image": "i:1"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": template,
            **spec,
        },
    }


def pod(name, **labels):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": {"containers": [{"name": "main", "image": "i:1"}]},
    }


def names(lab):
    return {meta(one)["name"] for one in lab.pods()}


def status(lab, name="r"):
    return section(lab.get(SETS, name), "status")


def scale(lab, replicas):
    lab.client.patch(SETS, NAMESPACE, "r", {"spec": {"replicas": replicas}})


def test_pods_are_made_counted_replaced_and_taken_away():
    async def scene(lab):
        lab.client.create(SETS, replica_set())
        await eventually(lambda: status(lab).get("replicas") == 2)
        first, second = sorted(names(lab))
        assert first.startswith("r-")
        assert status(lab) == {
            "replicas": 2,
            "fullyLabeledReplicas": 2,
            "terminatingReplicas": 0,
            "observedGeneration": 1,
        }
        for name in (first, second):
            lab.bind(name)
            lab.run(name)
        await eventually(lambda: status(lab).get("availableReplicas") == 2)
        lab.client.delete("pods", NAMESPACE, first)
        await eventually(lambda: status(lab).get("terminatingReplicas") == 1)
        await eventually(lambda: len(names(lab)) == 2)
        lab.finish(first)
        await eventually(lambda: status(lab).get("terminatingReplicas") == 0)
        # What has ended is replaced, and left lying.
        lab.finish(second, code=1)
        await eventually(lambda: len(names(lab)) == 3)
        scale(lab, 0)
        await eventually(lambda: names(lab) == {second} and status(lab).get("replicas") == 0)
        await at_rest(lab)
        assert ("Normal", "SuccessfulCreate") in lab.events()
        assert ("Normal", "SuccessfulDelete") in lab.events()
        assert status(lab)["observedGeneration"] == 2

    play(ReplicaSetController)(scene)


def test_the_pod_that_serves_least_goes_first():
    async def scene(lab):
        lab.client.create(SETS, replica_set(replicas=3))
        await eventually(lambda: len(names(lab)) == 3)
        kept = sorted(names(lab))[1]
        lab.bind(kept)
        lab.run(kept)
        scale(lab, 1)
        await eventually(lambda: names(lab) == {kept})

    play(ReplicaSetController)(scene)


def test_matching_pods_are_adopted_and_others_released():
    async def scene(lab):
        lab.client.create("pods", pod("early", app="r"))
        lab.client.create("pods", pod("stranger", app="other"))
        lab.client.create(SETS, replica_set())
        await eventually(lambda: len(names(lab)) == 3)
        assert controller_of(lab.get("pods", "early"))["name"] == "r"
        assert controller_of(lab.get("pods", "stranger")) is None
        lab.client.patch("pods", NAMESPACE, "early", {"metadata": {"labels": {"app": "elsewhere"}}})
        await eventually(lambda: controller_of(lab.get("pods", "early")) is None)
        await eventually(lambda: len(names(lab)) == 4)
        # It comes back: then there is one too many.
        lab.client.patch("pods", NAMESPACE, "early", {"metadata": {"labels": {"app": "r"}}})
        await eventually(lambda: len([one for one in lab.pods() if labels_of(one).get("app") == "r"]) == 2)
        assert "stranger" in names(lab)

    play(ReplicaSetController)(scene)


def test_pods_become_available_after_min_ready_seconds():
    async def scene(lab):
        lab.client.create(SETS, replica_set(replicas=1, minReadySeconds=1))
        (name,) = await eventually(lambda: names(lab))
        lab.run(name)
        await eventually(lambda: status(lab).get("readyReplicas") == 1)
        await eventually(lambda: status(lab).get("availableReplicas") == 1, 3)

    play(ReplicaSetController)(scene)


def test_a_refused_pod_shows_in_status_and_events_until_it_is_let_in():
    async def scene(lab):
        lab.deny("pods", "CREATE")
        lab.client.create(SETS, replica_set())
        (condition,) = await eventually(lambda: status(lab).get("conditions"))
        assert (condition["type"], condition["status"], condition["reason"]) == (
            "ReplicaFailure",
            "True",
            "FailedCreate",
        )
        assert "not today" in condition["message"]
        assert ("Warning", "FailedCreate") in lab.events()
        lab.allow()
        await eventually(lambda: len(names(lab)) == 2 and "conditions" not in status(lab))

    play(ReplicaSetController)(scene)


def test_a_refused_deletion_shows_in_status_and_events_too():
    async def scene(lab):
        lab.client.create(SETS, replica_set())
        await eventually(lambda: status(lab).get("replicas") == 2)
        lab.deny("pods", "DELETE")
        scale(lab, 0)
        (condition,) = await eventually(lambda: status(lab).get("conditions"))
        assert condition["reason"] == "FailedDelete"
        assert ("Warning", "FailedDelete") in lab.events()
        lab.allow()
        await eventually(lambda: not names(lab) and "conditions" not in status(lab))

    play(ReplicaSetController)(scene)


def test_nothing_is_made_in_a_namespace_that_goes():
    async def scene(lab):
        lab.client.create(SETS, replica_set(replicas=0))
        await eventually(lambda: status(lab).get("observedGeneration") == 1)
        lab.client.delete("namespaces", "", NAMESPACE)
        scale(lab, 2)
        await eventually(lambda: status(lab)["observedGeneration"] == 2)
        await at_rest(lab)
        assert names(lab) == set()
        assert "conditions" not in status(lab)

    play(ReplicaSetController)(scene)


def test_a_replica_set_that_is_being_deleted_makes_no_pods():
    async def scene(lab):
        held = replica_set()
        held["metadata"]["finalizers"] = ["example.test/hold"]
        lab.client.create(SETS, held)
        await eventually(lambda: len(names(lab)) == 2)
        lab.client.delete(SETS, NAMESPACE, "r")
        for name in names(lab):
            lab.client.delete("pods", NAMESPACE, name)
        await eventually(lambda: status(lab).get("replicas") == 0)
        await at_rest(lab)
        assert names(lab) == set()

    play(ReplicaSetController)(scene)
