from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.presentation.tables import table
from adapter_testing.table_rows import CREATED, LATER, NOW, TYPES, made, shown

pytestmark = pytest.mark.unit

TEMPLATE = {"spec": {"containers": [{"name": "a", "image": "app:1"}, {"name": "b", "image": "side:2"}]}}


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
