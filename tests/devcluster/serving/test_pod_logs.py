from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.api_calls import ApiCalls, eventually

pytestmark = pytest.mark.integration

PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture(scope="module")
def call() -> Iterator[ApiCalls]:
    with DevCluster() as cluster:
        yield ApiCalls(cluster)


def running(call: ApiCalls, name: str, script: str) -> None:
    main = {"name": "main", "image": "devcluster.local/host", "command": ["sh", "-c", script]}
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [main]}
    call("POST", PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    assert eventually(lambda: call("GET", f"{PODS}/{name}").json()["status"]["phase"] != "Pending")


def test_a_log_is_served_as_text(call: ApiCalls) -> None:
    running(call, "says", "echo one; echo two")
    assert eventually(lambda: call("GET", f"{PODS}/says").json()["status"]["phase"] == "Succeeded")
    answer = call("GET", f"{PODS}/says/log", tailLines="1")
    assert (answer.status_code, answer.headers["Content-Type"], answer.text) == (200, "text/plain", "two\n")


def test_following_a_silent_log_begins_at_once(call: ApiCalls) -> None:
    running(call, "silent", "sleep 60")
    with call.http.get(f"{call.url}{PODS}/silent/log", params={"follow": "true"}, stream=True, timeout=5) as response:
        assert response.status_code == 200
        call("DELETE", f"{PODS}/silent")
        assert response.content == b""


def test_what_is_wrong_with_a_request_for_a_log_is_an_error(call: ApiCalls) -> None:
    running(call, "one", "exit 0")
    for params, problem in (
        ({"container": "two"}, "container two is not valid for pod one"),
        ({"previous": "true"}, "previous terminated container"),
        ({"sinceTime": "yesterday"}, "sinceTime"),
    ):
        answer = call("GET", f"{PODS}/one/log", follow="true", **params)
        assert answer.status_code == 400
        assert problem in answer.json()["message"]
    assert call("GET", f"{PODS}/none/log").status_code == 404


def test_a_pod_is_reached_through_the_server(call: ApiCalls) -> None:
    running(call, "web", "exec python3 -m http.server 8000 --bind $ADAPTER_BIND_ADDRESS")

    def listing() -> str:
        answer: requests.Response = call("GET", f"{PODS}/web:8000/proxy/")
        return answer.text if answer.status_code == 200 else ""

    assert "Directory listing" in eventually(listing)
    assert call("GET", "/api/v1/nodes/devcluster/proxy/").status_code in (404, 405)
