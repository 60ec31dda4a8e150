"""What refusals say of an object whose name is still to be generated."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_devcluster.objects import asked_name
from adapter_testing.api_calls import ApiCalls, eventually

pytestmark = pytest.mark.integration

PODS = "/api/v1/namespaces/default/pods"
TEMPLATE = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "example.test/app:1"}]},
}


@pytest.fixture(scope="module")
def call() -> Iterator[ApiCalls]:
    with DevCluster(node=False) as cluster:
        calls = ApiCalls(cluster)
        quota = {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "none"},
            "spec": {"hard": {"pods": "0"}},
        }
        calls("POST", "/api/v1/namespaces/default/resourcequotas", quota)
        assert eventually(
            lambda: "hard" in calls("GET", "/api/v1/namespaces/default/resourcequotas/none").json().get("status", {})
        )
        yield calls


def test_a_quota_names_the_prefix(call: ApiCalls) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "train-"}, "spec": TEMPLATE["spec"]}
    refused = call("POST", PODS, pod).json()
    assert refused["message"].startswith('pods "train-" is forbidden: exceeded quota: none')
    named = {**pod, "metadata": {"generateName": "train-", "name": "mine"}}
    assert call("POST", PODS, named).json()["details"]["name"] == "mine"


def test_a_job_that_may_have_no_pod_says_so_in_one_event_that_is_counted(call: ApiCalls) -> None:
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "train"}, "spec": {"template": TEMPLATE}}
    call("POST", "/apis/batch/v1/namespaces/default/jobs", job)

    def counts() -> list[int]:
        events = call("GET", "/api/v1/namespaces/default/events", fieldSelector="reason=FailedCreate").json()["items"]
        return [one["count"] for one in events if one["involvedObject"]["name"] == "train"]

    (count,) = eventually(lambda: [one for one in counts() if one > 1])
    assert count > 1
    assert len(counts()) == 1


@pytest.mark.parametrize(
    ("name", "prefix", "asked"),
    [
        ("a-bcdfg", "a-", "a-"),
        ("a-bcdfgh", "a-", "a-bcdfgh"),
        ("b", "a-", "b"),
        ("b", "", "b"),
        ("x" * 58 + "bcdfg", "x" * 70, "x" * 70),
    ],
)
def test_the_name_that_was_asked_for(name: str, prefix: str, asked: str) -> None:
    assert asked_name({"metadata": {"name": name, "generateName": prefix}}) == asked
