from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests

from adapter_devcluster.devcluster import DevCluster
from adapter_devcluster.serving.faults import FaultPlan, Match, WatchFault
from adapter_testing.api_calls import CONFIG_MAPS, MERGE, ApiCalls, config_map, eventually

pytestmark = pytest.mark.integration

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    with DevCluster(node=False, controllers=False, bookmark_every=0.2) as found:
        yield found


@pytest.fixture
def call(cluster: DevCluster) -> Iterator[ApiCalls]:
    calls = ApiCalls(cluster)
    yield calls
    cluster.set_faults(FaultPlan())
    calls("DELETE", CONFIG_MAPS)


def revision(call: ApiCalls) -> str:
    return str(call("GET", CONFIG_MAPS).json()["metadata"]["resourceVersion"])


def kinds(events: Iterator[dict[str, Any]], count: int) -> list[tuple[str, str]]:
    return [(one["type"], one["object"]["metadata"].get("name", "")) for one in itertools.islice(events, count)]


def open_watches(cluster: DevCluster) -> int:
    return cluster.call(lambda: cluster.cluster.faults.open_watches)


def test_a_watch_begins_with_what_is_there_and_goes_on(call: ApiCalls) -> None:
    call("POST", CONFIG_MAPS, config_map("a"))
    with call.watch(CONFIG_MAPS) as events:
        assert kinds(events, 1) == [("ADDED", "a")]
        call("PATCH", f"{CONFIG_MAPS}/a", {"data": {"k": "v"}}, media=MERGE)
        call("DELETE", f"{CONFIG_MAPS}/a")
        assert kinds(events, 2) == [("MODIFIED", "a"), ("DELETED", "a")]


def test_bookmarks_tell_the_revision_while_nothing_happens(call: ApiCalls) -> None:
    start = revision(call)
    with call.watch(CONFIG_MAPS, resourceVersion=start, allowWatchBookmarks="true") as events:
        call("POST", "/api/v1/namespaces/default/secrets", {"metadata": {"generateName": "s-"}})
        found = next(one for one in events if int(one["object"]["metadata"]["resourceVersion"]) > int(start))
    assert (found["type"], found["object"]["kind"]) == ("BOOKMARK", "ConfigMap")


def test_a_watch_ends_after_its_seconds(call: ApiCalls) -> None:
    with call.watch(CONFIG_MAPS, timeoutSeconds="1", resourceVersion=revision(call)) as events:
        assert list(events) == []


def test_a_watch_from_history_that_is_gone_is_told_so(call: ApiCalls, cluster: DevCluster) -> None:
    start = revision(call)
    call("POST", CONFIG_MAPS, config_map("a"))
    cluster.forget_history()
    with call.watch(CONFIG_MAPS, resourceVersion=start) as events:
        (error,) = list(events)
    assert (error["type"], error["object"]["code"], error["object"]["reason"]) == ("ERROR", 410, "Expired")


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"sendInitialEvents": "true"}, 422),
        ({"resourceVersionMatch": "NotOlderThan"}, 422),
        ({"resourceVersion": "x"}, 422),
        ({"labelSelector": "a in ("}, 400),
        ({"fieldSelector": "data.k=v"}, 400),
    ],
)
def test_watches_that_are_refused(call: ApiCalls, params: dict[str, str], code: int) -> None:
    assert call("GET", CONFIG_MAPS, watch="1", **params).status_code == code


def test_a_single_object_is_watched_by_a_field_selector(call: ApiCalls) -> None:
    for name in "ab":
        call("POST", CONFIG_MAPS, config_map(name))
    with call.watch(CONFIG_MAPS, fieldSelector="metadata.name=b") as events:
        call("PATCH", f"{CONFIG_MAPS}/a", {"data": {"k": "v"}}, media=MERGE)
        call("DELETE", f"{CONFIG_MAPS}/b")
        assert kinds(events, 2) == [("ADDED", "b"), ("DELETED", "b")]


def test_events_come_as_tables_or_partial_metadata_where_asked_for(call: ApiCalls) -> None:
    call("POST", CONFIG_MAPS, config_map("a", {"k": "v"}))
    found = {}
    for accept in (TABLE, PARTIAL):
        call.http.headers["Accept"] = accept
        with call.watch(CONFIG_MAPS) as events:
            found[accept] = next(events)["object"]
    assert [found[TABLE]["kind"], found[TABLE]["rows"][0]["cells"][:2]] == ["Table", ["a", 1]]
    assert [found[PARTIAL]["kind"], "data" in found[PARTIAL]] == ["PartialObjectMetadata", False]


def test_a_watch_is_forgotten_when_its_client_goes(call: ApiCalls, cluster: DevCluster) -> None:
    with call.watch(CONFIG_MAPS, resourceVersion=revision(call)):
        assert eventually(lambda: open_watches(cluster) == 1)
    call.http.close()
    assert eventually(lambda: open_watches(cluster) == 0)


def test_a_client_that_does_not_read_is_cut_off_and_the_server_stays_small(
    call: ApiCalls, cluster: DevCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter_devcluster.serving.watches._BACKLOG", 20)
    call("POST", CONFIG_MAPS, config_map("a"))
    big = "v" * 200_000
    with call.watch(CONFIG_MAPS, resourceVersion=revision(call)):
        assert eventually(lambda: open_watches(cluster) == 1)
        for number in range(100):
            call("PATCH", f"{CONFIG_MAPS}/a", {"data": {"k": f"{big}{number}"}}, media=MERGE)
        assert eventually(lambda: open_watches(cluster) == 0)


def test_a_backlog_is_bounded_by_its_bytes_too(
    call: ApiCalls, cluster: DevCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter_devcluster.serving.watches._BACKLOG_BYTES", 1_000_000)
    call("POST", CONFIG_MAPS, config_map("a"))
    with call.watch(CONFIG_MAPS, resourceVersion=revision(call)):
        assert eventually(lambda: open_watches(cluster) == 1)
        for number in range(100):
            call("PATCH", f"{CONFIG_MAPS}/a", {"data": {"k": f"{'v' * 200_000}{number}"}}, media=MERGE)
        assert eventually(lambda: open_watches(cluster) == 0)


def test_what_is_there_at_first_is_no_backlog(call: ApiCalls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter_devcluster.serving.watches._BACKLOG", 2)
    for name in "abcd":
        call("POST", CONFIG_MAPS, config_map(name))
    with call.watch(CONFIG_MAPS) as events:
        assert kinds(events, 4) == [("ADDED", name) for name in "abcd"]
        call("DELETE", f"{CONFIG_MAPS}/a")
        assert kinds(events, 1) == [("DELETED", "a")]


def test_what_leaves_a_selection_is_shown_as_it_was(call: ApiCalls) -> None:
    call("POST", CONFIG_MAPS, config_map("a", {"k": "old"}, labels={"app": "x"}))
    with call.watch(CONFIG_MAPS, resourceVersion=revision(call), labelSelector="app=x") as events:
        change = {"metadata": {"labels": {"app": "y"}}, "data": {"k": "new"}}
        changed = call("PATCH", f"{CONFIG_MAPS}/a", change, media=MERGE).json()
        call("PATCH", f"{CONFIG_MAPS}/a", {"metadata": {"labels": {"app": "x"}}}, media=MERGE)
        left, back = itertools.islice(events, 2)
    found = left["object"]
    assert (left["type"], found["metadata"]["labels"], found["data"]) == ("DELETED", {"app": "x"}, {"k": "old"})
    assert found["metadata"]["resourceVersion"] == changed["metadata"]["resourceVersion"]
    assert (back["type"], back["object"]["data"]) == ("ADDED", {"k": "new"})


def test_an_object_that_can_not_be_shown_cuts_its_watch_and_harms_no_writer(
    call: ApiCalls, cluster: DevCluster, caplog: pytest.LogCaptureFixture
) -> None:
    def refusing(obj: dict[str, Any]) -> dict[str, Any]:
        if "unshowable" in obj.get("data", {}):
            raise ValueError("this version has no form for it")
        return obj

    registry = cluster.cluster.api.registry
    served = registry.find("", "v1", "configmaps")
    assert served is not None
    cluster.call(lambda: registry.add(replace(served, load=refusing)))
    try:
        call("POST", CONFIG_MAPS, config_map("a"))
        with call.watch(CONFIG_MAPS, resourceVersion=revision(call)) as events:
            assert eventually(lambda: open_watches(cluster) == 1)
            body = config_map("b", {"unshowable": ""}, namespace="default")
            cluster.call(lambda: cluster.cluster.api.client().create("configmaps", body))
            assert broken(events) == 0
        assert "a watch of configmaps failed" in caplog.text
        # One that fails as it begins is forgotten too.
        assert call("GET", CONFIG_MAPS, watch="1").status_code == 500
        assert open_watches(cluster) == 0
    finally:
        cluster.call(lambda: registry.add(served))


def broken(events: Iterator[dict[str, Any]]) -> int:
    """Read to the end of a watch that is cut; returns how many events came."""
    came: list[dict[str, Any]] = []
    with pytest.raises(requests.RequestException):
        came.extend(events)
    return len(came)


def test_watches_are_cut_on_demand(call: ApiCalls, cluster: DevCluster) -> None:
    with call.watch(CONFIG_MAPS, resourceVersion=revision(call)) as events:
        assert eventually(lambda: open_watches(cluster) == 1)
        assert cluster.cut_watches(Match(resources=("secrets",))) == 0
        assert cluster.cut_watches() == 1
        assert broken(events) == 0


def test_a_watch_is_cut_after_its_events(call: ApiCalls, cluster: DevCluster) -> None:
    cluster.set_faults(FaultPlan(watches=(WatchFault(cut_after_events=2),)))
    with call.watch(CONFIG_MAPS, resourceVersion=revision(call)) as events:
        for name in "abc":
            call("POST", CONFIG_MAPS, config_map(name))
        assert broken(events) <= 2


def test_events_come_twice_or_late(call: ApiCalls, cluster: DevCluster) -> None:
    cluster.set_faults(FaultPlan(watches=(WatchFault(duplicate_share=1, hold_share=1, hold_seconds=0.05),)))
    with call.watch(CONFIG_MAPS, resourceVersion=revision(call)) as events:
        call("POST", CONFIG_MAPS, config_map("a"))
        assert kinds(events, 2) == [("ADDED", "a"), ("ADDED", "a")]
