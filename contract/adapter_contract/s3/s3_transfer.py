"""Large objects: multipart uploads and parallel ranged downloads, hashed on the way."""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, BinaryIO, TypeVar

from adapter_contract.digests import Hash, digest_of, new_hash
from adapter_contract.s3.atomic import write_all
from adapter_contract.s3.errors import Corrupted, StorageError
from adapter_contract.s3.objects import Meter
from adapter_contract.s3.ranges import ByteRange, part_bytes_for, split_ranges
from adapter_contract.s3.s3_requests import S3Requests
from adapter_contract.s3.settings import TransferSettings

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

_HASHED_AT_ONCE_BYTES = 1 << 20


class S3Transfer:
    """Moves files to and from one bucket. Thread-safe.

    Memory: uploads hold `concurrency + 1` parts at most, together; downloads hold one chunk per connection.
    """

    def __init__(self, requests: S3Requests, settings: TransferSettings) -> None:
        self._requests = requests
        self._settings = settings
        self._buffers = threading.BoundedSemaphore(settings.concurrency + 1)

    def upload(self, source: BinaryIO, size: int, key: str, expected_digest: str | None, meter: Meter) -> str:
        """Send a file in parts and return its digest; after a failure nothing is left in the store.

        Raises:
            StorageError: Corrupted where the file changed, or has not the expected digest: no object appears.
            OSError: the file can't be read.

        """
        before = os.fstat(source.fileno())
        upload = self._requests.create_upload(key)
        try:
            parts, digest = self._send_parts(source, size, key, upload, meter)
            check_unchanged(source, before, self._requests.uri(key))
            check_digest("upload", self._requests.uri(key), digest, expected_digest)
            self._requests.complete_upload(key, upload, parts)
        except BaseException as error:
            self._abort(key, upload, error)
            raise
        return digest

    def _abort(self, key: str, upload: str, reason: BaseException) -> None:
        try:
            self._requests.abort_upload(key, upload)
        except StorageError as error:
            # What ended the upload matters more. The parts stay until the bucket's life cycle rule.
            _log.warning("%s", error)
            reason.add_note(str(error))

    def _send_parts(
        self, source: BinaryIO, size: int, key: str, upload: str, meter: Meter
    ) -> tuple[list[dict[str, Any]], str]:
        state = new_hash()
        part_bytes = part_bytes_for(size, self._settings.part_bytes)
        with _pool(self._settings.concurrency) as (submit, cancelled):
            running: deque[Future[dict[str, Any]]] = deque()
            parts = []
            for number, part in enumerate(split_ranges(size, part_bytes), start=1):
                self._buffers.acquire()
                try:
                    data = read_exactly(source, part.length, self._requests.uri(key))
                    state.update(data)
                    send = partial(self._send_part, key, upload, number, data, meter, cancelled)
                    future = submit(send)
                except BaseException:
                    self._buffers.release()
                    raise
                future.add_done_callback(lambda _: self._buffers.release())
                running.append(future)
                while running and running[0].done():  # a part that failed ends the upload now, not at its end
                    parts.append(running.popleft().result())
            parts.extend(future.result() for future in running)
            return parts, digest_of(state)

    def _send_part(
        self, key: str, upload: str, number: int, data: bytes, meter: Meter, cancelled: threading.Event
    ) -> dict[str, Any]:
        attempts = self._requests.retrier.attempts(cancelled)
        part = self._requests.upload_part(key, upload, number, data, attempts)
        meter.add(len(data))
        return part

    def download(self, key: str, size: int, etag: str, descriptor: int, meter: Meter) -> str:
        """Read an object of known size and ETag into an open file and return the digest of its bytes.

        Raises:
            StorageError: Conflict where the object was replaced meanwhile.
            OSError: the file can't be written.

        """
        state = new_hash()
        if size <= self._settings.part_bytes:
            if size:
                self._receive(key, ByteRange(0, size), etag, descriptor, meter, threading.Event())
                _hash_range(descriptor, ByteRange(0, size), state)
            return digest_of(state)
        with _pool(self._settings.concurrency) as (submit, cancelled):
            running: deque[tuple[ByteRange, Future[None]]] = deque()
            for part in split_ranges(size, self._settings.part_bytes):
                receive = partial(self._receive, key, part, etag, descriptor, meter, cancelled)
                running.append((part, submit(receive)))
                # Hashed in order, soon after they arrive, while the system still has them in memory.
                if len(running) > 2 * self._settings.concurrency:
                    _hash_next(running, descriptor, state)
            while running:
                _hash_next(running, descriptor, state)
        return digest_of(state)

    def _receive(
        self, key: str, part: ByteRange, etag: str, descriptor: int, meter: Meter, cancelled: threading.Event
    ) -> None:
        offset = part.start
        for chunk in self._requests.chunks("download", key, part, etag, cancelled):
            if cancelled.is_set():
                return
            write_all(descriptor, chunk, offset)
            offset += len(chunk)
            meter.add(len(chunk))


def check_digest(operation: str, uri: str, found: str, expected: str | None) -> None:
    """Compare digests.

    Raises:
        Corrupted: they differ.

    """
    if expected is not None and found != expected:
        raise Corrupted(
            operation, uri, f"its digest is {found}, expected {expected}", "do not use it; publish it again"
        )


def read_exactly(source: BinaryIO, count: int, uri: str) -> bytes:
    """Read bytes of a local file that is being uploaded.

    Raises:
        Corrupted: the file ended before.

    """
    data = source.read(count)
    if len(data) != count:
        raise Corrupted("upload", uri, "the local file became shorter meanwhile", "upload it once it is complete")
    return data


def check_unchanged(source: BinaryIO, before: os.stat_result, uri: str) -> None:
    """Compare size and modification time of an open local file with those before its upload.

    Raises:
        Corrupted: they differ, so what was sent may be a mixture of versions, or the beginning of a longer file.

    """
    after = os.fstat(source.fileno())
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise Corrupted(
            "upload", uri, "the local file changed while it was uploaded", "upload it once nobody writes to it"
        )


@contextmanager
def _pool(workers: int) -> Iterator[tuple[Callable[[Callable[[], _T]], Future[_T]], threading.Event]]:
    """Yield a function that runs tasks on threads, and an event that tells them to end when the block fails."""
    cancelled = threading.Event()
    executor = ThreadPoolExecutor(workers, thread_name_prefix="s3-transfer")
    try:
        yield executor.submit, cancelled
    except BaseException:
        cancelled.set()
        executor.shutdown(cancel_futures=True)
        raise
    executor.shutdown()


def _hash_next(running: "deque[tuple[ByteRange, Future[None]]]", descriptor: int, state: Hash) -> None:
    part, future = running.popleft()
    future.result()
    _hash_range(descriptor, part, state)


def _hash_range(descriptor: int, part: ByteRange, state: Hash) -> None:
    for piece in split_ranges(part.length, _HASHED_AT_ONCE_BYTES):
        state.update(os.pread(descriptor, piece.length, part.start + piece.start))
