"""Container logs: what was written is what is read, however it was cut."""

import asyncio
import datetime as dt
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.node.logs import LONGEST_PART, LogOptions, LogWriter, last_output, read_log
from adapter_devcluster.node.termination_message import termination_message

pytestmark = pytest.mark.unit


def written(path: Path, *chunks: bytes) -> Path:
    path.unlink(missing_ok=True)
    writer = LogWriter(path)
    for chunk in chunks:
        writer.write(chunk)
    writer.close()
    return path


def read(path: Path, **options: object) -> bytes:
    async def go() -> bytes:
        return b"".join([part async for part in read_log(path, LogOptions(**options))])  # type: ignore[arg-type]

    return asyncio.run(go())


LINES = st.lists(st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"")), max_size=20)


@given(LINES, st.binary(max_size=20), st.lists(st.integers(1, 50), max_size=8))
def test_what_is_read_is_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], rest: bytes, cuts: list[int]
) -> None:
    whole = b"".join(line + b"\n" for line in lines) + rest
    chunks, at = [], 0
    for cut in cuts:
        chunks.append(whole[at : at + cut])
        at += cut
    path = written(tmp_path_factory.getbasetemp() / "property.log", *chunks, whole[at:])
    assert read(path) == whole


@given(LINES, st.integers(0, 25))
def test_tail_is_the_last_lines(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], count: int) -> None:
    path = written(tmp_path_factory.getbasetemp() / "tail.log", b"".join(line + b"\n" for line in lines))
    wanted = lines[-count:] if count else []
    assert read(path, tail_lines=count) == b"".join(line + b"\n" for line in wanted)


def test_long_lines_are_put_together_again(tmp_path: Path) -> None:
    line = bytes(range(11, 256)) * 300
    path = written(tmp_path / "log", line[:50_000], line[50_000:] + b"\nshort\n")
    assert max(len(part) for part in path.read_bytes().split(b"\n")) <= LONGEST_PART + 33
    assert read(path) == line + b"\nshort\n"
    assert read(path, timestamps=True).count(b"Z ") == 2


def test_a_tail_does_not_read_the_whole_file(tmp_path: Path) -> None:
    path = written(tmp_path / "log", *[b"%07d\n" % number * 100 for number in range(2000)])
    assert path.stat().st_size > 8_000_000
    assert read(path, tail_lines=101) == b"0001998\n" + b"0001999\n" * 100


def test_each_line_has_its_time(tmp_path: Path) -> None:
    said = read(written(tmp_path / "log", b"one\n\ntwo\n"), timestamps=True).decode()
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"
    assert re.fullmatch(f"{stamp} one\n{stamp} \n{stamp} two\n", said)


def test_a_limit_cuts_where_it_falls(tmp_path: Path) -> None:
    path = written(tmp_path / "log", b"one\ntwo\n")
    assert [read(path, limit_bytes=size) for size in (1, 5, 8, 9)] == [b"o", b"one\nt", b"one\ntwo\n", b"one\ntwo\n"]


def test_since_leaves_out_older_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"2026-01-01T00:00:00.000000000Z F old\n2026-01-01T00:00:01.500000000Z F new\n")
    moment = dt.datetime(2026, 1, 1, 0, 0, 1, tzinfo=dt.UTC)
    assert read(path, since=moment) == b"new\n"
    assert read(path, since=moment + dt.timedelta(seconds=0.5)) == b"new\n"
    assert read(path, since=moment + dt.timedelta(seconds=1)) == b""


def test_a_follower_gets_lines_as_they_come_and_ends_with_the_log(tmp_path: Path) -> None:
    async def go() -> list[bytes]:
        writer = LogWriter(tmp_path / "log")
        writer.write(b"before\n")
        parts = read_log(writer.path, LogOptions(follow=True, tail_lines=1), writer)
        got = [await anext(parts)]
        asyncio.get_running_loop().call_later(0.01, writer.write, b"during\nhalf")
        got.append(await anext(parts))
        asyncio.get_running_loop().call_later(0.01, writer.close)
        return got + [part async for part in parts]

    assert asyncio.run(go()) == [b"before\n", b"during\n", b"half"]


def test_several_followers_get_the_same(tmp_path: Path) -> None:
    async def go() -> list[bytes]:
        writer = LogWriter(tmp_path / "log")

        async def follow() -> bytes:
            return b"".join([part async for part in read_log(writer.path, LogOptions(follow=True), writer)])

        followers = [asyncio.create_task(follow()) for _ in range(3)]
        for number in range(50):
            writer.write(b"%d\n" % number)
            await asyncio.sleep(0)
        writer.close()
        writer.close()
        return await asyncio.gather(*followers)

    expected = b"".join(b"%d\n" % number for number in range(50))
    assert asyncio.run(go()) == [expected] * 3


def test_without_follow_an_open_log_ends_where_it_is(tmp_path: Path) -> None:
    async def go() -> bytes:
        writer = LogWriter(tmp_path / "log")
        writer.write(b"so far\nhalf")
        found = b"".join([part async for part in read_log(writer.path, LogOptions(), writer)])
        writer.close()
        return found

    assert asyncio.run(go()) == b"so far\n"


def test_termination_message_is_the_end_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "termination"
    file.write_bytes(b"a" * 5000 + b"\xffend")
    found = termination_message(file, tmp_path / "none", "File", 0)
    assert found == "a" * 4092 + "\ufffdend"


@pytest.mark.parametrize(
    ("policy", "code", "expected"),
    [("File", 1, ""), ("FallbackToLogsOnError", 0, ""), ("FallbackToLogsOnError", 1, "one\ntwo\n")],
)
def test_a_message_falls_back_to_the_log_only_on_errors(tmp_path: Path, policy: str, code: int, expected: str) -> None:
    file = tmp_path / "termination"
    file.touch()
    log = written(tmp_path / "log", b"one\ntwo\n")
    assert termination_message(file, log, policy, code) == expected


def test_a_message_that_is_there_needs_no_log(tmp_path: Path) -> None:
    file = tmp_path / "termination"
    file.write_text("said")
    log = written(tmp_path / "log", b"one\n")
    assert termination_message(file, log, "FallbackToLogsOnError", 1) == "said"


def test_a_termination_file_that_was_deleted_is_told(tmp_path: Path) -> None:
    found = termination_message(tmp_path / "gone", tmp_path / "none", "File", 0)
    assert found == f"Error on reading termination log {tmp_path / 'gone'}: No such file or directory"


def test_the_fallback_is_short(tmp_path: Path) -> None:
    log = written(tmp_path / "log", *[b"%03d\n" % number for number in range(200)])
    assert last_output(log, lines=80, limit_bytes=2048) == "".join(f"{number:03}\n" for number in range(120, 200))
    log = written(tmp_path / "log", b"x" * 3000 + b"\n")
    assert last_output(log, lines=80, limit_bytes=2048) == "x" * 2047 + "\n"
