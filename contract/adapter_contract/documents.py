"""The base of everything that travels: strict, immutable models with camelCase JSON and a schema version.

A `Part` is a piece of a document. A `Document` stands alone: its JSON carries `kind` and `schemaVersion`,
is canonical by RFC 8785 and holds no nulls (what is unset is absent). In memory a document always has the
newest version: reading version N-1 goes through one pure step from JSON object to JSON object, and
`to_json(version=N-1)` goes back through its inverse for a reader that is one release behind.
Fields that are not known are ignored when reading, since a newer writer may add some, and refused when a
document is built in Python, where they are a spelling mistake.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from adapter_contract.canonical import NotCanonical, canonical_json
from adapter_contract.errors import (
    ContractError,
    DocumentTooLarge,
    FieldProblem,
    InvalidDocument,
    NotJSON,
    UnsupportedSchemaVersion,
    WrongKind,
)

JSONObject = dict[str, Any]
Step = Callable[[JSONObject], JSONObject]
"""A pure step between neighbouring versions.

It gets the body without `kind` and `schemaVersion`, may change it, and returns the body of the other version.
KeyError, TypeError and ValueError mean that the body is invalid.
"""

_NO_STEPS: Mapping[int, Step] = MappingProxyType({})


class Part(BaseModel):
    """A piece of a document: frozen, strict types, camelCase in JSON, snake_case in Python."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        serialize_by_alias=True,
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
    )


class Document(Part):
    """A document of its own, with a kind, a schema version and canonical bytes.

    Class attributes:
        kind: the name that stands in the JSON.
        schema_version: the version N that this release writes.
        upgrades: {N-1: step to N}; a document beyond version 1 must have it.
        downgrades: {N-1: step from N}; needed where a writer must serve readers one release behind.
        max_bytes: what `to_json` writes at most, and `from_json` accepts unless told otherwise.
        written_by, read_by: the sides, for the message that says which one to upgrade.
    """

    kind: ClassVar[str] = ""
    schema_version: ClassVar[int] = 1
    upgrades: ClassVar[Mapping[int, Step]] = _NO_STEPS
    downgrades: ClassVar[Mapping[int, Step]] = _NO_STEPS
    max_bytes: ClassVar[int] = 1 << 20
    written_by: ClassVar[str] = "the writer"
    read_by: ClassVar[str] = "the reader"

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        """Refuse a class that breaks the promise to read N-1."""
        super().__pydantic_init_subclass__(**kwargs)
        previous = cls.schema_version - 1
        allowed = {previous} if previous else set()
        if not cls.kind:
            raise TypeError(f"{cls.__name__} needs a kind")
        if set(cls.upgrades) != allowed:
            raise TypeError(f"{cls.__name__} has version {cls.schema_version}: its upgrades start at {sorted(allowed)}")
        if not set(cls.downgrades) <= allowed:
            raise TypeError(f"{cls.__name__} can be written as {sorted(allowed)} only besides its own version")

    @classmethod
    def understood_versions(cls) -> tuple[int, ...]:
        """Return the schema versions that `from_json` reads, ascending."""
        return (*sorted(cls.upgrades), cls.schema_version)

    def to_json(self, *, version: int | None = None) -> bytes:
        """Return the canonical bytes, in this release's version or, on request, in the one before.

        Raises:
            UnsupportedSchemaVersion: this release can't write that version.
            NotCanonical: a number has no canonical form (an integer beyond 2^53).
            DocumentTooLarge: more than the class's limit, so no reader would take it.
        """
        wanted = self.schema_version if version is None else version
        body: JSONObject = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        if wanted != self.schema_version:
            if wanted not in self.downgrades:
                side = self.read_by if wanted < self.schema_version else self.written_by
                raise UnsupportedSchemaVersion(self.kind, wanted, (*sorted(self.downgrades), self.schema_version), side)
            body = self.downgrades[wanted](body)
        data = canonical_json({**body, "kind": self.kind, "schemaVersion": wanted})
        if len(data) > self.max_bytes:
            raise DocumentTooLarge(f"this {self.kind} has {len(data)} bytes; at most {self.max_bytes} are read back")
        return data

    @classmethod
    def from_json(cls, data: bytes | str, *, max_bytes: int | None = None) -> Self:
        """Read a document of this kind, of version N or N-1.

        Raises:
            DocumentTooLarge: more than `max_bytes` (default: the class's limit).
            NotJSON: not one JSON object in UTF-8, or an object repeats a key.
            WrongKind: `kind` is absent or another one.
            UnsupportedSchemaVersion: neither N nor N-1.
            InvalidDocument: fields that do not fit, all of them.
        """
        return cls.from_object(parse_object(data, limit=cls.max_bytes if max_bytes is None else max_bytes))

    @classmethod
    def from_object(cls, document: Mapping[str, Any]) -> Self:
        """Read a document that was parsed by `parse_object`; errors as in `from_json`."""
        found_kind, version = document.get("kind"), document.get("schemaVersion")
        if found_kind != cls.kind:
            raise WrongKind(f"expected a document of kind {cls.kind}, found {_shown_kind(found_kind)}")
        if type(version) is not int:
            raise InvalidDocument(cls.kind, [FieldProblem("schemaVersion", "an integer is required")])
        body = {key: value for key, value in document.items() if key not in {"kind", "schemaVersion"}}
        if version != cls.schema_version:
            if version not in cls.upgrades:
                side = cls.written_by if version < cls.schema_version else cls.read_by
                raise UnsupportedSchemaVersion(cls.kind, version, cls.understood_versions(), side)
            body = cls._upgraded(body, version)
        try:
            return cls.model_validate_json(json.dumps(body), extra="ignore", by_alias=True, by_name=False)
        except ValidationError as error:
            raise InvalidDocument(cls.kind, _problems(error, body)) from error

    @classmethod
    def _upgraded(cls, body: JSONObject, version: int) -> JSONObject:
        try:
            return cls.upgrades[version](body)
        except (KeyError, TypeError, ValueError) as error:
            message = f"can't be upgraded from schemaVersion {version}: {error!r}"
            raise InvalidDocument(cls.kind, [FieldProblem("", message)]) from error


def parse_object(data: bytes | str, *, limit: int) -> JSONObject:
    """Parse one JSON object of at most `limit` bytes, strictly.

    Refused beyond what RFC 8259 refuses: a repeated key at any depth, NaN and the infinities, a number that
    overflows a double, half of a surrogate pair, a top level other than an object.

    Raises:
        DocumentTooLarge: more than `limit` bytes.
        NotJSON: anything else of the above, with the reason.
    """
    try:
        raw = data.encode() if isinstance(data, str) else data
        if len(raw) > limit:
            raise DocumentTooLarge(f"the document has {len(raw)} bytes; at most {limit} are accepted")
        document = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique_keys,
            parse_constant=_no_constant,
            parse_float=_finite_float,
        )
        if _SURROGATE.search(raw):
            json.dumps(document, ensure_ascii=False).encode()
    except ContractError:
        raise
    except RecursionError as error:
        raise NotJSON("the document is nested too deeply") from error
    except ValueError as error:
        raise NotJSON(f"the document is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise NotJSON(f"the document is a JSON {_JSON_NAMES[type(document)]}; an object is required")
    return document


_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""An escape that may be half of a pair: only then is it worth while to look for lone halves."""

_JSON_NAMES: Mapping[type, str] = {
    list: "array",
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


def _unique_keys(pairs: list[tuple[str, Any]]) -> JSONObject:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise NotJSON(f"the key {repeated!r} stands twice in one object")
    return members


def _no_constant(name: str) -> float:
    raise NotJSON(f"{name} is not JSON")


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise NotJSON(f"the number {text[:32]} is beyond the range of a double")
    return number


def _shown_kind(kind: object) -> str:
    return f"kind {kind[:64]!r}" if isinstance(kind, str) else "none"


def _problems(error: ValidationError, body: JSONObject) -> list[FieldProblem]:
    """Field paths and messages only: the input itself stays out of messages."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    # Where an element is wrong, pydantic also counts it as missing from its list; that is no second mistake.
    parents = {detail["loc"][:-1] for detail in details}
    return [
        FieldProblem(_field_path(detail["loc"], body), detail["msg"].removeprefix("Value error, "))
        for detail in details
        if not (detail["type"] == "too_short" and detail["loc"] in parents)
    ]


def _field_path(location: tuple[int | str, ...], body: JSONObject) -> str:
    """Write a location as a JSON path, without the member names that pydantic inserts for tagged unions."""
    path = ""
    node: object = body
    for index, step in enumerate(location, start=1):
        if isinstance(node, dict) and isinstance(step, str):
            if step not in node and step == node.get("type") and index < len(location):
                continue
            node = node.get(step)
            path += f".{step}" if path else step
        else:
            node = node[step] if isinstance(node, list) and isinstance(step, int) else None
            path += f"[{step}]"
    return path


__all__ = ["Document", "JSONObject", "NotCanonical", "Part", "Step", "parse_object"]
