"""Where a Service's pods are to be found: slices, their ports, and which of them are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.controllers.endpoint_slices import MAX_ENDPOINTS, plan_slices

pytestmark = pytest.mark.unit

NODES = {"n": {"metadata": {"name": "n", "labels": {"topology.kubernetes.io/zone": "z"}}}, "bare": {"metadata": {}}}


def service(ports=None, labels=None, **spec):
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "namespace": "ns", "uid": "svc", "labels": labels or {}},
        "spec": {"clusterIP": "10.0.0.1", "ports": ports or [{"name": "http", "port": 80, "targetPort": 8000}], **spec},
    }


def pod(name, *, ready=True, phase="Running", ip="10.9.9.9", node="n", meta=None, **spec):
    return {
        "metadata": {"name": name, "namespace": "ns", "uid": f"uid-{name}", **(meta or {})},
        "spec": {"nodeName": node, "containers": [{"name": "c"}], **spec},
        "status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            **({"podIP": ip} if ip else {}),
        },
    }


def stored(plan, start=0):
    """Return the slices that a plan creates, as the server would keep them, numbered from ``start``."""
    return [
        {**one, "metadata": {**one["metadata"], "name": f"s-{start + i}", "uid": f"slice-{start + i}"}}
        for i, one in enumerate(plan.create)
    ]


def apply(plan, present):
    """Return the slices after a plan."""
    changed = {one["metadata"]["name"]: one for one in plan.update}
    gone = {one["metadata"]["name"] for one in plan.delete}
    kept = [changed.get(one["metadata"]["name"], one) for one in present if one["metadata"]["name"] not in gone]
    highest = max((int(one["metadata"]["name"].removeprefix("s-")) for one in present), default=-1)
    return kept + stored(plan, highest + 1)


def test_a_ready_pod_is_an_endpoint():
    (made,) = plan_slices(service(labels={"team": "x"}), [pod("a")], NODES, []).create
    assert made == {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": "s-",
            "namespace": "ns",
            "labels": {
                "team": "x",
                "kubernetes.io/service-name": "s",
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "name": "s",
                    "uid": "svc",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": ["10.9.9.9"],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "targetRef": {"kind": "Pod", "namespace": "ns", "name": "a", "uid": "uid-a"},
                "nodeName": "n",
                "zone": "z",
            }
        ],
        "ports": [{"name": "http", "protocol": "TCP", "port": 8000}],
    }


DELETING = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("found", "spec", "conditions"),
    [
        (pod("a"), {}, (True, True, False)),
        (pod("a", ready=False), {}, (False, False, False)),
        (pod("a", meta=DELETING), {}, (False, True, True)),
        (pod("a", ready=False, meta=DELETING), {}, (False, False, True)),
        (pod("a", ready=False), {"publishNotReadyAddresses": True}, (True, False, False)),
        (pod("a", meta=DELETING), {"publishNotReadyAddresses": True}, (True, True, True)),
        (pod("a", node=""), {"publishNotReadyAddresses": True}, (True, True, False)),
        (pod("a", ip=""), {"publishNotReadyAddresses": True}, None),
        (pod("a", phase="Succeeded"), {}, None),
        (pod("a", phase="Failed"), {}, None),
        (pod("a", node=""), {}, None),
        (pod("a", node="unknown"), {}, None),
    ],
)
def test_conditions_of_an_endpoint(found, spec, conditions):
    (made,) = plan_slices(service(**spec), [found], NODES, []).create
    names = ("ready", "serving", "terminating")
    expected = [] if conditions is None else [dict(zip(names, conditions, strict=True))]
    assert [one["conditions"] for one in made["endpoints"]] == expected


def test_a_headless_service_marks_its_slices_and_names_its_pods():
    named = pod("a", node="bare", hostname="first", subdomain="s")
    other = pod("b", node="bare", hostname="second", subdomain="other")
    (made,) = plan_slices(service(clusterIP="None"), [named, other], NODES, []).create
    assert made["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
    assert [one.get("hostname") for one in made["endpoints"]] == ["first", None]
    assert "zone" not in made["endpoints"][0]


def container(name, number, protocol="TCP"):
    return {"name": name, "ports": [{"name": name, "containerPort": number, "protocol": protocol}]}


def test_pods_whose_port_names_differ_in_number_are_in_different_slices():
    ports = [{"name": "z", "port": 80, "targetPort": "web"}, {"name": "a", "port": 9, "appProtocol": "h2c"}]
    pods = [pod("a", containers=[container("web", 1)]), pod("b", containers=[container("web", 2)])]
    made = plan_slices(service(ports), pods, NODES, []).create
    fixed = {"name": "a", "protocol": "TCP", "port": 9, "appProtocol": "h2c"}
    # The order of the Service's ports stays.
    assert [one["ports"] for one in made] == [[{"name": "z", "protocol": "TCP", "port": n}, fixed] for n in (1, 2)]


@pytest.mark.parametrize(
    ("spec", "ports"),
    [
        ({"containers": [container("dns", 53, "UDP")]}, [{"name": "p", "protocol": "UDP", "port": 53}]),
        ({"containers": [container("dns", 53, "TCP")]}, []),
        (
            {"initContainers": [{**container("dns", 54, "UDP"), "restartPolicy": "Always"}]},
            [{"name": "p", "protocol": "UDP", "port": 54}],
        ),
        ({"initContainers": [container("dns", 54, "UDP")]}, []),
    ],
)
def test_a_port_name_is_looked_up_with_its_protocol_in_what_keeps_running(spec, ports):
    wanted = [{"name": "p", "port": 5, "protocol": "UDP", "targetPort": "dns"}]
    (made,) = plan_slices(service(wanted), [pod("a", **spec)], NODES, []).create
    assert made["ports"] == ports
    assert len(made["endpoints"]) == 1


def test_without_endpoints_there_is_one_slice_that_is_written_once():
    present = stored(plan_slices(service(), [], NODES, []))
    assert [(one["endpoints"], one["ports"]) for one in present] == [([], [])]
    again = plan_slices(service(), [], NODES, present)
    assert (again.create, again.update, again.delete) == ([], [], [])
    # The first pod takes it over, under its name, and so does the last one that goes.
    full = plan_slices(service(), [pod("a")], NODES, present)
    assert (full.create, full.delete) == ([], [])
    assert [(one["metadata"]["name"], len(one["endpoints"])) for one in full.update] == [("s-0", 1)]
    emptied = plan_slices(service(), [], NODES, full.update)
    assert [(one["metadata"]["uid"], one["endpoints"]) for one in emptied.update] == [("slice-0", [])]


def test_labels_of_the_service_are_followed():
    present = stored(plan_slices(service(), [pod("a")], NODES, []))
    plan = plan_slices(service(labels={"new": "x"}), [pod("a")], NODES, present)
    assert [one["metadata"]["labels"]["new"] for one in plan.update] == ["x"]


def test_a_slice_of_an_earlier_service_of_that_name_goes():
    foreign = stored(plan_slices({**service(), "metadata": {**service()["metadata"], "uid": "old"}}, [], NODES, []))
    plan = plan_slices(service(), [pod("a")], NODES, foreign)
    assert (len(plan.create), plan.update, plan.delete) == (1, [], foreign)


def test_slices_are_full_at_a_hundred_and_a_change_of_one_pod_writes_one():
    pods = [pod(f"p{i}") for i in range(2 * MAX_ENDPOINTS + 1)]
    present = stored(plan_slices(service(), pods, NODES, []))
    assert [len(one["endpoints"]) for one in present] == [MAX_ENDPOINTS, MAX_ENDPOINTS, 1]
    pods[0] = pod("p0", ready=False)
    plan = plan_slices(service(), pods, NODES, present)
    assert (plan.create, plan.delete, len(plan.update)) == ([], [], 1)
    # What is left of the last slice is deleted with its last pod.
    smaller = plan_slices(service(), pods[:-1], NODES, apply(plan, present))
    assert (smaller.create, smaller.update, [one["metadata"]["name"] for one in smaller.delete]) == ([], [], ["s-2"])


PODS = st.dictionaries(
    st.integers(0, 150), st.tuples(st.booleans(), st.sampled_from(["Running", "Failed"]), st.sampled_from([1, 2]))
)


@given(st.lists(PODS, min_size=1, max_size=4))
def test_slices_always_say_what_the_pods_are_and_are_stable(rounds):
    wanted = service([{"name": "p", "port": 1, "targetPort": "web"}])
    present = []
    for found in rounds:
        pods = [
            pod(str(i), ready=ready, phase=phase, containers=[container("web", port)])
            for i, (ready, phase, port) in found.items()
        ]
        present = apply(plan_slices(wanted, pods, NODES, present), present)
        seen = {
            (one["targetRef"]["name"], one["conditions"]["ready"], part["ports"][0]["port"])
            for part in present
            for one in part["endpoints"]
        }
        expected = {(str(i), ready, port) for i, (ready, phase, port) in found.items() if phase == "Running"}
        assert seen == expected
        assert sum(len(part["endpoints"]) for part in present) == len(expected)
        assert all(len(part["endpoints"]) <= MAX_ENDPOINTS for part in present)
        assert present
        again = plan_slices(wanted, pods, NODES, present)
        assert (again.create, again.update, again.delete) == ([], [], [])
