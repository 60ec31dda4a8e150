"""Namespaces and nodes (``pkg/registry/core/{namespace,node}``, v1.36)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from adapter_devcluster.apiextensions import FieldError, names
from adapter_devcluster.apiextensions.errors import child, duplicate, index, invalid
from adapter_devcluster.builtin import checks
from adapter_devcluster.builtin.strategy import Strategy
from adapter_devcluster.objects import Object, is_deleting, labels_of, meta

# These can't be deleted (admission plugin NamespaceLifecycle).
PROTECTED_NAMESPACES: Final = frozenset({"default", "kube-system", "kube-public"})
_FINALIZER: Final = "kubernetes"
_STANDARD_FINALIZERS: Final = ("kubernetes", "orphan", "foregroundDeletion")
_NAME_LABEL: Final = "kubernetes.io/metadata.name"
_EFFECTS: Final = ("NoExecute", "NoSchedule", "PreferNoSchedule")


def _default(namespace: Object) -> None:
    name = meta(namespace).get("name")
    if name:
        meta(namespace)["labels"] = {**labels_of(namespace), _NAME_LABEL: name}


def _prepare(namespace: Object) -> None:
    namespace["status"] = {"phase": "Active"}
    finalizers = namespace["spec"].get("finalizers") or []
    if _FINALIZER not in finalizers:
        namespace["spec"]["finalizers"] = [*finalizers, _FINALIZER]


def _prepare_update(new: Object, old: Object) -> None:
    """Finalizers of the spec change only through the subresource ``finalize``."""
    new["spec"] = {**(old.get("spec") or {})}


def _check(namespace: Object) -> Iterator[FieldError]:
    for position, finalizer in enumerate(namespace["spec"].get("finalizers") or ()):
        at = index("spec.finalizers", position)
        for problem in names.check_label_key(finalizer):
            yield invalid(at, finalizer, problem)
        if "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            detail = "name is neither a standard finalizer name nor is it fully qualified"
            yield invalid(at, finalizer, detail)


def _check_finalized(new: Object, _: Object) -> Iterator[FieldError]:
    yield from _check(new)


def _check_status(new: Object, old: Object) -> Iterator[FieldError]:
    phase, expected = new["status"].get("phase"), "Terminating" if is_deleting(old) else "Active"
    if phase != expected:
        when = "not empty" if is_deleting(old) else "empty"
        yield invalid("status.Phase", phase, f"may only be '{expected}' if `deletionTimestamp` is {when}")


def _prepare_status(new: Object, _: Object) -> None:
    new["status"].setdefault("phase", "Active")


def _default_node(node: Object) -> None:
    status = node["status"]
    if status.get("capacity"):
        status.setdefault("allocatable", dict(status["capacity"]))


def _check_node(node: Object) -> Iterator[FieldError]:
    taken: set[tuple[str, str]] = set()
    for at, taint in checks.items_of(node["spec"], "taints", "spec"):
        key, effect = taint.get("key") or "", taint.get("effect") or ""
        for problem in names.check_label_key(key):
            yield invalid(child(at, "key"), key, problem)
        yield from checks.named(taint, at, "value", names.check_label_value)
        yield from checks.one_of(taint, at, "effect", _EFFECTS)
        if (key, effect) in taken:
            yield duplicate(at, taint)
        taken.add((key, effect))


NAMESPACES: Final = Strategy(
    check_name=names.check_dns_label,
    defaults=_default,
    prepare_create=_prepare,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    check=_check,
    check_status=_check_status,
    check_subresource=_check_finalized,
)
NODES: Final = Strategy(defaults=_default_node, check=_check_node, takes_status=True)
