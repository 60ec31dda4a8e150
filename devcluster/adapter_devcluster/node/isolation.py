"""Which namespaces the system lets us have: tried once, by starting a command in them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from adapter_devcluster.node.container_process import Command, Isolation, StartError, start
from adapter_devcluster.node.mount_plan import Mount, MountError, plan_mounts


async def find_isolation(wanted: Literal["auto", "off"], folder: Path) -> tuple[Isolation, str]:
    """Return the best isolation that works, and why no better one does ("" where nothing is missing).

    ``root``: mount and process namespaces; ``user``: these inside a user namespace; ``off``: neither. ``folder``
    is an empty one, for the trial.
    """
    if wanted == "off":
        return "off", "namespaces are switched off"
    problems = []
    candidates: tuple[Isolation, ...] = ("root", "user") if os.geteuid() == 0 else ("user",)
    for isolation in candidates:
        problem = await _try(isolation, folder)
        if not problem:
            return isolation, ""
        problems.append(problem)
    return "off", "; ".join(problems)


async def _try(isolation: Isolation, folder: Path) -> str:
    """Start a command that needs a mount; return what went wrong."""
    root, volume = folder / "root", folder / "volume"
    root.mkdir(exist_ok=True)
    volume.mkdir(exist_ok=True)
    try:
        command = Command(
            arguments=["/bin/sh", "-c", "exit 0"],
            env={},
            working_dir="/devcluster-volume",
            isolation=isolation,
            operations=plan_mounts([Mount("/devcluster-volume", volume, read_only=True)], str(root)),
            root=str(root),
        )
        process = await start(command, lambda _: None)
    except (StartError, MountError) as error:
        return str(error)
    code = await process.exited
    return "" if code == 0 else f"a command in namespaces ended with {code}"
