"""The base of every API model, and the walk over a parsed resource that judges its rules."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails

from adapter_operator.api.schema.markers import Immutable, NotStored, Rule


@dataclass(frozen=True)
class Problem:
    """What is wrong with a resource: the field as `kubectl` writes it, and what to do about it."""

    field: str
    message: str

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.field}: {self.message}" if self.field else self.message


class InvalidResourceError(ValueError):
    """A resource breaks the API's schema or one of its rules.

    Attributes:
        kind, name: of the resource.
        problems: all that is wrong with it, never empty.

    """

    def __init__(self, kind: str, name: str, problems: list[Problem]) -> None:
        self.kind = kind
        self.name = name
        self.problems = tuple(problems)
        super().__init__(f"{kind} {name!r} is invalid: " + "; ".join(str(problem) for problem in problems))


class APIModel(BaseModel):
    """A part of a custom resource.

    JSON names are camelCase. A null means unset, as the API server has it. Unknown fields are ignored, so
    that an operator reads resources that a newer schema let in; types are never coerced.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        strict=True,
        use_attribute_docstrings=False,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _null_means_unset(cls, data: Any) -> Any:  # noqa: ANN401 - pydantic hands in whatever the caller had
        if isinstance(data, dict):
            # An unknown field stays, null or not: whoever refuses those must see it.
            return {key: value for key, value in data.items() if value is not None or key not in field_names(cls)}
        return data

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core_schema)
        target = handler.resolve_ref_schema(schema)
        for name, info in cls.model_fields.items():
            if is_marked(info, NotStored):
                target["properties"][json_name(name, info)].pop("default", None)
        rules = [rule.to_schema() for rule in cls.rules] + [*cls._immutability_rules()]
        if rules:
            target["x-kubernetes-validations"] = rules
        return schema

    @classmethod
    def _immutability_rules(cls) -> Iterator[dict[str, str]]:
        """Transition rules of immutable fields, at the parent, so that adding or removing one is judged too."""
        for name, info in cls.model_fields.items():
            if not is_marked(info, Immutable):
                continue
            key = json_name(name, info)
            same = f"self.{key} == oldSelf.{key}"
            if not (info.is_required() or shows_default(info)):
                same = f"has(self.{key}) == has(oldSelf.{key}) && (!has(self.{key}) || {same})"
            yield {
                "rule": same,
                "message": f"{key} is immutable: create another object to change it",
                "fieldPath": f".{key}",
                "reason": "FieldValueForbidden",
            }

    @classmethod
    def json_fields(cls) -> dict[str, FieldInfo]:
        """The model's fields by their JSON names."""
        return {json_name(name, info): info for name, info in cls.model_fields.items()}

    def to_dict(self) -> dict[str, Any]:
        """The JSON document, with defaults and without unset fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


@cache
def field_names(model: type[APIModel]) -> frozenset[str]:
    """Every name by which a model's fields can be given."""
    return frozenset(model.json_fields()) | frozenset(model.model_fields)


def json_name(name: str, info: FieldInfo) -> str:
    """A field's name in JSON."""
    return info.serialization_alias or info.alias or name


def is_marked(info: FieldInfo, mark: type) -> bool:
    """Whether the field carries the mark."""
    return any(isinstance(item, mark) for item in info.metadata)


def shows_default(info: FieldInfo) -> bool:
    """Whether the API server fills the field in when it is absent."""
    return not is_marked(info, NotStored) and has_default(info)


def has_default(info: FieldInfo) -> bool:
    """Whether the models fill the field in when it is absent."""
    return not info.is_required() and info.get_default(call_default_factory=True, validated_data={}) is not None


def broken_rules(model: APIModel, path: str = "") -> Iterator[Problem]:
    """Every broken rule in a parsed resource, outermost first, with the path that the API server names."""
    for rule in model.rules:
        if not rule.holds(model):
            yield Problem(f"{path}{rule.field_path}".removeprefix("."), rule.message)
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        here = f"{path}.{json_name(name, info)}" if path else json_name(name, info)
        if isinstance(value, APIModel):
            yield from broken_rules(value, here)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, APIModel):
                    yield from broken_rules(item, f"{here}[{index}]")


class Resource(APIModel):
    """A whole custom resource."""

    @classmethod
    def parse(cls, document: object, *, unknown_fields: bool = True) -> Self:
        """Read a resource as the API server would: schema first; rules only over a sound structure.

        Args:
            document: the JSON document.
            unknown_fields: let fields pass that this version does not know, as the operator must; the command
                line says False, since there they are typing errors.

        Raises:
            InvalidResourceError: with every problem found.

        """
        name = _name_of(document)
        try:
            resource = cls.model_validate(
                _whole_numbers(document),
                extra="ignore" if unknown_fields else "forbid",
                # Attributes' own names are for code alone: in a document, batch_size is an unknown field.
                by_alias=True,
                by_name=False,
            )
        except ValidationError as error:
            problems = [_problem(detail) for detail in error.errors(include_url=False)]
            raise InvalidResourceError(cls.__name__, name, problems) from error
        problems = list(broken_rules(resource))
        if problems:
            raise InvalidResourceError(cls.__name__, name, problems)
        return resource


def _whole_numbers(value: object) -> object:
    """The integer 16 for 16.0, as kubectl writes it when it turns YAML into JSON."""
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _name_of(document: object) -> str:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""


def _problem(detail: ErrorDetails) -> Problem:
    path = ""
    for part in detail["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    message = "unknown field" if detail["type"] == "extra_forbidden" else detail["msg"]
    return Problem(path.removeprefix("."), message)
