"""Which command of this machine stands for a container image."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, TypeVar

LOCAL: Final = "devcluster.local/host"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ImageCommand:
    """What an image is here: its entry point, its environment and its working directory.

    As with a real image a container's ``command`` replaces the entry point. An image without one runs the
    container's command (or, without that, its ``args``) as a program of this machine.
    """

    entrypoint: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = ""


def default_images() -> dict[str, ImageCommand]:
    """Return the project's own images, run by this very Python, and the image that is the machine itself."""
    return {
        "adapter-operator": ImageCommand((sys.executable, "-m", "adapter_operator")),
        "adapter-trainer": ImageCommand((sys.executable, "-m", "adapter_trainer")),
        "adapter-preflight": ImageCommand((sys.executable, "-m", "adapter_trainer.preflight")),
        "adapter-server": ImageCommand((sys.executable, "-m", "adapter_server")),
        LOCAL: ImageCommand(),
        f"{LOCAL}[:@]*": ImageCommand(),
    }


def image_table(given: Sequence[str]) -> dict[str, ImageCommand]:
    """Return the default images with others before them, each given as ``PATTERN=COMMAND``.

    The command is split as a shell would do; an empty one runs the container's own command. Raises ValueError.
    """
    table = {}
    for one in given:
        pattern, equals, command = one.partition("=")
        if not pattern or not equals:
            raise ValueError(f"--image {one!r}: expected PATTERN=COMMAND")
        table[pattern] = ImageCommand(tuple(shlex.split(command)))
    return table | {pattern: found for pattern, found in default_images().items() if pattern not in table}


def find_image(reference: str, table: Mapping[str, _T]) -> _T | None:
    """Look up an image; the first pattern that fits counts.

    A pattern (``fnmatch``) with a slash, colon or at sign is for whole references, one without for the last
    part of the repository: ``adapter-server`` fits ``registry/team/adapter-server:1.2@sha256:...``.
    """
    basename = _basename(reference)
    for pattern, found in table.items():
        whole = any(mark in pattern for mark in "/:@")
        if fnmatchcase(reference if whole else basename, pattern):
            return found
    return None


def find_folder(reference: str, table: Mapping[str, Path]) -> Path | None:
    """Look up the folder that stands for an image volume."""
    return find_image(reference, table)


def _basename(reference: str) -> str:
    last = reference.partition("@")[0].rpartition("/")[2]
    return last.partition(":")[0]
