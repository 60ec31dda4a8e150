"""EndpointSlices on the real server."""

import pytest

from adapter_devcluster.controllers.endpoint_slices import SLICES, EndpointSliceController
from adapter_devcluster.objects import key, meta
from adapter_testing.controller_lab import NAMESPACE, at_rest, eventually, play

pytestmark = pytest.mark.integration

scenes = play(EndpointSliceController)


def service(**spec):
    spec = {"selector": {"app": "a"}, "ports": [{"port": 80, "targetPort": 8000}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": NAMESPACE}, "spec": spec}


def run_pod(lab, name, address, *, ready=True, app="a"):
    if lab.get("pods", name) is None:
        spec = {"nodeName": "n", "containers": [{"name": "main", "image": "i:1"}]}
        metadata = {"name": name, "namespace": NAMESPACE, "labels": {"app": app}}
        lab.client.create("pods", {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": [condition]}
    lab.client.patch("pods", NAMESPACE, name, {"status": status}, "status")


def create_node(lab):
    lab.client.create("nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})


def slices(lab):
    return lab.client.list(SLICES, NAMESPACE)


def addresses(lab):
    found = [one for part in slices(lab) for one in part.get("endpoints") or []]
    return sorted((one["addresses"][0], one["conditions"]["ready"]) for one in found)


def test_endpoints_follow_their_pods_and_writes_are_few():
    async def scene(lab):
        lab.client.create("services", service())
        await eventually(lambda: len(slices(lab)) == 1)
        run_pod(lab, "a", "127.0.0.1")
        await at_rest(lab)
        # Until its node is known, a pod is left out.
        assert addresses(lab) == []
        create_node(lab)
        await eventually(lambda: addresses(lab) == [("127.0.0.1", True)])
        (before,) = slices(lab)
        assert meta(before)["name"].startswith("s-")
        run_pod(lab, "stranger", "127.0.0.9", app="b")
        lab.client.patch("pods", NAMESPACE, "a", {"metadata": {"annotations": {"x": "y"}}})
        await at_rest(lab)
        assert slices(lab) == [before]
        run_pod(lab, "b", "127.0.0.2")
        run_pod(lab, "a", "127.0.0.1", ready=False)
        await eventually(lambda: addresses(lab) == [("127.0.0.1", False), ("127.0.0.2", True)])
        lab.client.patch("pods", NAMESPACE, "a", {"metadata": {"labels": {"app": "b"}}})
        await eventually(lambda: addresses(lab) == [("127.0.0.2", True)])
        lab.client.delete("pods", NAMESPACE, "b", grace_seconds=0)
        await eventually(lambda: addresses(lab) == [])
        assert [meta(one)["uid"] for one in slices(lab)] == [meta(before)["uid"]]

    scenes(scene)


def test_what_others_do_to_a_slice_is_repaired():
    async def scene(lab):
        create_node(lab)
        run_pod(lab, "a", "127.0.0.1")
        lab.client.create("services", service())
        await eventually(lambda: addresses(lab) == [("127.0.0.1", True)])
        lab.client.patch(SLICES, *key(slices(lab)[0]), {"endpoints": []})
        await eventually(lambda: addresses(lab) == [("127.0.0.1", True)])
        lab.client.delete(SLICES, *key(slices(lab)[0]))
        await eventually(lambda: addresses(lab) == [("127.0.0.1", True)])
        # Another port: the slice changes, and stays the same object.
        (before,) = slices(lab)
        lab.client.patch("services", NAMESPACE, "s", {"spec": {"ports": [{"port": 80, "targetPort": 9000}]}})
        await eventually(lambda: [one["ports"][0]["port"] for one in slices(lab)] == [9000])
        assert meta(slices(lab)[0])["uid"] == meta(before)["uid"]

    scenes(scene)


def test_surplus_slices_go():
    async def scene(lab):
        create_node(lab)
        for number in range(101):
            run_pod(lab, f"p{number}", f"127.0.1.{number}")
        lab.client.create("services", service())
        await eventually(lambda: len(slices(lab)) == 2)
        lab.client.delete("pods", NAMESPACE, slices(lab)[0]["endpoints"][0]["targetRef"]["name"], grace_seconds=0)
        await at_rest(lab)
        for pod in lab.client.list("pods", NAMESPACE)[50:]:
            lab.client.delete("pods", *key(pod), grace_seconds=0)
        await eventually(lambda: len(addresses(lab)) == 50)

    scenes(scene)


@pytest.mark.parametrize(
    "spec", [{"selector": None}, {"type": "ExternalName", "externalName": "example.test", "ports": None}]
)
def test_services_whose_endpoints_are_not_pods_get_no_slices(spec):
    async def scene(lab):
        lab.client.create("services", service(**spec))
        create_node(lab)
        run_pod(lab, "a", "127.0.0.1")
        await at_rest(lab)
        assert slices(lab) == []

    scenes(scene)


def test_nothing_is_created_for_a_service_or_a_namespace_that_goes():
    async def scene(lab):
        held = service()
        held["metadata"]["finalizers"] = ["example.test/hold"]
        lab.client.create("services", held)
        (made,) = await eventually(lambda: slices(lab))
        lab.client.delete("services", NAMESPACE, "s")
        lab.client.delete(SLICES, *key(made))
        await at_rest(lab)
        assert slices(lab) == []
        lab.client.patch("services", NAMESPACE, "s", {"metadata": {"finalizers": None}})
        lab.client.create("services", service())
        (made,) = await eventually(lambda: slices(lab))
        lab.client.delete("namespaces", "", NAMESPACE)
        lab.client.delete(SLICES, *key(made))
        await at_rest(lab)
        assert slices(lab) == []

    scenes(scene)


def test_a_refused_slice_is_tried_again():
    async def scene(lab):
        lab.deny("endpointslices", "CREATE", group="discovery.k8s.io")
        lab.client.create("services", service())
        await at_rest(lab)
        assert slices(lab) == []
        lab.allow()
        await eventually(lambda: slices(lab))

    scenes(scene)


def test_slices_and_nodes_of_others_are_no_reason_to_work():
    async def scene(lab):
        create_node(lab)
        lab.client.create("services", service())
        await eventually(lambda: slices(lab))
        foreign = {"name": "foreign", "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": "s"}}
        body = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": foreign}
        made = lab.client.create(SLICES, {**body, "addressType": "IPv4", "endpoints": []})
        lab.client.patch("nodes", "", "n", {"status": {"phase": "Running"}}, "status")
        await at_rest(lab)
        assert lab.get(SLICES, "foreign") == made

    scenes(scene)
