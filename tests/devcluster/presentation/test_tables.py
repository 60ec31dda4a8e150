from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.apiextensions import Columns
from adapter_devcluster.apiextensions.go_time import parse_date_time
from adapter_devcluster.builtin.catalogue import BUILTIN
from adapter_devcluster.presentation.tables import partial_metadata_list, table
from adapter_devcluster.resource_types import ResourceType

pytestmark = pytest.mark.unit

CREATED = "2026-01-01T00:00:00Z"
NOW = parse_date_time("2026-01-01T00:05:00Z")
TYPES = {one.resource: one for one in BUILTIN}
TEMPLATE = {"spec": {"containers": [{"name": "a", "image": "app:1"}, {"name": "b", "image": "side:2"}]}}
LATER = "2026-01-01T00:02:00Z"


def made(**fields: Any) -> dict[str, Any]:
    meta = {"name": "x", "creationTimestamp": CREATED, **fields.pop("metadata", {})}
    return {"metadata": meta, **fields}


def shown(resource: str, obj: dict[str, Any]) -> dict[str, Any]:
    """The row of one object, by column."""
    found = table(TYPES[resource], [obj], now_ns=NOW, resource_version="7")
    names = [column["name"] for column in found["columnDefinitions"]]
    return dict(zip(names, found["rows"][0]["cells"], strict=True))


@pytest.mark.parametrize(
    ("resource", "obj", "row"),
    [
        ("configmaps", made(data={"a": "1"}, binaryData={"b": "MQ=="}), {"Name": "x", "Data": 2, "Age": "5m"}),
        ("secrets", made(type="Opaque", data={"a": "MQ=="}), {"Name": "x", "Type": "Opaque", "Data": 1, "Age": "5m"}),
        ("serviceaccounts", made(), {"Name": "x", "Secrets": 0, "Age": "5m"}),
        ("namespaces", made(status={"phase": "Active"}), {"Name": "x", "Status": "Active", "Age": "5m"}),
        (
            "resourcequotas",
            made(status={"hard": {"pods": "2", "limits.cpu": "4"}, "used": {"pods": "1"}}),
            {"Name": "x", "Request": "pods: 1/2", "Limit": "limits.cpu: 0/4", "Age": "5m"},
        ),
        ("limitranges", made(), {"Name": "x", "Created At": CREATED}),
        ("roles.rbac.authorization.k8s.io", made(), {"Name": "x", "Created At": CREATED}),
        ("leases.coordination.k8s.io", made(spec={"holderIdentity": "me"}), {"Name": "x", "Holder": "me", "Age": "5m"}),
        ("leases.coordination.k8s.io", made(), {"Name": "x", "Holder": "", "Age": "5m"}),
        (
            "priorityclasses.scheduling.k8s.io",
            made(value=10, preemptionPolicy="Never"),
            {"Name": "x", "Value": 10, "Global-Default": False, "Age": "5m", "PreemptionPolicy": "Never"},
        ),
        ("runtimeclasses.node.k8s.io", made(handler="kata"), {"Name": "x", "Handler": "kata", "Age": "5m"}),
        (
            "validatingwebhookconfigurations.admissionregistration.k8s.io",
            made(webhooks=[{}, {}]),
            {"Name": "x", "Webhooks": 2, "Age": "5m"},
        ),
        (
            "validatingadmissionpolicies.admissionregistration.k8s.io",
            made(spec={"validations": [{}], "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}),
            {"Name": "x", "Validations": 1, "ParamKind": "v1/ConfigMap", "Age": "5m"},
        ),
        (
            "validatingadmissionpolicies.admissionregistration.k8s.io",
            made(spec={}),
            {"Name": "x", "Validations": 0, "ParamKind": "<unset>", "Age": "5m"},
        ),
        (
            "storageclasses.storage.k8s.io",
            made(
                metadata={"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}, provisioner="local"
            ),
            {
                "Name": "x (default)",
                "Provisioner": "local",
                "ReclaimPolicy": "Delete",
                "VolumeBindingMode": "Immediate",
                "AllowVolumeExpansion": False,
                "Age": "5m",
            },
        ),
        (
            "persistentvolumeclaims",
            made(
                metadata={"annotations": {"volume.beta.kubernetes.io/storage-class": "old"}},
                spec={"volumeName": "pv", "volumeMode": "Filesystem"},
                status={
                    "phase": "Bound",
                    "capacity": {"storage": "1Gi"},
                    "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
                },
            ),
            {
                "Name": "x",
                "Status": "Bound",
                "Volume": "pv",
                "Capacity": "1Gi",
                "Access Modes": "RWO,RWX",
                "StorageClass": "old",
                "VolumeAttributesClass": "<unset>",
                "Age": "5m",
                "VolumeMode": "Filesystem",
            },
        ),
        (
            "persistentvolumeclaims",
            made(metadata={"deletionTimestamp": LATER}, spec={"storageClassName": "c"}, status={"phase": "Pending"}),
            {
                "Name": "x",
                "Status": "Terminating",
                "Volume": "",
                "Capacity": "",
                "Access Modes": "",
                "StorageClass": "c",
                "VolumeAttributesClass": "<unset>",
                "Age": "5m",
                "VolumeMode": "<unset>",
            },
        ),
        (
            "persistentvolumes",
            made(
                spec={
                    "capacity": {"storage": "2Gi"},
                    "accessModes": ["ReadOnlyMany"],
                    "persistentVolumeReclaimPolicy": "Retain",
                    "claimRef": {"namespace": "ns", "name": "c"},
                },
                status={"phase": "Bound"},
            ),
            {
                "Name": "x",
                "Capacity": "2Gi",
                "Access Modes": "ROX",
                "Reclaim Policy": "Retain",
                "Status": "Bound",
                "Claim": "ns/c",
                "StorageClass": "",
                "VolumeAttributesClass": "<unset>",
                "Reason": "",
                "Age": "5m",
                "VolumeMode": "<unset>",
            },
        ),
        (
            "deployments.apps",
            made(
                spec={"replicas": 3, "selector": {"matchLabels": {"b": "2", "a": "1"}}, "template": TEMPLATE},
                status={"readyReplicas": 2, "updatedReplicas": 1, "availableReplicas": 2},
            ),
            {
                "Name": "x",
                "Ready": "2/3",
                "Up-to-date": 1,
                "Available": 2,
                "Age": "5m",
                "Containers": "a,b",
                "Images": "app:1,side:2",
                "Selector": "a=1,b=2",
            },
        ),
        (
            "replicasets.apps",
            made(spec={"replicas": 3}, status={"replicas": 2, "readyReplicas": 1}),
            {
                "Name": "x",
                "Desired": 3,
                "Current": 2,
                "Ready": 1,
                "Age": "5m",
                "Containers": "",
                "Images": "",
                "Selector": "<none>",
            },
        ),
        (
            "statefulsets.apps",
            made(spec={"replicas": 3, "template": TEMPLATE}),
            {"Name": "x", "Ready": "0/3", "Age": "5m", "Containers": "a,b", "Images": "app:1,side:2"},
        ),
        (
            "daemonsets.apps",
            made(
                spec={
                    "selector": {"matchExpressions": [{"key": "k", "operator": "In", "values": ["b", "a"]}]},
                    "template": {"spec": {"nodeSelector": {"disk": "ssd"}}},
                },
                status={
                    "desiredNumberScheduled": 5,
                    "currentNumberScheduled": 4,
                    "numberReady": 3,
                    "updatedNumberScheduled": 2,
                    "numberAvailable": 1,
                },
            ),
            {
                "Name": "x",
                "Desired": 5,
                "Current": 4,
                "Ready": 3,
                "Up-to-date": 2,
                "Available": 1,
                "Node Selector": "disk=ssd",
                "Age": "5m",
                "Containers": "",
                "Images": "",
                "Selector": "k in (a,b)",
            },
        ),
        (
            "controllerrevisions.apps",
            made(
                metadata={
                    "ownerReferences": [
                        {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "w", "controller": True}
                    ]
                },
                revision=4,
            ),
            {"Name": "x", "Controller": "statefulset.apps/w", "Revision": 4, "Age": "5m"},
        ),
        (
            "controllerrevisions.apps",
            made(metadata={"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "w", "controller": True}]}),
            {"Name": "x", "Controller": "pod/w", "Revision": 0, "Age": "5m"},
        ),
        ("controllerrevisions.apps", made(), {"Name": "x", "Controller": "<none>", "Revision": 0, "Age": "5m"}),
        (
            "cronjobs.batch",
            made(
                spec={"schedule": "@daily", "suspend": False, "jobTemplate": {"spec": {"template": TEMPLATE}}},
                status={"active": [{}], "lastScheduleTime": LATER},
            ),
            {
                "Name": "x",
                "Schedule": "@daily",
                "Timezone": "<none>",
                "Suspend": "False",
                "Active": 1,
                "Last Schedule": "3m",
                "Age": "5m",
                "Containers": "a,b",
                "Images": "app:1,side:2",
                "Selector": "<none>",
            },
        ),
        (
            "poddisruptionbudgets.policy",
            made(spec={"maxUnavailable": "50%"}, status={"disruptionsAllowed": 1}),
            {"Name": "x", "Min Available": "N/A", "Max Unavailable": "50%", "Allowed Disruptions": 1, "Age": "5m"},
        ),
        (
            "poddisruptionbudgets.policy",
            made(spec={"minAvailable": 0}),
            {"Name": "x", "Min Available": "0", "Max Unavailable": "N/A", "Allowed Disruptions": 0, "Age": "5m"},
        ),
        (
            "endpoints",
            made(
                subsets=[
                    {"addresses": [{"ip": "127.1.0.1"}, {"ip": "127.1.0.2"}], "ports": [{"port": 80}, {"port": 81}]},
                    {"addresses": [{"ip": "127.1.0.3"}]},
                ]
            ),
            {"Name": "x", "Endpoints": "127.1.0.1:80,127.1.0.2:80,127.1.0.1:81 + 2 more...", "Age": "5m"},
        ),
        ("endpoints", made(), {"Name": "x", "Endpoints": "<none>", "Age": "5m"}),
        (
            "endpointslices.discovery.k8s.io",
            made(
                addressType="IPv4",
                ports=[{"port": 80}, {"name": "odd"}, {}],
                endpoints=[{"addresses": ["127.1.0.1"]}, {"addresses": ["127.1.0.2"]}],
            ),
            {
                "Name": "x",
                "AddressType": "IPv4",
                "Ports": "80,odd,*",
                "Endpoints": "127.1.0.1,127.1.0.2",
                "Age": "5m",
            },
        ),
        (
            "endpointslices.discovery.k8s.io",
            made(addressType="IPv4", ports=None, endpoints=None),
            {"Name": "x", "AddressType": "IPv4", "Ports": "<unset>", "Endpoints": "<unset>", "Age": "5m"},
        ),
        (
            "ingressclasses.networking.k8s.io",
            made(spec={"controller": "c", "parameters": {"apiGroup": "g.dev", "kind": "P", "name": "p"}}),
            {"Name": "x", "Controller": "c", "Parameters": "P.g.dev/p", "Age": "5m"},
        ),
        (
            "ingressclasses.networking.k8s.io",
            made(spec={"controller": "c"}),
            {"Name": "x", "Controller": "c", "Parameters": "<none>", "Age": "5m"},
        ),
        (
            "networkpolicies.networking.k8s.io",
            made(spec={"podSelector": {}}),
            {"Name": "x", "Pod-Selector": "<none>", "Age": "5m"},
        ),
    ],
)
def test_rows(resource: str, obj: dict[str, Any], row: dict[str, Any]) -> None:
    assert shown(resource, obj) == row


@pytest.mark.parametrize("resource", sorted(TYPES))
def test_every_kind_has_a_cell_for_each_column_and_describes_them(resource: str) -> None:
    found = table(TYPES[resource], [{"metadata": {"name": "x"}}], now_ns=NOW, resource_version="7")
    assert len(found["rows"][0]["cells"]) == len(found["columnDefinitions"])
    for column in found["columnDefinitions"]:
        assert set(column) == {"name", "type", "format", "description", "priority"}
        assert column["description"]
        assert column["priority"] in (0, 1)


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


WIDGET = ResourceType("example.dev", "v1", "Widget", "widgets", "widget")


def test_a_custom_resource_has_the_columns_of_its_definition() -> None:
    columns = Columns.compile(
        {"additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.n"}]}
    )
    found = table(WIDGET, [made(spec={"n": 3})], now_ns=NOW, resource_version="7", columns=columns)
    assert [column["name"] for column in found["columnDefinitions"]] == ["Name", "Size"]
    assert found["rows"][0]["cells"] == ["x", 3]
    assert "conditions" not in found["rows"][0]


def test_a_table_says_where_the_list_goes_on() -> None:
    found = table(WIDGET, [], now_ns=NOW, resource_version="7", continue_token="t", remaining=0, version="v1beta1")
    assert (found["kind"], found["apiVersion"]) == ("Table", "meta.k8s.io/v1beta1")
    assert found["metadata"] == {"resourceVersion": "7", "continue": "t", "remainingItemCount": 0}
    assert found["rows"] == []


def test_a_row_has_as_much_of_the_object_as_was_asked_for() -> None:
    obj = made(apiVersion="v1", kind="ConfigMap", data={})

    def row_object(**options: Any) -> Any:
        return table(TYPES["configmaps"], [obj], now_ns=NOW, resource_version="7", **options)["rows"][0]["object"]

    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}
    assert row_object() == partial
    assert row_object(version="v1beta1") == {**partial, "apiVersion": "meta.k8s.io/v1beta1"}
    assert row_object(include_object="None") is None
    assert row_object(include_object="Object") == obj


def test_a_watch_gets_the_headers_once() -> None:
    found = table(TYPES["pods"], [], now_ns=NOW, resource_version="7", no_headers=True)
    assert found["columnDefinitions"] is None


def test_a_list_of_metadata() -> None:
    obj = made(spec={"n": 3})
    assert partial_metadata_list([obj], resource_version="7", continue_token="t", remaining=2) == {
        "kind": "PartialObjectMetadataList",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": "7", "continue": "t", "remainingItemCount": 2},
        "items": [{"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}],
    }


def test_an_object_without_a_time_has_no_age() -> None:
    assert shown("configmaps", {"metadata": {"name": "x"}})["Age"] == "<unknown>"
