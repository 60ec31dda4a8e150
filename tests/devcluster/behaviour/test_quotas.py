"""ResourceQuotas and LimitRanges: what is refused, what is counted, what is filled in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.api_calls import MERGE, ApiCalls, config_map, eventually
from adapter_testing.refusals import refusal

pytestmark = pytest.mark.integration

GPU = "nvidia.com/gpu"


class Namespace:
    """A namespace of the cluster, with short ways to its objects."""

    def __init__(self, call: ApiCalls, name: str) -> None:
        self.call, self.path = call, f"/api/v1/namespaces/{name}"
        self.jobs = f"/apis/batch/v1/namespaces/{name}/jobs"
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        assert call("POST", "/api/v1/namespaces", body).status_code == 201

    def post(self, plural: str, body: dict[str, Any], **params: str) -> Any:
        return self.call("POST", f"{self.path}/{plural}", body, **params)

    def quota(self, name: str = "q", **spec: Any) -> None:
        body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": spec}
        assert self.post("resourcequotas", body).status_code == 201
        assert eventually(lambda: self.status(name).get("hard"))

    def status(self, name: str = "q") -> dict[str, Any]:
        return dict(self.call("GET", f"{self.path}/resourcequotas/{name}").json()["status"])

    def used(self, name: str = "q") -> dict[str, str]:
        return dict(self.status(name)["used"])


@pytest.fixture(scope="module")
def call() -> Iterator[ApiCalls]:
    with DevCluster(node=False) as cluster:
        yield ApiCalls(cluster)


def resources(requests: dict[str, str], limits: dict[str, str] | None = None) -> dict[str, Any]:
    return {"requests": requests, "limits": limits or {}}


def pod(name: str, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    found = [{"name": f"c{at}", "image": "a:1", "resources": one} for at, one in enumerate(containers or [{}])]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": found, **spec}}


def finish(space: Namespace, name: str) -> None:
    patch = {"status": {"phase": "Succeeded"}}
    assert space.call("PATCH", f"{space.path}/pods/{name}/status", patch, media=MERGE).status_code == 200


def test_pods_take_room_and_give_it_back(call: ApiCalls) -> None:
    space = Namespace(call, "room")
    space.quota(
        hard={"pods": "2", "requests.cpu": "1", "limits.memory": "1Gi", f"requests.{GPU}": "1", "count/pods": "9"}
    )
    zero = {"pods": "0", "requests.cpu": "0", "limits.memory": "0", f"requests.{GPU}": "0", "count/pods": "0"}
    assert space.used() == zero
    half = resources({"cpu": "500m"}, {"memory": "512Mi"})
    assert space.post("pods", pod("a", half), dryRun="All").status_code == 201
    assert space.used() == zero
    assert space.post("pods", pod("a", half)).status_code == 201
    assert space.used() == {**zero, "pods": "1", "requests.cpu": "500m", "limits.memory": "512Mi", "count/pods": "1"}
    refused = space.post("pods", pod("b", resources({"cpu": "600m", GPU: "2"}, {"memory": "1Gi", GPU: "2"})))
    assert refusal(refused) == (403, "Forbidden", "pods", "b", [])
    assert refused.json()["message"] == (
        f'pods "b" is forbidden: exceeded quota: q, requested: limits.memory=1Gi,requests.cpu=600m,requests.{GPU}=2, '
        f"used: limits.memory=512Mi,requests.cpu=500m,requests.{GPU}=0, limited: limits.memory=1Gi,requests.cpu=1,"
        f"requests.{GPU}=1"
    )
    assert space.post("pods", pod("b", half)).status_code == 201
    assert space.used() == {**zero, "pods": "2", "requests.cpu": "1", "limits.memory": "1Gi", "count/pods": "2"}
    assert space.post("pods", pod("c", resources({"cpu": "0"}, {"memory": "0"}))).status_code == 403
    finish(space, "b")
    # One that has ended is still there, and counts as an object alone.
    assert eventually(lambda: space.used()["pods"] == "1")
    assert (space.used()["requests.cpu"], space.used()["count/pods"]) == ("500m", "2")
    for name in ("a", "b"):
        assert call("DELETE", f"{space.path}/pods/{name}").status_code == 200
    assert eventually(lambda: space.used() == zero)


def test_a_quota_of_compute_wants_to_know(call: ApiCalls) -> None:
    space = Namespace(call, "told")
    space.quota(hard={"cpu": "1", "limits.memory": "1Gi"})
    refused = space.post("pods", pod("a", resources({"cpu": "1m"}), resources({"cpu": "1m"}, {"memory": "1Mi"}), {}))
    assert refusal(refused) == (403, "Forbidden", "pods", "a", [])
    assert refused.json()["message"].endswith("failed quota: q: must specify cpu for: c2; limits.memory for: c0,c2")
    init = [{"name": "i", "image": "a:1", "resources": resources({"cpu": "900m"}, {"memory": "900Mi"})}]
    told = resources({"cpu": "300m"}, {"memory": "300Mi"})
    assert space.post("pods", pod("a", told, told, initContainers=init)).status_code == 201
    assert space.used() == {"cpu": "900m", "limits.memory": "900Mi"}


def test_scopes(call: ApiCalls) -> None:
    space = Namespace(call, "scopes")
    space.quota("ending", hard={"pods": "1"}, scopes=["Terminating"])
    space.quota("modest", hard={"pods": "1"}, scopes=["BestEffort"])
    selector = {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}
    space.quota("high", hard={"pods": "0"}, scopeSelector=selector)
    high = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 7}
    assert call("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", high).status_code == 201
    some = resources({"cpu": "1m"})
    assert space.post("pods", pod("a", some, activeDeadlineSeconds=5)).status_code == 201
    assert space.post("pods", pod("b")).status_code == 201
    assert (space.used("ending"), space.used("modest")) == ({"pods": "1"}, {"pods": "1"})
    assert "exceeded quota: ending" in space.post("pods", pod("c", some, activeDeadlineSeconds=5)).json()["message"]
    assert "exceeded quota: modest" in space.post("pods", pod("c")).json()["message"]
    assert "exceeded quota: high" in space.post("pods", pod("c", some, priorityClassName="high")).json()["message"]
    assert space.post("pods", pod("c", some)).status_code == 201


def test_objects_are_counted(call: ApiCalls) -> None:
    space = Namespace(call, "counted")
    hard = {"count/configmaps": "1", "secrets": "1", "services.nodeports": "1", "requests.storage": "3Gi"}
    space.quota(hard=hard)
    found = int(space.used()["count/configmaps"])
    assert call(
        "PATCH", f"{space.path}/resourcequotas/q", {"spec": {"hard": {"count/configmaps": str(found + 1)}}}, media=MERGE
    )
    assert eventually(lambda: space.status()["hard"]["count/configmaps"] == str(found + 1))
    assert space.post("configmaps", config_map("a")).status_code == 201
    assert refusal(space.post("configmaps", config_map("b"))) == (403, "Forbidden", "configmaps", "b", [])
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}
    assert [space.post("secrets", {**secret, "metadata": {"name": name}}).status_code for name in "ab"] == [201, 403]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}}
    assert space.post("services", service).status_code == 201
    ports = {"spec": {"type": "NodePort", "ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]}}
    assert refusal(call("PATCH", f"{space.path}/services/a", ports, media=MERGE))[:4] == (
        403,
        "Forbidden",
        "services",
        "a",
    )
    assert call("PATCH", f"{space.path}/services/a", {"spec": {"type": "NodePort"}}, media=MERGE).status_code == 200
    assert space.used()["services.nodeports"] == "1"
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "a"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}},
    }
    assert space.post("persistentvolumeclaims", claim).status_code == 201
    assert space.used()["requests.storage"] == "2Gi"
    assert space.post("persistentvolumeclaims", {**claim, "metadata": {"name": "b"}}).status_code == 403
    assert call("DELETE", f"{space.path}/secrets/a").status_code == 200
    assert eventually(lambda: space.used()["secrets"] == "0")


def test_a_job_without_room_says_so_by_events(call: ApiCalls) -> None:
    space = Namespace(call, "full")
    space.quota(hard={"pods": "0"})
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "a:1"}]}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": template}}
    assert call("POST", space.jobs, job).status_code == 201

    def failures() -> list[str]:
        events = call("GET", f"{space.path}/events", fieldSelector="reason=FailedCreate").json()["items"]
        return [one["message"] for one in events if one["involvedObject"]["name"] == "j"]

    found = eventually(failures)[0]
    assert found.startswith('Error creating: pods "j-')
    assert found.endswith("is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0")


@pytest.mark.parametrize(
    ("hard", "field"),
    [
        ({"frob": "1"}, "spec.hard[frob]"),
        ({"pods": "1500m"}, "spec.hard[pods]"),
        ({"requests.cpu": "-1"}, "spec.hard[requests.cpu]"),
    ],
)
def test_quotas_of_nothing(call: ApiCalls, hard: dict[str, str], field: str) -> None:
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": hard}}
    answer = call("POST", "/api/v1/namespaces/default/resourcequotas", body)
    assert refusal(answer) == (422, "Invalid", "ResourceQuota", "q", [(field, "FieldValueInvalid")])


def test_limit_ranges(call: ApiCalls) -> None:
    space = Namespace(call, "limits")
    limits = [
        {
            "type": "Container",
            "default": {"cpu": "1"},
            "defaultRequest": {"cpu": "500m", "memory": "64Mi"},
            "max": {"cpu": "2"},
            "min": {"cpu": "100m"},
            "maxLimitRequestRatio": {"cpu": "4"},
        },
        {"type": "Pod", "max": {"memory": "1Gi"}},
        {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}},
    ]
    body = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": limits}}
    assert space.post("limitranges", body).status_code == 201
    memory = {"limits": {"memory": "1Gi"}}
    found = space.post("pods", pod("a", memory)).json()
    assert found["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "500m", "memory": "1Gi"},
        "limits": {"cpu": "1", "memory": "1Gi"},
    }
    note = "LimitRanger plugin set: cpu request for container c0; cpu limit for container c0"
    assert found["metadata"]["annotations"] == {"kubernetes.io/limit-ranger": note}
    assert found["status"]["qosClass"] == "Burstable"

    def problem(body: dict[str, Any], plural: str = "pods") -> str:
        answer = space.post(plural, body)
        assert refusal(answer) == (403, "Forbidden", plural, body["metadata"]["name"], [])
        return str(answer.json()["message"]).partition(" is forbidden: ")[2]

    def told(cpu: str, limit: str = "1") -> dict[str, Any]:
        return resources({"cpu": cpu}, {"cpu": limit, "memory": "1Gi"})

    assert problem(pod("b", told("1", "3"))) == "maximum cpu usage per Container is 2, but limit is 3"
    assert problem(pod("b", told("50m", "100m"))) == "minimum cpu usage per Container is 100m, but request is 50m"
    assert problem(pod("b", told("200m"))) == (
        "cpu max limit to request ratio per Container is 4, but provided ratio is 5.000000"
    )
    assert problem(pod("b")) == "maximum memory usage per Pod is 1Gi.  No limit is specified"
    assert problem(pod("b", told("1"), told("1"))) == "maximum memory usage per Pod is 1Gi, but limit is 2Gi"
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "v"}}
    for size, words in (("3Gi", "maximum storage usage per PersistentVolumeClaim is 2Gi"), ("1Mi", "minimum storage")):
        asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
        assert problem({**claim, "spec": asked}, "persistentvolumeclaims").startswith(words)
