"""Claims and volumes on the real server."""

import functools

import pytest

from adapter_devcluster.controllers.persistent_volumes import CLAIMS, VOLUMES, VolumeController
from adapter_devcluster.objects import annotations_of, is_deleting, key, meta, section, uid
from adapter_testing.controller_lab import NAMESPACE, at_rest, eventually, play

pytestmark = pytest.mark.integration

scenes = play(functools.partial(VolumeController, with_node=True))


def claim(name="c", **spec):
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}, **spec}
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def volume(name, **spec):
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}, **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}


def pod(name, claim_name="c"):
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": claim_name}}, {"name": "e", "emptyDir": {}}]
    spec = {"containers": [{"name": "main", "image": "i:1"}], "volumes": volumes}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


def phase(obj):
    return section(obj or {}, "status").get("phase")


def found_volume(lab, name):
    return lab.client.get(VOLUMES, "", name)


def test_a_claim_gets_a_volume_of_its_own_which_goes_with_it():
    async def scene(lab):
        lab.client.create(CLAIMS, claim(storageClassName="fast"))
        await eventually(lambda: phase(lab.get(CLAIMS, "c")) == "Bound")
        bound = lab.get(CLAIMS, "c")
        name = f"pvc-{uid(bound)}"
        assert bound["spec"]["volumeName"] == name
        assert bound["status"] == {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "2Gi"}}
        assert annotations_of(bound)["pv.kubernetes.io/bind-completed"] == "yes"
        made = found_volume(lab, name)
        assert phase(made) == "Bound"
        assert made["spec"]["capacity"] == {"storage": "2Gi"}
        assert made["spec"]["storageClassName"] == "fast"
        reference = made["spec"]["claimRef"]
        assert (reference["namespace"], reference["name"], reference["uid"]) == (NAMESPACE, "c", uid(bound))
        lab.client.delete(CLAIMS, NAMESPACE, "c")
        await eventually(lambda: lab.get(CLAIMS, "c") is None and not lab.client.list(VOLUMES))

    scenes(scene)


def test_a_claim_stays_while_a_scheduled_pod_names_it():
    async def scene(lab):
        lab.client.create(CLAIMS, claim())
        for name in ("bound", "unscheduled"):
            lab.client.create("pods", pod(name))
        lab.client.create("pods", pod("other", "another"))
        lab.bind("bound")
        await eventually(lambda: phase(lab.get(CLAIMS, "c")) == "Bound")
        lab.client.delete(CLAIMS, NAMESPACE, "c")
        await at_rest(lab)
        assert is_deleting(lab.get(CLAIMS, "c"))
        lab.finish("bound")
        await at_rest(lab)
        # Also a pod that has ended names it.
        assert lab.get(CLAIMS, "c") is not None
        lab.client.delete("pods", NAMESPACE, "bound", grace_seconds=0)
        await eventually(lambda: lab.get(CLAIMS, "c") is None)

    scenes(scene)


def test_another_finalizer_of_a_claim_stays():
    async def scene(lab):
        lab.client.create(CLAIMS, claim())
        await eventually(lambda: phase(lab.get(CLAIMS, "c")) == "Bound")
        finalizers = [*meta(lab.get(CLAIMS, "c"))["finalizers"], "example.test/hold"]
        lab.client.patch(CLAIMS, NAMESPACE, "c", {"metadata": {"finalizers": finalizers}})
        lab.client.delete(CLAIMS, NAMESPACE, "c")
        await eventually(lambda: meta(lab.get(CLAIMS, "c"))["finalizers"] == ["example.test/hold"])
        await at_rest(lab)
        assert len(lab.client.list(VOLUMES)) == 1

    scenes(scene)


def test_a_volume_that_names_the_claim_is_taken_and_kept_afterwards():
    async def scene(lab):
        reserved = volume("mine", claimRef={"namespace": NAMESPACE, "name": "c"})
        lab.client.create(VOLUMES, reserved)
        lab.client.create(VOLUMES, volume("free"))
        lab.client.create(CLAIMS, claim(storageClassName=""))
        await eventually(lambda: phase(lab.get(CLAIMS, "c")) == "Bound")
        assert lab.get(CLAIMS, "c")["spec"]["volumeName"] == "mine"
        assert lab.get(CLAIMS, "c")["status"]["capacity"] == {"storage": "1Gi"}
        lab.client.delete(CLAIMS, NAMESPACE, "c")
        await eventually(lambda: phase(found_volume(lab, "mine")) == "Released")
        # A later claim of that name is another claim.
        lab.client.create(CLAIMS, claim(storageClassName=""))
        await at_rest(lab)
        assert phase(lab.get(CLAIMS, "c")) == "Pending"
        assert ("Normal", "FailedBinding") in lab.events()

    scenes(scene)


def test_a_claim_waits_for_the_volume_that_it_names():
    async def scene(lab):
        lab.client.create(CLAIMS, claim(volumeName="later"))
        await at_rest(lab)
        assert phase(lab.get(CLAIMS, "c")) == "Pending"
        lab.client.create(VOLUMES, volume("later"))
        await eventually(lambda: phase(lab.get(CLAIMS, "c")) == "Bound")
        assert "pv.kubernetes.io/bound-by-controller" not in annotations_of(lab.get(CLAIMS, "c"))
        # It is taken now.
        lab.client.create(CLAIMS, claim("d", volumeName="later"))
        await at_rest(lab)
        assert phase(lab.get(CLAIMS, "d")) == "Pending"
        assert section(found_volume(lab, "later"), "spec", "claimRef")["name"] == "c"

    scenes(scene)


def test_a_volume_is_protected_while_it_is_bound():
    async def scene(lab):
        lab.client.create(VOLUMES, volume("free"))
        await eventually(lambda: phase(found_volume(lab, "free")) == "Available")
        lab.client.create(CLAIMS, claim(volumeName="free"))
        await eventually(lambda: phase(lab.get(CLAIMS, "c")) == "Bound")
        lab.client.delete(VOLUMES, "", "free")
        await at_rest(lab)
        assert is_deleting(found_volume(lab, "free"))
        lab.client.delete(CLAIMS, NAMESPACE, "c")
        await eventually(lambda: found_volume(lab, "free") is None)

    scenes(scene)


def test_without_a_node_claims_stay_pending():
    async def scene(lab):
        lab.client.create(CLAIMS, claim())
        await at_rest(lab)
        assert phase(lab.get(CLAIMS, "c")) == "Pending"
        lab.client.delete(CLAIMS, NAMESPACE, "c")
        await eventually(lambda: lab.get(CLAIMS, "c") is None)

    play(functools.partial(VolumeController, with_node=False))(scene)


def test_a_refused_volume_is_tried_again():
    async def scene(lab):
        lab.deny("persistentvolumes", "CREATE")
        lab.client.create(CLAIMS, claim())
        await eventually(lambda: ("Warning", "ProvisioningFailed") in lab.events())
        lab.allow()
        await eventually(lambda: phase(lab.get(CLAIMS, "c")) == "Bound")
        assert [key(one)[1] for one in lab.client.list(VOLUMES)] == [f"pvc-{uid(lab.get(CLAIMS, 'c'))}"]

    scenes(scene)
