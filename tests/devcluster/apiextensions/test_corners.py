"""Corners that no recording reaches: exact limits, names that mean something elsewhere, times without a zone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adapter_devcluster.apiextensions import Admitted, Columns, Refused, Schema

pytestmark = pytest.mark.unit

Make = Callable[..., Schema]
Thing = Callable[..., dict[str, Any]]

TEXT = {"type": "string"}


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def fields(answer: Admitted | Refused) -> list[str]:
    return [str(error.field) for error in answer.errors] if isinstance(answer, Refused) else []


@pytest.mark.parametrize(("spare", "refused"), [(0, []), (1, ["metadata.annotations"])])
def test_annotations_may_take_256_kib_together(schema_of: Make, thing: Thing, spare: int, refused: list[str]) -> None:
    sent = thing({"a": "x"})
    sent["metadata"]["annotations"] = {"key": "v" * (262_144 - len("key") + spare)}
    assert fields(schema_of(obj(a=TEXT)).admit_create(sent)) == refused


def test_the_grace_period_of_a_deletion_is_the_servers(schema_of: Make, thing: Thing) -> None:
    schema = schema_of(obj(a=TEXT))
    stored = thing({"a": "x"})
    stored["metadata"] |= {"deletionTimestamp": "2030-01-31T12:00:00Z", "deletionGracePeriodSeconds": 30}
    sent = thing({"a": "x"})
    sent["metadata"]["deletionGracePeriodSeconds"] = 60
    assert fields(schema.admit_update(stored, sent)) == ["metadata.deletionGracePeriodSeconds"]


def test_known_fields_of_items_are_pruned_below_what_is_preserved(schema_of: Make, thing: Thing) -> None:
    items = obj(known=obj(a=TEXT)) | {"x-kubernetes-preserve-unknown-fields": True}
    free = {"type": "array", "items": items, "x-kubernetes-preserve-unknown-fields": True}
    answer = schema_of(obj(free=free)).admit_create(thing({"free": [{"known": {"a": "x", "z": 1}, "other": {"z": 1}}]}))
    assert isinstance(answer, Admitted)
    assert answer.object["spec"] == {"free": [{"known": {"a": "x"}, "other": {"z": 1}}]}
    assert answer.pruned == ("spec.free[0].known.z",)


@pytest.mark.parametrize("name", ["kind", "apiVersion", "other"])
def test_a_nested_field_named_like_type_meta_is_ratcheted_too(schema_of: Make, thing: Thing, name: str) -> None:
    """At the root, kind and apiVersion have no old value; below it, they are fields like any other."""
    loose = schema_of(obj(**{name: TEXT, "b": TEXT}))
    rule = {"rule": "self != 'bad'", "message": "not bad"}
    for tight in (TEXT | {"maxLength": 2}, TEXT | {"x-kubernetes-validations": [rule], "maxLength": 9}):
        stored = loose.admit_create(thing({name: "bad", "b": "x"}))
        assert isinstance(stored, Admitted)
        changed = thing({name: "bad", "b": "y"})
        assert isinstance(schema_of(obj(**{name: tight, "b": TEXT})).admit_update(stored.object, changed), Admitted)


def test_a_date_without_a_zone_has_no_age() -> None:
    columns = Columns.compile({"additionalPrinterColumns": [{"name": "C", "type": "date", "jsonPath": ".spec.d"}]})
    now = 1_900_000_000 * 10**9
    assert columns.cells({"metadata": {"name": "x"}, "spec": {"d": "2030-01-01T00:00:00"}}, now) == ["x", "<invalid>"]
