"""Garbage collection on the real server."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter_devcluster.controllers.garbage import GarbageCollector
from adapter_devcluster.objects import is_deleting, key, meta, owner_references, uid
from adapter_devcluster.statuses import StatusError
from adapter_testing.controller_lab import NAMESPACE, at_rest, eventually, play

pytestmark = pytest.mark.integration

MAPS = "configmaps"
CRDS = "customresourcedefinitions.apiextensions.k8s.io"
scenes = play(GarbageCollector)


def reference(owner, **more):
    fields = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": key(owner)[1], "uid": uid(owner)}
    return {**fields, **more}


def config_map(name, *owners, blocking=True, **metadata):
    references = [reference(one, blockOwnerDeletion=blocking) if "metadata" in one else one for one in owners]
    metadata = {"name": name, "namespace": NAMESPACE, "ownerReferences": references, **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def create(lab, name, *owners, **more):
    return lab.client.create(MAPS, config_map(name, *owners, **more))


def delete(lab, name, propagation="Background"):
    lab.client.delete(MAPS, NAMESPACE, name, propagation=propagation)


def hold(lab, name, *finalizers):
    lab.client.patch(MAPS, NAMESPACE, name, {"metadata": {"finalizers": list(finalizers) or None}})


def names(lab):
    return {meta(one)["name"] for one in lab.client.list(MAPS, NAMESPACE)}


def test_dependents_go_with_their_owner_through_all_generations_and_resources():
    async def scene(lab):
        top = create(lab, "top")
        child = create(lab, "child", top)
        secret = config_map("secret", child)
        lab.client.create("secrets", {**secret, "kind": "Secret"})
        create(lab, "bystander")
        delete(lab, "top")
        await eventually(lambda: names(lab) == {"bystander"} and not lab.client.list("secrets", NAMESPACE))

    scenes(scene)


def test_an_owner_that_never_was_or_is_another_one_by_now_counts_as_gone():
    async def scene(lab):
        present = create(lab, "present")
        gone = {**reference(present), "uid": "11111111-2222-3333-4444-555555555555"}
        create(lab, "stray", {**gone, "name": "never"})
        create(lab, "other", gone)
        create(lab, "renamed", {**reference(present), "name": "never"})
        create(lab, "kept", present)
        create(lab, "far", {"apiVersion": "v1", "kind": "Node", "name": "never", "uid": "none"})
        await eventually(lambda: names(lab) == {"present", "kept"})

    scenes(scene)


def test_an_object_with_an_owner_left_stays_and_forgets_the_other():
    async def scene(lab):
        first, second = create(lab, "first"), create(lab, "second")
        create(lab, "shared", first, second)
        delete(lab, "first")
        await eventually(lambda: [one["name"] for one in owner_references(lab.get(MAPS, "shared"))] == ["second"])
        # It doesn't hold up an owner either that waits for its dependents.
        third = create(lab, "third")
        create(lab, "both", second, third)
        delete(lab, "third", "Foreground")
        await eventually(lambda: names(lab) == {"second", "shared", "both"})
        assert [one["name"] for one in owner_references(lab.get(MAPS, "both"))] == ["second"]

    scenes(scene)


def test_in_the_foreground_the_owner_goes_last():
    async def scene(lab):
        top = create(lab, "top")
        middle = create(lab, "middle", top)
        create(lab, "bottom", middle, finalizers=["example.test/hold"])
        create(lab, "loose", top, blocking=False)
        delete(lab, "top", "Foreground")
        await eventually(lambda: is_deleting(lab.get(MAPS, "bottom")))
        await at_rest(lab)
        assert names(lab) == {"top", "middle", "bottom"}
        assert meta(lab.get(MAPS, "middle"))["finalizers"] == ["foregroundDeletion"]
        hold(lab, "bottom")
        await eventually(lambda: names(lab) == set())

    scenes(scene)


def test_what_stops_blocking_its_owner_lets_it_go():
    async def scene(lab):
        top = create(lab, "top")
        create(lab, "child", top, finalizers=["example.test/hold"])
        delete(lab, "top", "Foreground")
        await eventually(lambda: is_deleting(lab.get(MAPS, "child")))
        loose = config_map("child", top, blocking=False)["metadata"]["ownerReferences"]
        lab.client.patch(MAPS, NAMESPACE, "child", {"metadata": {"ownerReferences": loose}})
        await eventually(lambda: names(lab) == {"child"})

    scenes(scene)


def test_a_circle_that_is_deleted_in_the_foreground_goes():
    async def scene(lab):
        first = create(lab, "first")
        second = create(lab, "second", first)
        third = create(lab, "third", second)
        owners = config_map("first", third)["metadata"]["ownerReferences"]
        lab.client.patch(MAPS, NAMESPACE, "first", {"metadata": {"ownerReferences": owners}})
        delete(lab, "first", "Foreground")
        await eventually(lambda: names(lab) == set())

    scenes(scene)


def test_orphans_forget_their_owner_and_stay():
    async def scene(lab):
        top = create(lab, "top")
        child = create(lab, "child", top)
        create(lab, "grandchild", child)
        delete(lab, "top", "Orphan")
        await eventually(lambda: names(lab) == {"child", "grandchild"})
        await at_rest(lab)
        assert owner_references(lab.get(MAPS, "child")) == []
        assert [one["name"] for one in owner_references(lab.get(MAPS, "grandchild"))] == ["child"]

    scenes(scene)


def test_an_orphan_that_goes_meanwhile_has_nothing_to_forget():
    async def scene(lab):
        top = create(lab, "top")
        create(lab, "child", top)
        await at_rest(lab)
        delete(lab, "top", "Orphan")
        # After the collector has heard of the owner, before it has heard of this.
        asyncio.get_running_loop().call_soon(lambda: delete(lab, "child"))
        await eventually(lambda: names(lab) == set())

    scenes(scene)


def test_an_owner_in_another_namespace_is_none_and_an_event_says_so():
    async def scene(lab):
        lab.client.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere"}})
        far = config_map("far")
        far["metadata"]["namespace"] = "elsewhere"
        far = lab.client.create(MAPS, far)
        create(lab, "child", far)
        await eventually(lambda: names(lab) == set())
        (event,) = lab.client.list("events", NAMESPACE)
        named = f"[v1/ConfigMap, namespace: {NAMESPACE}, name: far, uid: {uid(far)}]"
        assert event["reason"] == "OwnerRefInvalidNamespace"
        assert event["message"] == f'ownerRef {named} does not exist in namespace "{NAMESPACE}"'

    scenes(scene)


def test_an_object_outside_namespaces_may_only_be_owned_by_another():
    async def scene(lab):
        # Events about what is in no namespace go there.
        lab.client.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
        inside = create(lab, "inside")
        owner = lab.client.create("persistentvolumes", volume("owner"))
        lab.client.create("persistentvolumes", volume("wrong", inside))
        lab.client.create("persistentvolumes", volume("right", owner))
        create(lab, "child", owner)
        lab.client.delete("persistentvolumes", "", "owner", propagation="Background")
        unprotect(lab, "owner")
        await eventually(lambda: is_deleting(lab.client.get("persistentvolumes", "", "right")))
        unprotect(lab, "right")
        await eventually(lambda: names(lab) == {"inside"})
        # Nobody can tell whether that owner lives, so its dependent stays.
        assert [key(one)[1] for one in lab.client.list("persistentvolumes")] == ["wrong"]
        assert [one["reason"] for one in lab.client.list("events")] == ["OwnerRefInvalidNamespace"]

    scenes(scene)


def unprotect(lab, name):
    """Do what the controller of volumes would."""
    lab.client.patch("persistentvolumes", "", name, {"metadata": {"finalizers": None}})


def volume(name, *owners):
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "ownerReferences": [reference(one) for one in owners]},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/nowhere"},
        },
    }


def definition():
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names_ = {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.test"},
        "spec": {"group": "example.test", "scope": "Namespaced", "names": names_, "versions": [version]},
    }


def test_custom_resources_are_owners_and_dependents_as_soon_as_they_are_served():
    async def scene(lab):
        lab.api.custom_resources.start()
        unknown = {"apiVersion": "example.test/v1", "kind": "Thing", "name": "early", "uid": "none"}
        create(lab, "early", unknown)
        await at_rest(lab)
        # Of a kind that isn't served nobody knows whether it lives.
        assert names(lab) == {"early"}
        lab.client.create(CRDS, definition())
        await eventually(lambda: lab.client.resource_for("example.test/v1", "Thing"))
        await eventually(lambda: names(lab) == set())
        thing = {"apiVersion": "example.test/v1", "kind": "Thing", "metadata": {"name": "a", "namespace": NAMESPACE}}
        first = lab.client.create("things.example.test", thing)
        child = create(lab, "child", first)
        again = {**thing, "metadata": {**thing["metadata"], "name": "b", "ownerReferences": [reference(child)]}}
        lab.client.create("things.example.test", again)
        lab.client.delete("things.example.test", NAMESPACE, "a", propagation="Background")
        await eventually(lambda: names(lab) == set() and not lab.client.list("things.example.test"))
        lab.api.custom_resources.stop()

    scenes(scene)


def test_a_refused_deletion_is_tried_again():
    async def scene(lab):
        top = create(lab, "top")
        create(lab, "child", top)
        delete(lab, "top")
        lab.deny("configmaps", "DELETE")
        await at_rest(lab)
        assert names(lab) == {"child"}
        lab.allow()
        await eventually(lambda: names(lab) == set())

    scenes(scene)


def test_thousands_of_objects_without_owners_leave_nothing_behind():
    async def scene(lab):
        collector = GarbageCollector(lab.client)
        collector.start()
        for number in range(1000):
            create(lab, f"n{number}")
        await at_rest(lab)
        assert (collector.graph.nodes, collector.graph.dependents) == ({}, {})
        collector.stop()

    play()(scene)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), st.integers(0, 5), st.lists(st.integers(0, 5), max_size=2, unique=True)),
        st.tuples(st.sampled_from(["Background", "Foreground", "Orphan"]), st.integers(0, 5), st.just([])),
        st.tuples(st.just("rest"), st.just(0), st.just([])),
    ),
    max_size=14,
)


@settings(max_examples=40)
@given(STEPS)
def test_only_objects_without_a_living_owner_are_collected_and_all_of_them(steps):
    async def scene(lab):
        client, deleted = lab.client, set()
        collector_client = lab.api.client("collector")
        collect = collector_client.delete

        def checked(resource, namespace, name, **options):
            found = lab.get(resource, name)
            owners = [client.get(MAPS, NAMESPACE, one["name"]) for one in owner_references(found)]
            same = [
                one for one, ref in zip(owners, owner_references(found), strict=True) if one and uid(one) == ref["uid"]
            ]
            waits = "foregroundDeletion"
            assert all(is_deleting(one) and waits in meta(one).get("finalizers", []) for one in same)
            deleted.add(uid(found))
            collect(resource, namespace, name, **options)

        collector_client.delete = checked
        collector = GarbageCollector(collector_client)
        collector.start()
        for action, number, owners in steps:
            if action == "rest":
                await at_rest(lab)
                continue
            try:
                if action == "create":
                    present = [lab.get(MAPS, f"m{one}") for one in owners]
                    create(lab, f"m{number}", *[one for one in present if one is not None])
                else:
                    delete(lab, f"m{number}", action)
            except StatusError as error:
                assert error.code in {404, 409}  # noqa: PT017 - what is there already, or is not there
        await at_rest(lab)
        collector.stop()
        remaining = {uid(one): one for one in client.list(MAPS, NAMESPACE)}
        for one in remaining.values():
            references = owner_references(one)
            assert not references or any(ref["uid"] in remaining for ref in references)
            assert not is_deleting(one)

    play()(scene)
