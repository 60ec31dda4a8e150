"""Walking a directory the same way everywhere: sorted, and never through a link."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from adapter_contract.errors import ContractError


class NotRegularError(ContractError):
    """A directory to be published or digested holds a link, a device, a socket or a pipe."""


def walk(directory: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield every entry below a directory that is no directory, as relative POSIX path and lstat result.

    The order is that of the paths' UTF-8 bytes, whatever the file system lists. Symbolic links are not
    followed; they are yielded as what they are.
    """
    found = []
    pending = [directory]
    while pending:
        with os.scandir(pending.pop()) as listing:
            for entry in listing:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))
                else:
                    path = Path(entry.path).relative_to(directory).as_posix()
                    found.append((path, entry.stat(follow_symlinks=False)))
    yield from sorted(found, key=lambda item: os.fsencode(item[0]))


def require_regular(path: str, status: os.stat_result) -> None:
    """Refuse whatever is no regular file.

    Raises:
        NotRegularError: what it is instead.
    """
    if not stat.S_ISREG(status.st_mode):
        raise NotRegularError(f"{path} is a {kind_of(status)}; only regular files can be published or digested")


def kind_of(status: os.stat_result) -> str:
    """Name the kind of a file system entry."""
    return _KINDS.get(stat.S_IFMT(status.st_mode), "special file")


_KINDS = {
    stat.S_IFREG: "regular file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symbolic link",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "block device",
    stat.S_IFCHR: "character device",
}
