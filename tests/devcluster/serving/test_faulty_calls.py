from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from adapter_devcluster.devcluster import DevCluster
from adapter_devcluster.serving.faults import CallFault, FaultPlan
from adapter_testing.api_calls import CONFIG_MAPS, ApiCalls, config_map

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def audit_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit") / "audit.jsonl"


@pytest.fixture(scope="module")
def cluster(audit_log: Path) -> Iterator[DevCluster]:
    with DevCluster(node=False, controllers=False, audit_log=audit_log) as found:
        yield found


@pytest.fixture
def call(cluster: DevCluster) -> Iterator[ApiCalls]:
    calls = ApiCalls(cluster)
    yield calls
    cluster.set_faults(FaultPlan())
    calls("DELETE", CONFIG_MAPS)


def names(call: ApiCalls) -> list[str]:
    return [item["metadata"]["name"] for item in call("GET", CONFIG_MAPS).json()["items"]]


@pytest.mark.parametrize("code", [409, 410, 429, 500, 503, 504])
def test_the_nth_call_fails_and_the_next_does_not(call: ApiCalls, cluster: DevCluster, code: int) -> None:
    rule = CallFault.model_validate({"verbs": ["create"], "resources": ["configmaps"], "nth": 2, "code": code})
    cluster.set_faults(FaultPlan(calls=(rule,)))
    answers = [call("POST", CONFIG_MAPS, config_map(name)) for name in "abc"]
    assert [one.status_code for one in answers] == [201, code, 201]
    assert answers[1].json()["kind"] == "Status"
    assert ("Retry-After" in answers[1].headers) == (code in (429, 503))
    assert names(call) == ["a", "c"]


def test_a_dropped_call_is_not_carried_out_and_a_lost_answer_is(call: ApiCalls, cluster: DevCluster) -> None:
    for effect, name, left in (("Drop", "a", []), ("Lose", "b", ["b"])):
        rule = CallFault.model_validate({"verbs": ["create"], "effect": effect, "times": 1})
        cluster.set_faults(FaultPlan(calls=(rule,)))
        with pytest.raises(requests.ConnectionError):
            call("POST", CONFIG_MAPS, config_map(name))
        assert names(call) == left
    rule = CallFault.model_validate({"verbs": ["create"], "effect": "Lose", "times": 1})
    cluster.set_faults(FaultPlan(calls=(rule,)))
    with pytest.raises(requests.ConnectionError):
        call("POST", CONFIG_MAPS, config_map("b"))


def test_a_call_is_delayed(call: ApiCalls, cluster: DevCluster) -> None:
    cluster.set_faults(FaultPlan(calls=(CallFault(verbs=("create",), effect="Delay", delay_seconds=0.3),)))
    began = time.monotonic()
    assert call("POST", CONFIG_MAPS, config_map("a")).status_code == 201
    assert time.monotonic() - began >= 0.3


def test_while_the_server_is_paused_calls_wait(call: ApiCalls, cluster: DevCluster) -> None:
    cluster.pause()
    with pytest.raises(requests.Timeout):
        call("POST", CONFIG_MAPS, config_map("a"), timeout=0.3)
    answers: list[int] = []
    waiting = threading.Thread(target=lambda: answers.append(call("POST", CONFIG_MAPS, config_map("b")).status_code))
    waiting.start()
    cluster.resume()
    waiting.join(10)
    assert answers == [201]


def test_faults_are_set_over_http_too(call: ApiCalls, cluster: DevCluster) -> None:
    plan = {"calls": [{"verbs": ["create"], "nth": 1, "code": 429}]}
    assert call("PUT", "/devcluster/faults", plan).status_code == 200
    assert call("POST", CONFIG_MAPS, config_map("a")).status_code == 429
    found = call("GET", "/devcluster/faults").json()
    assert (found["plan"]["calls"][0]["code"], found["hits"]) == (429, [1])
    assert call("PUT", "/devcluster/faults", {"calls": [{"code": 418}]}).status_code == 400
    assert call("POST", "/devcluster/cut-watches", {}).json() == {"cut": 0}
    assert [call("POST", f"/devcluster/{one}").status_code for one in ("forget-history", "pause", "resume")] == [
        200
    ] * 3
    someone = {"Impersonate-User": "someone"}
    assert call("PUT", "/devcluster/faults", plan, headers=someone).status_code == 403


def test_every_call_is_in_the_audit_log(call: ApiCalls, cluster: DevCluster, audit_log: Path) -> None:
    agent = {"User-Agent": "audited/1"}
    call("POST", CONFIG_MAPS, config_map("a"), headers=agent)
    call("GET", f"{CONFIG_MAPS}/none", headers=agent)
    call("GET", CONFIG_MAPS, headers={**agent, "Impersonate-User": "someone"})
    with call.http.get(cluster.url + CONFIG_MAPS, params={"watch": "1"}, headers=agent, stream=True):
        pass
    found = [entry for entry in cluster.audit() if entry.user_agent == "audited/1"]
    assert [(one.verb, one.target.plural, one.target.name, one.code) for one in found] == [
        ("create", "configmaps", "", 201),
        ("get", "configmaps", "none", 404),
        ("list", "configmaps", "", 403),
        ("watch", "configmaps", "", 200),
    ]
    assert [one.user.name for one in found if one.user] == ["devcluster-admin"] * 2 + ["someone", "devcluster-admin"]
    written = [json.loads(line) for line in audit_log.read_text().splitlines()]
    (refused,) = [one for one in written if one["userAgent"] == "audited/1" and one["verb"] == "list"]
    assert (refused["user"]["username"], refused["impersonatedUser"]["username"]) == ("devcluster-admin", "someone")
    assert refused["objectRef"] == {"resource": "configmaps", "namespace": "default", "apiVersion": "v1"}
    assert call("GET", "/devcluster/audit").json()[-1]["kind"] == "Event"


def test_a_lost_answer_is_in_the_audit_log_and_a_dropped_call_is_not(call: ApiCalls, cluster: DevCluster) -> None:
    agent = {"User-Agent": "losing/1"}
    call("POST", CONFIG_MAPS, config_map("there"))
    for effect, name in (("Drop", "a"), ("Lose", "b"), ("Lose", "there")):
        rule = CallFault.model_validate({"verbs": ["create"], "effect": effect})
        cluster.set_faults(FaultPlan(calls=(rule,)))
        with pytest.raises(requests.ConnectionError):
            call("POST", CONFIG_MAPS, config_map(name), headers=agent)
    assert [(one.verb, one.code) for one in cluster.audit() if one.user_agent == "losing/1"] == [
        ("create", 201),
        ("create", 409),
    ]


def test_a_watch_that_fails_is_in_the_audit_log_once(call: ApiCalls, cluster: DevCluster) -> None:
    agent = {"User-Agent": "watching/1"}
    cluster.set_faults(FaultPlan(calls=(CallFault(verbs=("watch",), code=410, times=1),)))
    assert call("GET", CONFIG_MAPS, watch="1", headers=agent).status_code == 410
    assert call("GET", CONFIG_MAPS, watch="1", resourceVersion="x", headers=agent).status_code == 422
    assert [one.code for one in cluster.audit() if one.user_agent == "watching/1"] == [410, 422]


def test_a_watch_that_is_lost_is_dropped(call: ApiCalls, cluster: DevCluster) -> None:
    call("POST", CONFIG_MAPS, config_map("a"))
    cluster.set_faults(FaultPlan(calls=(CallFault(verbs=("watch",), effect="Lose"),)))
    with pytest.raises(requests.ConnectionError):
        call("GET", CONFIG_MAPS, watch="1", timeoutSeconds="5", timeout=3)
