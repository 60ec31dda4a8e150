"""Of writers that race for one key, exactly one wins: threads, processes, and stores that can't say "if absent"."""

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapter_contract.locations import S3Location
from adapter_contract.s3.errors import AccessDenied, Conflict
from adapter_contract.s3.store import ObjectStore
from adapter_testing.proxies import DROP, HTTPProxy, Request, Response, s3_error
from adapter_testing.seaweedfs import SeaweedFS, mount_secret

pytestmark = pytest.mark.integration

Through = Callable[[str], ObjectStore]
WRITERS = 4
TURNS = 3  # SeaweedFS lets losers wait for a second or more each time


def _race(stores: list[ObjectStore], key: str, data: list[bytes]) -> Counter[str]:
    barrier = threading.Barrier(len(stores))

    def write(store: ObjectStore, mine: bytes) -> str:
        barrier.wait(10)
        try:
            return "won" if store.put_if_absent(key, mine) else "equal"
        except Conflict:
            return "lost"

    with ThreadPoolExecutor(len(stores)) as pool:
        return Counter(pool.map(write, stores, data))


def test_threads_with_different_bytes(store: ObjectStore):
    for turn in range(TURNS):
        key = f"race/{turn}"
        data = [f"writer {number}".encode() for number in range(WRITERS)]
        assert _race([store] * WRITERS, key, data) == {"won": 1, "lost": WRITERS - 1}
        assert store.get(key) in data


def test_threads_with_equal_bytes(store: ObjectStore):
    for turn in range(TURNS):
        assert _race([store] * WRITERS, f"race/{turn}", [b"equal"] * WRITERS) == {"won": 1, "equal": WRITERS - 1}
        assert store.get(f"race/{turn}") == b"equal"


_WRITER = """
import sys
from adapter_contract.locations import S3Location
from adapter_contract.s3 import Conflict, open_store

with open_store(S3Location.model_validate_json(sys.argv[1])) as store:
    store.head("warm-up")
    print("ready", flush=True)
    for turn in range(10):
        sys.stdin.readline()
        try:
            store.put_if_absent(f"race/{turn}", sys.argv[2].encode())
            print("won", flush=True)
        except Conflict:
            print("lost", flush=True)
"""


@pytest.mark.parametrize("kind", ["s3", "file"])
@pytest.mark.parametrize(
    ("data", "expected"),
    [(("first", "second"), ["lost", "won"]), (("same", "same"), ["won", "won"])],
    ids=["different", "equal"],
)
def test_processes(location: S3Location, tmp_path: Path, kind: str, data: tuple[str, str], expected: list[str]):
    there = location if kind == "s3" else S3Location(uri=f"file://{tmp_path}/store")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, there.model_dump_json(), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        for name in data
    ]
    try:
        assert [_line(writer) for writer in writers] == ["ready", "ready"]
        for _ in range(10):
            for writer in writers:
                print(file=writer.stdin)
            assert sorted(_line(writer) for writer in writers) == expected
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()


def _line(writer: "subprocess.Popen[str]") -> str:
    assert writer.stdout is not None
    return writer.stdout.readline().strip()


def _is_conditional(request: Request) -> bool:
    return any(name.lower() == "if-none-match" for name in request.headers)


@pytest.mark.parametrize(
    "refusal", [s3_error(501, "NotImplemented"), s3_error(400, "InvalidArgument"), s3_error(400, "InvalidRequest")]
)
def test_a_store_without_conditional_writes_is_looked_at_before_and_after(
    seaweedfs: SeaweedFS, through: Through, refusal: Response
):
    def refuse(request: Request) -> Response | None:
        return refusal if _is_conditional(request) else None

    with HTTPProxy(seaweedfs.port, before=refuse) as proxy:
        store = through(proxy.endpoint)
        assert store.put_if_absent("key", b"first") is True
        assert store.put_if_absent("key", b"first") is False
        with pytest.raises(Conflict):
            store.put_if_absent("key", b"other")
        assert store.get("key") == b"first"


def test_a_store_that_ignores_the_condition_does_not_overwrite_what_is_there(seaweedfs: SeaweedFS, through: Through):
    def ignore(request: Request) -> None:
        for name in [name for name in request.headers if name.lower() == "if-none-match"]:
            del request.headers[name]

    with HTTPProxy(seaweedfs.port, before=ignore) as proxy:
        store = through(proxy.endpoint)
        # The condition is among the signed headers, so without it the signature breaks as well: a real store that
        # ignores it would take the request. What counts here is that no write is tried once the key is there.
        with pytest.raises(AccessDenied):
            store.put_if_absent("key", b"first")
        store.put("key", b"first")
        with pytest.raises(Conflict):
            store.put_if_absent("key", b"other")
        assert store.put_if_absent("key", b"first") is False
        assert store.get("key") == b"first"


def test_without_conditional_writes_the_writer_that_was_overtaken_learns_it(
    s3: ObjectStore, seaweedfs: SeaweedFS, through: Through
):
    """Another writer is later than our look and our write, and earlier than our second look."""

    def refuse(request: Request) -> Response | None:
        return s3_error(501, "NotImplemented") if _is_conditional(request) else None

    def overtake(request: Request, answer: Response) -> Response:
        if request.method == "PUT":
            s3.put("key", b"other")
        return answer

    with HTTPProxy(seaweedfs.port, before=refuse, after=overtake) as proxy, pytest.raises(Conflict):
        through(proxy.endpoint).put_if_absent("key", b"ours")


def test_a_write_whose_answer_was_lost_is_no_conflict_with_oneself(
    s3: ObjectStore, seaweedfs: SeaweedFS, through: Through
):
    lost: list[Request] = []

    def lose_once(request: Request, answer: Response) -> Response:
        if request.method == "PUT" and not lost:
            lost.append(request)
            return DROP
        return answer

    with HTTPProxy(seaweedfs.port, after=lose_once) as proxy:
        assert through(proxy.endpoint).put_if_absent("key", b"data") is False
    assert len(lost) == 1
    assert s3.get("key") == b"data"


def test_a_write_that_another_one_is_just_doing_is_tried_again(seaweedfs: SeaweedFS, through: Through):
    answers = [s3_error(409, "ConditionalRequestConflict"), s3_error(409, "ConditionalRequestConflict")]

    def busy(request: Request) -> Response | None:
        return answers.pop() if _is_conditional(request) and answers else None

    with HTTPProxy(seaweedfs.port, before=busy) as proxy:
        assert through(proxy.endpoint).put_if_absent("key", b"data") is True
    assert answers == []


def test_who_may_write_but_not_look_still_writes(seaweedfs: SeaweedFS, through: Through):
    def hide(request: Request) -> Response | None:
        return Response(403) if request.method == "HEAD" else None

    with HTTPProxy(seaweedfs.port, before=hide) as proxy:
        assert through(proxy.endpoint).put_if_absent("key", b"data") is True


def test_no_permission_is_no_conflict(location: S3Location, seaweedfs: SeaweedFS, tmp_path: Path, through: Through):
    secret = mount_secret(tmp_path / "secret", seaweedfs.reader)
    assert secret.is_dir()
    with HTTPProxy(seaweedfs.port, before=lambda request: Response(403) if request.method == "PUT" else None) as proxy:
        with pytest.raises(AccessDenied):
            through(proxy.endpoint).put_if_absent("key", b"data")
        assert through(proxy.endpoint).head("key") is None
