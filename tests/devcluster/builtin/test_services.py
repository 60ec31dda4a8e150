from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.builtin import ClusterIps, NodePorts, TakenError
from adapter_devcluster.objects import Object
from adapter_testing.judge_lab import change_refusal, created, manifest, refusal, updated

pytestmark = pytest.mark.unit

HTTP = {"port": 80}


def _service(**spec: Any) -> Object:
    return manifest("v1", "Service", spec={"ports": [dict(HTTP)], **spec})


def _stored(**spec: Any) -> Object:
    """A service that has its address and its node ports."""
    found = created(_service(**spec))
    if found["spec"]["type"] != "ExternalName":
        found["spec"] |= {"clusterIP": "127.96.0.1", "clusterIPs": ["127.96.0.1"]}
    if found["spec"]["type"] in ("NodePort", "LoadBalancer"):
        found["spec"]["ports"][0]["nodePort"] = 30000
    return found


def test_what_every_service_gets() -> None:
    found = created({**_service(), "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}})
    assert found["spec"] == {
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "sessionAffinity": "None",
        "type": "ClusterIP",
    }
    assert found["status"] == {"loadBalancer": {}}
    assert "generation" not in found["metadata"]


def test_services_of_other_types() -> None:
    balanced = created(_service(type="LoadBalancer"))["spec"]
    assert balanced["allocateLoadBalancerNodePorts"] is True
    assert balanced["externalTrafficPolicy"] == "Cluster"
    assert created(_service(type="NodePort"))["spec"]["externalTrafficPolicy"] == "Cluster"
    named = created(manifest("v1", "Service", spec={"type": "ExternalName", "externalName": "example.test"}))
    assert named["spec"] == {"type": "ExternalName", "externalName": "example.test", "sessionAffinity": "None"}


def test_the_single_address_and_the_list() -> None:
    assert created(_service(clusterIP="None"))["spec"]["clusterIPs"] == ["None"]
    assert created(_service(clusterIPs=["127.96.0.9"]))["spec"]["clusterIP"] == "127.96.0.9"


def test_session_affinity() -> None:
    given = {"clientIP": {"timeoutSeconds": 5}}
    assert "sessionAffinityConfig" not in created(_service(sessionAffinityConfig=given))["spec"]
    assert created(_service(sessionAffinity="ClientIP", sessionAffinityConfig=given))["spec"][
        "sessionAffinityConfig"
    ] == (given)
    config = created(_service(sessionAffinity="ClientIP"))["spec"]["sessionAffinityConfig"]
    assert config == {"clientIP": {"timeoutSeconds": 10800}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"ports": []}, [("spec.ports", "Required")]),
        ({"ports": [], "clusterIP": "None"}, []),
        ({"type": "x"}, [("spec.type", "NotSupported")]),
        ({"type": "ExternalName"}, [("spec.externalName", "Required")]),
        (
            {"type": "ExternalName", "externalName": "A", "clusterIP": "None"},
            [("spec.clusterIP", "Forbidden"), ("spec.externalName", "Invalid")],
        ),
        ({"type": "NodePort", "clusterIP": "None"}, [("spec.clusterIPs[0]", "Invalid")]),
        ({"sessionAffinity": "x"}, [("spec.sessionAffinity", "NotSupported")]),
        ({"selector": {"a": "-"}}, [("spec.selector", "Invalid")]),
        ({"ports": [{"port": 0}]}, [("spec.ports[0].port", "Invalid"), ("spec.ports[0].targetPort", "Invalid")]),
        ({"ports": [{"port": 1, "protocol": "x"}]}, [("spec.ports[0].protocol", "NotSupported")]),
        ({"ports": [{"port": 1, "targetPort": "-"}]}, [("spec.ports[0].targetPort", "Invalid")] * 2),
        ({"ports": [{"port": 1, "appProtocol": "-"}]}, [("spec.ports[0].appProtocol", "Invalid")]),
        ({"ports": [{"port": 1, "nodePort": 30001}]}, [("spec.ports[0].nodePort", "Forbidden")]),
        (
            {"ports": [{"port": 1}, {"port": 2, "name": "A"}]},
            [("spec.ports[0].name", "Required"), ("spec.ports[1].name", "Invalid")],
        ),
        (
            {"ports": [{"port": 1, "name": "a"}, {"port": 1, "name": "a"}]},
            [("spec.ports[1]", "Duplicate"), ("spec.ports[1].name", "Duplicate")],
        ),
        ({"clusterIP": "127.96.0.1", "clusterIPs": ["127.96.0.2"]}, [("spec.clusterIPs", "Invalid")]),
        ({"clusterIP": "somewhere"}, [("spec.clusterIPs[0]", "Invalid")]),
        ({"internalTrafficPolicy": "x"}, [("spec.internalTrafficPolicy", "NotSupported")]),
        ({"externalTrafficPolicy": "Local"}, [("spec.externalTrafficPolicy", "Invalid")]),
        ({"type": "NodePort", "externalTrafficPolicy": "x"}, [("spec.externalTrafficPolicy", "NotSupported")]),
    ],
)
def test_what_is_wrong_with_a_service(spec: Object, expected: Any) -> None:
    assert refusal(_service(**spec)) == expected


def test_names_may_begin_with_a_digit() -> None:
    numbered = _service()
    numbered["metadata"]["name"] = "1a"
    assert refusal(numbered) == []
    numbered["metadata"]["name"] = "a.b"
    assert refusal(numbered) == [("metadata.name", "Invalid")]


def test_an_update_need_not_repeat_what_was_given_out() -> None:
    def forget(one: Object) -> None:
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            del one["spec"][name]
        del one["spec"]["ports"][0]["nodePort"]

    old = _stored(type="NodePort")
    assert updated(old, forget)["spec"] == old["spec"]


def test_an_address_can_not_change() -> None:
    def change(one: Object) -> None:
        one["spec"] |= {"clusterIP": "127.96.0.2", "clusterIPs": ["127.96.0.2"]}

    assert change_refusal(_stored(), change) == [("spec.clusterIPs[0]", "Invalid")]


def test_types_may_change() -> None:
    old = _stored(type="NodePort")

    def to_cluster_ip(one: Object) -> None:
        one["spec"]["type"] = "ClusterIP"
        del one["spec"]["externalTrafficPolicy"]

    assert "nodePort" not in updated(old, to_cluster_ip)["spec"]["ports"][0]

    def to_name(one: Object) -> None:
        one["spec"] |= {"type": "ExternalName", "externalName": "example.test"}

    named = updated(_stored(), to_name)
    assert not {"clusterIP", "clusterIPs", "ipFamilies"} & named["spec"].keys()

    def back(one: Object) -> None:
        one["spec"]["type"] = "ClusterIP"

    assert updated(named, back)["spec"]["ipFamilies"] == ["IPv4"]


# --- addresses ----------------------------------------------------------------------------------------------------


def test_addresses_are_given_out_once() -> None:
    ips = ClusterIps("127.96.0.0/29")
    given = [ips.allocate() for _ in range(6)]
    assert given == [f"127.96.0.{number}" for number in range(1, 7)]
    with pytest.raises(TakenError, match="range is full"):
        ips.allocate()
    ips.release("127.96.0.3")
    ips.release("127.96.0.200")
    ips.release("None")
    assert ips.allocate() == "127.96.0.3"


def test_an_address_of_one_s_choice() -> None:
    ips = ClusterIps("127.96.0.0/29")
    ips.take("127.96.0.2")
    with pytest.raises(TakenError, match="already allocated"):
        ips.take("127.96.0.2")
    for wrong in ("127.96.0.0", "127.96.0.7", "127.97.0.1", "None"):
        with pytest.raises(TakenError, match="not in the valid range"):
            ips.take(wrong)
    assert [ips.allocate(), ips.allocate()] == ["127.96.0.1", "127.96.0.3"]


def test_a_released_address_comes_back_late() -> None:
    ips = ClusterIps("127.96.0.0/29")
    first = ips.allocate()
    ips.release(first)
    assert ips.allocate() != first


def test_node_ports() -> None:
    ports = NodePorts()
    assert (ports.allocate(), ports.allocate()) == (30000, 30001)
    ports.take(32767)
    for wrong, problem in ((32767, "already allocated"), (80, "30000-32767")):
        with pytest.raises(TakenError, match=problem):
            ports.take(wrong)
    ports.release(30000)
    assert ports.allocate() == 30000


def test_node_ports_run_out() -> None:
    ports = NodePorts()
    for _ in range(2768):
        ports.allocate()
    with pytest.raises(TakenError, match="range is full"):
        ports.allocate()


@given(st.lists(st.one_of(st.none(), st.integers(0, 20)), max_size=60))
def test_no_address_is_held_twice(steps: list[int | None]) -> None:
    ips, held = ClusterIps("127.96.0.0/27"), []
    for step in steps:
        if step is None and len(held) < 30:
            found = ips.allocate()
            assert found not in held
            held.append(found)
        elif step is not None and held:
            ips.release(held.pop(step % len(held)))
