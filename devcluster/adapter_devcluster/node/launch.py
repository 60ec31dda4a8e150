"""Starts the process of one container and stands over it; run as a program of its own, never imported.

Only the standard library, and little of it: this runs once per container (``python -I -S launch.py``, 20 ms).
The specification comes on standard input (`process.py` writes it). Standard output and error are the log.

With namespaces this process makes a user namespace (unless it is root), a mount and a process namespace; its
child is process 1 in there, which builds the file tree, starts the command and reaps orphans. When process 1
goes, the kernel kills everything in the namespace, and process 1 goes when this process goes, and this one when
the node goes. Without namespaces this process adopts the orphans of its descendants and kills them all itself.

Signals from the node: SIGTERM is handed on to the command, and to nothing else, as container runtimes do;
SIGUSR1 kills every process of the container at once. The exit code is the command's, or 128 + its signal.
"""

from __future__ import annotations

import ctypes
import marshal
import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

Specification = dict[str, Any]

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_REMOUNT: Final = 32
MS_BIND: Final = 4096
MS_REC: Final = 16384
MS_UNBINDABLE: Final = 1 << 17
MS_PRIVATE: Final = 1 << 18
MS_RELATIME: Final = 1 << 21
MNT_DETACH: Final = 2
PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_CHILD_SUBREAPER: Final = 36
# What statvfs says of a mount, as the flags of mount(2): a remount in a user namespace must repeat them.
KEPT_FLAGS: Final = ((2, MS_NOSUID), (4, MS_NODEV), (8, 8), (1024, 1024), (2048, 2048), (4096, MS_RELATIME))
KILL_ALL: Final = signal.SIGUSR1
HANDLED: Final = frozenset({signal.SIGCHLD, signal.SIGTERM, KILL_ALL})
FAILED: Final = 128  # what containerd reports of a container that could not be started

libc = ctypes.CDLL(None, use_errno=True)


class LaunchError(Exception):
    """The command can't be started; the message says why."""


def call(what: str, result: int) -> None:
    """Raise LaunchError if a system call failed."""
    if result != 0:
        raise LaunchError(f"{what}: {os.strerror(ctypes.get_errno()).lower()}")


def prctl(option: int, value: int) -> None:
    """Set a property of this process."""
    call("prctl", libc.prctl(option, value, 0, 0, 0))


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount something, or change a mount."""
    arguments = (source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())
    call(f"mount {source} at {target}", libc.mount(*arguments))


def separate(isolation: str) -> None:
    """Enter namespaces of one's own. The process namespace begins with the next child."""
    user, group = os.geteuid(), os.getegid()
    flags = CLONE_NEWNS | CLONE_NEWPID | (CLONE_NEWUSER if isolation == "user" else 0)
    call("unshare", libc.unshare(flags))
    if isolation == "user":
        # More capabilities than before make a process undumpable; then the node could not enter its namespaces.
        prctl(PR_SET_DUMPABLE, 1)
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib takes 10 ms
                file.write(text)


def build_tree(operations: Sequence[tuple[Any, ...]], root: str) -> None:
    """Carry out a mount plan (`mount_plan.py`) and make ``root`` the root directory."""
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    # The sources are opened first: a mount may cover the path of another one's source.
    sources = {
        operation[1]: os.open(operation[1], os.O_PATH | os.O_CLOEXEC)
        for operation in operations
        if operation[0] == "volume"
    }
    for operation in operations:
        match operation:
            case ("tmpfs", path, mode):
                mount("tmpfs", path, "tmpfs", data=f"mode={mode:o}")
                if path == root:  # binding the host's folders must not bring the new tree into itself
                    mount("none", root, flags=MS_UNBINDABLE)
            case ("directory", path):
                os.makedirs(path, exist_ok=True)  # noqa: PTH103 - pathlib takes 10 ms
            case ("file", path):
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
            case ("link", path, to):
                os.symlink(to, path)  # noqa: PTH211 - as above
            case ("host", source, path):
                # What lies on the host comes and goes: a socket that has gone meanwhile is no error.
                libc.mount(source.encode(), path.encode(), b"", ctypes.c_ulong(MS_BIND | MS_REC), b"")
            case ("volume", source, path, read_only):
                bind(f"/proc/self/fd/{sources[source]}", path, read_only)
    for descriptor in sources.values():
        os.close(descriptor)
    # Fails where the host hides parts of its own /proc; then that one stays, with the host's process numbers.
    libc.mount(b"proc", f"{root}/proc".encode(), b"proc", ctypes.c_ulong(MS_NOSUID | MS_NODEV | 8), b"")
    mount("none", root, flags=MS_PRIVATE)
    os.chdir(root)
    call("pivot_root", libc.pivot_root(b".", b"."))
    call("umount of the old root", libc.umount2(b".", MNT_DETACH))
    os.chdir("/")


def bind(source: str, path: str, read_only: bool) -> None:
    """Show a file or a folder at another place."""
    mount(source, path, flags=MS_BIND | MS_REC)
    if read_only:
        found = os.statvfs(path).f_flag
        kept = sum(flag for mask, flag in KEPT_FLAGS if found & mask)
        mount("none", path, flags=MS_REMOUNT | MS_BIND | MS_RDONLY | kept)


def execute(spec: Specification) -> NoReturn:
    """Become the container's command."""
    name = spec["argv"][0]
    os.setsid()
    # Python ignores these two, and an ignored signal stays ignored.
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(0o022)
    try:
        os.chdir(spec["cwd"])
    except OSError as error:
        problem = f'chdir to cwd ("{spec["cwd"]}") failed: {str(error.strerror).lower()}'
        raise LaunchError(problem) from None
    try:
        os.execvpe(name, spec["argv"], spec["env"])  # noqa: S606 - this is what containers are for
    except FileNotFoundError:
        problem = f"stat {name}: no such file or directory" if "/" in name else "executable file not found in $PATH"
        raise LaunchError(f'exec: "{name}": {problem}') from None
    except OSError as error:
        raise LaunchError(f'exec: "{name}": {str(error.strerror).lower()}') from None


def fork(spec: Specification, run: Callable[[], None]) -> int:
    """Run something in a child that dies with this process; a failure is reported to the node."""
    alive, kept_open = os.pipe()
    child = os.fork()
    if child:
        os.close(alive)
        # Never closed: it closes when this process ends.
        return child
    os.close(kept_open)
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if not select.select([alive], [], [], 0)[0]:
            os.close(alive)
            run()
    except (LaunchError, OSError) as error:
        os.write(spec["report"], f"error {error}".encode())
    os._exit(FAILED)


def stand_over(child: int, kill_all: Callable[[], None]) -> int:
    """Hand on signals, reap, and return the child's exit code when it ends."""
    while True:
        match signal.sigwaitinfo(HANDLED).si_signo:
            case signal.SIGTERM:
                os.kill(child, signal.SIGTERM)
            case signal.SIGCHLD:
                ended = reap()
                if child in ended:
                    return ended[child]
            case _:
                kill_all()


def reap() -> dict[int, int]:
    """Collect the children that ended, with their exit codes."""
    ended = {}
    try:
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            code = os.waitstatus_to_exitcode(found[1])
            ended[found[0]] = code if code >= 0 else 128 - code
    except ChildProcessError:
        pass  # none is left
    return ended


def first_process(spec: Specification) -> None:
    """Be process 1 of a container."""
    build_tree(spec["operations"], spec["root"])
    command = fork(spec, lambda: execute(spec))
    os.close(spec["report"])
    # Kill requests go to the process outside, which kills this one.
    os._exit(stand_over(command, lambda: None))


def descendants(of: int) -> list[int]:
    """List the processes below one."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - as above
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - as above
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except OSError:
                continue  # ended meanwhile
            parents.setdefault(parent, []).append(int(name))
    found, waiting = [], [of]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def kill_descendants() -> None:
    """Kill every process below this one, and those that they start meanwhile, until none is left."""
    while True:
        for pid in descendants(os.getpid()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        reap()
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        signal.sigtimedwait({signal.SIGCHLD}, 0.01)


def without_namespaces(spec: Specification) -> NoReturn:
    """Run the command below this process, which takes in its orphans."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    prctl(PR_SET_PDEATHSIG, KILL_ALL)
    stop_if_orphan(spec)
    command = fork(spec, lambda: execute(spec))
    os.close(spec["report"])

    def kill_all() -> None:
        kill_descendants()
        os._exit(128 + signal.SIGKILL)

    code = stand_over(command, kill_all)
    kill_descendants()
    os._exit(code)


def with_namespaces(spec: Specification) -> NoReturn:
    """Run the command in namespaces of its own."""
    separate(spec["isolation"])
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    stop_if_orphan(spec)
    child = fork(spec, lambda: first_process(spec))
    os.write(spec["report"], f"pid {child}\n".encode())
    os.close(spec["report"])
    os._exit(stand_over(child, lambda: os.kill(child, signal.SIGKILL)))


def inside(spec: Specification) -> NoReturn:
    """Run a command in the namespaces of a running container (``enter``: its process 1)."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    stop_if_orphan(spec)
    names = ("user", "mnt", "pid") if spec["isolation"] == "user" else ("mnt", "pid")
    for descriptor in [os.open(f"/proc/{spec['enter']}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in names]:
        call("setns", libc.setns(descriptor, 0))
        os.close(descriptor)
    command = fork(spec, lambda: execute(spec))
    os.close(spec["report"])

    def kill_all() -> None:
        try:
            os.killpg(command, signal.SIGKILL)
        except ProcessLookupError:  # it has no session of its own yet
            os.kill(command, signal.SIGKILL)

    os._exit(stand_over(command, kill_all))


def stop_if_orphan(spec: Specification) -> None:
    """The death of a parent that died before the request to be told of it is told to nobody."""
    if os.getppid() != spec["parent"]:
        os._exit(FAILED)


def main() -> NoReturn:
    """Read the specification and do it."""
    with open(0, "rb", closefd=False) as stream:
        spec: Specification = marshal.loads(stream.read())  # noqa: S302 - from the node, of this very Python
    os.set_inheritable(spec["report"], False)  # noqa: FBT003 - the library's own
    os.dup2(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        if spec.get("enter"):
            inside(spec)
        elif spec["isolation"] == "off":
            without_namespaces(spec)
        with_namespaces(spec)
    except (LaunchError, OSError) as error:
        os.write(spec["report"], f"error {error}".encode())
        os._exit(FAILED)


if __name__ == "__main__":
    sys.exit(main())
