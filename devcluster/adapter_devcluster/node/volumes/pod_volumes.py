"""The volumes of one pod: made before its containers start, kept up to date, removed with it.

A claim's folder is ``<claims>/<namespace>/<name>`` and is never removed. A hostPath has to exist, unless its type
asks to create it. An emptyDir is a folder of the pod, whatever its medium, and its sizeLimit is not enforced.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapter_devcluster.node.environment import Lookup
from adapter_devcluster.node.images import find_folder
from adapter_devcluster.node.volumes.atomic_writer import AtomicFolder
from adapter_devcluster.node.volumes.projection import (
    SHOWING_OBJECTS,
    PodTokens,
    Projector,
    Tokens,
    VolumeError,
    shown_objects,
)
from adapter_devcluster.objects import Object, key, section
from adapter_devcluster.statuses import StatusError

SERVICE_ACCOUNT_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
SERVICE_ACCOUNT_VOLUME: Final = "kube-api-access"
_TOKEN_SECONDS: Final = 3607


@dataclass(frozen=True, slots=True)
class VolumeContext:
    """What volumes need of the node."""

    lookup: Lookup
    tokens: Tokens
    allocatable: Mapping[str, str]
    claims: Path
    image_volumes: Mapping[str, Path]
    api_ca: str


@dataclass(frozen=True, slots=True)
class VolumeSource:
    """Where a volume lies."""

    path: Path
    read_only: bool = False


class MissingImage(VolumeError):
    """An image volume has no folder; ``reference`` is its image."""

    def __init__(self, reference: str, problem: str) -> None:
        self.reference = reference
        super().__init__(f'failed to pull and unpack image "{reference}": {problem}')


class PodVolumes:
    """``folder`` is the pod's own folder for volumes."""

    def __init__(self, context: VolumeContext, folder: Path) -> None:
        self.sources: dict[str, VolumeSource] = {}
        self._context = context
        self._folder = folder
        self._tokens = PodTokens(context.tokens)
        self._projector = Projector(context.lookup, self._tokens, context.allocatable)
        self._atomic: dict[str, AtomicFolder] = {}

    def prepare(self, pod: Object) -> None:
        """Make what is missing. Raises VolumeError; it may be called again."""
        for volume in volumes_of(pod):
            if volume["name"] not in self.sources:
                with _named(volume["name"]):
                    self.sources[volume["name"]] = self._make(pod, volume)

    def refresh(self, pod: Object) -> None:
        """Bring the volumes that show objects up to date. Raises VolumeError; the others are up to date then."""
        problem: VolumeError | None = None
        for volume in volumes_of(pod):
            if volume["name"] in self._atomic:
                try:
                    with _named(volume["name"]):
                        self._atomic[volume["name"]].write(self._projector.files(pod, volume))
                except VolumeError as error:
                    problem = error
        if problem:
            raise problem

    def renew_in(self) -> float | None:
        """Return in how many seconds a token has to be renewed; None where the pod has none."""
        return self._tokens.renew_in()

    def remove(self) -> None:
        """Delete the pod's own volumes."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make(self, pod: Object, volume: Object) -> VolumeSource:
        folder = self._folder / volume["name"]
        kind = next((one for one in volume if one != "name"), "emptyDir")
        source = section(volume, kind)
        if kind in SHOWING_OBJECTS:
            files = self._projector.files(pod, volume)
            self._atomic[volume["name"]] = AtomicFolder(folder)
            self._atomic[volume["name"]].write(files)
            return VolumeSource(folder, read_only=True)
        match kind:
            case "emptyDir":
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(0o777)
                return VolumeSource(folder)
            case "persistentVolumeClaim":
                return self._claim(key(pod)[0], source)
            case "hostPath":
                return VolumeSource(_host_path(source))
            case "image":
                return VolumeSource(self._image_folder(str(source.get("reference"))), read_only=True)
        raise VolumeError(f"volumes of type {kind} are not supported by this node")

    def _image_folder(self, reference: str) -> Path:
        found = find_folder(reference, self._context.image_volumes)
        if found is None:
            raise MissingImage(reference, "no folder stands for it; name one (image_volumes)")
        if not found.is_dir():
            raise MissingImage(reference, f"the folder {found} that stands for it (image_volumes) is not there")
        return found

    def _claim(self, namespace: str, source: Object) -> VolumeSource:
        name = str(source.get("claimName"))
        if self._context.lookup("persistentvolumeclaims", namespace, name) is None:
            raise VolumeError(f'persistentvolumeclaim "{name}" not found')
        folder = self._context.claims / namespace / name
        folder.mkdir(parents=True, exist_ok=True)
        return VolumeSource(folder, read_only=source.get("readOnly") is True)


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Say of a problem which volume has it, in the kubelet's words."""
    try:
        yield
    except MissingImage:
        raise
    except (VolumeError, StatusError, OSError) as error:
        raise VolumeError(f'MountVolume.SetUp failed for volume "{name}" : {error}') from error


def volumes_of(pod: Object) -> list[Object]:
    """Return the volumes of a pod's specification."""
    found: list[Object] = section(pod, "spec").get("volumes") or []
    return found


def shows(pod: Object, resource: str, name: str) -> bool:
    """Whether one of a pod's volumes shows a config map or a secret."""
    return any((resource, name) in shown_objects(volume) for volume in volumes_of(pod))


def _host_path(source: Object) -> Path:
    path, kind = Path(str(source.get("path"))), str(source.get("type") or "")
    if kind == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True)
    elif kind == "FileOrCreate":
        path.touch()
    checks = {"Directory": path.is_dir, "File": path.is_file, "Socket": path.is_socket}
    if not checks.get(kind.removesuffix("OrCreate"), path.exists)():
        raise VolumeError(f"hostPath type check failed: {path} is not {('a ' + kind.lower()) if kind else 'there'}")
    return path.resolve()


def with_service_account(pod: Object, account: Object | None, api_ca: str) -> Object:
    """Return a pod whose containers see their service account's token, as admission would have it.

    Nothing changes where pod or account have ``automountServiceAccountToken: false``, for containers that mount
    something there themselves, and for a pod that names no account where ``default`` (then ``account``) is missing.
    """
    spec = section(pod, "spec")
    wanted = spec.get("automountServiceAccountToken")
    if wanted is None:
        wanted = (account or {}).get("automountServiceAccountToken")
    if wanted is False or (account is None and not spec.get("serviceAccountName")):
        return pod
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": _TOKEN_SECONDS}},
        {"inline": {"ca.crt": api_ca}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    volume = {"name": SERVICE_ACCOUNT_VOLUME, "projected": {"sources": sources}}
    more = {part: [_mounting(one) for one in spec[part]] for part in ("initContainers", "containers") if spec.get(part)}
    return {**pod, "spec": {**spec, **more, "volumes": [*volumes_of(pod), volume]}}


def _mounting(container: Object) -> Object:
    mounts = container.get("volumeMounts") or []
    if any(str(one["mountPath"]).rstrip("/") == SERVICE_ACCOUNT_PATH for one in mounts):
        return container
    mount = {"name": SERVICE_ACCOUNT_VOLUME, "mountPath": SERVICE_ACCOUNT_PATH, "readOnly": True}
    return {**container, "volumeMounts": [*mounts, mount]}
