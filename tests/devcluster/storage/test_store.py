from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.storage import Event, Store, TooOldError

pytestmark = pytest.mark.unit


def named(name: str, namespace: str = "ns", **fields: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": name}, **fields}


def names(store: Store, namespace: str = "") -> list[str]:
    return [item.object["metadata"]["name"] for item in store.table("things").items(namespace)]


def test_revisions_grow_over_all_resources_and_are_written_into_objects() -> None:
    store = Store()
    first = store.create("things", named("a"))
    second = store.create("others", named("a"))
    third = store.update("things", named("a", x=1))
    assert [int(item.object["metadata"]["resourceVersion"]) for item in (first, second, third)] == [
        first.revision,
        first.revision + 1,
        first.revision + 2,
    ]


def test_lists_are_in_order_of_namespace_and_name() -> None:
    store = Store()
    for namespace, name in (("b", "a"), ("a", "z"), ("a", "b")):
        store.create("things", named(name, namespace))
    assert names(store) == ["b", "z", "a"]
    assert names(store, "a") == ["b", "z"]


def test_a_stored_object_is_never_changed_by_later_writes() -> None:
    store = Store()
    before = store.create("things", named("a", x=1)).object
    store.update("things", named("a", x=2))
    assert before["x"] == 1


def test_an_object_in_another_form_keeps_its_revision_and_makes_no_event() -> None:
    store, seen = Store(), []
    item = store.create("things", named("a"))
    store.table("things").watch(seen.append)
    store.table("things").replace_silently(("ns", "a"), named("a", filled=True))
    found = store.table("things").get(("ns", "a"))
    assert found is not None
    assert (found.object["filled"], found.revision, seen) == (True, item.revision, [])


def test_history_that_is_gone_is_refused() -> None:
    store = Store(history=2)
    revisions = [store.create("things", named(name)).revision for name in "abcd"]
    table = store.table("things")
    assert [event.revision for event in table.since(revisions[1])] == revisions[2:]
    with pytest.raises(TooOldError, match="too old resource version"):
        table.since(revisions[0])
    with pytest.raises(TooOldError):
        table.items_at(revisions[0])


def test_history_of_large_objects_is_shorter() -> None:
    store = Store(history_bytes=10_000)
    small = store.create("things", named("small")).revision
    large = [store.create("things", named(name, text="x" * 4_000)).revision for name in "abc"]
    table = store.table("things")
    assert [event.revision for event in table.since(large[0])] == large[1:]
    with pytest.raises(TooOldError):
        table.since(small)
    # The last event is kept, however large.
    last = store.create("things", named("d", text="x" * 20_000)).revision
    assert [event.revision for event in table.since(large[-1])] == [last]


def test_what_can_not_be_written_is_not_stored() -> None:
    store, seen = Store(), []
    store.table("things").watch(seen.append)
    with pytest.raises(TypeError):
        store.create("things", named("a", value=object()))
    assert (names(store), seen, store.table("things").count) == ([], [], 0)


def test_history_can_be_forgotten_up_to_a_revision() -> None:
    store = Store()
    first = store.create("things", named("a")).revision
    later = store.create("others", named("a")).revision
    store.table("things").forget(later)
    with pytest.raises(TooOldError):
        store.table("things").since(first)
    assert list(store.table("things").since(later)) == []


def test_forgetting_the_history_refuses_every_earlier_revision() -> None:
    store = Store()
    first, second = (store.create("things", named(name)).revision for name in "ab")
    store.forget_history()
    with pytest.raises(TooOldError):
        store.table("things").since(first)
    assert list(store.table("things").since(second)) == []


def test_a_watch_ends_when_it_is_cancelled() -> None:
    store, seen = Store(), []
    cancel = store.table("things").watch(seen.append)
    store.create("things", named("a"))
    cancel()
    cancel()
    store.create("things", named("b"))
    assert [event.type for event in seen] == ["ADDED"]


STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["write", "delete"])), max_size=30)


def play(store: Store, steps: list[tuple[str, str]]) -> list[tuple[int, dict[str, int]]]:
    """Write and delete objects; returns what was there after each revision."""
    states = [(store.revision, {})]
    for number, (name, action) in enumerate(steps):
        there = store.table("things").get(("ns", name))
        if action == "delete" and there is None:
            continue
        if action == "delete":
            store.delete("things", named(name))
        elif there is None:
            store.create("things", named(name, number=number))
        else:
            store.update("things", named(name, number=number))
        now = {item.object["metadata"]["name"]: item.object["number"] for item in store.table("things").items()}
        states.append((store.revision, now))
    return states


@given(STEPS)
def test_every_past_state_can_be_listed(steps: list[tuple[str, str]]) -> None:
    store = Store()
    for revision, state in play(store, steps):
        items = store.table("things").items_at(revision)
        assert {item.object["metadata"]["name"]: item.object["number"] for item in items} == state


@given(STEPS, st.integers(0, 30))
def test_events_since_any_revision_lead_from_its_state_to_the_present(steps: list[tuple[str, str]], at: int) -> None:
    store = Store()
    live: list[Event] = []
    store.table("things").watch(live.append)
    states = play(store, steps)
    revision, state = states[min(at, len(states) - 1)]
    rebuilt = dict(state)
    for event in store.table("things").since(revision):
        name = event.item.object["metadata"]["name"]
        assert (event.type == "ADDED") == (name not in rebuilt)
        if event.type == "DELETED":
            del rebuilt[name]
        else:
            rebuilt[name] = event.item.object["number"]
    assert rebuilt == states[-1][1]
    assert [event.revision for event in live] == [found for found, _ in states[1:]]
    assert store.table("things").count == len(rebuilt)
