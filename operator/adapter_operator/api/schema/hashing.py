"""A digest of the fields that say what an object is, blind to how it is written.

A spec is reduced before it is hashed: fields equal to their default drop out, sets and named lists are
sorted, decimals are brought to one spelling. What counts as default, set or decimal stands in a table that
is frozen with its version, never in today's models: a new operator with new fields or defaults must
find the old digest, or it would start every training again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from adapter_contract.digests import sha256_json
from adapter_operator.api.schema.markers import (
    DecimalText,
    EmptyIsDefault,
    Identity,
    ListMap,
    ListSet,
    Location,
    Unordered,
)
from adapter_operator.api.schema.model import APIModel, has_default, json_name

JSONValue = Any


@dataclass(frozen=True)
class HashRules:
    """How one version of the hash reads a spec. Paths are dotted; `[]` stands for the items of a list.

    Attributes:
        version: number that is kept beside each digest.
        identity: names of the top-level fields that take part.
        defaults: reduced value by path; a field of that value drops out.
        sets: paths of lists whose order means nothing.
        named_lists: key by path of lists whose items are named.
        decimals: paths of decimal numbers written as strings.
        locations: paths that a recipe leaves out: where bytes lie, who may read them.

    """

    version: int
    identity: frozenset[str]
    defaults: Mapping[str, JSONValue] = field(default_factory=dict)
    sets: frozenset[str] = frozenset()
    named_lists: Mapping[str, str] = field(default_factory=dict)
    decimals: frozenset[str] = frozenset()
    locations: frozenset[str] = frozenset()

    def reduce(self, spec: Mapping[str, JSONValue], *, recipe: bool = False) -> dict[str, JSONValue]:
        """The part of a spec that is hashed.

        Args:
            spec: the JSON document of the spec; defaults filled in or not.
            recipe: leave locations out.

        """
        identity = {name: value for name, value in spec.items() if name in self.identity}
        reduced: dict[str, JSONValue] = self._reduce(identity, "", recipe=recipe)
        return reduced

    def digest(self, spec: Mapping[str, JSONValue], *, recipe: bool = False) -> str:
        """Digest of the reduced spec."""
        return sha256_json({"hashVersion": self.version, "spec": self.reduce(spec, recipe=recipe)})

    def _reduce(self, value: JSONValue, path: str, *, recipe: bool) -> JSONValue:
        if isinstance(value, Mapping):
            return dict(self._reduced_fields(value, path, recipe=recipe))
        if isinstance(value, list):
            items = [self._reduce(item, f"{path}[]", recipe=recipe) for item in value if item is not None]
            if path in self.sets:
                return sorted(set(items))
            if path in self.named_lists:
                return sorted(items, key=lambda item: str(item.get(self.named_lists[path])))
            return items
        if path in self.decimals and isinstance(value, str):
            return plain_decimal(value)
        return value

    def _reduced_fields(
        self, value: Mapping[str, JSONValue], path: str, *, recipe: bool
    ) -> Iterator[tuple[str, JSONValue]]:
        for name, child in value.items():
            here = f"{path}.{name}" if path else name
            if child is None or (recipe and here in self.locations):
                continue
            reduced = self._reduce(child, here, recipe=recipe)
            if here not in self.defaults or self.defaults[here] != reduced:
                yield name, reduced


def plain_decimal(text: str) -> str:
    """One spelling for equal decimals: `0.10`, `.1e0` and `1e-1` are all `0.1`."""
    number = Decimal(text)
    return "0" if number == 0 else f"{number.normalize():f}"


def derive_hash_rules(model: type[APIModel], version: int) -> HashRules:
    """The rules as today's models would have them; tests hold the frozen table against it."""
    identity = {name: info for name, info in model.json_fields().items() if marks_of(info, Identity)}
    raw: dict[str, JSONValue] = {}
    sets, decimals, locations = set(), set(), set()
    named_lists = {}
    for path, info in _walk(identity, ""):
        if marks_of(info, ListSet) or marks_of(info, Unordered):
            sets.add(path)
        for mark in marks_of(info, ListMap):
            named_lists[path] = mark.keys[0]
        if marks_of(info, DecimalText):
            decimals.add(path)
        if marks_of(info, Location):
            locations.add(path)
        if has_default(info):
            default = info.get_default(call_default_factory=True, validated_data={})
            raw[path] = default.to_dict() if isinstance(default, APIModel) else default
        elif marks_of(info, EmptyIsDefault):
            raw[path] = {}
    rules = HashRules(
        version=version,
        identity=frozenset(identity),
        sets=frozenset(sets),
        named_lists=named_lists,
        decimals=frozenset(decimals),
        locations=frozenset(locations),
    )
    # Innermost first: an object's default is kept in reduced form, less the defaults of its own fields.
    defaults: dict[str, JSONValue] = {}
    for path in sorted(raw, key=lambda path: (-path.count("."), path)):
        partial = HashRules(**(vars(rules) | {"defaults": defaults}))
        defaults = defaults | {path: partial._reduce(raw[path], path, recipe=False)}  # noqa: SLF001 - same module
    return HashRules(**(vars(rules) | {"defaults": dict(sorted(defaults.items()))}))


def marks_of(info: FieldInfo, mark: type) -> list[Any]:
    """The marks of one type on a field, also inside `Annotated[...] | None`."""
    metadata = [*info.metadata, *_annotated_metadata(info.annotation)]
    return [item for item in metadata if isinstance(item, mark)]


def _annotated_metadata(annotation: object) -> Iterator[object]:
    for argument in get_args(annotation):
        yield from getattr(argument, "__metadata__", ())


def _walk(fields: Mapping[str, FieldInfo], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, info in fields.items():
        path = f"{prefix}.{name}" if prefix else name
        yield path, info
        for model, suffix in _models_in(info.annotation):
            children = {json_name(child, child_info): child_info for child, child_info in model.model_fields.items()}
            yield from _walk(children, path + suffix)


def _models_in(annotation: object) -> Iterator[tuple[type[APIModel], str]]:
    if isinstance(annotation, type) and issubclass(annotation, APIModel):
        yield annotation, ""
        return
    suffix = "[]" if get_origin(annotation) is list else ""
    for argument in get_args(annotation):
        for model, inner in _models_in(argument):
            yield model, suffix + inner
