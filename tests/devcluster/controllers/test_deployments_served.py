"""Deployments and their ReplicaSets on the real server, with the test as the kubelet."""

import pytest

from adapter_devcluster.controllers.deployments import DeploymentController
from adapter_devcluster.controllers.deployments.templates import new_replica_set
from adapter_devcluster.controllers.replica_sets import ReplicaSetController
from adapter_devcluster.objects import annotations_of, controller_of, key, meta, section
from adapter_testing.controller_lab import NAMESPACE, at_rest, eventually, play

pytestmark = pytest.mark.integration

DEPLOYMENTS, SETS = "deployments.apps", "replicasets.apps"
REVISION = "deployment.kubernetes.io/revision"
scenes = play(DeploymentController, ReplicaSetController)


def deployment(replicas=2, surge=1, unavailable=0, **spec):
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    template = {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "main", "image": "i:1"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "strategy": strategy,
            "selector": {"matchLabels": {"app": "d"}},
            "template": template,
            **spec,
        },
    }


def found(lab):
    return lab.get(DEPLOYMENTS, "d")


def status(lab):
    return section(found(lab), "status")


def conditions(lab):
    return {one["type"]: (one["status"], one["reason"]) for one in status(lab).get("conditions", [])}


def edit(lab, **spec):
    lab.client.patch(DEPLOYMENTS, NAMESPACE, "d", {"spec": spec})


def set_version(lab, version):
    edit(lab, template={"metadata": {"annotations": {"v": version}}})


def sizes(lab):
    """Return the sizes of the ReplicaSets by revision."""
    sets = lab.client.list(SETS, NAMESPACE)
    return {annotations_of(one)[REVISION]: one["spec"]["replicas"] for one in sets}


def run_all(lab):
    for pod in lab.pods():
        if section(pod, "status").get("phase") == "Pending":
            lab.run(meta(pod)["name"])


async def rolled_out(lab, replicas=2):
    """Let pods run as they come, until all that is wanted is there."""

    def done():
        run_all(lab)
        counts = [status(lab).get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
        observed = status(lab).get("observedGeneration") == meta(found(lab))["generation"]
        return observed and counts == [replicas] * 3 and conditions(lab)["Progressing"][1] == "NewReplicaSetAvailable"

    await eventually(done)


def test_a_rollout_step_by_step():
    async def scene(lab):
        lab.client.create(DEPLOYMENTS, deployment())
        await eventually(lambda: status(lab).get("replicas") == 2)
        assert conditions(lab) == {
            "Available": ("False", "MinimumReplicasUnavailable"),
            "Progressing": ("True", "ReplicaSetUpdated"),
        }
        await rolled_out(lab)
        before = {meta(pod)["name"] for pod in lab.pods()}
        set_version(lab, "2")
        for _ in range(2):
            fresh = await eventually(lambda: [one for one in lab.pods() if meta(one)["name"] not in before])
            await at_rest(lab)
            assert len(lab.pods()) == 3
            assert status(lab)["availableReplicas"] == 2
            before.add(meta(fresh[0])["name"])
            lab.run(meta(fresh[0])["name"])
        await rolled_out(lab)
        assert sizes(lab) == {"1": 0, "2": 2}
        assert annotations_of(found(lab))[REVISION] == "2"
        assert conditions(lab) == {
            "Available": ("True", "MinimumReplicasAvailable"),
            "Progressing": ("True", "NewReplicaSetAvailable"),
        }
        messages = [
            one["message"] for one in lab.client.list("events", NAMESPACE) if one["reason"] == "ScalingReplicaSet"
        ]
        first, second = (f"d-{one}" for one in hashes(lab))
        assert {f"Scaled up replica set {first} from 0 to 2", f"Scaled up replica set {second} from 0 to 1"} <= set(
            messages
        )
        assert {f"Scaled down replica set {first} from 1 to 0", f"Scaled up replica set {second} from 1 to 2"} <= set(
            messages
        )

    scenes(scene)


def hashes(lab):
    """Return the hashes of the ReplicaSets, by revision."""
    ordered = sorted(lab.client.list(SETS, NAMESPACE), key=lambda one: annotations_of(one)[REVISION])
    return [meta(one)["labels"]["pod-template-hash"] for one in ordered]


def test_going_back_uses_the_old_replica_set_again():
    async def scene(lab):
        lab.client.create(DEPLOYMENTS, deployment())
        for version in ("1", "2", "1"):
            set_version(lab, version)
            await rolled_out(lab)
        assert sizes(lab) == {"2": 0, "3": 2}
        history = [
            annotations_of(one).get("deployment.kubernetes.io/revision-history") for one in lab.client.list(SETS)
        ]
        assert sorted(one or "" for one in history) == ["", "1"]

    async def first_version(lab):
        made = deployment()
        made["spec"]["template"]["metadata"]["annotations"] = {"v": "1"}
        create = lab.client.create
        lab.client.create = lambda resource, obj: create(resource, made if resource == DEPLOYMENTS else obj)
        await scene(lab)

    scenes(first_version)


def test_an_equal_template_rolls_out_nothing():
    async def scene(lab):
        lab.client.create(DEPLOYMENTS, deployment())
        await rolled_out(lab)
        edit(lab, template={"metadata": {"annotations": {}}, "spec": {"nodeSelector": {}}})
        edit(lab, minReadySeconds=1)
        lab.client.patch(
            DEPLOYMENTS, NAMESPACE, "d", {"metadata": {"annotations": {"kubernetes.io/change-cause": "x"}}}
        )
        await rolled_out(lab)
        (only,) = lab.client.list(SETS, NAMESPACE)
        assert only["spec"]["minReadySeconds"] == 1
        assert annotations_of(only)["kubernetes.io/change-cause"] == "x"

    scenes(scene)


def test_scaling_in_the_middle_of_a_rollout_is_shared():
    async def scene(lab):
        lab.client.create(DEPLOYMENTS, deployment(4, surge=2))
        await rolled_out(lab, 4)
        set_version(lab, "2")
        await eventually(lambda: sizes(lab) == {"1": 4, "2": 2})
        edit(lab, replicas=8)
        await eventually(lambda: sizes(lab) == {"1": 7, "2": 3})
        await rolled_out(lab, 8)
        edit(lab, replicas=0)
        await eventually(lambda: not lab.pods() and "replicas" not in status(lab))
        assert conditions(lab)["Available"] == ("True", "MinimumReplicasAvailable")

    scenes(scene)


def test_a_paused_deployment_scales_and_rolls_out_when_resumed():
    async def scene(lab):
        lab.client.create(DEPLOYMENTS, deployment(revisionHistoryLimit=0))
        await rolled_out(lab)
        edit(lab, paused=True)
        set_version(lab, "2")
        await eventually(lambda: conditions(lab)["Progressing"] == ("Unknown", "DeploymentPaused"))
        edit(lab, replicas=3)
        await eventually(lambda: sizes(lab) == {"1": 3})
        edit(lab, paused=False)
        await eventually(lambda: conditions(lab)["Progressing"][1] != "DeploymentPaused")
        await rolled_out(lab, 3)
        # Nothing of the past is kept.
        await eventually(lambda: sizes(lab) == {"2": 3})

    scenes(scene)


def test_recreate_waits_until_the_old_pods_have_ended():
    async def scene(lab):
        lab.client.create(DEPLOYMENTS, deployment(strategy={"type": "Recreate", "rollingUpdate": None}))
        await rolled_out(lab)
        old = [meta(pod)["name"] for pod in lab.pods()]
        for name in old:
            lab.bind(name)
        set_version(lab, "2")
        await eventually(lambda: not lab.pods())
        await at_rest(lab)
        assert sizes(lab) == {"1": 0}
        assert len(lab.pods(deleted=True)) == 2
        for name in old:
            lab.finish(name)
        await rolled_out(lab)
        assert sizes(lab) == {"1": 0, "2": 2}

    scenes(scene)


def test_a_stuck_rollout_misses_its_deadline():
    async def scene(lab):
        lab.client.create(DEPLOYMENTS, deployment(1, progressDeadlineSeconds=1))
        await eventually(lambda: conditions(lab).get("Progressing") == ("False", "ProgressDeadlineExceeded"), 5)
        await rolled_out(lab, 1)

    scenes(scene)


def test_a_foreign_replica_set_of_the_name_is_left_alone():
    async def scene(lab):
        foreign = new_replica_set(lab.client.create(DEPLOYMENTS, deployment(paused=True)))
        foreign["metadata"]["ownerReferences"] = []
        foreign["metadata"]["labels"] = {"of": "somebody"}
        foreign["spec"]["selector"] = {"matchLabels": {"of": "somebody"}}
        foreign["spec"]["template"]["metadata"]["labels"] = {"of": "somebody"}
        lab.client.create(SETS, foreign)
        edit(lab, paused=False)
        await eventually(lambda: status(lab).get("collisionCount") == 1)
        await rolled_out(lab)
        assert controller_of(lab.get(SETS, key(foreign)[1])) is None

    scenes(scene)


def test_a_matching_replica_set_without_an_owner_is_adopted():
    async def scene(lab):
        orphan = new_replica_set(lab.client.create(DEPLOYMENTS, deployment(paused=True)))
        orphan["metadata"]["ownerReferences"] = []
        await at_rest(lab)
        lab.client.create(SETS, orphan)
        await eventually(lambda: controller_of(lab.get(SETS, key(orphan)[1])))
        edit(lab, paused=False)
        await rolled_out(lab)
        assert len(lab.client.list(SETS, NAMESPACE)) == 1

    scenes(scene)


def test_refused_pods_show_in_the_deployment_too():
    async def scene(lab):
        lab.deny("pods", "CREATE")
        lab.client.create(DEPLOYMENTS, deployment())
        await eventually(lambda: conditions(lab).get("ReplicaFailure") == ("True", "FailedCreate"))
        lab.allow()
        await rolled_out(lab)
        assert "ReplicaFailure" not in conditions(lab)

    scenes(scene)


def test_a_refused_replica_set_shows_in_the_deployment():
    async def scene(lab):
        lab.deny("replicasets", "CREATE", group="apps")
        lab.client.create(DEPLOYMENTS, deployment())
        await eventually(lambda: conditions(lab).get("Progressing") == ("False", "ReplicaSetCreateError"))
        assert ("Warning", "ReplicaSetCreateError") in lab.events()
        lab.allow()
        await rolled_out(lab)

    scenes(scene)


def test_nothing_happens_while_a_deployment_is_being_deleted_but_counting():
    async def scene(lab):
        held = deployment()
        held["metadata"]["finalizers"] = ["example.test/hold"]
        lab.client.create(DEPLOYMENTS, held)
        await rolled_out(lab)
        lab.client.delete(DEPLOYMENTS, NAMESPACE, "d")
        set_version(lab, "2")
        lab.client.delete(SETS, NAMESPACE, key(lab.client.list(SETS, NAMESPACE)[0])[1])
        await eventually(lambda: "replicas" not in status(lab))
        assert lab.client.list(SETS, NAMESPACE) == []

    scenes(scene)


def test_a_replica_set_that_was_scaled_by_hand_does_not_stop_the_next_rollout():
    async def scene(lab):
        lab.client.create(DEPLOYMENTS, deployment())
        await rolled_out(lab)
        (only,) = lab.client.list(SETS, NAMESPACE)
        lab.client.patch(SETS, *key(only), {"spec": {"replicas": 3}})
        edit(lab, replicas=3)
        await rolled_out(lab, 3)
        set_version(lab, "2")
        await rolled_out(lab, 3)
        assert sizes(lab) == {"1": 0, "2": 3}

    scenes(scene)


def test_without_a_deadline_there_is_no_condition_of_progress():
    async def scene(lab):
        lab.client.create(DEPLOYMENTS, deployment(progressDeadlineSeconds=2**31 - 1))
        await eventually(lambda: run_all(lab) or status(lab).get("availableReplicas") == 2)
        assert conditions(lab) == {"Available": ("True", "MinimumReplicasAvailable")}
        lab.client.delete(DEPLOYMENTS, NAMESPACE, "d")
        await at_rest(lab)
        assert found(lab) is None

    scenes(scene)


def test_in_a_namespace_that_goes_nothing_new_is_made_and_nobody_is_blamed():
    async def scene(lab):
        lab.client.create(DEPLOYMENTS, deployment(1))
        await rolled_out(lab, 1)
        lab.client.delete("namespaces", "", NAMESPACE)
        set_version(lab, "2")
        await at_rest(lab)
        assert sizes(lab) == {"1": 1}
        assert conditions(lab)["Progressing"] == ("True", "NewReplicaSetAvailable")

    scenes(scene)


def test_pods_of_a_replica_set_without_a_deployment_are_nobody_elses_business():
    async def scene(lab):
        alone = new_replica_set(deployment())
        alone["metadata"] = {"name": "alone", "namespace": NAMESPACE}
        alone["spec"]["replicas"] = 1
        lab.client.create(SETS, alone)
        (pod,) = await eventually(lab.pods)
        lab.client.delete("pods", *key(pod))
        (other,) = await eventually(lambda: [one for one in lab.pods() if one["metadata"]["name"] != meta(pod)["name"]])
        lab.client.delete(SETS, NAMESPACE, "alone")
        lab.client.delete("pods", *key(other))
        await at_rest(lab)
        assert lab.pods() == []

    scenes(scene)


def test_a_deployment_of_no_pods_is_complete_at_once():
    async def scene(lab):
        lab.client.create(DEPLOYMENTS, deployment(0))
        await rolled_out(lab, 0)
        assert sizes(lab) == {"1": 0}
        assert lab.events() == []

    scenes(scene)
