"""The rules of a schema, run by a CEL engine (common-expression-language) at every place of a document."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import cel

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Judged:
    """One rule at one place: where it stands in the schema, where it was run, and what it said."""

    rule_at: str
    rule: str
    field: str
    message: str
    holds: bool


@cache
def _compiled(rule: str) -> Any:
    return cel.compile(rule)


def every_rule(schema: Schema, path: str = "") -> Iterator[tuple[str, str]]:
    """Place in the schema and text of every rule below it."""
    for entry in schema.get("x-kubernetes-validations", []):
        yield path, entry["rule"]
    for name, child in schema.get("properties", {}).items():
        yield from every_rule(child, f"{path}.{name}".lstrip("."))
    if "items" in schema:
        yield from every_rule(schema["items"], f"{path}[]")


def judged(schema: Schema, value: Any, old: Any = None, rule_path: str = "", field: str = "") -> Iterator[Judged]:
    """Run every rule at every place; rules with oldSelf only where there is an old value."""
    for entry in schema.get("x-kubernetes-validations", []):
        if "oldSelf" in entry["rule"] and old is None:
            continue
        holds = _compiled(entry["rule"]).execute({"self": value, "oldSelf": old})
        assert isinstance(holds, bool), entry["rule"]
        place = f"{field}{entry.get('fieldPath', '')}".lstrip(".")
        yield Judged(rule_path, entry["rule"], place, entry["message"], holds)
    if isinstance(value, dict):
        for name, child in schema.get("properties", {}).items():
            if name in value:
                before = old.get(name) if isinstance(old, dict) else None
                yield from judged(
                    child, value[name], before, f"{rule_path}.{name}".lstrip("."), f"{field}.{name}".lstrip(".")
                )
    elif isinstance(value, list) and "items" in schema:
        keys = schema.get("x-kubernetes-list-map-keys")
        for index, item in enumerate(value):
            yield from judged(
                schema["items"], item, _correlated(item, old, keys), f"{rule_path}[]", f"{field}[{index}]"
            )


def _correlated(item: Any, old: Any, keys: list[str] | None) -> Any:
    if not keys or not isinstance(old, list):
        return None
    return next((before for before in old if all(before.get(key) == item.get(key) for key in keys)), None)
