"""A custom resource on its way into storage: decoded, pruned, defaulted, validated.

`Schema` is one version of a CustomResourceDefinition, compiled once and used for every request. Its methods
are pure: they copy what they are given and return either an admitted object or why it was refused. The order
of steps is the server's (``registry/customresource/strategy.go``, ``apiserver/pkg/registry/rest``; v0.36).
A server adds what only it knows: uid, resource version, times, managed fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self, TypeAlias

from adapter_devcluster.apiextensions.correlation import Correlation
from adapter_devcluster.apiextensions.crd import check_openapi_schema
from adapter_devcluster.apiextensions.decoding import UndecodableError, decode, place, strict_error
from adapter_devcluster.apiextensions.embedded import check_embedded
from adapter_devcluster.apiextensions.errors import (
    FieldError,
    Reason,
    SchemaError,
    bad_request_status,
    invalid,
    invalid_status,
    required,
)
from adapter_devcluster.apiextensions.go_text import Json
from adapter_devcluster.apiextensions.json_values import as_stored, copy, deep_equal
from adapter_devcluster.apiextensions.list_types import check_lists
from adapter_devcluster.apiextensions.object_meta import (
    JsonObject,
    check_meta,
    check_meta_update,
    finalizer_warnings,
    list_field,
    object_field,
    text_field,
)
from adapter_devcluster.apiextensions.resource import Resource, check_scale, check_type_meta
from adapter_devcluster.apiextensions.rules import RuleTree, check_rules, rule_tree
from adapter_devcluster.apiextensions.tree import EMPTY, Node
from adapter_devcluster.apiextensions.validation import validate

FieldValidation: TypeAlias = Literal["Ignore", "Warn", "Strict"]
# "" or "status".
Subresource: TypeAlias = str

# Rules are not run on objects with these errors: they could fail for the same reason, in worse words.
_BLOCKING: Final = frozenset(
    {Reason.NOT_SUPPORTED, Reason.REQUIRED, Reason.TOO_LONG, Reason.TOO_MANY, Reason.TYPE_INVALID}
)
_RULES_SKIPPED: Final = (
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)


# Of what a client sends on creation, the server drops these (``rest.BeforeCreate``).
_SERVERS_OWN: Final = frozenset({"deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"})


@dataclass(frozen=True, slots=True)
class Admitted:
    """An object as it would be stored. ``pruned`` are the paths of unknown fields that went."""

    object: JsonObject
    pruned: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an object is not taken: the whole answer, and its field errors (none for a 400)."""

    status: JsonObject
    errors: tuple[FieldError, ...] = ()


@dataclass(slots=True)
class _Findings:
    """What one decision has come to so far."""

    unknown: tuple[str, ...]
    errors: list[FieldError]
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Schema:
    """One version of a custom resource, ready to judge objects. Make it with `compile` or `from_crd`."""

    resource: Resource
    node: Node
    rules: RuleTree | None
    warnings: tuple[str, ...] = ()

    @classmethod
    def compile(cls, schema: Json, resource: Resource, path: str = "spec.versions[0].schema.openAPIV3Schema") -> Self:
        """Compile an ``openAPIV3Schema``. Raises SchemaError with everything a server would refuse in it.

        ``warnings`` of the result name keywords and formats that the server would ignore.
        """
        checked = check_openapi_schema(schema, path, status_subresource=resource.status_subresource)
        if checked.report.errors:
            raise SchemaError(checked.report.errors)
        return cls(resource, checked.node, rule_tree(checked.node), checked.warnings)

    @classmethod
    def from_crd(cls, crd: Mapping[str, Json], version: str) -> Self:
        """Compile a version of a CustomResourceDefinition. Raises SchemaError."""
        spec = object_field(crd, "spec")
        for position, found in enumerate(list_field(spec, "versions")):
            if isinstance(found, dict) and found.get("name") == version:
                path = f"spec.versions[{position}].schema.openAPIV3Schema"
                schema = object_field(found, "schema").get("openAPIV3Schema")
                if schema is None:
                    raise SchemaError([required(path)])
                return cls.compile(schema, Resource.from_crd(spec, found), path)
        raise SchemaError([invalid("spec.versions", version, "is not a version of this definition")])

    def admit_create(
        self,
        obj: Json,
        *,
        namespace: str | None = None,
        field_validation: FieldValidation = "Ignore",
        decoding_errors: Sequence[str] = (),
    ) -> Admitted | Refused:
        """Decide on a creation.

        ``namespace`` is the request's: the object is put there, and must not name another. None leaves that
        out (there is no request). ``decoding_errors`` are what a JSON or YAML decoder found, such as
        duplicate fields; they count like unknown fields.
        """
        try:
            new, found = self._decoded(obj, field_validation, decoding_errors)
            place(new, namespace, self.resource)
        except UndecodableError as error:
            return Refused(bad_request_status(str(error)))
        meta = object_field(new, "metadata")
        if self.resource.status_subresource:
            new.pop("status", None)
        # A client can't make an object that is being deleted already.
        meta = {name: value for name, value in meta.items() if name not in _SERVERS_OWN}
        new["metadata"] = {**meta, "generation": 1}
        found.errors += check_type_meta(self.resource, new)
        if not found.errors:
            scoped = None if namespace is None and self.resource.namespaced else self.resource.namespaced
            found.errors += check_meta(meta, "metadata", namespaced=scoped)
            found.errors += validate(new, self.node).errors
            found.errors += check_scale(self.resource, new, status_only=False)
        found.errors += check_embedded(new, self.node)
        found.errors += check_lists(new, self.node)
        self._run_rules(new, None, found)
        found.warnings += finalizer_warnings(meta, {})
        return _answer(new, found)

    def admit_update(
        self,
        old: Json,
        new: Json,
        *,
        subresource: Subresource = "",
        field_validation: FieldValidation = "Ignore",
        decoding_errors: Sequence[str] = (),
    ) -> Admitted | Refused:
        """Decide on an update. ``old`` is the stored object, ``new`` what the client wants it to be.

        Through ``status`` only the status is taken from ``new``, and the whole object is validated: the
        status by its schema, all of it by its rules. Otherwise the status stays what it was, if it is a
        subresource. Invalid parts that do not change are let through (ratcheting).
        """
        try:
            wanted, found = self._decoded(new, field_validation, decoding_errors)
            stored = self.load(old)
        except UndecodableError as error:
            return Refused(bad_request_status(str(error)))
        if subresource == "status":
            updated = _with_status(stored, wanted)
        else:
            updated = _with_old(stored, wanted, keep_status=self.resource.status_subresource)
        correlation = Correlation(updated, stored, self.node)
        meta, old_meta = object_field(updated, "metadata"), object_field(stored, "metadata")
        found.errors += check_type_meta(self.resource, updated)
        if not found.errors:
            found.errors += check_meta_update(meta, old_meta, "metadata")
            found.errors += self._check_values(updated, subresource, correlation)
            found.errors += check_scale(self.resource, updated, status_only=subresource == "status")
        if not subresource:
            found.errors += check_embedded(updated, self.node)
            found.warnings += finalizer_warnings(meta, old_meta)
        if not any(True for _ in check_lists(stored, self.node)):
            found.errors += check_lists(updated, self.node)
        self._run_rules(updated, stored, found, correlation)
        return _answer(updated, found)

    def load(self, stored: Json) -> JsonObject:
        """Return a stored object as it is served: pruned and defaulted by this schema, even if it was not.

        Raises UndecodableError.
        """
        return _as_stored(decode(stored, self.resource, self.node)[0])

    def _decoded(
        self, raw: Json, field_validation: FieldValidation, decoding_errors: Sequence[str]
    ) -> tuple[JsonObject, _Findings]:
        obj, unknown = decode(raw, self.resource, self.node)
        strict = [*decoding_errors, *(f'unknown field "{path}"' for path in unknown)]
        if strict and field_validation == "Strict":
            raise strict_error(self.resource, strict)
        return obj, _Findings(unknown, [], strict if field_validation == "Warn" else [])

    def _check_values(self, obj: JsonObject, subresource: Subresource, correlation: Correlation) -> list[FieldError]:
        if subresource != "status":
            return validate(obj, self.node, None, correlation).errors
        if "status" not in obj:
            return []
        node = self.node.properties.get("status", EMPTY)
        return validate(obj["status"], node, "status", correlation.field("status")).errors

    def _run_rules(
        self, new: JsonObject, old: JsonObject | None, found: _Findings, correlation: Correlation | None = None
    ) -> None:
        """Run the rules, unless the object is too broken for them."""
        if self.rules is None:
            return
        if any(error.reason in _BLOCKING for error in found.errors):
            found.errors.append(invalid(None, None, _RULES_SKIPPED))
            return
        broken = list(check_rules(self.rules, new, old, None, correlation))
        found.errors += [one.error for one in broken if not one.ratcheted]
        found.warnings += [str(one.error) for one in broken if one.ratcheted]


def _as_stored(obj: JsonObject) -> JsonObject:
    return {name: as_stored(value) for name, value in obj.items()}


def _with_status(stored: JsonObject, wanted: JsonObject) -> JsonObject:
    """Take nothing but the status."""
    updated = {name: copy(value) for name, value in stored.items() if name != "status"}
    if "status" in wanted:
        updated["status"] = wanted["status"]
    meta = object_field(wanted, "metadata")
    kept = object_field(updated, "metadata")
    updated["metadata"] = kept | _fields(meta, "managedFields", "resourceVersion")
    return updated


def _with_old(stored: JsonObject, wanted: JsonObject, *, keep_status: bool) -> JsonObject:
    """Keep what an update can't change, and count the generation."""
    updated = dict(wanted)
    if keep_status:
        updated.pop("status", None)
        if "status" in stored:
            updated["status"] = copy(stored["status"])
    meta, old_meta = object_field(wanted, "metadata"), object_field(stored, "metadata")
    generation = old_meta.get("generation")
    if not isinstance(generation, int):
        generation = 1
    if not deep_equal(_without_meta(updated), _without_meta(stored)):
        generation += 1
    filled = _fields(old_meta, "namespace", "uid", "deletionGracePeriodSeconds")
    kept = _fields(old_meta, "creationTimestamp", "deletionTimestamp")
    updated["metadata"] = {**filled, **meta, **kept, "generation": generation}
    return updated


def _fields(meta: JsonObject, *names: str) -> JsonObject:
    return {name: meta[name] for name in names if name in meta}


def _without_meta(obj: JsonObject) -> JsonObject:
    return {name: value for name, value in obj.items() if name != "metadata"}


def _answer(obj: JsonObject, found: _Findings) -> Admitted | Refused:
    if not found.errors:
        return Admitted(_as_stored(obj), found.unknown, tuple(found.warnings))
    # The answer names the object by what it says it is, even if that is wrong.
    name = text_field(object_field(obj, "metadata"), "name")
    group, _, _ = text_field(obj, "apiVersion").rpartition("/")
    return Refused(invalid_status(group, text_field(obj, "kind"), name, found.errors), tuple(found.errors))
