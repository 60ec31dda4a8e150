"""Processes of containers: started, signalled, killed, and gone when their node goes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapter_devcluster.node.container_process import Command, ContainerProcess, Isolation, StartError, start
from adapter_devcluster.node.isolation import find_isolation
from adapter_devcluster.node.mount_plan import Mount, plan_mounts
from adapter_devcluster.node.processes import Child, spawn
from adapter_testing.processes import alive_with_mark, children_of, mark, open_descriptors, wait_until

pytestmark = pytest.mark.integration

EVERY = pytest.mark.parametrize("isolation", ["off", "root", "user"])
ENV = {"PATH": "/usr/bin:/bin"}


def command(folder: Path, script: str, isolation: Isolation, **env: str) -> Command:
    root, volume = folder / "root", folder / "volume"
    root.mkdir(exist_ok=True)
    volume.mkdir(exist_ok=True)
    return Command(
        arguments=["/bin/sh", "-c", script],
        env={**ENV, **env},
        working_dir=str(volume),
        isolation=isolation,
        operations=[] if isolation == "off" else plan_mounts([Mount("/devcluster-test", volume)], str(root)),
        root=str(root),
    )


async def finished(wanted: Command) -> tuple[int, str]:
    output = bytearray()
    process = await start(wanted, output.extend)
    return await process.exited, output.decode()


@EVERY
def test_exit_code_and_output(tmp_path: Path, isolation: Isolation) -> None:
    wanted = command(tmp_path, "echo out; echo err >&2; exit 7", isolation)
    assert asyncio.run(finished(wanted)) == (7, "out\nerr\n")


@EVERY
def test_a_signal_is_128_and_its_number(tmp_path: Path, isolation: Isolation) -> None:
    assert asyncio.run(finished(command(tmp_path, "kill -9 $$", isolation))) == (137, "")


def _without_the_librarys_own(line: str) -> str:
    name, tab, mask = line.partition("\t")
    return f"{name}\t{int(mask, 16) & ~(0b11 << 31):x}" if tab and name.startswith("Sig") else line


@EVERY
def test_the_command_starts_like_any_program(tmp_path: Path, isolation: Isolation) -> None:
    """Its own session, no stray descriptors, no ignored or blocked signals, the usual umask, no input."""
    script = (
        "test $(cut -d' ' -f6 /proc/self/stat) != 0 && ls /proc/self/fd | wc -l; "
        "grep -E 'SigBlk|SigIgn' /proc/self/status; umask; cat; pwd; env | sort"
    )
    code, said = asyncio.run(finished(command(tmp_path, script, isolation, GREETING="hello")))
    # Signals 32 and 33 are the C library's own: no program can set them, and some shells start programs without.
    lines = [_without_the_librarys_own(line) for line in said.splitlines()]
    # ls itself opens a directory.
    assert lines == [
        "4",
        "SigBlk:\t0",
        "SigIgn:\t0",
        "0022",
        str(tmp_path / "volume"),
        "GREETING=hello",
        "PATH=/usr/bin:/bin",
        f"PWD={tmp_path / 'volume'}",
    ]
    assert code == 0


@EVERY
@pytest.mark.parametrize(
    ("arguments", "working_dir", "problem"),
    [
        (["no-such-program"], "/", 'exec: "no-such-program": executable file not found in $PATH'),
        (["/no/such/program"], "/", 'exec: "/no/such/program": stat /no/such/program: no such file or directory'),
        (["/proc/self/status"], "/", 'exec: "/proc/self/status": permission denied'),
        (["true"], "/no/such/folder", 'chdir to cwd ("/no/such/folder") failed: no such file or directory'),
    ],
)
def test_what_keeps_a_command_from_starting_is_told(
    tmp_path: Path, isolation: Isolation, arguments: list[str], working_dir: str, problem: str
) -> None:
    usual = command(tmp_path, "", isolation)
    wanted = Command(
        arguments=arguments,
        env=ENV,
        working_dir=working_dir,
        isolation=isolation,
        operations=usual.operations,
        root=usual.root,
    )
    with pytest.raises(StartError) as raised:
        asyncio.run(finished(wanted))
    assert str(raised.value) == problem


def test_a_mount_that_fails_keeps_it_from_starting(tmp_path: Path) -> None:
    wanted = command(tmp_path, "", "root")
    broken = [*wanted.operations, ("volume", "/no/such/source", "/", False)]
    with pytest.raises(StartError, match="No such file or directory: '/no/such/source'"):
        asyncio.run(
            finished(
                Command(
                    arguments=["true"], env=ENV, working_dir="/", isolation="root", operations=broken, root=wanted.root
                )
            )
        )


def test_a_launcher_that_can_not_be_started_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    before = open_descriptors()
    with pytest.raises(StartError, match=r"starting the launcher: .*/no/such/python"):
        asyncio.run(finished(command(tmp_path, "", "off")))
    assert open_descriptors() == before


@EVERY
def test_sigterm_reaches_the_command_alone(tmp_path: Path, isolation: Isolation) -> None:
    script = (
        "sh -c 'trap \"echo child\" TERM; echo ready; sleep 30 & wait $!' & trap 'echo main; exit 3' TERM; wait; wait"
    )

    async def go() -> tuple[int, str]:
        output = bytearray()
        process = await start(command(tmp_path, script, isolation), output.extend)
        await wait_until(lambda: b"ready" in output)
        process.terminate()
        return await process.exited, output.decode()

    assert asyncio.run(go()) == (3, "ready\nmain\n")


BROOD = (
    "setsid sh -c 'sleep 60 & sleep 60' & (sh -c 'sleep 60 & exec setsid sleep 60' &) ; "
    "nohup sleep 60 >/dev/null 2>&1 & echo ready; "
)


@EVERY
@pytest.mark.parametrize("end", ["the command", "a kill", "the launcher"])
def test_no_process_survives_its_container(tmp_path: Path, isolation: Isolation, end: str) -> None:
    """Children, grandchildren, orphans and daemons: all carry the mark in their environment."""
    name = mark()

    async def go() -> int:
        output = bytearray()
        process = await start(command(tmp_path, BROOD + "read line < go; exit 5", isolation, MARK=name), output.extend)
        await wait_until(lambda: len(alive_with_mark(name)) >= 6)
        if end == "the command":
            (tmp_path / "volume/go").write_text("go\n")
        elif end == "a kill":
            process.kill()
        else:
            os.kill(process.pid, signal.SIGKILL)
        code = await process.exited
        if end == "the launcher":
            await wait_until(lambda: alive_with_mark(name) == [])
        assert alive_with_mark(name) == []
        return code

    (tmp_path / "volume").mkdir()
    os.mkfifo(tmp_path / "volume/go")
    if isolation == "off" and end == "the launcher":
        return  # nothing stands over the orphans then: that is what namespaces are for
    assert asyncio.run(go()) == (5 if end == "the command" else 137)


@EVERY
def test_a_cancelled_start_leaves_nothing(tmp_path: Path, isolation: Isolation) -> None:
    name = mark()

    async def go() -> None:
        task = asyncio.create_task(start(command(tmp_path, "sleep 60", isolation, MARK=name), lambda _: None))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(go())
    assert alive_with_mark(name) == []


@EVERY
def test_a_command_inside_sees_what_the_container_sees(tmp_path: Path, isolation: Isolation) -> None:
    async def go() -> tuple[int, str]:
        output, inner = bytearray(), bytearray()
        wanted = command(tmp_path, "echo $$ > own; echo ready; sleep 60", isolation, GREETING="hello")
        process = await start(wanted, output.extend)
        await wait_until(lambda: b"ready" in output)
        path = "." if isolation == "off" else "/devcluster-test"
        script = f"cat {path}/own > /dev/null && kill -0 $(cat own) && echo $GREETING; exit 4"
        code = await process.run_inside(["sh", "-c", script], inner.extend)
        process.kill()
        await process.exited
        return code, inner.decode()

    assert asyncio.run(go()) == (4, "hello\n")


@EVERY
def test_a_cancelled_command_inside_is_killed(tmp_path: Path, isolation: Isolation) -> None:
    async def go() -> None:
        name = mark()
        process = await start(command(tmp_path, "sleep 60", isolation), lambda _: None)
        inner = bytearray()
        work = asyncio.create_task(process.run_inside(["sh", "-c", f": {name}; echo ready; sleep 60; :"], inner.extend))
        await wait_until(lambda: b"ready" in inner)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        await wait_until(lambda: alive_with_mark(name) == [])
        process.kill()
        await process.exited

    asyncio.run(go())


@EVERY
def test_a_command_inside_that_does_not_exist(tmp_path: Path, isolation: Isolation) -> None:
    async def go(process: ContainerProcess | None = None) -> None:
        process = await start(command(tmp_path, "sleep 60", isolation), lambda _: None)
        with pytest.raises(StartError, match="executable file not found"):
            await process.run_inside(["no-such-program"], lambda _: None)
        process.kill()
        await process.exited

    asyncio.run(go())


PARENT = """
import asyncio, sys
from pathlib import Path
from adapter_devcluster.node.container_process import Command, start
from adapter_devcluster.node.mount_plan import plan_mounts, Mount

async def main():
    folder, isolation, mark, script = Path(sys.argv[1]), *sys.argv[2:]
    running = []
    for number in range(3):
        root = folder / f"root{number}"
        root.mkdir()
        mounts = [] if isolation == "off" else plan_mounts([Mount("/devcluster-test", folder)], str(root))
        env = {"PATH": "/usr/bin:/bin", "MARK": mark}
        command = Command(arguments=["sh", "-c", script + "sleep 60; :"], env=env, working_dir="/",
                          isolation=isolation, operations=mounts, root=str(root))
        running.append(await start(command, lambda _: None))
    print("ready", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@EVERY
def test_no_process_survives_the_death_of_its_node(tmp_path: Path, isolation: Isolation) -> None:
    name = mark()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), isolation, name, BROOD], stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    end = time.monotonic() + 10
    # Each of the three has at least the command, four sleeps and a shell.
    while len(alive_with_mark(name)) < 18 and time.monotonic() < end:
        time.sleep(0.01)
    assert len(alive_with_mark(name)) >= 18
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    while alive_with_mark(name) and time.monotonic() < end:
        time.sleep(0.01)
    assert alive_with_mark(name) == []


def test_the_best_isolation_is_found(tmp_path: Path) -> None:
    found, why = asyncio.run(find_isolation("auto", tmp_path))
    assert found == ("root" if os.geteuid() == 0 else "user")
    assert why == ""


def test_isolation_can_be_switched_off(tmp_path: Path) -> None:
    assert asyncio.run(find_isolation("off", tmp_path)) == ("off", "namespaces are switched off")


@pytest.mark.parametrize(
    ("launcher", "why"),
    [
        ("import sys; sys.exit(1)", "a command in namespaces ended with 1"),
        (
            "import marshal, os; os.write(marshal.load(open(0, 'rb'))['report'], b'error unshare: not permitted')",
            "unshare: not permitted",
        ),
    ],
)
def test_where_namespaces_do_not_work_the_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launcher: str, why: str
) -> None:
    """A trial that fails: the launcher stands for the kernel here."""
    broken = tmp_path / "launch.py"
    broken.write_text(launcher)
    monkeypatch.setattr("adapter_devcluster.node.container_process.LAUNCHER", broken)
    reasons = [why] * (2 if os.geteuid() == 0 else 1)
    assert asyncio.run(find_isolation("auto", tmp_path)) == ("off", "; ".join(reasons))


def child_of_this(script: str) -> Child:
    descriptor = os.open(os.devnull, os.O_RDWR)
    child = spawn(["/bin/sh", "-c", script], stdin=descriptor, output=descriptor)
    os.close(descriptor)
    return child


def test_a_child_that_has_ended_gets_no_signals() -> None:
    async def go() -> int:
        child = child_of_this("exit 3")
        code = await child.exited
        child.signal(signal.SIGTERM)
        return code

    assert asyncio.run(go()) == 3


def test_a_child_that_nobody_waits_for_any_more_is_reaped() -> None:
    async def go() -> None:
        child = child_of_this("sleep 0.05")
        child.exited.cancel()
        await wait_until(lambda: child.pid not in children_of(os.getpid()))

    asyncio.run(go())
