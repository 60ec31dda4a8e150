from __future__ import annotations

import pytest

from adapter_devcluster.serving.paths import Target, parse_path

pytestmark = pytest.mark.unit


def target(*parts: str, rest: str = "") -> tuple[str, ...]:
    return (*parts, *[""] * (6 - len(parts)), rest)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/api/v1/pods", target("", "v1", "", "pods")),
        ("/api/v1/namespaces", target("", "v1", "", "namespaces")),
        ("/api/v1/namespaces/a", target("", "v1", "", "namespaces", "a")),
        ("/api/v1/namespaces/a/status", target("", "v1", "", "namespaces", "a", "status")),
        ("/api/v1/namespaces/a/finalize", target("", "v1", "", "namespaces", "a", "finalize")),
        ("/api/v1/namespaces/a/pods", target("", "v1", "a", "pods")),
        ("/api/v1/namespaces/a/pods/b/log/", target("", "v1", "a", "pods", "b", "log")),
        ("/apis/apps/v1/namespaces/a/deployments/b/scale", target("apps", "v1", "a", "deployments", "b", "scale")),
        ("/apis/x.test/v1/namespaces", target("x.test", "v1", "", "namespaces")),
        (
            "/api/v1/namespaces/a/services/s:80/proxy/x/y",
            target("", "v1", "a", "services", "s:80", "proxy", rest="x/y"),
        ),
        ("/api/v1/nodes/n%3A1", target("", "v1", "", "nodes", "n:1")),
        ("/api/v1/namespaces/a/pods/b/log/more", target("")),
        ("/apis/apps", target("")),
        ("/apis/apps/v1", target("")),
        ("/healthz", target("")),
        ("/", target("")),
    ],
)
def test_what_a_path_names(path: str, found: tuple[str, ...]) -> None:
    one = parse_path(path)
    assert (one.group, one.version, one.namespace, one.plural, one.name, one.subresource, one.rest) == found


@pytest.mark.parametrize(
    ("path", "method", "watch", "verb"),
    [
        ("/api/v1/pods", "GET", False, "list"),
        ("/api/v1/pods", "GET", True, "watch"),
        ("/api/v1/pods", "DELETE", False, "deletecollection"),
        ("/api/v1/namespaces/a/pods/b", "GET", False, "get"),
        ("/api/v1/namespaces/a/pods/b", "HEAD", False, "get"),
        ("/api/v1/namespaces/a/pods/b", "DELETE", False, "delete"),
        ("/api/v1/namespaces/a/pods/b/status", "PATCH", False, "patch"),
        ("/api/v1/namespaces/a/pods/b/eviction", "POST", False, "create"),
        ("/api/v1/namespaces/a/pods/b/log", "GET", True, "get"),
        ("/api/v1/namespaces/a/pods/b", "OPTIONS", False, "options"),
        ("/healthz", "GET", False, "get"),
    ],
)
def test_the_verb_of_a_request(path: str, method: str, watch: bool, verb: str) -> None:
    assert parse_path(path).verb(method, watch=watch) == verb


def test_a_path_keeps_its_text_for_those_that_name_no_resource() -> None:
    assert parse_path("/openapi/v3/apis") == Target("/openapi/v3/apis")
