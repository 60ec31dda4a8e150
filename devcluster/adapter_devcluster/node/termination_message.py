"""What a container leaves behind about its end (``pkg/kubelet/kuberuntime/kuberuntime_container.go``, v1.36)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from adapter_devcluster.node.logs import last_output

LONGEST_MESSAGE: Final = 4096
_LONGEST_LOG: Final = 2048
_LOG_LINES: Final = 80


def termination_message(file: Path, log: Path, policy: str, exit_code: int) -> str:
    """Return the last 4,096 bytes of the termination file.

    With policy FallbackToLogsOnError a failed container that wrote none has the end of its log there: at most
    80 lines and 2,048 bytes.
    """
    text = _end(file).decode(errors="replace")
    if not text and policy == "FallbackToLogsOnError" and exit_code != 0 and log.exists():
        return last_output(log, lines=_LOG_LINES, limit_bytes=_LONGEST_LOG)
    return text


def _end(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LONGEST_MESSAGE))
            return file.read()
    except OSError as error:
        return f"Error on reading termination log {path}: {error.strerror}".encode()
