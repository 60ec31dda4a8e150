"""Logs of pods and requests to them, where there is no node or nothing that answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.api_calls import ApiCalls, eventually

pytestmark = pytest.mark.integration

PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    with DevCluster(node=False) as found:
        yield found


@pytest.fixture
def call(cluster: DevCluster) -> ApiCalls:
    calls = ApiCalls(cluster)
    pod = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "main", "image": "i"}]}}
    assert eventually(lambda: calls("POST", PODS, pod).status_code in (201, 409))
    return calls


def test_a_pod_on_no_node_has_no_log(call: ApiCalls) -> None:
    answer = call("GET", f"{PODS}/a/log")
    assert (answer.status_code, answer.json()["message"]) == (400, "pod a does not have a host assigned")
    assert call("GET", f"{PODS}/none/log").status_code == 404


@pytest.mark.parametrize("path", [f"{PODS}/none/proxy/", "/api/v1/namespaces/default/services/none/proxy/"])
def test_nothing_is_reached_through_what_is_not_there(call: ApiCalls, path: str) -> None:
    assert call("GET", path).status_code == 404
