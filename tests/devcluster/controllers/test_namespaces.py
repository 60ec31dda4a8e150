"""The end of namespaces."""

import asyncio

import pytest

from adapter_devcluster.controllers.jobs import JobController
from adapter_devcluster.controllers.namespaces import NamespaceController, Remains, updated_conditions
from adapter_devcluster.controllers.service_accounts import RootCaController, ServiceAccountController
from adapter_testing.controller_lab import NAMESPACE, at_rest, eventually, play

pytestmark = pytest.mark.integration

GOOD = {
    "NamespaceDeletionDiscoveryFailure": ("False", "ResourcesDiscovered"),
    "NamespaceDeletionGroupVersionParsingFailure": ("False", "ParsedGroupVersions"),
    "NamespaceDeletionContentFailure": ("False", "ContentDeleted"),
    "NamespaceContentRemaining": ("False", "ContentRemoved"),
    "NamespaceFinalizersRemaining": ("False", "ContentHasNoFinalizers"),
}


def shown(conditions):
    return {one["type"]: (one["status"], one["reason"]) for one in conditions}


def messages(conditions):
    return {one["type"]: one["message"] for one in conditions if one["status"] == "True"}


def namespace(lab):
    return lab.client.get("namespaces", "", NAMESPACE)


def config_map(name, **metadata):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NAMESPACE, **metadata}}


def pod(name, **metadata):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, **metadata},
        "spec": {"containers": [{"name": "main", "image": "example.test/app:1"}]},
    }


def test_conditions_of_an_empty_namespace():
    found = updated_conditions([], Remains(), "2026-05-04T12:00:00Z")
    assert shown(found) == GOOD
    assert [one["type"] for one in found] == list(GOOD)
    assert {one["lastTransitionTime"] for one in found} == {"2026-05-04T12:00:00Z"}


def test_conditions_say_what_is_left():
    remains = Remains()
    remains.add("pods", [pod("a", finalizers=["x/a", "x/b"]), pod("b", finalizers=["x/a"])])
    remains.add("jobs.batch", [pod("c")])
    remains.refusals += ["b was refused", "a was refused"]
    other = {"type": "Other", "status": "True"}
    first = updated_conditions([other], Remains(), "2026-05-04T12:00:00Z")
    found = updated_conditions(first, remains, "2026-05-04T12:00:01Z")
    assert found[0] == other
    assert messages(found[1:]) == {
        "NamespaceDeletionContentFailure": (
            "Failed to delete all resource types, 2 remaining: a was refused, b was refused"
        ),
        "NamespaceContentRemaining": (
            "Some resources are remaining: jobs.batch has 1 resource instances, pods. has 2 resource instances"
        ),
        "NamespaceFinalizersRemaining": (
            "Some content in the namespace has finalizers remaining: "
            "x/a in 2 resource instances, x/b in 1 resource instances"
        ),
    }
    assert [one["lastTransitionTime"][-3:-1] for one in found[1:]] == ["00", "00", "01", "01", "01"]


def test_all_content_goes_and_then_the_namespace():
    async def scene(lab):
        await eventually(lambda: lab.get("serviceaccounts", "default") and lab.get("configmaps", "kube-root-ca.crt"))
        lab.client.create("configmaps", config_map("one"))
        lab.client.create("pods", pod("p"))
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": NAMESPACE}}
        lab.client.create("secrets", secret)
        async with asyncio.timeout(1):
            lab.client.delete("namespaces", "", NAMESPACE)
            await eventually(lambda: namespace(lab) is None)
        await at_rest(lab)
        left = [
            one for one in lab.client.resources() if lab.client.is_namespaced(one) and lab.client.list(one, NAMESPACE)
        ]
        assert left == []
        lab.client.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        await eventually(lambda: lab.get("serviceaccounts", "default"))

    play(NamespaceController, ServiceAccountController, lambda client: RootCaController(client, "PEM"))(scene)


def test_finalizers_hold_the_namespace_and_its_status_says_so():
    async def scene(lab):
        lab.client.create("configmaps", config_map("held", finalizers=["example.test/hold"]))
        lab.client.create("configmaps", config_map("free"))
        lab.client.delete("namespaces", "", NAMESPACE)
        await eventually(lambda: namespace(lab)["status"].get("conditions"))
        found = namespace(lab)
        assert found["status"]["phase"] == "Terminating"
        assert shown(found["status"]["conditions"]) == {
            **GOOD,
            "NamespaceContentRemaining": ("True", "SomeResourcesRemain"),
            "NamespaceFinalizersRemaining": ("True", "SomeFinalizersRemain"),
        }
        assert lab.get("configmaps", "free") is None
        assert "deletionTimestamp" in lab.get("configmaps", "held")["metadata"]
        await at_rest(lab)
        lab.client.patch("configmaps", NAMESPACE, "held", {"metadata": {"finalizers": None}})
        await eventually(lambda: namespace(lab) is None, 0.5)

    play(NamespaceController)(scene)


def test_pods_end_before_anything_else_goes():
    async def scene(lab):
        lab.client.create("configmaps", config_map("needed"))
        lab.client.create("pods", pod("p"))
        lab.bind("p")
        lab.run("p")
        lab.client.delete("namespaces", "", NAMESPACE)
        await eventually(lambda: namespace(lab)["status"].get("conditions"))
        assert lab.get("pods", "p")["metadata"]["deletionGracePeriodSeconds"] == 30
        assert lab.get("configmaps", "needed") is not None
        lab.finish("p", 143)
        await eventually(lambda: namespace(lab) is None)

    play(NamespaceController)(scene)


def test_jobs_do_not_hold_a_namespace():
    async def scene(lab):
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "train", "namespace": NAMESPACE},
            "spec": {"template": {"spec": {**pod("p")["spec"], "restartPolicy": "Never"}}},
        }
        lab.client.create("jobs.batch", job)
        await eventually(lab.pods)
        lab.client.delete("namespaces", "", NAMESPACE)
        await eventually(lambda: namespace(lab) is None)
        assert lab.pods(deleted=True) == []

    play(NamespaceController, JobController)(scene)


@pytest.mark.parametrize("policy", ["Foreground", "Orphan"])
def test_what_waits_for_the_garbage_collector_goes_with_the_namespace(policy):
    async def scene(lab):
        lab.client.create("configmaps", config_map("parent"))
        lab.client.delete("configmaps", NAMESPACE, "parent", propagation=policy)
        assert lab.get("configmaps", "parent") is not None
        lab.client.delete("namespaces", "", NAMESPACE)
        await eventually(lambda: namespace(lab) is None)

    play(NamespaceController)(scene)


def test_a_refused_deletion_is_shown_and_tried_again():
    async def scene(lab):
        lab.deny("configmaps", "DELETE")
        lab.client.create("configmaps", config_map("one"))
        lab.client.delete("namespaces", "", NAMESPACE)
        await eventually(lambda: namespace(lab)["status"].get("conditions"))
        found = messages(namespace(lab)["status"]["conditions"])["NamespaceDeletionContentFailure"]
        assert found.startswith("Failed to delete all resource types, 1 remaining: ")
        assert found.endswith("not today")
        lab.allow()
        await eventually(lambda: namespace(lab) is None)

    play(NamespaceController)(scene)


def test_finalizers_of_others_in_the_spec_are_kept():
    async def scene(lab):
        lab.client.update(
            "namespaces", {**namespace(lab), "spec": {"finalizers": ["example.test/mine", "kubernetes"]}}, "finalize"
        )
        lab.client.delete("namespaces", "", NAMESPACE)
        await eventually(lambda: namespace(lab)["spec"]["finalizers"] == ["example.test/mine"])
        await at_rest(lab)
        lab.client.update("namespaces", {**namespace(lab), "spec": {}}, "finalize")
        await eventually(lambda: namespace(lab) is None)

    play(NamespaceController)(scene)
