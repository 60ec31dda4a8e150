"""The judge of built-in kinds: decoding, defaults, preparation and validation, in the server's order.

Follows ``rest.BeforeCreate`` and ``rest.BeforeUpdate`` (``apiserver/pkg/registry/rest``, v0.36).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from adapter_devcluster.apiextensions import Admitted, FieldError, FieldValidation, Refused
from adapter_devcluster.apiextensions.errors import bad_request_status, invalid, invalid_status
from adapter_devcluster.apiextensions.go_text import kind as json_kind
from adapter_devcluster.apiextensions.object_meta import check_meta, check_meta_update
from adapter_devcluster.builtin.decoding import DecodeError, Struct, struct
from adapter_devcluster.builtin.definitions import definition_of
from adapter_devcluster.builtin.strategy import Strategy
from adapter_devcluster.objects import Object, copy, meta
from adapter_devcluster.resource_types import ResourceType

_STANDARD_FINALIZERS: Final = frozenset({"kubernetes", "orphan", "foregroundDeletion"})
# These groups check metadata as custom resources do, which may have finalizers of any name.
_ANY_FINALIZERS: Final = frozenset({"admissionregistration.k8s.io", "apiextensions.k8s.io"})
# Of what a client sends on creation, the server drops these.
_SERVERS_OWN: Final = frozenset({"deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"})


class _BadRequestError(ValueError):
    """A request that can't be an object of this type."""


@dataclass(frozen=True, slots=True)
class _Decoded:
    object: Object
    unknown: tuple[str, ...]
    warnings: list[str]


class BuiltinJudge:
    """Judges the objects of one built-in type (`adapter_devcluster.resource_types.Judge`)."""

    def __init__(self, resource_type: ResourceType, strategy: Strategy) -> None:
        self._type = resource_type
        self._strategy = strategy
        self._struct: Struct | None = None
        self._has_status = resource_type.subresource("status") is not None

    def admit_create(
        self,
        obj: Object,
        *,
        namespace: str | None = None,
        field_validation: FieldValidation = "Ignore",
        decoding_errors: Sequence[str] = (),
    ) -> Admitted | Refused:
        """Decide on a creation. ``namespace`` is the request's; None: there is no request."""
        strategy = self._strategy
        try:
            decoded = self._decode(obj, field_validation, decoding_errors)
            new = decoded.object
            self._place(new, namespace)
        except _BadRequestError as error:
            return Refused(bad_request_status(str(error)))
        found = meta(new)
        for name in _SERVERS_OWN & found.keys():
            del found[name]
        if strategy.generation_of:
            found["generation"] = 1
        if self._has_status and not strategy.takes_status:
            new["status"] = self._decoder().zero()["status"]
        strategy.prepare_create(new)
        scoped = None if namespace is None and self._type.namespaced else self._type.namespaced
        errors = list(check_meta(found, "metadata", namespaced=scoped, check_name=strategy.check_name))
        errors += self._check_finalizers(found)
        errors += strategy.check(new)
        return self._answer(decoded, errors)

    def admit_update(
        self,
        old: Object,
        new: Object,
        *,
        subresource: str = "",
        field_validation: FieldValidation = "Ignore",
        decoding_errors: Sequence[str] = (),
    ) -> Admitted | Refused:
        """Decide on an update, through the resource itself, through ``status`` or another subresource.

        What other subresources change (``binding``, ``finalize``) is the server's own work: all of it is taken.
        """
        strategy = self._strategy
        try:
            decoded = self._decode(new, field_validation, decoding_errors)
        except _BadRequestError as error:
            return Refused(bad_request_status(str(error)))
        wanted = decoded.object
        self._keep_metadata(wanted, old)
        if subresource == "status":
            self._take_status(wanted, old)
            errors = [*self._changes(wanted, old), *strategy.check_status(wanted, old)]
            return self._answer(decoded, errors)
        if subresource:
            errors = [*self._changes(wanted, old), *strategy.check_subresource(wanted, old)]
            return self._answer(decoded, errors)
        if self._has_status:
            wanted["status"] = copy(old.get("status", {}))
        strategy.prepare_update(wanted, old)
        count = strategy.generation_of
        if count and count(wanted) != count(old):
            meta(wanted)["generation"] = int(meta(old).get("generation") or 0) + 1
        return self._answer(decoded, self._check_update(wanted, old))

    def _check_update(self, new: Object, old: Object) -> list[FieldError]:
        strategy, found = self._strategy, meta(new)
        name = strategy.check_name
        metadata = list(check_meta(found, "metadata", namespaced=self._type.namespaced, check_name=name))
        metadata += self._check_finalizers(found)
        content = list(strategy.check(new)) if strategy.update.content else []
        return [
            *self._changes(new, old),
            *metadata * strategy.update.metadata,
            *content * strategy.update.content,
            *strategy.check_update(new, old),
        ]

    def _check_finalizers(self, found: Object) -> list[FieldError]:
        """Finalizers are qualified names, or Kubernetes' own (``pkg/apis/core/validation``)."""
        if self._type.group in _ANY_FINALIZERS:
            return []
        detail = "name is neither a standard finalizer name nor is it fully qualified"
        return [
            invalid(f"metadata.finalizers[{position}]", name, detail)
            for position, name in enumerate(found.get("finalizers") or [])
            if "/" not in name and name not in _STANDARD_FINALIZERS
        ]

    def _changes(self, new: Object, old: Object) -> list[FieldError]:
        return list(check_meta_update(meta(new), meta(old), "metadata")) * self._strategy.update.changes

    def _decoder(self) -> Struct:
        if self._struct is None:
            self._struct = struct(str(definition_of(self._type.api_version, self._type.kind)))
        return self._struct

    def _decode(self, obj: Object, validation: FieldValidation, decoding_errors: Sequence[str]) -> _Decoded:
        """Decode and default a request's object. Raises _BadRequestError."""
        self._check_type(obj)
        unknown: list[str] = []
        try:
            new = self._decoder()(obj, unknown)
        except DecodeError as error:
            raise self._unreadable(str(error)) from error
        strict = [*decoding_errors, *(f'unknown field "{path}"' for path in unknown)]
        if strict and validation == "Strict":
            raise self._unreadable(f"strict decoding error: {', '.join(strict)}")
        new["apiVersion"], new["kind"] = self._type.api_version, self._type.kind
        self._strategy.defaults(new)
        return _Decoded(new, tuple(unknown), strict if validation == "Warn" else [])

    def _check_type(self, obj: Object) -> None:
        if not isinstance(obj, dict):
            raise self._unreadable(
                f"json: cannot unmarshal {json_kind(obj)} into Go value of type v1.{self._type.kind}"
            )
        version, kind = obj.get("apiVersion") or self._type.api_version, obj.get("kind") or self._type.kind
        if version != self._type.api_version:
            raise _BadRequestError(
                f"the API version in the data ({version}) does not match the expected API version "
                f"({self._type.api_version})"
            )
        if kind != self._type.kind:
            raise self._unreadable(f'no kind "{kind}" is taken here: {self._type.kind} is expected')

    def _unreadable(self, problem: str) -> _BadRequestError:
        name, version = self._type.kind, self._type.version
        return _BadRequestError(f'{name} in version "{version}" cannot be handled as a {name}: {problem}')

    def _place(self, obj: Object, namespace: str | None) -> None:
        """Put an object into the namespace of its request. Raises _BadRequestError."""
        found = meta(obj)
        if not self._type.namespaced:
            found.pop("namespace", None)
        elif namespace is not None and found.setdefault("namespace", namespace) != namespace:
            raise _BadRequestError(
                "the namespace of the provided object does not match the namespace sent on the request"
            )

    def _keep_metadata(self, wanted: Object, old: Object) -> None:
        """Keep what an update can't change, and fill in what it need not say."""
        kept, found = meta(old), meta(wanted)
        for name in ("namespace", "uid", "deletionGracePeriodSeconds"):
            if name in kept:
                found.setdefault(name, kept[name])
        for name in ("creationTimestamp", "deletionTimestamp", "generation"):
            if name in kept:
                found[name] = kept[name]
        if not self._type.namespaced:
            found.pop("namespace", None)
        if self._strategy.generation_of is None and "generation" not in kept:
            found.pop("generation", None)
        if self._type.unconditional_update and "resourceVersion" in kept:
            found.setdefault("resourceVersion", kept["resourceVersion"])

    def _take_status(self, wanted: Object, old: Object) -> None:
        """Keep everything of the stored object but its status, and metadata where the strategy lets it change."""
        wanted |= {name: copy(value) for name, value in old.items() if name not in ("metadata", "status")}
        for name in self._strategy.status_keeps:
            if name in meta(old):
                meta(wanted)[name] = copy(meta(old)[name])
            else:
                meta(wanted).pop(name, None)
        self._strategy.prepare_status(wanted, old)

    def _answer(self, decoded: _Decoded, errors: Sequence[FieldError]) -> Admitted | Refused:
        obj = decoded.object
        if not errors:
            return Admitted(obj, decoded.unknown, tuple(decoded.warnings))
        name = str(meta(obj).get("name") or "")
        return Refused(invalid_status(self._type.group, self._type.kind, name, errors), tuple(errors))
