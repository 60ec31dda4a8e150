from __future__ import annotations

from typing import Any

import pytest

from adapter_testing.table_rows import CREATED, LATER, made, shown

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, "Running"),
        ({"conditions": [{"type": "Complete", "status": "True"}]}, "Complete"),
        ({"conditions": [{"type": "Complete", "status": "False"}]}, "Running"),
        ({"conditions": [{"type": "FailureTarget", "status": "True"}]}, "FailureTarget"),
        (
            {"conditions": [{"type": "FailureTarget", "status": "True"}, {"type": "Failed", "status": "True"}]},
            "Failed",
        ),
        ({"conditions": [{"type": "Suspended", "status": "True"}]}, "Suspended"),
    ],
)
def test_status_of_jobs(fields: dict[str, Any], status: str) -> None:
    assert shown("jobs.batch", made(status=fields))["Status"] == status


def test_a_job_that_is_deleted_is_terminating_unless_finished() -> None:
    deleted = {"deletionTimestamp": LATER}
    assert shown("jobs.batch", made(metadata=deleted))["Status"] == "Terminating"
    finished = {"conditions": [{"type": "Complete", "status": "True"}]}
    assert shown("jobs.batch", made(metadata=deleted, status=finished))["Status"] == "Complete"


@pytest.mark.parametrize(
    ("spec", "completions"),
    [
        ({"completions": 4}, "2/4"),
        ({"parallelism": 1}, "2/1"),
        ({"parallelism": 3}, "2/1 of 3"),
        ({}, "2/1"),
    ],
)
def test_completions_of_jobs(spec: dict[str, Any], completions: str) -> None:
    assert shown("jobs.batch", made(spec=spec, status={"succeeded": 2}))["Completions"] == completions


@pytest.mark.parametrize(
    ("status", "duration"),
    [
        ({}, ""),
        ({"startTime": LATER}, "3m"),
        ({"startTime": LATER, "completionTime": "2026-01-01T00:02:20Z"}, "20s"),
    ],
)
def test_duration_of_jobs(status: dict[str, Any], duration: str) -> None:
    assert shown("jobs.batch", made(status=status))["Duration"] == duration


@pytest.mark.parametrize(
    ("obj", "address", "external", "ports"),
    [
        (
            made(spec={"type": "ClusterIP", "clusterIPs": ["127.96.0.9"], "ports": [{"port": 80, "protocol": "TCP"}]}),
            "127.96.0.9",
            "<none>",
            "80/TCP",
        ),
        (made(spec={"type": "ClusterIP", "clusterIPs": ["None"]}), "None", "<none>", "<none>"),
        (
            made(spec={"type": "NodePort", "externalIPs": ["127.9.9.9"], "ports": [{"port": 80, "nodePort": 30000}]}),
            "<none>",
            "127.9.9.9",
            "80:30000/TCP",
        ),
        (made(spec={"type": "LoadBalancer"}), "<none>", "<pending>", "<none>"),
        (
            made(
                spec={"type": "LoadBalancer", "externalIPs": ["127.9.9.9"]},
                status={"loadBalancer": {"ingress": [{"hostname": "b"}, {"ip": "127.0.0.3"}]}},
            ),
            "<none>",
            "127.0.0.3,b,127.9.9.9",
            "<none>",
        ),
        (made(spec={"type": "ExternalName", "externalName": "else.where"}), "<none>", "else.where", "<none>"),
        (made(spec={}), "<none>", "<unknown>", "<none>"),
    ],
)
def test_addresses_of_services(obj: dict[str, Any], address: str, external: str, ports: str) -> None:
    found = shown("services", obj)
    assert (found["Cluster-IP"], found["External-IP"], found["Port(s)"]) == (address, external, ports)


@pytest.mark.parametrize(
    ("hosts", "text"),
    [
        ([], "*"),
        ([None], "*"),
        (["a", None, "b"], "a,b"),
        (["a", "b", "c"], "a,b,c"),
        (["a", "b", "c", None, "d"], "a,b,c + 2 more..."),
    ],
)
def test_hosts_of_ingresses(hosts: list[str | None], text: str) -> None:
    rules = [{"host": host} if host else {} for host in hosts]
    found = shown("ingresses.networking.k8s.io", made(spec={"rules": rules, "tls": [{}] if hosts else []}))
    assert (found["Hosts"], found["Ports"]) == (text, "80, 443" if hosts else "80")


@pytest.mark.parametrize(
    ("metric", "current", "text"),
    [
        ({"type": "External", "external": {"target": {"averageValue": "2"}}}, {}, "<unknown>/2 (avg)"),
        (
            {"type": "External", "external": {"target": {"value": "2"}}},
            {"external": {"current": {"value": "1"}}},
            "1/2",
        ),
        ({"type": "Pods", "pods": {"target": {"averageValue": "2"}}}, {}, "<unknown>/2"),
        (
            {"type": "Object", "object": {"target": {"averageValue": "2"}}},
            {"object": {"current": {"averageValue": "1"}}},
            "1/2 (avg)",
        ),
        (
            {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}},
            {"resource": {"current": {"averageUtilization": 0}}},
            "cpu: 0%/80%",
        ),
        ({"type": "Resource", "resource": {"name": "cpu", "target": {}}}, {}, "cpu: <unknown>/<auto>"),
        (
            {"type": "ContainerResource", "containerResource": {"name": "memory", "target": {"averageValue": "1Gi"}}},
            {},
            "memory: <unknown>/1Gi",
        ),
        ({"type": "Else"}, {}, "<unknown type>"),
    ],
)
def test_metrics_of_autoscalers(metric: dict[str, Any], current: dict[str, Any], text: str) -> None:
    obj = made(
        spec={"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 5, "metrics": [metric]},
        status={"currentMetrics": [current], "currentReplicas": 2},
    )
    assert shown("horizontalpodautoscalers.autoscaling", obj) == {
        "Name": "x",
        "Reference": "Deployment/d",
        "Targets": text,
        "MinPods": "<unset>",
        "MaxPods": 5,
        "Replicas": 2,
        "Age": "5m",
    }


def test_an_autoscaler_shows_two_metrics_and_counts_the_others() -> None:
    metrics = [{"type": "Pods", "pods": {"target": {"averageValue": str(one)}}} for one in range(3)]
    found = shown("horizontalpodautoscalers.autoscaling", made(spec={"metrics": metrics, "minReplicas": 0}))
    assert (found["Targets"], found["MinPods"]) == ("<unknown>/0, <unknown>/1 + 1 more...", "0")
    assert shown("horizontalpodautoscalers.autoscaling", made())["Targets"] == "<none>"


@pytest.mark.parametrize(
    ("conditions", "spec", "status"),
    [
        ([], {}, "Unknown"),
        ([{"type": "Ready", "status": "True"}], {}, "Ready"),
        ([{"type": "Ready", "status": "Unknown"}], {"unschedulable": True}, "NotReady,SchedulingDisabled"),
    ],
)
def test_status_of_nodes(conditions: list[dict[str, Any]], spec: dict[str, Any], status: str) -> None:
    labels = {"node-role.kubernetes.io/worker": "", "kubernetes.io/role": "gpu", "node-role.kubernetes.io/": ""}
    addresses = [{"type": "Hostname", "address": "h"}, {"type": "InternalIP", "address": "127.0.0.1"}]
    node = made(
        metadata={"labels": labels},
        spec=spec,
        status={"conditions": conditions, "addresses": addresses, "nodeInfo": {"kubeletVersion": "v1.36.2"}},
    )
    assert shown("nodes", node) == {
        "Name": "x",
        "Status": status,
        "Roles": "gpu,worker",
        "Age": "5m",
        "Version": "v1.36.2",
        "Internal-IP": "127.0.0.1",
        "External-IP": "<none>",
        "OS-Image": "<unknown>",
        "Kernel-Version": "<unknown>",
        "Container-Runtime": "<unknown>",
    }


def test_events_of_both_groups() -> None:
    old = made(
        involvedObject={"kind": "Pod", "name": "p", "fieldPath": "spec.containers{main}"},
        firstTimestamp=CREATED,
        lastTimestamp=LATER,
        count=3,
        type="Normal",
        reason="Pulled",
        message=" text\n",
        source={"component": "kubelet", "host": "node"},
    )
    row = {
        "Last Seen": "3m",
        "Type": "Normal",
        "Reason": "Pulled",
        "Object": "pod/p",
        "Subobject": "spec.containers{main}",
        "Source": "kubelet, node",
        "Message": "text",
        "First Seen": "5m",
        "Count": 3,
        "Name": "x",
    }
    assert shown("events", old) == row
    new = made(
        regarding={"kind": "Pod"},
        eventTime="2026-01-01T00:00:00.000000Z",
        series={"count": 9, "lastObservedTime": "2026-01-01T00:04:50.000000Z"},
        type="Normal",
        reason="Pulled",
        note="text",
        reportingController="kubelet",
    )
    changed = {"Last Seen": "10s", "Object": "pod", "Subobject": "", "Source": "kubelet", "Count": 9}
    assert shown("events.events.k8s.io", new) == {**row, **changed}
    single = shown("events", made(involvedObject={"kind": "Pod"}, eventTime="2026-01-01T00:04:00.000000Z"))
    assert (single["Last Seen"], single["First Seen"], single["Count"]) == ("60s", "60s", 1)


@pytest.mark.parametrize(
    ("resource", "role"),
    [
        ("rolebindings.rbac.authorization.k8s.io", "Role/r"),
        ("clusterrolebindings.rbac.authorization.k8s.io", "ClusterRole/r"),
    ],
)
def test_subjects_of_bindings(resource: str, role: str) -> None:
    kind, name = role.split("/")
    subjects = [
        {"kind": "User", "name": "u"},
        {"kind": "User", "name": "v"},
        {"kind": "Group", "name": "g"},
        {"kind": "ServiceAccount", "namespace": "ns", "name": "s"},
    ]
    assert shown(resource, made(roleRef={"kind": kind, "name": name}, subjects=subjects)) == {
        "Name": "x",
        "Role": role,
        "Age": "5m",
        "Users": "u, v",
        "Groups": "g",
        "ServiceAccounts": "ns/s",
    }


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ({}, "<unset>"),
        ({"name": "p"}, "*/p"),
        ({"name": "p", "namespace": "ns"}, "ns/p"),
        ({"selector": {"matchLabels": {"a": "b"}}}, "a=b"),
    ],
)
def test_parameters_of_policy_bindings(reference: dict[str, Any], text: str) -> None:
    resource = "validatingadmissionpolicybindings.admissionregistration.k8s.io"
    assert shown(resource, made(spec={"policyName": "p", "paramRef": reference}))["ParamRef"] == text
