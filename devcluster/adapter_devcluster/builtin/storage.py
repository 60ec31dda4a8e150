"""Claims, volumes and storage classes (``pkg/registry/{core,storage}``, v1.36)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from adapter_devcluster.apiextensions import FieldError
from adapter_devcluster.apiextensions.errors import child, forbidden, index, invalid, not_supported, required
from adapter_devcluster.builtin import checks
from adapter_devcluster.builtin.quantities import value_of
from adapter_devcluster.builtin.strategy import Strategy, UpdateChecks
from adapter_devcluster.objects import Object, copy, meta

_ACCESS_MODES: Final = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_VOLUME_MODES: Final = ("Block", "Filesystem")
_RECLAIM: Final = ("Delete", "Retain")
_NOT_A_SOURCE: Final = frozenset(
    {
        "accessModes",
        "capacity",
        "claimRef",
        "mountOptions",
        "nodeAffinity",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
        "volumeMode",
    }
)


def _protected(obj: Object, finalizer: str) -> None:
    """Keep what is in use from going (admission plugin StorageObjectInUseProtection)."""
    found = meta(obj).get("finalizers") or []
    if finalizer not in found:
        meta(obj)["finalizers"] = [*found, finalizer]


def _default_claim(claim: Object) -> None:
    claim["spec"].setdefault("volumeMode", "Filesystem")
    claim["status"].setdefault("phase", "Pending")


def _prepare_claim(claim: Object) -> None:
    claim["status"] = {"phase": "Pending"}
    _protected(claim, "kubernetes.io/pvc-protection")


def _check_modes(spec: Object) -> Iterator[FieldError]:
    modes = spec.get("accessModes") or []
    if not modes:
        yield required("spec.accessModes", "at least 1 access mode is required")
    for mode in modes:
        if mode not in _ACCESS_MODES:
            yield not_supported("spec.accessModes", mode, _ACCESS_MODES)
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        yield forbidden("spec.accessModes", "may not use ReadWriteOncePod with other access modes")
    yield from checks.one_of_if_set(spec, "spec", "volumeMode", _VOLUME_MODES)
    yield from checks.named(spec, "spec", "storageClassName")


def _check_size(amounts: Object, path: str) -> Iterator[FieldError]:
    size = amounts.get("storage")
    if size is None:
        yield required(path)
    elif value_of(size) <= 0:
        yield invalid(path, size, "must be greater than zero")


def _check_claim(claim: Object) -> Iterator[FieldError]:
    spec = claim["spec"]
    yield from checks.check_label_selector(spec.get("selector"), "spec.selector")
    yield from _check_modes(spec)
    yield from _check_size(spec["resources"].get("requests") or {}, "spec.resources[storage]")


def _check_claim_update(new: Object, old: Object) -> Iterator[FieldError]:
    """A claim's spec stays what it is, but a bound one may ask for more."""
    spec, stored = copy(new["spec"]), copy(old["spec"])
    bound = (old.get("status") or {}).get("phase") == "Bound"
    if not stored.get("volumeName"):
        spec.pop("volumeName", None)
    if stored.get("storageClassName") is None:
        spec.pop("storageClassName", None)
    for one in (spec, stored) if bound else ():
        one["resources"].get("requests", {}).pop("storage", None)
        one.pop("volumeAttributesClassName", None)
    if spec != stored:
        detail = (
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
        )
        yield forbidden("spec", detail)
    if bound:
        before = old["spec"]["resources"].get("requests", {}).get("storage", "0")
        after = new["spec"]["resources"].get("requests", {}).get("storage", "0")
        if value_of(after) < value_of(before):
            yield forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")


def _default_volume(volume: Object) -> None:
    volume["spec"].setdefault("persistentVolumeReclaimPolicy", "Retain")
    volume["spec"].setdefault("volumeMode", "Filesystem")
    volume["status"].setdefault("phase", "Pending")


def _prepare_volume(volume: Object) -> None:
    volume["status"] = {"phase": "Pending"}
    _protected(volume, "kubernetes.io/pv-protection")


def _check_volume(volume: Object) -> Iterator[FieldError]:
    spec = volume["spec"]
    yield from _check_modes(spec)
    if not spec.get("capacity"):
        yield required("spec.capacity")
    else:
        yield from _check_size(spec["capacity"], "spec.capacity[storage]")
    yield from checks.one_of(spec, "spec", "persistentVolumeReclaimPolicy", (*_RECLAIM, "Recycle"))
    sources = [name for name in spec if name not in _NOT_A_SOURCE]
    if not sources:
        yield required("spec", "must specify a volume type")
    for name in sources[1:]:
        yield forbidden(child("spec", name), "may not specify more than 1 volume type")


def _check_volume_update(new: Object, old: Object) -> Iterator[FieldError]:
    found, stored = (
        {name: value for name, value in one["spec"].items() if name not in _NOT_A_SOURCE} for one in (new, old)
    )
    if found != stored:
        yield forbidden("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation")
    yield from checks.unchanged(new["spec"], old["spec"], "spec", "volumeMode")


def _default_class(obj: Object) -> None:
    obj.setdefault("reclaimPolicy", "Delete")
    obj.setdefault("volumeBindingMode", "Immediate")


def _check_class(obj: Object) -> Iterator[FieldError]:
    yield from checks.needed(obj, "", "provisioner")
    yield from checks.one_of(obj, "", "reclaimPolicy", _RECLAIM)
    yield from checks.one_of(obj, "", "volumeBindingMode", ("Immediate", "WaitForFirstConsumer"))
    for key in obj.get("parameters") or ():
        if not key:
            yield invalid(index("parameters", key), key, "field can not be empty.")


def _check_class_update(new: Object, old: Object) -> Iterator[FieldError]:
    for name in ("parameters", "provisioner", "reclaimPolicy"):
        if new.get(name) != old.get(name):
            yield forbidden(name, f"updates to {name} are forbidden.")
    yield from checks.unchanged(new, old, "", "volumeBindingMode")


CLAIMS: Final = Strategy(
    defaults=_default_claim,
    prepare_create=_prepare_claim,
    check=_check_claim,
    check_update=_check_claim_update,
    update=UpdateChecks(content=2, metadata=2),
)
VOLUMES: Final = Strategy(
    defaults=_default_volume,
    prepare_create=_prepare_volume,
    check=_check_volume,
    check_update=_check_volume_update,
    update=UpdateChecks(content=2, metadata=2, changes=1),
)
CLASSES: Final = Strategy(defaults=_default_class, check=_check_class, check_update=_check_class_update)
