"""The owner graph, and what becomes of an object by what its owners are."""

import pytest

from adapter_devcluster.client import Change
from adapter_devcluster.controllers.garbage.graph import Graph
from adapter_devcluster.controllers.garbage.owners import Fate, decide

pytestmark = pytest.mark.unit

DELETED = "2026-01-01T00:00:00Z"


def obj(name, *owners, blocking=True, finalizers=(), deleting=False):
    metadata = {"name": name, "namespace": "ns", "uid": name}
    if owners:
        metadata["ownerReferences"] = [{"uid": one, "blockOwnerDeletion": blocking} for one in owners]
    if finalizers:
        metadata["finalizers"] = list(finalizers)
    if deleting:
        metadata["deletionTimestamp"] = DELETED
    return {"metadata": metadata}


def put(graph, found):
    return sorted(graph.observe("configmaps", Change("MODIFIED", found)))


def remove(graph, found):
    return sorted(graph.observe("configmaps", Change("DELETED", found)))


def waiting(name, *owners):
    return obj(name, *owners, finalizers=["foregroundDeletion"], deleting=True)


def test_objects_without_owners_leave_no_trace():
    graph = Graph()
    assert put(graph, obj("a")) == []
    assert put(graph, obj("b", finalizers=["other"], deleting=True)) == []
    assert remove(graph, obj("a")) == []
    assert graph == Graph()


def test_an_object_is_looked_at_when_it_gets_an_owner_and_not_on_other_changes():
    graph = Graph()
    assert put(graph, obj("a", "o")) == ["a"]
    assert put(graph, obj("a", "o")) == []
    assert put(graph, obj("a", "o", "p")) == ["a"]
    assert put(graph, obj("a", "p")) == ["o"]
    assert graph.dependents_of("o") == []
    assert graph.dependents_of("p") == ["a"]
    assert put(graph, obj("a")) == ["p"]
    assert graph == Graph()


def test_the_dependents_of_an_owner_that_goes_are_looked_at():
    graph = Graph()
    put(graph, obj("a", "o"))
    put(graph, obj("b", "o", "p"))
    assert remove(graph, obj("o")) == ["a", "b"]
    assert graph.gone == {"o"}
    assert remove(graph, obj("a", "o")) == []
    assert graph.gone == {"o"}
    assert put(graph, obj("b", "p")) == ["o"]
    assert graph.gone == set()


def test_an_owner_waits_for_what_blocks_it():
    graph = Graph()
    put(graph, obj("a", "o"))
    put(graph, obj("b", "o", blocking=False))
    assert put(graph, waiting("o")) == ["a", "b", "o"]
    assert graph.is_waiting("o")
    assert graph.blocking("o") == ["a"]
    # It is looked at again when something stops blocking it, by a change or by going.
    assert put(graph, obj("a", "o", blocking=False)) == ["o"]
    assert graph.blocking("o") == []
    put(graph, obj("a", "o"))
    assert remove(graph, obj("a", "o")) == ["o"]
    assert put(graph, obj("o", finalizers=["other"], deleting=True)) == []
    assert not graph.is_waiting("o")


def test_an_owner_that_leaves_its_dependents_is_looked_at_itself():
    graph = Graph()
    put(graph, obj("a", "o"))
    assert put(graph, obj("o", finalizers=["orphan"], deleting=True)) == ["o"]


def test_two_references_to_one_owner_block_it_if_one_of_them_does():
    graph = Graph()
    twice = obj("a", "o", "o", blocking=False)
    twice["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] = True
    put(graph, twice)
    assert graph.blocking("o") == ["a"]


@pytest.mark.parametrize(
    ("states", "finalizers", "dependents", "waits", "fate"),
    [
        ([], [], False, False, Fate()),
        (["solid"], [], False, False, Fate()),
        (["solid", "solid"], [], True, False, Fate()),
        (["solid", "dangling"], [], False, False, Fate(forget=["1"])),
        (["waiting", "solid", "dangling"], [], True, True, Fate(forget=["0", "2"])),
        (["dangling"], [], False, False, Fate(delete="Background")),
        (["dangling", "dangling"], [], True, True, Fate(delete="Background")),
        (["waiting"], [], False, False, Fate(delete="Background")),
        (["waiting", "dangling"], [], True, False, Fate(delete="Foreground")),
        (["waiting"], [], True, True, Fate(delete="Foreground", unblock=True)),
        (["dangling"], ["orphan"], False, False, Fate(delete="Orphan")),
        (["dangling"], ["foregroundDeletion"], False, False, Fate(delete="Foreground")),
    ],
)
def test_an_object_stays_while_one_owner_is_solid(states, finalizers, dependents, waits, fate):
    references = [{"uid": str(i), "state": state} for i, state in enumerate(states)]
    found = decide(
        obj("a", finalizers=finalizers),
        references,
        lambda one: one["state"],
        has_dependents=dependents,
        dependents_wait=waits,
    )
    assert found == fate
