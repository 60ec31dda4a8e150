from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.builtin.events import core_event, new_event
from adapter_devcluster.objects import Object
from adapter_testing.judge_lab import created, manifest, refusal, updated

pytestmark = pytest.mark.unit

ABOUT = {"kind": "Pod", "name": "p", "namespace": "ns"}
NOW = "2026-01-01T00:00:00.000000Z"


def _core(**content: Any) -> Object:
    return manifest("v1", "Event", **{"involvedObject": ABOUT, **content})


def _new(**content: Any) -> Object:
    found = {
        "regarding": ABOUT,
        "eventTime": NOW,
        "reportingController": "example.test/me",
        "reportingInstance": "me-1",
        "action": "Test",
        "reason": "Tested",
        "type": "Normal",
        **content,
    }
    return manifest("events.k8s.io/v1", "Event", **found)


def test_what_every_event_shows() -> None:
    found = created(_core(reason="Tested", message="hello", count=2, lastTimestamp="2026-01-01T00:00:00Z"))
    del found["metadata"]
    assert found == {
        "apiVersion": "v1",
        "count": 2,
        "eventTime": None,
        "firstTimestamp": None,
        "involvedObject": ABOUT,
        "kind": "Event",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "message": "hello",
        "reason": "Tested",
        "reportingComponent": "",
        "reportingInstance": "",
        "source": {},
    }


def test_one_event_in_two_spellings() -> None:
    core = created(
        _core(message="m", source={"component": "c"}, count=1, firstTimestamp="2026-01-01T00:00:00Z", type="Normal")
    )
    new = new_event(core)
    assert (new["apiVersion"], new["regarding"], new["note"]) == ("events.k8s.io/v1", ABOUT, "m")
    assert (new["deprecatedSource"], new["deprecatedCount"]) == ({"component": "c"}, 1)
    assert new["deprecatedFirstTimestamp"] == "2026-01-01T00:00:00Z"
    assert not {"reportingController", "reportingInstance", "involvedObject", "message"} & new.keys()
    assert core_event(new) == core


def test_an_event_of_the_new_group() -> None:
    new = created(_new(note="n", series={"count": 2, "lastObservedTime": NOW}))
    core = core_event(new)
    assert (core["involvedObject"], core["message"], core["reportingComponent"]) == (ABOUT, "n", "example.test/me")
    assert (core["source"], core["firstTimestamp"], core["series"]["count"]) == ({}, None, 2)
    assert new_event(core) == new


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "message": st.text("ab", min_size=1),
            "count": st.integers(1, 9),
            "reportingComponent": st.sampled_from(["", "a"]),
            "reportingInstance": st.sampled_from(["", "b"]),
            "type": st.just("Normal"),
        },
    )
)
def test_the_conversion_loses_nothing(content: Object) -> None:
    core = created(_core(**content))
    assert core_event(new_event(core)) == core


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (_core(involvedObject={**ABOUT, "namespace": "other"}), [("involvedObject.namespace", "Invalid")]),
        (_core(involvedObject={"kind": "Node"}), [("involvedObject.namespace", "Invalid")]),
        (
            _core(eventTime=NOW),
            [
                ("action", "Required"),
                ("reason", "Required"),
                ("reportingComponent", "Required"),
                ("reportingInstance", "Required"),
            ],
        ),
        (
            _core(
                eventTime=NOW,
                reportingComponent="-",
                reportingInstance="x" * 129,
                action="x",
                reason="x",
                message="x" * 1025,
            ),
            [("message", "Invalid"), ("reportingComponent", "Invalid"), ("reportingInstance", "Invalid")],
        ),
        (_new(eventTime=None), [("eventTime", "Required")]),
        (_new(type="x"), [("type", "Invalid")]),
        (_new(deprecatedCount=1, deprecatedSource={"host": "h"}), [("count", "Invalid"), ("source", "Invalid")]),
        (_new(regarding={"kind": "Node"}), [("involvedObject.namespace", "Invalid")]),
    ],
)
def test_what_is_wrong_with_an_event(event: Object, expected: Any) -> None:
    assert refusal(event) == expected


def test_names_of_events_need_only_fit_a_path() -> None:
    odd = _core()
    odd["metadata"]["name"] = "Pod_p.17a"
    assert refusal(odd) == []
    odd["metadata"]["name"] = "a/b"
    assert refusal(odd) == [("metadata.name", "Invalid")]


def test_events_are_counted() -> None:
    assert updated(created(_core(count=1)), lambda one: one.update(count=2))["count"] == 2
