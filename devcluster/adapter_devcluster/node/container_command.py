"""From a container's specification to the command that is started."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapter_devcluster.node.container_process import Command, Isolation, StartError
from adapter_devcluster.node.environment import command_line, container_environment, inherited
from adapter_devcluster.node.images import ImageCommand
from adapter_devcluster.node.mount_plan import Mount, MountError, Translation, container_path, plan_mounts
from adapter_devcluster.node.pod_context import PodContext
from adapter_devcluster.node.volumes.container_mounts import volume_mounts
from adapter_devcluster.node.volumes.projection import VolumeError
from adapter_devcluster.objects import Object

_TERMINATION_PATH: Final = "/dev/termination-log"
# Where a container with a file tree of its own has its home.
_HOME: Final = "/home/container"


@dataclass(frozen=True, slots=True)
class ContainerFiles:
    """Files of one attempt of a container: its log, its termination message, and a folder for what it leaves."""

    folder: Path

    @property
    def log(self) -> Path:
        """The log; it outlives the others."""
        return self.folder.with_suffix(".log")

    @property
    def termination(self) -> Path:
        """What the container sees at its ``terminationMessagePath``."""
        return self.folder / "termination-log"

    def make(self) -> None:
        """Make the folders and an empty termination message."""
        for name in ("root", "home/tmp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.termination.touch()

    def remove(self) -> None:
        """Delete all but the log."""
        shutil.rmtree(self.folder, ignore_errors=True)


def build_command(context: PodContext, container: Object, image: ImageCommand, files: ContainerFiles) -> Command:
    """Work out what to start. Raises ConfigError for a missing config map, secret or key, else StartError."""
    base = {
        **inherited(image.env),
        **_own_folders(container, files, context.node.isolation),
        **context.node_environment(container["name"]),
    }
    facts = context.node
    env = container_environment(context.pod, container, base, facts.lookup, facts.allocatable)
    arguments = command_line(container, image.entrypoint, env)
    if not arguments:
        raise StartError("no command specified")
    try:
        return _with_mounts(context, container, image, files, env, arguments)
    except (VolumeError, MountError, OSError) as error:
        raise StartError(str(error)) from error


def _with_mounts(
    context: PodContext,
    container: Object,
    image: ImageCommand,
    files: ContainerFiles,
    env: Mapping[str, str],
    arguments: list[str],
) -> Command:
    isolation = context.node.isolation
    mounts = volume_mounts(container, context.volumes.sources, env, follow_links=isolation != "off")
    termination = container_path(str(container.get("terminationMessagePath") or _TERMINATION_PATH))
    mounts.append(Mount(termination, files.termination))
    if isolation != "off":
        mounts.append(Mount(_HOME, files.folder / "home"))
    working_dir = container_path(str(container.get("workingDir") or image.working_dir or env["HOME"]))
    if not Path(working_dir).is_dir() and not any(Path(working_dir).is_relative_to(one.target) for one in mounts):
        # A runtime makes the directory in the container's own file tree.
        (files.folder / "work").mkdir(exist_ok=True)
        mounts.append(Mount(working_dir, files.folder / "work"))
    if isolation == "off":
        translation = Translation(mounts)
        return Command(
            arguments=[translation.text(one) for one in arguments],
            env={name: translation.text(value) for name, value in env.items()},
            working_dir=translation.text(working_dir),
        )
    root = str(files.folder / "root")
    return Command(
        arguments=arguments,
        env=env,
        working_dir=working_dir,
        isolation=isolation,
        operations=plan_mounts(mounts, root),
        root=root,
    )


def _own_folders(container: Object, files: ContainerFiles, isolation: Isolation) -> dict[str, str]:
    """Give a container its own HOME and TMPDIR; not the latter if it mounts something at /tmp, to be used so."""
    home = _HOME if isolation != "off" else str(files.folder / "home")
    mounts = container.get("volumeMounts") or []
    if any(str(one["mountPath"]).rstrip("/") == "/tmp" for one in mounts):  # noqa: S108
        return {"HOME": home}
    return {"HOME": home, "TMPDIR": str(Path(home, "tmp"))}
