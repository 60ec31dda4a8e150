"""Whatever is sent, the server goes on, and its answers are of Kubernetes' kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.api_calls import CONFIG_MAPS, ApiCalls, config_map

pytestmark = pytest.mark.integration

REQUESTS_AN_EXAMPLE = 20
MEDIA = (
    "application/json",
    "application/yaml",
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
    "application/vnd.kubernetes.protobuf",
    "text/plain",
    "",
)
ACCEPT = (
    "application/json",
    "*/*",
    "application/yaml",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json",
    "text/html",
    "",
)
TEMPLATE = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {
        "restartPolicy": "Never",
        "containers": [{"name": "main", "image": "example.test/app:1", "env": [{"name": "A", "value": "b"}]}],
        "volumes": [{"name": "v", "emptyDir": {}}],
    },
}
SEEDS: tuple[dict[str, Any], ...] = (
    config_map("a", {"k": "v"}),
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {"k": "v"}},
    {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": TEMPLATE["spec"]},
    {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": {"template": TEMPLATE}},
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE, "replicas": 1},
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "a"},
        "spec": {"selector": {"a": "b"}, "ports": [{"port": 80, "targetPort": 8080}]},
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "a"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    },
    {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.fuzz.test"},
        "spec": {
            "group": "fuzz.test",
            "scope": "Namespaced",
            "names": {"kind": "Thing", "plural": "things"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {
                        "status": {},
                        "scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"},
                    },
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {
                                "spec": {"type": "object", "properties": {"n": {"type": "integer", "default": 1}}},
                                "status": {"type": "object", "properties": {"n": {"type": "integer"}}},
                            },
                            "x-kubernetes-validations": [{"rule": "!has(self.spec) || self.spec.n < 9"}],
                        }
                    },
                }
            ],
        },
    },
    {"apiVersion": "fuzz.test/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": {"n": 2}},
    {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "a"}, "spec": {"replicas": 2}},
    {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0, "propagationPolicy": "Background"},
    {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "a"},
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {"apiGroups": ["fuzz.test"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["*"]}
                ]
            },
            "validations": [{"expression": "object.spec.n < 5"}],
        },
    },
    {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}},
    },
)
RESOURCES = (
    "api/v1/namespaces/default/configmaps",
    "api/v1/namespaces/default/secrets",
    "api/v1/namespaces/default/pods",
    "api/v1/namespaces/default/services",
    "api/v1/namespaces/default/events",
    "api/v1/namespaces",
    "api/v1/nodes",
    "apis/batch/v1/namespaces/default/jobs",
    "apis/apps/v1/namespaces/default/deployments",
    "apis/apps/v1/namespaces/default/replicasets",
    "apis/rbac.authorization.k8s.io/v1/namespaces/default/roles",
    "apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    "apis/events.k8s.io/v1/namespaces/default/events",
    "apis/fuzz.test/v1/namespaces/default/things",
)
PATHS = {
    "ConfigMap": RESOURCES[0],
    "Secret": RESOURCES[1],
    "Pod": RESOURCES[2],
    "Service": RESOURCES[3],
    "Job": RESOURCES[7],
    "Deployment": RESOURCES[8],
    "Role": RESOURCES[10],
    "CustomResourceDefinition": RESOURCES[11],
    "ValidatingAdmissionPolicy": RESOURCES[12],
    "SelfSubjectAccessReview": RESOURCES[13],
    "Thing": RESOURCES[15],
}
PATCHES = (
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
ENDS = (
    "",
    "/a",
    "/a",
    "/a/status",
    "/a/scale",
    "/a/log",
    "/a/binding",
    "/a/eviction",
    "/a/proxy/x",
    "/a/finalize",
    "/%2e",
)

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**65), 2**65), st.floats(allow_nan=False), st.text(max_size=8)
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def mutated(draw: st.DrawFn, seed: dict[str, Any] | None = None) -> Any:
    """A valid object with one place changed."""
    obj = json.loads(json.dumps(seed or draw(st.sampled_from(SEEDS))))
    place: Any = obj
    for _ in range(draw(st.integers(0, 7))):
        inner = [
            one
            for one in (place.values() if isinstance(place, dict) else place)
            if isinstance(one, dict | list) and one
        ]
        if not inner:
            break
        place = draw(st.sampled_from(inner))
    if isinstance(place, dict):
        key = draw(st.sampled_from(sorted(place)) if place else st.just("x"))
        if draw(st.booleans()):
            place[key] = draw(json_values)
        else:
            place.pop(key, None)
    else:
        place[draw(st.integers(0, len(place) - 1))] = draw(json_values)
    return obj


operations = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["add", "remove", "replace", "test", "move", "copy", "x"]),
        "path": st.sampled_from(
            ["/data/k", "/metadata/labels", "/spec/n", "", "/", "/spec/template/spec/containers/0", "x"]
        ),
    },
    optional={"value": json_values, "from": st.sampled_from(["/data", "/metadata/name", "/spec", ""])},
)
bodies = st.one_of(
    st.sampled_from(SEEDS).map(json.dumps),
    mutated().map(json.dumps),
    json_values.map(json.dumps),
    st.lists(operations, max_size=3).map(json.dumps),
    st.binary(max_size=40),
    st.just(""),
)
parameters = st.dictionaries(
    st.sampled_from(
        [
            "labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "resourceVersionMatch", "dryRun",
            "fieldManager", "force", "fieldValidation", "gracePeriodSeconds", "propagationPolicy", "timeoutSeconds",
            "pretty", "includeObject", "container", "tailLines",
        ]
    ),
    st.sampled_from(
        ["", "1", "All", "true", "a=b", "a in (b)", "!", "Strict", "Warn", "metadata.name=a", "-1", "x y", "Exact"]
    )
    | st.text(max_size=6),
    max_size=3,
)  # fmt: skip
paths = st.one_of(
    st.builds(lambda resource, end: f"/{resource}{end}", st.sampled_from(RESOURCES), st.sampled_from(ENDS)),
    st.lists(
        st.sampled_from(
            ["api", "apis", "v1", "apps", "namespaces", "default", "pods", "a", "openapi", "v3", "%00", "..;"]
        ),
        max_size=6,
    ).map(lambda parts: "/" + "/".join(parts)),
)


@st.composite
def plausible(draw: st.DrawFn) -> tuple[Any, ...]:
    """A request that fits its path, with a body that may be changed in one place."""
    seed = draw(st.sampled_from([one for one in SEEDS if one["kind"] in PATHS]))
    path = f"/{PATHS[seed['kind']]}"
    body = json.dumps(draw(st.just(seed) | mutated(seed)))
    accept = draw(st.sampled_from(ACCEPT[:4]))
    params = {"fieldManager": "fuzz"} | draw(st.just({}) | parameters)
    match draw(st.sampled_from(["POST", "POST", "PUT", "PATCH", "PATCH", "JSON", "GET", "DELETE"])):
        case "POST":
            return ("POST", path, params, body, draw(st.sampled_from(MEDIA[:2])), accept)
        case "PUT":
            end = draw(st.sampled_from(["/a", "/a", "/a/status", "/a/scale"]))
            return ("PUT", path + end, params, body, MEDIA[0], accept)
        case "PATCH":
            end = draw(st.sampled_from(["/a", "/a", "/a/status", "/a/scale"]))
            return ("PATCH", path + end, params, body, draw(st.sampled_from(PATCHES)), accept)
        case "JSON":
            found = draw(st.lists(operations, max_size=3))
            return ("PATCH", path + "/a", params, json.dumps(found), "application/json-patch+json", accept)
        case "GET":
            return ("GET", path + draw(st.sampled_from(["", "/a", "/a/scale"])), params, "", "", accept)
    return ("DELETE", path + draw(st.sampled_from(["", "/a", "/a"])), params, "", "", accept)


wild = st.tuples(
    st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "GET", "POST", "PATCH", "OPTIONS"]),
    paths,
    parameters,
    bodies,
    st.sampled_from(MEDIA),
    st.sampled_from(ACCEPT),
)
examples = st.lists(plausible() | plausible() | wild, min_size=REQUESTS_AN_EXAMPLE, max_size=REQUESTS_AN_EXAMPLE)
CODES = {200, 201, 202, 304, 400, 403, 404, 405, 406, 409, 410, 413, 415, 422, 429, 500, 503, 504}


@pytest.fixture(scope="module")
def call() -> Iterator[ApiCalls]:
    with DevCluster(node=False) as cluster:
        yield ApiCalls(cluster)


def check(call: ApiCalls, request: tuple[Any, ...]) -> None:
    method, path, params, body, media, accept = request
    body = body if method not in ("GET", "OPTIONS") else None
    answer = call(method, path, body, media=media, accept=accept, **params)
    assert answer.status_code in CODES
    if answer.status_code < 400 or answer.text == "404 page not found\n":
        return
    found = answer.json()
    assert (found["kind"], found["apiVersion"], found["status"]) == ("Status", "v1", "Failure")
    assert found["code"] == answer.status_code
    assert found["message"]
    # An exception of our own would show itself so; upstream's 500 for what can't be merged does not.
    assert "Internal error occurred" not in found["message"], (request, found["message"])


def check_all(call: ApiCalls, requests: list[tuple[Any, ...]]) -> None:
    for one in requests:
        check(call, one)
    name = "canary"
    call("DELETE", f"{CONFIG_MAPS}/{name}")
    assert call("POST", CONFIG_MAPS, config_map(name, {"alive": "yes"})).status_code == 201
    assert call("GET", f"{CONFIG_MAPS}/{name}").json()["data"] == {"alive": "yes"}


_SETTINGS = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "phases": (Phase.explicit, Phase.generate),
}


@given(examples)
@settings(max_examples=40, **_SETTINGS)
def test_800_requests(call: ApiCalls, requests: list[tuple[Any, ...]]) -> None:
    check_all(call, requests)


@pytest.mark.slow
@given(examples)
@settings(max_examples=1000, **_SETTINGS)
def test_20000_requests(call: ApiCalls, requests: list[tuple[Any, ...]]) -> None:
    check_all(call, requests)
