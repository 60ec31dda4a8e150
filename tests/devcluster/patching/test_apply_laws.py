"""Laws of server-side apply."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.objects import Object
from adapter_devcluster.patching.ownership import same_but_times
from adapter_testing.applied_things import NOW, applied, thing

pytestmark = pytest.mark.unit

WORDS = st.sampled_from(["x", "y", "z"])


def with_items(found: dict[str, Object]) -> list[Object]:
    return [{"name": name, **one} for name, one in found.items()]


VALUES = st.fixed_dictionaries({}, optional={"value": WORDS, "other": WORDS})
MAPS = st.dictionaries(WORDS, WORDS, min_size=1)
# Nothing empty: where the last field or item is withdrawn, there is null, which the server drops.
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "mode": WORDS,
        "labels": MAPS,
        "unit": MAPS,
        "args": st.lists(WORDS, max_size=2),
        "tags": st.lists(WORDS, unique=True, min_size=1),
        "items": st.dictionaries(WORDS, VALUES, min_size=1).map(with_items),
        "nested": st.dictionaries(st.sampled_from(["x", "y"]), WORDS, min_size=1),
        "open": st.dictionaries(WORDS, WORDS | st.lists(WORDS, max_size=1) | MAPS, min_size=1),
    },
)


def served(live: Object | None, spec: Object, manager: str, *, force: bool = False, now: str = NOW) -> Object:
    """Apply as the server does, which drops the nulls that stand for what has become empty.

    A field of all keeps the spec from being empty itself.
    """
    result = applied(live, thing({"on": True, **spec}), manager, force=force, now=now)
    return {**result, "spec": without_nulls(result["spec"])}


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


@given(st.lists(st.tuples(st.sampled_from(["one", "two"]), SPECS), max_size=4), SPECS)
def test_apply_is_idempotent(history: list[tuple[str, Object]], spec: Object) -> None:
    live: Object | None = None
    for manager, one in history:
        live = served(live, one, manager, force=True)
    once = served(live, spec, "one", force=True)
    again = served(once, spec, "one", now="2026-02-02T00:00:00Z")
    assert again["spec"] == once["spec"]
    assert same_but_times(again["metadata"]["managedFields"], once["metadata"]["managedFields"])


MINE, THEIRS = ("x", "y"), ("z", "w")
HALVES = {
    names: st.fixed_dictionaries(
        {},
        optional={
            ("mode" if names is MINE else "args"): WORDS if names is MINE else st.lists(WORDS),
            "labels": st.dictionaries(st.sampled_from(names), WORDS, min_size=1),
            "tags": st.lists(st.sampled_from(names), unique=True, min_size=1),
            "items": st.dictionaries(st.sampled_from(names), VALUES, min_size=1).map(with_items),
            "open": st.dictionaries(st.sampled_from(names), WORDS, min_size=1),
        },
    )
    for names in (MINE, THEIRS)
}


@given(HALVES[MINE], HALVES[MINE], HALVES[THEIRS])
def test_managers_with_fields_of_their_own_never_meet(first: Object, second: Object, theirs: Object) -> None:
    live = served(served(None, first, "one"), theirs, "two")
    alone = served(served(None, theirs, "two"), second, "one")
    changed = served(live, second, "one")
    assert unordered(changed) == unordered(alone)
    # Each withdraws what is its own, and only that.
    left = served(changed, {}, "one")
    assert unordered(left) == unordered(thing({"on": True, **theirs}))
    assert unordered(served(left, {}, "two")) == {"on": True}


def unordered(obj: Object) -> Object:
    """Return the spec with its items in one order: it depends on who came first."""
    return {name: sorted(value, key=str) if name in ("tags", "items") else value for name, value in obj["spec"].items()}
