"""The scale of Deployments and of custom resources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.api_calls import MERGE, ApiCalls, eventually

pytestmark = pytest.mark.integration

BOATS = "/apis/sea.example/v1/namespaces/default/boats"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
COUNTED = {"type": "object", "properties": {"crews": {"type": "integer"}, "selector": {"type": "string"}}}
DEFINITION = {
    "metadata": {"name": "boats.sea.example"},
    "spec": {
        "group": "sea.example",
        "scope": "Namespaced",
        "names": {"plural": "boats", "kind": "Boat"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": COUNTED, "status": COUNTED}}},
                "subresources": {
                    "status": {},
                    "scale": {
                        "specReplicasPath": ".spec.crews",
                        "statusReplicasPath": ".status.crews",
                        "labelSelectorPath": ".status.selector",
                    },
                },
            }
        ],
    },
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    with DevCluster(node=False, controllers=False) as found:
        call = ApiCalls(found)
        call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", DEFINITION)
        assert eventually(lambda: call("GET", BOATS).status_code == 200)
        yield found


@pytest.fixture
def call(cluster: DevCluster) -> Iterator[ApiCalls]:
    calls = ApiCalls(cluster)
    yield calls
    calls("DELETE", BOATS)
    calls("DELETE", DEPLOYMENTS)


def boat(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "sea.example/v1", "kind": "Boat", "metadata": {"name": name}, "spec": spec}


def scale(name: str, replicas: Any, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": name, **metadata},
        "spec": {"replicas": replicas},
    }


def test_the_scale_of_a_custom_resource_is_read_and_written_where_it_says(call: ApiCalls) -> None:
    made = call("POST", BOATS, boat("a", crews=2)).json()
    call("PATCH", f"{BOATS}/a/status", {"status": {"crews": 1, "selector": "app=a"}}, media=MERGE)
    found = call("GET", f"{BOATS}/a/scale").json()
    assert (found["kind"], found["metadata"]["uid"]) == ("Scale", made["metadata"]["uid"])
    assert (found["spec"], found["status"]) == ({"replicas": 2}, {"replicas": 1, "selector": "app=a"})
    changed = call("PATCH", f"{BOATS}/a/scale", {"spec": {"replicas": 5}}, media=MERGE)
    assert (changed.status_code, changed.json()["spec"]) == (200, {"replicas": 5})
    assert call("PUT", f"{BOATS}/a/scale", scale("a", 0)).json()["spec"] == {}
    assert call("GET", f"{BOATS}/a").json()["spec"] == {"crews": 0}


def test_a_custom_resource_without_replicas_gets_them_through_its_scale(call: ApiCalls) -> None:
    call("POST", BOATS, boat("a"))
    assert call("GET", f"{BOATS}/a/scale").status_code == 500
    assert call("PUT", f"{BOATS}/a/scale", scale("a", 3)).status_code == 200
    assert call("GET", f"{BOATS}/a").json()["spec"] == {"crews": 3}


def test_the_selector_of_a_deployment_is_written_as_text(call: ApiCalls) -> None:
    container = {"name": "main", "image": "i"}
    spec = {
        "selector": {"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]},
        "template": {"metadata": {"labels": {"app": "a", "tier": "x"}}, "spec": {"containers": [container]}},
    }
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": spec}
    assert call("POST", DEPLOYMENTS, body).status_code == 201
    found = call("GET", f"{DEPLOYMENTS}/a/scale").json()
    assert (found["spec"], found["status"]) == ({"replicas": 1}, {"replicas": 0, "selector": "app=a,tier"})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (scale("a", -1), 422),
        (scale("a", "three"), 400),
        (scale("a", replicas=True), 400),
        ({"spec": []}, 400),
        (scale("a", 1, resourceVersion="1"), 409),
        (scale("a", 1, uid="of-another"), 409),
    ],
)
def test_scales_that_are_refused(call: ApiCalls, body: dict[str, Any], code: int) -> None:
    call("POST", BOATS, boat("a", crews=2))
    assert call("PUT", f"{BOATS}/a/scale", body).status_code == code
    assert call("PUT", f"{BOATS}/none/scale", body).status_code == 404
    assert call("GET", f"{BOATS}/a").json()["spec"] == {"crews": 2}
