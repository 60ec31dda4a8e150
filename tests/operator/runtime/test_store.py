"""The store: objects only get newer, the deleted stay deleted, and a list puts right what events got wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_operator.runtime.objects import owner_uids
from adapter_operator.runtime.store import Change, Store

pytestmark = pytest.mark.unit


def job(name: str, version: int, uid: str = "", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "namespace": metadata.pop("namespace", "lab"),
            "name": name,
            "uid": uid or f"uid-{name}",
            "resourceVersion": str(version),
            **metadata,
        },
    }


def test_newer_replaces_and_older_does_not() -> None:
    store = Store(owner_uids)
    old, new = job("a", 9), job("a", 10)
    assert store.put(new) == Change(None, new)
    assert store.put(old) is None
    assert store.put(new) is None
    assert store.get("Job", "lab", "a") == new
    assert list(store.of_kind("Job")) == [new]
    assert store.count() == {"Job": 1}


def test_what_was_deleted_does_not_come_back() -> None:
    store = Store(owner_uids)
    store.put(job("a", 5))
    assert store.remove(job("a", 7)) == Change(job("a", 5), None)
    assert store.put(job("a", 6)) is None
    assert store.get("Job", "lab", "a") is None
    # Its successor is another object.
    assert store.put(job("a", 8, uid="second")) is not None
    assert store.remove(job("a", 7)) is None
    assert store.get("Job", "lab", "a") == job("a", 8, uid="second")
    assert store.count() == {"Job": 1}


def test_what_had_lost_its_label_for_a_moment_is_taken_again() -> None:
    store = Store(owner_uids)
    store.put(job("a", 5))
    store.remove(job("a", 7))
    assert store.put(job("a", 7)) is None
    assert store.put(job("a", 8)) == Change(None, job("a", 8))
    # The deletion is told again, late.
    assert store.remove(job("a", 7)) is None
    assert store.get("Job", "lab", "a") == job("a", 8)
    assert store.remove(job("a", 9)) == Change(job("a", 8), None)
    assert store.put(job("a", 8)) is None


def test_what_a_list_lacks_comes_back_only_newer_than_the_list() -> None:
    store = Store(owner_uids)
    store.put(job("a", 5))
    store.replace("Job", "", [], version=10)
    assert store.put(job("a", 10)) is None
    assert store.put(job("a", 11)) == Change(None, job("a", 11))


def test_what_is_removed_without_a_version_or_replaced_is_gone_for_good() -> None:
    store = Store(owner_uids)
    store.put(job("a", 5))
    assert store.remove(job("a", 0)) == Change(job("a", 5), None)
    store.remove(job("a", 7))
    assert store.put(job("a", 9)) is None
    store.put(job("b", 5))
    store.put(job("b", 8, uid="second"))
    assert store.put(job("b", 9)) is None


def test_a_successor_ends_its_predecessor() -> None:
    store = Store(owner_uids)
    store.put(job("a", 5))
    assert store.put(job("a", 8, uid="second")) == Change(job("a", 5), job("a", 8, uid="second"))
    assert store.put(job("a", 9)) is None


def test_the_index_follows() -> None:
    store = Store(owner_uids)
    owned = job("a", 1, ownerReferences=[{"uid": "one"}, {"uid": "two"}])
    store.put(owned)
    store.put(job("b", 2, ownerReferences=[{"uid": "one"}]))
    assert [one["metadata"]["name"] for one in store.indexed("Job", "one")] == ["a", "b"]
    assert store.indexed("Pod", "one") == []
    store.put(job("a", 3, ownerReferences=[{"uid": "two"}]))
    assert [one["metadata"]["name"] for one in store.indexed("Job", "one")] == ["b"]
    assert [one["metadata"]["name"] for one in store.indexed("Job", "two")] == ["a"]
    store.remove(job("a", 4))
    assert store.indexed("Job", "two") == []


def test_a_list_takes_out_what_is_gone_and_leaves_what_is_newer() -> None:
    store = Store(owner_uids)
    for one in (job("gone", 3), job("changed", 4), job("newer", 12), job("elsewhere", 2, namespace="other")):
        store.put(one)
    changes = store.replace("Job", "lab", [job("changed", 8), job("missed", 9)], version=10)
    assert {change.object["metadata"]["name"] for change in changes} == {"gone", "changed", "missed"}
    assert sorted(one["metadata"]["name"] for one in store.of_kind("Job")) == [
        "changed",
        "elsewhere",
        "missed",
        "newer",
    ]
    store.replace("Job", "", [], version=20)
    assert store.count() == {}


def test_it_tells_of_every_change_once() -> None:
    heard: list[Change] = []
    store = Store(owner_uids, heard.append)
    store.put(job("a", 1))
    store.put(job("a", 1))
    store.remove(job("a", 2))
    store.remove(job("a", 2))
    assert heard == [Change(None, job("a", 1)), Change(job("a", 1), None)]
    with pytest.raises(ValueError, match="about an object"):
        _ = Change(None, None).object


def test_managed_fields_are_left_out() -> None:
    store = Store(owner_uids)
    found = job("a", 1, managedFields=[{"manager": "kubectl"}])
    store.put(found)
    assert store.get("Job", "lab", "a") == job("a", 1)
    assert "managedFields" in found["metadata"]


def test_deletions_are_remembered_within_bounds() -> None:
    store = Store(owner_uids)
    for number in range(20_001):
        store.remove(job("a", number, uid=str(number)))
    assert store.put(job("a", 1, uid="20000")) is None
    assert store.put(job("a", 1, uid="0")) is not None


@given(st.permutations(range(12)), st.sets(st.integers(0, 11)))
def test_events_in_any_order_and_twice_lead_to_the_same_end(order: list[int], twice: set[int]) -> None:
    """A name lives three times, of which the last remains; each life has four events."""
    history: list[tuple[str, dict[str, Any]]] = []
    for life in range(3):
        uid, start = f"life-{life}", 10 * life
        history += [("put", job("a", start + step, uid=uid)) for step in (1, 2, 3)]
        history.append(("remove" if life < 2 else "put", job("a", start + 4, uid=uid)))
    store = Store(owner_uids)
    for number in (one for place in order for one in [place] * (2 if place in twice else 1)):
        action, obj = history[number]
        getattr(store, action)(obj)
    assert store.get("Job", "lab", "a") == job("a", 24, uid="life-2")
    assert store.count() == {"Job": 1}
