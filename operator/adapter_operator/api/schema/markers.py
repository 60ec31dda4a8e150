"""Marks on models and fields that say what plain pydantic can't: list types, rules, identity, immutability.

A rule stands once in a model and works twice: as CEL in the CRD, where the API server enforces it, and as
a Python predicate, where the operator and the command line see a resource. A property test holds both to
the same verdict.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_after_validator_function

# FieldValueDuplicate is left out: with it the API server drops the message.
RuleReason = Literal["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired"]


@dataclass(frozen=True)
class Rule:
    """A law over the fields of one model.

    Attributes:
        cel: the expression for the API server; true means that the law holds.
        message: what the user reads when it does not: the fields and the fix.
        holds: the same law over the parsed model.
        field_path: the field that the error names, relative to the model, such as `.lora`; empty: the model.
        reason: the API server's machine-readable cause.

    """

    cel: str
    message: str
    holds: Callable[[Any], bool]
    field_path: str = ""
    reason: RuleReason = "FieldValueInvalid"

    def to_schema(self) -> dict[str, str]:
        """The entry of `x-kubernetes-validations`."""
        entry = {"rule": self.cel, "message": self.message}
        if self.field_path:
            entry["fieldPath"] = self.field_path
        if self.reason != "FieldValueInvalid":
            entry["reason"] = self.reason
        return entry


def python_name(json_name: str) -> str:
    """The attribute of a JSON field: `endpointURL` is `endpoint_url`, `s3` stays `s3`."""
    name = ""
    for index, letter in enumerate(json_name):
        follows_lower = index > 0 and not json_name[index - 1].isupper()
        starts_word = index > 0 and letter.isupper() and json_name[index + 1 : index + 2].islower()
        name += f"_{letter.lower()}" if letter.isupper() and (follows_lower or starts_word) else letter.lower()
    return name


def _is_set(model: object, json_name: str) -> bool:
    return getattr(model, python_name(json_name)) is not None


def one_of(*members: str, what: str) -> Rule:
    """Exactly one of the members is set."""
    terms = " + ".join(f"(has(self.{member}) ? 1 : 0)" for member in members)
    names = ", ".join(members)
    return Rule(
        cel=f"{terms} == 1",
        message=f"{what} takes exactly one of: {names}",
        holds=lambda model: sum(_is_set(model, member) for member in members) == 1,
    )


def member_of_type(member: str, value: str, *, required: bool = False, discriminator: str = "type") -> Rule:
    """The union's member may stand only beside its own type; with `required` it also must."""
    other = f"{member} is set, so {discriminator} must be {value}: change {discriminator}, or remove {member}"
    attribute = python_name(discriminator)
    if required:
        return Rule(
            cel=f"has(self.{member}) == (self.{discriminator} == '{value}')",
            message=f"{member} must be set if and only if {discriminator} is {value}",
            holds=lambda model: _is_set(model, member) == (getattr(model, attribute) == value),
            field_path=f".{member}",
        )
    return Rule(
        cel=f"!has(self.{member}) || self.{discriminator} == '{value}'",
        message=other,
        holds=lambda model: not _is_set(model, member) or getattr(model, attribute) == value,
        field_path=f".{member}",
        reason="FieldValueForbidden",
    )


@dataclass(frozen=True)
class _SchemaMark:
    """Puts one fixed key into a field's schema."""

    key: str
    value: str | bool

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core_schema)
        schema[self.key] = self.value
        return schema


@dataclass(frozen=True)
class ListMap:
    """A list whose items are named: server-side apply merges them by these keys, and no two may be equal."""

    keys: tuple[str, ...]

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(core_schema) | {
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": list(self.keys),
        }

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._refuse_duplicates, handler(source))

    def _refuse_duplicates(self, items: list[Any]) -> list[Any]:
        _refuse_equal(items, lambda item: tuple(getattr(item, python_name(key)) for key in self.keys))
        return items


@dataclass(frozen=True)
class ListSet:
    """A list of plain values of which no two may be equal; its order means nothing."""

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(core_schema) | {"x-kubernetes-list-type": "set"}

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._refuse_duplicates, handler(source))

    @staticmethod
    def _refuse_duplicates(items: list[Any]) -> list[Any]:
        _refuse_equal(items, lambda item: item)
        return items


def _refuse_equal(items: list[Any], key: Callable[[Any], Any]) -> None:
    seen = set()
    for index, item in enumerate(items):
        if key(item) in seen:
            raise PydanticCustomError("duplicate", "item {index} repeats an earlier one", {"index": index})
        seen.add(key(item))


def _without_nulls(value: Any) -> Any:  # noqa: ANN401 - pydantic hands in whatever the document had
    return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else value


# Null means unset in a map, too; fields of models need no mark for it.
NULLS_LEFT_OUT = BeforeValidator(_without_nulls)
LIST_ATOMIC = _SchemaMark("x-kubernetes-list-type", "atomic")
STRUCT_ATOMIC = _SchemaMark("x-kubernetes-map-type", "atomic")


@dataclass(frozen=True)
class Identity:
    """The field says what is trained: another value starts a new run. It takes part in specHash."""


@dataclass(frozen=True)
class Location:
    """The field says where bytes lie, or who may read them, not which: it takes no part in recipeHash."""


@dataclass(frozen=True)
class EmptyIsDefault:
    """An absent object means the same as an empty one: the settings of a union's chosen type."""


@dataclass(frozen=True)
class Unordered:
    """A list whose order and repetitions mean nothing.

    It is atomic to the API server wherever it has a default: of a set, server-side apply would keep the
    default's items, which nobody owns, beside those that a user applies.
    """


@dataclass(frozen=True)
class NotStored:
    """The field's default is the models' alone; the API server does not write it into objects.

    What it writes has no owner, so nobody's apply takes it away. That hurts where another member of a union is
    chosen later, and in items of lists, which GitOps tools compare whole.
    """


@dataclass(frozen=True)
class DecimalText:
    """A decimal number written as a string: equal numbers are equal however they are written."""


@dataclass(frozen=True)
class Immutable:
    """The field keeps its first value for the life of the object."""
