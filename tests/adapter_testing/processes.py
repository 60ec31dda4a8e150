"""Processes on this machine, found by a mark that they carry, and waiting for a condition on an event loop."""

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path


def mark() -> str:
    """Make a word that no other process has."""
    return f"mark-{secrets.token_hex(8)}"


def alive_with_mark(word: str) -> list[int]:
    """List the living processes with a word in their environment or command line, this one left out."""
    found = []
    for path in Path("/proc").iterdir():
        if not path.name.isdigit() or int(path.name) == os.getpid():
            continue
        try:
            text = (path / "environ").read_bytes() + (path / "cmdline").read_bytes()
        except OSError:
            continue
        if word.encode() in text and b"-c\0\nimport asyncio" not in text:
            found.append(int(path.name))
    return found


def children_of(pid: int) -> dict[int, str]:
    """Return the children of a process, zombies included, with their state (R, S, Z, ...)."""
    found = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                state, parent = (path / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if int(parent) == pid:
                found[int(path.name)] = state
    return found


async def wait_until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something holds that gives no event. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"{holds} did not come to hold in {seconds} s")
        await asyncio.sleep(0.01)


def open_descriptors() -> int:
    """Count this process' open files, pipes and sockets."""
    return len(list(Path("/proc/self/fd").iterdir()))
