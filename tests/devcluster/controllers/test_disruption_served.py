"""PodDisruptionBudgets on the real server, and evictions under them."""

import pytest

from adapter_devcluster.controllers.disruption import BUDGETS, DisruptionController, eviction_allowed
from adapter_devcluster.objects import copy, key, meta, section
from adapter_testing.controller_lab import NAMESPACE, at_rest, eventually, play

pytestmark = pytest.mark.integration

scenes = play(DisruptionController)


def budget(name="b", **spec):
    spec = {"selector": {"matchLabels": {"app": "a"}}, **spec}
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}


def create_owner(lab, kind="ReplicaSet", name="r", replicas=3, above=None):
    labels = {"app": "a"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "i:1"}]}}
    owner = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE, "ownerReferences": [reference(above)] if above else []},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }
    return lab.client.create(f"{kind.lower()}s.apps", owner)


def reference(owner):
    fields = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": key(owner)[1],
        "uid": meta(owner)["uid"],
    }
    return {**fields, "controller": True}


def run_pods(lab, count, owner=None, ready=True):
    for number in range(count):
        name = f"p{number}"
        spec = {"containers": [{"name": "main", "image": "i:1"}]}
        metadata = {"name": name, "namespace": NAMESPACE, "labels": {"app": "a"}}
        if owner is not None:
            metadata["ownerReferences"] = [reference(owner)]
        lab.client.create("pods", {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        set_ready(lab, name, ready=ready)


def set_ready(lab, name, *, ready):
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:00Z"}
    patch = {"status": {"phase": "Running", "conditions": [condition]}}
    lab.client.patch("pods", NAMESPACE, name, patch, "status")


def counts(lab, name="b"):
    status = section(lab.get(BUDGETS, name), "status")
    return tuple(status.get(one) for one in ("expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed"))


def reason(lab):
    return [one["reason"] for one in section(lab.get(BUDGETS, "b"), "status").get("conditions", [])]


def refusal(lab, name="p0", **options):
    return eviction_allowed(lab.client, lab.get("pods", name), **options)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"maxUnavailable": 1}, (3, 2, 2, 0)),
        ({"maxUnavailable": "50%"}, (3, 1, 2, 1)),
        ({"minAvailable": 1}, (2, 1, 2, 1)),
        ({"minAvailable": "34%"}, (3, 2, 2, 0)),
        ({}, (0, 0, 2, 0)),
    ],
)
def test_what_is_expected_comes_from_the_pods_controller_or_the_pods(spec, expected):
    async def scene(lab):
        run_pods(lab, 2, create_owner(lab))
        lab.client.create(BUDGETS, budget(**spec))
        await eventually(lambda: counts(lab) == expected)
        assert reason(lab) == ["SufficientPods" if expected[3] else "InsufficientPods"]

    scenes(scene)


def test_a_deployments_size_counts_and_is_followed():
    async def scene(lab):
        deployment = create_owner(lab, "Deployment", "d", 4)
        run_pods(lab, 3, create_owner(lab, above=deployment))
        lab.client.create(BUDGETS, budget(maxUnavailable=2))
        await eventually(lambda: counts(lab) == (4, 2, 3, 1))
        lab.client.patch("deployments.apps", NAMESPACE, "d", {"spec": {"replicas": 3}})
        await eventually(lambda: counts(lab) == (3, 1, 3, 2))
        lab.client.delete("pods", NAMESPACE, "p0", grace_seconds=0)
        await eventually(lambda: counts(lab) == (3, 1, 2, 1))

    scenes(scene)


def test_pods_of_a_controller_without_a_size_stop_all_evictions():
    async def scene(lab):
        template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "i:1"}]}}
        metadata = {"name": "j", "namespace": NAMESPACE}
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}}
        run_pods(lab, 1, lab.client.create("jobs.batch", job))
        lab.client.create(BUDGETS, budget(maxUnavailable=1))
        await eventually(lambda: reason(lab) == ["SyncFailed"])
        assert ("Warning", "CalculateExpectedPodCountFailed") in lab.events()
        # A number of its own needs no controller.
        lab.client.patch(BUDGETS, NAMESPACE, "b", {"spec": {"maxUnavailable": None, "minAvailable": 0}})
        await eventually(lambda: counts(lab) == (1, 0, 1, 1))

    scenes(scene)


def definition(subresources):
    replicas = {"type": "object", "properties": {"replicas": {"type": "integer"}}}
    schema = {"type": "object", "properties": {"spec": replicas}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "crews", "singular": "crew", "kind": "Crew", "listKind": "CrewList"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "crews.example.test"},
        "spec": {
            "group": "example.test",
            "scope": "Namespaced",
            "names": names,
            "versions": [{**version, "subresources": subresources}],
        },
    }


@pytest.mark.parametrize("scalable", [True, False])
def test_a_custom_resource_counts_by_its_scale(scalable):
    async def scene(lab):
        lab.api.custom_resources.start()
        paths = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
        resource = "customresourcedefinitions.apiextensions.k8s.io"
        lab.client.create(resource, definition({"scale": paths} if scalable else {}))
        await eventually(lambda: lab.client.resource_for("example.test/v1", "Crew"))
        metadata = {"name": "c", "namespace": NAMESPACE}
        crew = {"apiVersion": "example.test/v1", "kind": "Crew", "metadata": metadata, "spec": {"replicas": 5}}
        run_pods(lab, 2, lab.client.create("crews.example.test", crew))
        lab.client.create(BUDGETS, budget(maxUnavailable=4))
        await eventually(lambda: reason(lab) == ["SufficientPods" if scalable else "SyncFailed"])
        assert counts(lab) == ((5, 1, 2, 1) if scalable else (0, 0, 0, 0))
        lab.api.custom_resources.stop()

    scenes(scene)


def test_a_controller_that_is_gone_is_an_error():
    async def scene(lab):
        owner = copy(create_owner(lab))
        owner["metadata"]["uid"] = "11111111-2222-3333-4444-555555555555"
        run_pods(lab, 1, owner)
        lab.client.create(BUDGETS, budget(maxUnavailable=1))
        await eventually(lambda: reason(lab) == ["SyncFailed"])

    scenes(scene)


def test_an_eviction_is_counted_at_once_and_the_next_is_refused():
    async def scene(lab):
        run_pods(lab, 3, create_owner(lab))
        lab.client.create(BUDGETS, budget(maxUnavailable=1))
        found = refusal(lab)
        assert found is not None
        assert found.status["details"]["causes"] == [
            {"reason": "DisruptionBudget", "message": "The disruption budget b is still being processed by the server."}
        ]
        assert found.status["details"]["retryAfterSeconds"] == 10
        await eventually(lambda: counts(lab) == (3, 2, 3, 1))
        assert refusal(lab, dry_run=True) is None
        assert refusal(lab) is None
        found = refusal(lab, "p1")
        assert found is not None
        assert (found.code, found.reason) == (429, "TooManyRequests")
        assert str(found) == "Cannot evict pod as it would violate the pod's disruption budget."
        message = "The disruption budget b needs 2 healthy pods and has 3 currently"
        assert found.status["details"]["causes"] == [{"reason": "DisruptionBudget", "message": message}]
        # The controller, too, remembers the eviction, until the pod goes.
        await eventually(lambda: counts(lab) == (3, 2, 2, 0))
        lab.client.delete("pods", NAMESPACE, "p0", grace_seconds=0)
        await eventually(lambda: "disruptedPods" not in lab.get(BUDGETS, "b")["status"])

    scenes(scene)


def test_pods_that_add_nothing_are_evicted_in_spite_of_a_budget():
    async def scene(lab):
        run_pods(lab, 3, create_owner(lab))
        set_ready(lab, "p0", ready=False)
        lab.client.create(BUDGETS, budget(maxUnavailable=0))
        await eventually(lambda: counts(lab) == (3, 3, 2, 0))
        assert refusal(lab) is not None
        lab.client.patch(BUDGETS, NAMESPACE, "b", {"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}})
        await at_rest(lab)
        assert refusal(lab) is None
        assert refusal(lab, "p1") is not None
        # With enough others an unready pod may go under any policy.
        lab.client.patch(BUDGETS, NAMESPACE, "b", {"spec": {"unhealthyPodEvictionPolicy": None, "maxUnavailable": 1}})
        await eventually(lambda: counts(lab) == (3, 2, 2, 0))
        assert refusal(lab) is None
        for phase in ("Pending", "Succeeded", "Failed"):
            lab.client.patch("pods", NAMESPACE, "p1", {"status": {"phase": phase}}, "status")
            assert refusal(lab, "p1") is None

    scenes(scene)


def test_two_budgets_for_one_pod_are_an_error_and_none_is_no_hindrance():
    async def scene(lab):
        run_pods(lab, 1)
        assert refusal(lab) is None
        for name in ("b", "c"):
            lab.client.create(BUDGETS, budget(name, minAvailable=0))
        found = refusal(lab)
        assert found is not None
        assert found.code == 500

    scenes(scene)


def test_why_a_budget_fails_is_told_to_whoever_evicts():
    async def scene(lab):
        run_pods(lab, 1)
        lab.client.create(BUDGETS, budget(maxUnavailable=1))
        await at_rest(lab)
        status = copy(lab.get(BUDGETS, "b"))
        status["status"]["conditions"][0] |= {"reason": "SyncFailed", "message": "why"}
        lab.client.update(BUDGETS, status, "status")
        found = refusal(lab)
        assert found is not None
        (cause,) = found.status["details"]["causes"]
        assert cause["message"].endswith("because it failed sync: why")
        status = copy(lab.get(BUDGETS, "b"))
        status["status"]["disruptedPods"] = dict.fromkeys((f"x{i}" for i in range(2001)), "2026-01-01T00:00:00Z")
        lab.client.update(BUDGETS, status, "status")
        found = refusal(lab)
        assert found is not None
        assert found.code == 403

    scenes(scene)


def test_a_budget_without_pods_allows_nothing_and_says_so():
    async def scene(lab):
        run_pods(lab, 1)
        lab.client.create(BUDGETS, budget(minAvailable=0, selector={"matchLabels": {"app": "other"}}))
        await eventually(lambda: lab.events() == [("Normal", "NoPods")])
        assert counts(lab) == (0, 0, 0, 0)
        lab.client.delete("pods", NAMESPACE, "p0", grace_seconds=0)
        lab.client.delete(BUDGETS, NAMESPACE, "b")
        await at_rest(lab)
        assert lab.get(BUDGETS, "b") is None

    scenes(scene)


def test_several_pods_may_go_at_once_if_the_budget_has_room():
    async def scene(lab):
        run_pods(lab, 3)
        lab.client.create(BUDGETS, budget(minAvailable=1))
        await eventually(lambda: counts(lab) == (3, 1, 3, 2))
        assert [refusal(lab, f"p{number}") is None for number in range(3)] == [True, True, False]

    scenes(scene)
