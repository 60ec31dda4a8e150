"""The status of a Job that somebody writes by hand: a contradiction is refused, whoever writes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.api_calls import MERGE, ApiCalls
from adapter_testing.refusals import refusal

pytestmark = pytest.mark.integration

JOBS = "/apis/batch/v1/namespaces/default/jobs"
START, END = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"
CONDITIONS, INVALID, REQUIRED = "status.conditions", "FieldValueInvalid", "FieldValueRequired"


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    with DevCluster(node=False, controllers=False) as found:
        yield found


@pytest.fixture
def call(cluster: DevCluster) -> Iterator[ApiCalls]:
    calls = ApiCalls(cluster)
    assert calls("POST", JOBS, job("a")).status_code == 201
    yield calls
    calls("DELETE", JOBS, {"propagationPolicy": "Background"})


def job(name: str, **spec: Any) -> dict[str, Any]:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "a:1"}]}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template, **spec}}


def status(*true: str, **more: Any) -> dict[str, Any]:
    return {"conditions": [{"type": one, "status": "True"} for one in true], **more}


def written(call: ApiCalls, body: dict[str, Any], name: str = "a") -> Any:
    return call("PATCH", f"{JOBS}/{name}/status", {"status": body}, media=MERGE)


COMPLETE = status("SuccessCriteriaMet", "Complete", startTime=START, completionTime=END, succeeded=1)
FAILED = status("FailureTarget", "Failed", startTime=START, failed=1)


@pytest.mark.parametrize(
    ("body", "causes"),
    [
        ({**COMPLETE, "conditions": status("Complete")["conditions"]}, [(CONDITIONS, INVALID)]),
        ({**COMPLETE, "completionTime": None}, [("status.completionTime", REQUIRED)]),
        ({**COMPLETE, "startTime": None}, [("status.startTime", REQUIRED)]),
        ({**COMPLETE, "startTime": END, "completionTime": START}, [("status.completionTime", INVALID)]),
        ({**COMPLETE, "active": 1}, [("status.active", INVALID)]),
        ({**COMPLETE, "terminating": 1}, [("status.terminating", INVALID)]),
        (
            {**COMPLETE, "uncountedTerminatedPods": {"succeeded": ["a"]}},
            [("status.uncountedTerminatedPods", INVALID)],
        ),
        ({**COMPLETE, "completedIndexes": "0"}, [("status.completedIndexes", INVALID)]),
        ({**FAILED, "failedIndexes": "0"}, [("status.failedIndexes", INVALID)]),
        (status("Failed", startTime=START), [(CONDITIONS, INVALID)]),
        (status(startTime=START, completionTime=END), [("status.completionTime", INVALID)]),
        ({"active": 1, "ready": 2}, [("status.ready", INVALID)]),
        (status("SuccessCriteriaMet", "FailureTarget"), [(CONDITIONS, INVALID)]),
        (
            status("SuccessCriteriaMet", "Complete", "FailureTarget", "Failed", startTime=START, completionTime=END),
            [(CONDITIONS, INVALID)] * 4,
        ),
        ({"active": -1}, [("status.active", INVALID)]),
    ],
)
def test_contradictions(call: ApiCalls, body: dict[str, Any], causes: list[tuple[str, str]]) -> None:
    assert refusal(written(call, body)) == (422, "Invalid", "Job", "a", causes)


@pytest.mark.parametrize("body", [COMPLETE, FAILED, {"active": 1, "ready": 1, "startTime": START}])
def test_what_the_controller_writes_is_taken(call: ApiCalls, body: dict[str, Any]) -> None:
    assert written(call, body).status_code == 200


def test_what_is_finished_stays_so(call: ApiCalls) -> None:
    assert written(call, COMPLETE).status_code == 200
    for body, field in (
        (status("SuccessCriteriaMet", completionTime=None), CONDITIONS),
        ({"succeeded": 0}, "status.succeeded"),
        ({"completionTime": "2026-01-01T00:02:00Z"}, "status.completionTime"),
        ({"startTime": None}, "status.startTime"),
        (status("Complete"), CONDITIONS),
    ):
        found = refusal(written(call, body))
        assert found[:4] == (422, "Invalid", "Job", "a")
        assert field in [cause[0] for cause in found[4]]
    assert written(call, {"ready": 0}).status_code == 200


def test_a_success_policy_comes_before_completion(call: ApiCalls) -> None:
    policy = {"rules": [{"succeededCount": 1}]}
    body = job("b", completionMode="Indexed", completions=2, parallelism=2, successPolicy=policy)
    assert call("POST", JOBS, body).status_code == 201
    assert written(call, {"completedIndexes": "0", "succeeded": 2}, "b").status_code == 200
    # As many completions as pods at once: the job may be scaled down.
    assert written(call, {"succeeded": 1}, "b").status_code == 200
    found = refusal(written(call, {**COMPLETE, "conditions": status("Complete")["conditions"]}, "b"))
    assert found[4] == [(CONDITIONS, INVALID)] * 2
    assert written(call, {**COMPLETE, "conditions": status("Complete", "SuccessCriteriaMet")["conditions"]}, "b").ok


def test_success_is_not_found_afterwards(call: ApiCalls) -> None:
    assert written(call, status("SuccessCriteriaMet")).status_code == 200
    assert refusal(written(call, status())) == (422, "Invalid", "Job", "a", [(CONDITIONS, INVALID)])
