"""Persistent volumes: claims get one, and keep it while pods use it.

Source: ``pkg/controller/volume/{persistentvolume,pvcprotection,pvprotection}``, v1.36, with an external
provisioner behind it. What a volume holds is the node's matter: the object only names it.
"""

from __future__ import annotations

from typing import Final

from adapter_devcluster.client import Change, Client
from adapter_devcluster.controllers.base import Controller
from adapter_devcluster.controllers.pod_state import node_name
from adapter_devcluster.objects import Key, Object, annotations_of, copy, is_deleting, key, meta, section, uid
from adapter_devcluster.recorder import Recorder
from adapter_devcluster.statuses import StatusError

CLAIMS: Final = "persistentvolumeclaims"
VOLUMES: Final = "persistentvolumes"
CLAIM_PROTECTION: Final = "kubernetes.io/pvc-protection"
VOLUME_PROTECTION: Final = "kubernetes.io/pv-protection"
PROVISIONER: Final = "volumes.adapters.dev"
_BIND_COMPLETED: Final = "pv.kubernetes.io/bind-completed"
_BOUND_BY_CONTROLLER: Final = "pv.kubernetes.io/bound-by-controller"
_PROVISIONED_BY: Final = "pv.kubernetes.io/provisioned-by"


class VolumeController(Controller):
    """Binds claims to volumes, made for them where the cluster has a node, and ends their protection.

    A claim that names its volume, or that a volume names, gets that one. A claim of the storage class "" asks
    for no new volume, so it waits for such a one.
    """

    def __init__(self, client: Client, *, with_node: bool) -> None:
        super().__init__(client)
        self._with_node = with_node
        self._recorder = Recorder(client, "persistentvolume-controller")

    def start(self) -> None:
        """Watch claims, volumes, and the pods that use claims."""
        self.watch(CLAIMS, self._claim_changed)
        self.watch(VOLUMES, self._volume_changed)
        self.watch("pods", self._pod_changed)

    def _claim_changed(self, change: Change) -> None:
        self.enqueue(key(change.object))
        volume = section(change.object, "spec").get("volumeName")
        if change.type == "DELETED" and volume:
            self.enqueue(("", str(volume)))

    def _volume_changed(self, change: Change) -> None:
        """Look at the volume, and at the claims that may have waited for it."""
        self.enqueue(key(change.object))
        reference = section(change.object, "spec", "claimRef")
        if reference:
            self.enqueue((str(reference.get("namespace")), str(reference.get("name"))))
            return
        name = key(change.object)[1]
        for claim in self.client.list(CLAIMS):
            if section(claim, "spec").get("volumeName") == name:
                self.enqueue(key(claim))

    def _pod_changed(self, change: Change) -> None:
        if change.type == "DELETED":
            for name in claims_of(change.object):
                self.enqueue((key(change.object)[0], name))

    def sync(self, item: Key) -> None:
        """Bring one claim, or one volume (whose key has no namespace), to where it should be."""
        if not item[0]:
            self._sync_volume(item[1])
            return
        claim = self.client.get(CLAIMS, *item)
        if claim is None:
            return
        if is_deleting(claim):
            self._unprotect_claim(claim)
        elif phase(claim) != "Bound":
            self._bind(claim)

    def _sync_volume(self, name: str) -> None:
        """Say whether a volume is to be had; delete it after its claim, if it was made for that."""
        volume = self.client.get(VOLUMES, "", name)
        if volume is None:
            return
        reference = section(volume, "spec", "claimRef")
        claim = self.client.get(CLAIMS, str(reference.get("namespace")), str(reference.get("name")))
        if "uid" not in reference:
            self._set_phase(volume, "Available")
        elif claim is None or uid(claim) != reference["uid"]:
            volume = self._set_phase(volume, "Released")
            if section(volume, "spec").get("persistentVolumeReclaimPolicy") == "Delete" and not is_deleting(volume):
                self.client.delete(VOLUMES, "", name, uid=uid(volume))
        if is_deleting(volume) and phase(volume) != "Bound":
            self._unprotect(VOLUMES, volume, VOLUME_PROTECTION)

    def _set_phase(self, volume: Object, wanted: str) -> Object:
        if phase(volume) == wanted:
            return volume
        return self.client.update(VOLUMES, {**volume, "status": {"phase": wanted}}, "status")

    def _unprotect_claim(self, claim: Object) -> None:
        """Let a claim go once no scheduled pod names it; one that has ended still does."""
        namespace, name = key(claim)
        if not any(node_name(pod) and name in claims_of(pod) for pod in self.client.list("pods", namespace)):
            self._unprotect(CLAIMS, claim, CLAIM_PROTECTION)

    def _unprotect(self, resource: str, obj: Object, finalizer: str) -> None:
        finalizers: list[str] = meta(obj).get("finalizers") or []
        if finalizer in finalizers:
            kept = [one for one in finalizers if one != finalizer]
            self.client.patch(resource, *key(obj), {"metadata": {"uid": uid(obj), "finalizers": kept or None}})

    def _bind(self, claim: Object) -> None:
        name = str(section(claim, "spec").get("volumeName") or "")
        volume = self.client.get(VOLUMES, "", name) if name else self._reserved(claim)
        if volume is None and not name:
            volume = self._provision(claim)
        if volume is None or not _may_have(volume, claim):
            return
        volume = self._bind_volume(volume, claim)
        self._bind_claim(claim, volume)

    def _reserved(self, claim: Object) -> Object | None:
        """Return a volume that was made for this claim beforehand."""
        for volume in self.client.list(VOLUMES):
            reference = section(volume, "spec", "claimRef")
            if reference and _is_for(reference, claim):
                return volume
        return None

    def _provision(self, claim: Object) -> Object | None:
        if not self._with_node:
            return None
        if section(claim, "spec").get("storageClassName") == "":
            message = "no persistent volumes available for this claim and no storage class is set"
            self._recorder.event(claim, "Normal", "FailedBinding", message)
            return None
        volume = volume_for(claim)
        try:
            made = self.client.create(VOLUMES, volume)
        except StatusError as error:
            self._recorder.event(claim, "Warning", "ProvisioningFailed", str(error))
            raise
        message = f"Successfully provisioned volume {key(made)[1]}"
        self._recorder.event(claim, "Normal", "ProvisioningSucceeded", message)
        return made

    def _bind_volume(self, volume: Object, claim: Object) -> Object:
        if uid(claim) != section(volume, "spec", "claimRef").get("uid"):
            changed = copy(volume)
            changed["spec"]["claimRef"] = claim_reference(claim)
            volume = self.client.update(VOLUMES, changed)
        return self._set_phase(volume, "Bound")

    def _bind_claim(self, claim: Object, volume: Object) -> None:
        changed = copy(claim)
        if not changed["spec"].get("volumeName"):
            changed["spec"]["volumeName"] = key(volume)[1]
            marks = {_BIND_COMPLETED: "yes", _BOUND_BY_CONTROLLER: "yes"}
        else:
            marks = {_BIND_COMPLETED: "yes"}
        changed["metadata"]["annotations"] = {**annotations_of(claim), **marks}
        changed = copy(self.client.update(CLAIMS, changed))
        changed["status"] = {
            "phase": "Bound",
            "accessModes": section(volume, "spec").get("accessModes") or [],
            "capacity": section(volume, "spec").get("capacity") or {},
        }
        self.client.update(CLAIMS, changed, "status")


def phase(obj: Object) -> str:
    """Return the phase of a claim or a volume, "" before it has one."""
    return str(section(obj, "status").get("phase") or "")


def claims_of(pod: Object) -> set[str]:
    """Return the names of the claims that a pod's volumes name."""
    volumes: list[Object] = section(pod, "spec").get("volumes") or []
    names = (section(one, "persistentVolumeClaim").get("claimName") for one in volumes)
    return {str(name) for name in names if name}


def _is_for(reference: Object, claim: Object) -> bool:
    same = (str(reference.get("namespace") or ""), str(reference.get("name") or "")) == key(claim)
    return same and reference.get("uid", uid(claim)) == uid(claim)


def _may_have(volume: Object, claim: Object) -> bool:
    reference = section(volume, "spec", "claimRef")
    return not is_deleting(volume) and (not reference or _is_for(reference, claim))


def claim_reference(claim: Object) -> Object:
    """Return what a volume says of the claim that has it."""
    namespace, name = key(claim)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": namespace,
        "name": name,
        "uid": uid(claim),
        "resourceVersion": meta(claim).get("resourceVersion"),
    }


def volume_for(claim: Object) -> Object:
    """Return a volume to create for a claim: as large as asked for, and deleted with it. Pure."""
    spec = section(claim, "spec")
    name = f"pvc-{uid(claim)}"
    volume: Object = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {_PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": section(spec, "resources", "requests").get("storage", "1Gi")},
            "accessModes": list(spec.get("accessModes") or []),
            "persistentVolumeReclaimPolicy": "Delete",
            "volumeMode": spec.get("volumeMode", "Filesystem"),
            "claimRef": claim_reference(claim),
            "csi": {"driver": PROVISIONER, "volumeHandle": name},
        },
    }
    if spec.get("storageClassName"):
        volume["spec"]["storageClassName"] = spec["storageClassName"]
    return volume
