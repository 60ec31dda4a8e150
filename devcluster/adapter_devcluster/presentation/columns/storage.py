"""Volumes, claims on them and the classes that they come from."""

from __future__ import annotations

from typing import Final

from adapter_devcluster.objects import Object, annotations_of, is_deleting, section
from adapter_devcluster.presentation.columns.base import AGE, NAME, UNSET, Cell, Column, KindColumns, age, name

_CORE: Final = "io.k8s.api.core.v1."
_CLASS: Final = "io.k8s.api.storage.v1.StorageClass"
_MODES: Final = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_OLD_CLASS: Final = "volume.beta.kubernetes.io/storage-class"
_DEFAULT_CLASS: Final = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)


def _access_modes(modes: list[str] | None) -> str:
    return ",".join(short for mode, short in _MODES.items() if mode in (modes or ()))


def _phase(obj: Object) -> str:
    return "Terminating" if is_deleting(obj) else str(section(obj, "status").get("phase", ""))


def _class_of(obj: Object) -> str:
    return str(annotations_of(obj).get(_OLD_CLASS) or section(obj, "spec").get("storageClassName") or "")


def _volume(obj: Object, now: int) -> list[Cell]:
    spec, claim = section(obj, "spec"), section(obj, "spec").get("claimRef")
    return [
        name(obj),
        section(spec, "capacity").get("storage", "0"),
        _access_modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        _phase(obj),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        _class_of(obj),
        spec.get("volumeAttributesClassName", UNSET),
        section(obj, "status").get("reason", ""),
        age(obj, now),
        spec.get("volumeMode", UNSET),
    ]


def _claim(obj: Object, now: int) -> list[Cell]:
    spec, status = section(obj, "spec"), section(obj, "status")
    bound = bool(spec.get("volumeName"))
    return [
        name(obj),
        _phase(obj),
        spec.get("volumeName", ""),
        section(status, "capacity").get("storage", "0") if bound else "",
        _access_modes(status.get("accessModes")) if bound else "",
        _class_of(obj),
        spec.get("volumeAttributesClassName", UNSET),
        age(obj, now),
        spec.get("volumeMode", UNSET),
    ]


def _storage_class(obj: Object, now: int) -> list[Cell]:
    is_default = any(annotations_of(obj).get(one) == "true" for one in _DEFAULT_CLASS)
    return [
        f"{name(obj)} (default)" if is_default else name(obj),
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        obj.get("allowVolumeExpansion", False),
        age(obj, now),
    ]


COLUMNS: Final = {
    ("", "PersistentVolume"): KindColumns(
        (
            NAME,
            Column("Capacity", (f"{_CORE}PersistentVolumeSpec", "capacity")),
            Column("Access Modes", (f"{_CORE}PersistentVolumeSpec", "accessModes")),
            Column("Reclaim Policy", (f"{_CORE}PersistentVolumeSpec", "persistentVolumeReclaimPolicy")),
            Column("Status", (f"{_CORE}PersistentVolumeStatus", "phase")),
            Column("Claim", (f"{_CORE}PersistentVolumeSpec", "claimRef")),
            Column("StorageClass", "StorageClass of the pv"),
            Column("VolumeAttributesClass", "VolumeAttributesClass of the pv"),
            Column("Reason", (f"{_CORE}PersistentVolumeStatus", "reason")),
            AGE,
            Column("VolumeMode", (f"{_CORE}PersistentVolumeSpec", "volumeMode"), wide=True),
        ),
        _volume,
    ),
    ("", "PersistentVolumeClaim"): KindColumns(
        (
            NAME,
            Column("Status", (f"{_CORE}PersistentVolumeClaimStatus", "phase")),
            Column("Volume", (f"{_CORE}PersistentVolumeClaimSpec", "volumeName")),
            Column("Capacity", (f"{_CORE}PersistentVolumeClaimStatus", "capacity")),
            Column("Access Modes", (f"{_CORE}PersistentVolumeClaimStatus", "accessModes")),
            Column("StorageClass", "StorageClass of the pvc"),
            Column("VolumeAttributesClass", "VolumeAttributesClass of the pvc"),
            AGE,
            Column("VolumeMode", (f"{_CORE}PersistentVolumeClaimSpec", "volumeMode"), wide=True),
        ),
        _claim,
    ),
    ("storage.k8s.io", "StorageClass"): KindColumns(
        (
            NAME,
            Column("Provisioner", (_CLASS, "provisioner")),
            Column("ReclaimPolicy", (_CLASS, "reclaimPolicy")),
            Column("VolumeBindingMode", (_CLASS, "volumeBindingMode")),
            Column("AllowVolumeExpansion", (_CLASS, "allowVolumeExpansion")),
            AGE,
        ),
        _storage_class,
    ),
}
