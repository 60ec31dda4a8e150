"""What a container mounts of its pod's volumes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from adapter_devcluster.node.environment import expand
from adapter_devcluster.node.mount_plan import Mount, container_path
from adapter_devcluster.node.volumes.pod_volumes import VolumeSource
from adapter_devcluster.node.volumes.projection import VolumeError
from adapter_devcluster.objects import Object


def volume_mounts(
    container: Object, sources: Mapping[str, VolumeSource], env: Mapping[str, str], *, follow_links: bool
) -> list[Mount]:
    """Return the mounts of a container.

    ``follow_links``: a subPath is bound to the file that is there now, so later updates don't reach it, as on a
    real node. Raises VolumeError.
    """
    return [_mount(one, sources, env, follow_links) for one in container.get("volumeMounts") or []]


def _mount(mount: Object, sources: Mapping[str, VolumeSource], env: Mapping[str, str], follow_links: bool) -> Mount:
    source = sources.get(mount["name"])
    if source is None:
        raise VolumeError(f"no volume is named {mount['name']}")
    path = source.path
    if part := mount.get("subPath") or expand(mount.get("subPathExpr") or "", env):
        path = _inside(source, part, follow_links)
    return Mount(container_path(mount["mountPath"]), path, source.read_only or mount.get("readOnly") is True)


def _inside(source: VolumeSource, part: str, follow_links: bool) -> Path:
    whole, resolved = source.path / part, (source.path / part).resolve()
    if not resolved.is_relative_to(source.path.resolve()):
        raise VolumeError(f"subPath {part!r} leads out of its volume")
    if not resolved.exists():
        if source.read_only:
            raise VolumeError(f"failed to create subPath directory {part!r}: read-only file system")
        resolved.mkdir(parents=True)
    return resolved if follow_links else whole
