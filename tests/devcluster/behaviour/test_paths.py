"""Paths, methods and media types that are not served."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.api_calls import CONFIG_MAPS, ApiCalls, config_map, eventually
from adapter_testing.refusals import refusal

pytestmark = pytest.mark.integration

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/paths.test/v1/namespaces/default/widgets"


@pytest.fixture(scope="module")
def call() -> Iterator[ApiCalls]:
    with DevCluster(node=False, controllers=False) as cluster:
        calls = ApiCalls(cluster)
        version = {
            "name": "v1",
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": {"type": "object"}},
        }
        definition = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "widgets.paths.test"},
            "spec": {
                "group": "paths.test",
                "scope": "Namespaced",
                "names": {"kind": "Widget", "plural": "widgets"},
                "versions": [version],
            },
        }
        assert calls("POST", CRDS, definition).status_code == 201
        assert eventually(lambda: calls("GET", WIDGETS).status_code == 200)
        assert calls("POST", CONFIG_MAPS, config_map("a")).status_code == 201
        yield calls


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/apis/nope.test",
        "/apis/nope.test/v1",
        "/apis/apps/v1beta1",
        "/apis/apps/v1beta1/deployments",
        "/apis/paths.test/v2/namespaces/default/widgets",
        "/apis/paths.test/v1/namespaces/default/gadgets",
        "/apis/paths.test/v1/widgets/a",
    ],
)
def test_nobody_serves_it(call: ApiCalls, path: str) -> None:
    answer = call("GET", path)
    assert (answer.status_code, answer.text) == (404, "404 page not found\n")
    assert answer.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(
    "path", ["/api/v1/gizmos", "/apis/apps/v1/namespaces/default/gizmos", f"{CONFIG_MAPS}/a/status", "/api/v1/pods/a"]
)
def test_no_path_of_a_group_that_is_served(call: ApiCalls, path: str) -> None:
    assert refusal(call("GET", path)) == (404, "NotFound", "", "", [("", "UnexpectedServerResponse")])


def test_a_subresource_that_a_definition_does_not_have(call: ApiCalls) -> None:
    for name in ("status", "scale"):
        assert refusal(call("GET", f"{WIDGETS}/a/{name}")) == (404, "NotFound", "widgets", "a", [])


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", CONFIG_MAPS), ("PATCH", CONFIG_MAPS), ("POST", f"{CONFIG_MAPS}/a"), ("DELETE", "/api/v1/namespaces")],
)
def test_methods_of_built_in_kinds(call: ApiCalls, method: str, path: str) -> None:
    assert refusal(call(method, path, config_map("a"))) == (
        405, "MethodNotAllowed", "", "", [("", "UnexpectedServerResponse")],
    )  # fmt: skip


def test_methods_of_custom_resources(call: ApiCalls) -> None:
    for method in ("PUT", "PATCH"):
        answer = call(method, WIDGETS, {}, media="application/merge-patch+json")
        assert refusal(answer) == (400, "BadRequest", "", "", [])
        assert answer.json()["message"] == "name must be provided"
    assert refusal(call("OPTIONS", WIDGETS)) == (405, "MethodNotAllowed", "widgets", "", [])


def test_heads(call: ApiCalls) -> None:
    assert [call("HEAD", path).status_code for path in (CONFIG_MAPS, WIDGETS, "/version")] == [405, 200, 200]


def test_media_types(call: ApiCalls) -> None:
    assert refusal(call("GET", CONFIG_MAPS, accept="text/html")) == (406, "NotAcceptable", "", "", [])
    assert refusal(call("POST", CONFIG_MAPS, "x", media="text/plain")) == (415, "UnsupportedMediaType", "", "", [])
    for path, media in (
        (f"{CONFIG_MAPS}/a", "application/json"),
        (f"{WIDGETS}/a", "application/strategic-merge-patch+json"),
    ):
        assert refusal(call("PATCH", path, {}, media=media)) == (415, "UnsupportedMediaType", "", "", [])
