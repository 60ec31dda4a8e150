"""managedFields after creations, updates and patches."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.objects import Object, copy
from adapter_devcluster.patching.field_sets import FieldSet, field_set, intersection, parse, paths, union
from adapter_devcluster.patching.ownership import ManagedFieldsError, decode, same_but_times, update_managers
from adapter_devcluster.patching.shapes import DEDUCED, shape_of_crd

pytestmark = pytest.mark.unit

TEXT: Object = {"type": "string"}
CONDITIONS: Object = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["type"],
    "items": {"type": "object", "properties": {"type": TEXT, "status": TEXT}},
}
SPEC: Object = {
    "type": "object",
    "properties": {
        "a": TEXT,
        "b": TEXT,
        "args": {"type": "array", "items": TEXT},
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": TEXT},
        "items": CONDITIONS,
        "open": {"x-kubernetes-preserve-unknown-fields": True},
    },
}
SHAPE = shape_of_crd(
    {
        "type": "object",
        "properties": {
            "spec": SPEC,
            "status": {"type": "object", "properties": {"phase": TEXT, "conditions": CONDITIONS}},
        },
    }
)
EARLY, NOW = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def written(
    old: Object | None,
    new: Object,
    manager: str = "m",
    *,
    subresource: str = "",
    now: str = NOW,
    ignore: FieldSet | None = None,
) -> list[Object]:
    before = copy(old), copy(new)
    found = update_managers(
        old,
        new,
        manager=manager,
        api_version="x.dev/v1",
        subresource=subresource,
        shape=SHAPE,
        now=now,
        ignore=ignore,
    )
    assert (old, new) == before
    return found


def thing(spec: Object | None = None, managers: list[Object] | None = None, **more: Any) -> Object:
    named: Object = {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "5", "generation": 1}
    if managers is not None:
        named["managedFields"] = managers
    return {"apiVersion": "x.dev/v1", "kind": "Thing", "metadata": named, "spec": spec or {}, **more}


def entry(manager: str, fields: FieldSet, operation: str = "Update", time: str = NOW, subresource: str = "") -> Object:
    found: Object = {"manager": manager, "operation": operation, "apiVersion": "x.dev/v1", "time": time}
    found |= {"fieldsType": "FieldsV1", "fieldsV1": fields}
    return {**found, "subresource": subresource} if subresource else found


def of_spec(*names: str) -> FieldSet:
    return field_set(*(("spec", name) for name in names))


def test_a_creation_gives_everything_but_the_identity() -> None:
    new = thing({"a": "1", "args": ["x"], "tags": ["t"], "items": [{"type": "A", "status": "T"}]})
    new["metadata"]["labels"] = {"l": "v"}
    (found,) = written(None, new)
    assert found == entry(
        "m",
        {
            "f:metadata": {"f:labels": {".": {}, "f:l": {}}},
            "f:spec": {
                ".": {},
                "f:a": {},
                "f:args": {},
                "f:items": {".": {}, 'k:{"type":"A"}': {".": {}, "f:status": {}, "f:type": {}}},
                "f:tags": {".": {}, 'v:"t"': {}},
            },
        },
    )
    assert list(found) == ["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1"]
    assert written(None, thing(), "") == [entry("unknown", of_spec() or {"f:spec": {}})]


def test_an_update_takes_what_it_changes_from_others() -> None:
    one, two = entry("one", of_spec("a", "b"), time=EARLY), entry("two", of_spec("args"), "Apply", EARLY)
    old = thing({"a": "1", "b": "1", "args": ["x"]}, [one, two])
    new = thing({"a": "2", "b": "1", "args": ["x"]}, [one, two])
    found = written(old, new, "three")
    assert found == [two, entry("one", of_spec("b"), time=EARLY), entry("three", of_spec("a"))]
    assert found[0] is two


def test_what_is_removed_is_nobodys_and_who_has_nothing_left_goes() -> None:
    old = thing({"a": "1", "b": "1"}, [entry("one", of_spec("a")), entry("two", of_spec("b"), "Apply")])
    assert written(old, thing({"a": "1"})) == [entry("one", of_spec("a"))]
    assert written(old, thing({"c": "1"}, None)) == [entry("m", of_spec("c"))]


def test_a_change_of_what_one_owns_already_renews_the_time() -> None:
    own, other = entry("m", of_spec("a", "b"), time=EARLY), entry("other", of_spec("args"), time=EARLY)
    old = thing({"a": "1", "b": "1"}, [other, own])
    assert written(old, thing({"a": "2", "b": "1"})) == [other, entry("m", of_spec("a", "b"))]
    # Only to remove a field of one's own is no reason.
    assert written(old, thing({"a": "1"})) == [entry("m", of_spec("a"), time=EARLY), other]


def test_nothing_changes_where_nothing_changed() -> None:
    entries = [entry("m", of_spec("a"), time=EARLY)]
    old = thing({"a": "1"}, entries)
    new = thing({"a": "1"}, copy(entries))
    new["metadata"] |= {"resourceVersion": "6", "generation": 2}
    found = written(old, new)
    assert found == entries
    assert found[0] is entries[0]


def test_an_update_entry_is_one_for_manager_version_and_subresource() -> None:
    base = [entry("m", of_spec("a"), "Apply", EARLY), entry("m", of_spec("a"), time=EARLY, subresource="status")]
    base.append({**entry("m", of_spec("a"), time=EARLY), "apiVersion": "x.dev/v0"})
    found = written(thing({"a": "1"}, base), thing({"a": "1", "b": "2"}))
    assert found == [base[0], base[2], base[1], entry("m", of_spec("b"))]


def test_items_are_owned_by_key_and_by_value() -> None:
    own = {"f:spec": {"f:items": {".": {}, 'k:{"type":"A"}': {".": {}, "f:type": {}, "f:status": {}}}}}
    old = thing({"items": [{"type": "A", "status": "T"}], "tags": ["t"]}, [entry("one", own)])
    new = thing({"items": [{"type": "B"}, {"type": "A", "status": "F"}], "tags": ["t", "u"]})
    own_left = {"f:spec": {"f:items": {".": {}, 'k:{"type":"A"}': {".": {}, "f:type": {}}}}}
    gained = {
        "f:items": {'k:{"type":"A"}': {"f:status": {}}, 'k:{"type":"B"}': {".": {}, "f:type": {}}},
        "f:tags": {'v:"u"': {}},
    }
    assert written(old, new) == [entry("m", {"f:spec": gained}), entry("one", own_left)]
    # The order of items is nobody's.
    again = thing({"items": [{"type": "A", "status": "F"}, {"type": "B"}], "tags": ["u", "t"]})
    assert written({**new, "metadata": {"managedFields": [entry("m", {"f:spec": gained})]}}, again) == [
        entry("m", {"f:spec": gained})
    ]


def test_duplicates_are_one_unit() -> None:
    one = {"type": "A", "status": "T"}
    twice = [one, {"type": "A", "status": "F"}]
    element = 'k:{"type":"A"}'

    def gained(old: list[Object], new: list[Object]) -> FieldSet:
        (found,) = written(thing({"items": old}, [entry("o", {"f:x": {}})]), thing({"items": new}))[:1]
        fields: FieldSet = found["fieldsV1"]
        return fields if found["manager"] == "m" else {}

    leaf = {"f:spec": {"f:items": {element: {}}}}
    full = {"f:spec": {"f:items": {element: {".": {}, "f:status": {}, "f:type": {}}}}}
    assert gained([one], twice) == leaf
    assert gained(twice, [one]) == full
    assert gained(twice, twice[::-1]) == leaf
    assert gained(twice, [*twice, {"type": "B"}]) == {
        "f:spec": {"f:items": {'k:{"type":"B"}': {".": {}, "f:type": {}}}}
    }
    assert gained(twice, []) == {}
    assert gained([], twice) == {"f:spec": {"f:items": {element: {}}}}


def test_what_is_empty_or_of_another_kind() -> None:
    base = [entry("one", {"f:spec": {"f:open": {".": {}, "f:x": {}}, "f:tags": {'v:"a"': {}}}})]
    old = thing({"open": {"x": 1}, "tags": ["a"]}, base)
    assert written(old, thing({"open": "text", "tags": ["a"]})) == [
        entry("m", of_spec("open")),
        entry("one", {"f:spec": {"f:tags": {'v:"a"': {}}}}),
    ]
    assert written(old, thing({"open": {}, "tags": []})) == [entry("one", of_spec("open"))]
    assert written(thing({"open": {}}, base), thing({"open": None}))[0] == entry("m", of_spec("open"))
    # Values that Python takes for equal.
    changed = written(thing({"open": {"x": [1]}}, base), thing({"open": {"x": [True]}}))
    assert changed[0] == entry("m", {"f:spec": {"f:open": {"f:x": {}}}})
    assert written(thing({"open": {"x": [1]}}, base), thing({"open": {"x": [1.0]}})) == base


def test_items_that_cannot_be_told_apart_leave_the_entries_alone() -> None:
    base = [entry("one", of_spec("a"))]
    old = thing({"a": "1"}, base)
    for items in ([1], [None], [{"status": "T"}]):
        assert written(old, thing({"a": "2", "items": items})) == base
    for tags in ([None], [{}], [[]]):
        assert written(old, thing({"a": "2", "tags": tags})) == base
        assert written(None, thing({"tags": tags})) == []


def test_an_untracked_object_stays_untracked() -> None:
    assert written(thing({"a": "1"}), thing({"a": "2"})) == []
    assert written(thing({"a": "1"}, []), thing({"a": "2"})) == []


def test_clients_may_set_the_entries() -> None:
    base = [entry("one", of_spec("a"), time=EARLY), entry("two", of_spec("a"), "Apply", EARLY)]
    old = thing({"a": "1"}, base)
    assert written(old, thing({"a": "1"}, [])) == []
    assert written(old, thing({"a": "2"}, [{}])) == []
    assert written(old, thing({"a": "1"}, base[:1])) == base[:1]
    assert written(old, thing({"a": "2"}, base[:1])) == [entry("m", of_spec("a"))]
    sent = {**entry("three", {"f:spec": {"f:b": {".": {}}}}), "time": "2026-01-01T02:00:00+02:00"}
    empty = entry("four", {})
    assert written(old, thing({"a": "1"}, [sent, empty])) == [entry("three", of_spec("b"), time=EARLY)]
    # Not through a subresource, and not what can't be read.
    assert written(old, thing({"a": "1"}, []), subresource="status") == base[::-1]
    for wrong in ([{"manager": "x"}], "text", [1], [{**base[0], "fieldsV1": {"oops": {}}}]):
        assert written(old, thing({"a": "1"}, wrong)) == base[::-1]  # type: ignore[arg-type]
    assert written(None, thing({"a": "1"}, base[1:])) == [entry("m", {"f:spec": {".": {}, "f:a": {}}})]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"operation": "Other"}, "operation must be `Apply` or `Update`"),
        ({"apiVersion": ""}, "apiVersion must not be empty"),
        ({"fieldsType": ""}, "missing fieldsType in managed fields entry 0"),
        ({"fieldsType": "FieldsV2"}, 'invalid fieldsType "FieldsV2" in managed fields entry 0'),
        ({"time": "yesterday"}, "error decoding set: Invalid isoformat string: 'yesterday'"),
        ({"time": 5}, "error decoding set: fromisoformat: argument must be str"),
    ],
)
def test_entries_that_cannot_be_read(change: Object, problem: str) -> None:
    with pytest.raises(ManagedFieldsError, match="^" + problem.replace("(", r"\(") + "$"):
        decode([{**entry("m", of_spec("a")), **change}])


def test_of_two_entries_of_one_manager_the_later_counts() -> None:
    sent = [entry("m", of_spec("a")), {**entry("m", of_spec("b")), "time": None}]
    assert decode(sent) == [{name: value for name, value in sent[1].items() if name != "time"}]


def test_reset_fields_are_not_taken_or_given() -> None:
    base = [entry("one", {"f:status": {"f:phase": {}}, "f:spec": {"f:a": {}}}, time=EARLY)]
    old = thing({"a": "1"}, base, status={"phase": "A"})
    new = thing({"a": "2"}, base, status={"phase": "B"})
    status = field_set(("status",))
    assert written(old, new, ignore=status) == [
        entry("one", {"f:status": {"f:phase": {}}}, time=EARLY),
        entry("m", of_spec("a")),
    ]
    through_status = written(old, new, subresource="status", ignore=field_set(("spec",), ("metadata",)))
    assert through_status == [
        entry("one", of_spec("a"), time=EARLY),
        entry("m", {"f:status": {"f:phase": {}}}, subresource="status"),
    ]


def test_update_entries_are_folded_into_one_when_there_are_too_many() -> None:
    updates = [entry(f"u{n:02}", of_spec(f"x{n:02}"), time=f"2025-01-01T00:00:{n:02}Z") for n in range(10)]
    applied = [entry(f"a{n:02}", of_spec("y"), "Apply", EARLY) for n in range(12)]
    base = [*applied, *updates]
    old = thing({f"x{n:02}": "1" for n in range(10)}, base)
    new = thing({**old["spec"], "a": "1"})
    found = written(old, new)
    ancient = entry("ancient-changes", of_spec("x00", "x01"), time="2025-01-01T00:00:01Z")
    assert found == [*applied, ancient, *updates[2:], entry("m", of_spec("a"))]
    # The next one goes into the same entry.
    old = {**new, "metadata": {"managedFields": found}}
    again = written(old, thing({**new["spec"], "b": "1"}), "n")
    ancient = entry("ancient-changes", of_spec("x00", "x01", "x02"), time="2025-01-01T00:00:02Z")
    assert again == [*applied, ancient, *updates[3:], entry("m", of_spec("a")), entry("n", of_spec("b"))]


def test_entries_of_several_versions_are_folded_by_version() -> None:
    def version(n: int) -> str:
        return f"x.dev/v{n % 2}"

    updates = [
        {**entry(f"u{n:02}", of_spec(f"x{n:02}"), time=f"2025-01-01T00:00:{n:02}Z"), "apiVersion": version(n)}
        for n in range(11)
    ]
    old = thing({f"x{n:02}": "1" for n in range(11)}, updates)
    found = written(old, thing({**old["spec"], "a": "1"}))
    names = [(one["manager"], one["apiVersion"]) for one in found]
    assert names[:2] == [("ancient-changes", "x.dev/v0"), ("ancient-changes", "x.dev/v1")]
    assert [one["fieldsV1"] for one in found[:2]] == [of_spec("x00", "x02"), of_spec("x01", "x03")]
    assert len(found) == 10


def test_an_ancient_entry_that_is_not_the_oldest_takes_in_the_older() -> None:
    names = ["older", "ancient-changes", *(f"u{n}" for n in range(8))]
    updates = [entry(name, of_spec(name), time=f"2025-01-01T00:00:{n:02}Z") for n, name in enumerate(names)]
    old = thing(dict.fromkeys(names, "1"), updates)
    found = written(old, thing({**old["spec"], "a": "1"}))
    assert found[0] == entry("ancient-changes", of_spec("older", "ancient-changes"), time="2025-01-01T00:00:01Z")
    assert len(found) == 10


def test_entries_are_sorted() -> None:
    base = [
        entry("b", of_spec("a"), time=NOW),
        entry("a", of_spec("a"), time=NOW),
        {name: value for name, value in entry("z", of_spec("a")).items() if name != "time"},
        entry("c", of_spec("a"), time=EARLY),
        entry("c", of_spec("a"), "Apply", NOW),
        entry("a", of_spec("a"), time=NOW, subresource="status"),
    ]
    found = written(thing({"a": "1"}, [base[3]]), thing({"a": "1"}, base))
    assert [(one["manager"], one.get("subresource", "")) for one in found] == [
        ("c", ""),
        ("z", ""),
        ("c", ""),
        ("a", ""),
        ("a", "status"),
        ("b", ""),
    ]


def test_same_but_times() -> None:
    a, b = entry("m", of_spec("a"), time=EARLY), entry("m", of_spec("a"), time=NOW)
    assert same_but_times([a], [b])
    assert same_but_times([], [])
    assert not same_but_times([a], [])
    assert not same_but_times([a], [{**b, "fieldsV1": of_spec("b")}])
    assert not same_but_times([a], [{**b, "manager": "n"}])


WORDS = st.sampled_from(["x", "y", "z"])
ITEMS = st.dictionaries(WORDS, WORDS).map(
    lambda found: [{"type": key, "status": value} for key, value in found.items()]
)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "a": WORDS,
        "b": WORDS,
        "args": st.lists(WORDS, max_size=2),
        "tags": st.lists(WORDS, unique=True),
        "items": ITEMS,
        "open": st.recursive(WORDS, lambda inside: st.dictionaries(WORDS, inside, max_size=2), max_leaves=4),
    },
)


@given(st.lists(st.tuples(st.sampled_from(["one", "two", "three"]), SPECS), min_size=1, max_size=6))
def test_histories(writes: list[tuple[str, Object]]) -> None:
    live: Object | None = None
    for position, (manager, spec) in enumerate(writes):
        new = thing(spec)
        entries = written(live, new, manager, now=f"2026-01-01T00:00:{position:02}Z")
        owned: FieldSet = {}
        for one in entries:
            fields = one["fieldsV1"]
            assert parse(fields) == fields
            # Updates take fields over: two never have the same.
            assert intersection(owned, fields) == {}
            assert fields
            owned = union(owned, fields)
        # Everything that is there has its owner, and nothing else does.
        (whole,) = update_managers(None, new, manager="m", api_version="v1", subresource="", shape=SHAPE, now=NOW)
        assert set(paths(owned)) == set(paths(whole["fieldsV1"]))
        new["metadata"]["managedFields"] = entries
        live = new


def test_objects_without_a_schema() -> None:
    new = {"apiVersion": "v1", "kind": "T", "metadata": {"name": "a"}, "data": {"x": [1], "y": {"z": 1}}}
    (found,) = update_managers(None, new, manager="m", api_version="v1", subresource="", shape=DEDUCED, now=NOW)
    assert found["fieldsV1"] == {"f:data": {".": {}, "f:x": {}, "f:y": {".": {}, "f:z": {}}}}
