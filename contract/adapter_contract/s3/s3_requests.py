"""S3's requests on one bucket, each retried within its bounds, with errors as `StorageError`."""

import base64
import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Set
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from botocore.exceptions import ClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError

from adapter_contract.locations import S3Location
from adapter_contract.s3.client import make_client, mounted_credentials
from adapter_contract.s3.errors import Conflict, Corrupted, NotFound, StorageError, Unreachable
from adapter_contract.s3.faults import TRANSPORT_ERRORS, BrokenListing, error_code, fault_of, http_status
from adapter_contract.s3.ranges import ByteRange
from adapter_contract.s3.retry import Attempts, Retrier
from adapter_contract.s3.settings import TransferSettings

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from urllib3 import BaseHTTPResponse

_T = TypeVar("_T")

_CHUNK_BYTES = 64 << 10
"""What must arrive within the read timeout, and is lost at most when a connection breaks."""

_STEADY_PROGRESS_BYTES = 256 << 10
"""What a broken range must have brought for its attempts to start over."""

_UNSUPPORTED_CODES = frozenset({"NotImplemented", "InvalidArgument", "InvalidRequest", "MissingContentMD5"})


def is_unsupported(error: BaseException | None) -> bool:
    """Tell whether a store's refusal means that it does not know a header or request of this package."""
    if not isinstance(error, ClientError):
        return False
    return http_status(error) == 501 or (http_status(error) in {0, 400} and error_code(error) in _UNSUPPORTED_CODES)


class S3Requests:
    """The requests of one store. Thread-safe.

    Args:
        location: the store's root; keys here are whole keys of the bucket.
        settings: timeouts and bounds.

    Raises:
        StorageError: the location can't be used.

    """

    def __init__(self, location: S3Location, settings: TransferSettings) -> None:
        credentials = mounted_credentials(location)
        self._bucket = location.bucket
        self._read_timeout = settings.read_timeout_seconds
        self._client = make_client(location, settings, credentials)
        self.retrier = (
            Retrier(settings) if credentials is None else Retrier(settings, credentials.get_frozen_credentials)
        )
        # Whether the store takes SHA-256 sums with the bytes; the first refusal settles it. Threads may find
        # that out at the same time, which does no harm.
        self._takes_checksums = True

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def uri(self, key: str) -> str:
        """Return the URI of a key, for messages."""
        return f"s3://{self._bucket}/{key}"

    def head(self, operation: str, key: str) -> tuple[int, str]:
        """Return size and ETag.

        Raises:
            StorageError: NotFound where there is no such object.

        """
        request = partial(self._head, key)
        answer = self.retrier.call(operation, self.uri(key), partial(_complete, request, "ContentLength", "ETag"))
        return answer["ContentLength"], answer["ETag"]

    def _head(self, key: str, **parameters: Any) -> Any:  # noqa: ANN401 - boto3's answers
        """Ask for an object's head; where that is refused, ask so that the store can say why.

        An answer to HEAD has no body, hence no code, and AWS says 400 for an expired token as for much else.
        """
        try:
            return self._client.head_object(Bucket=self._bucket, Key=key, **parameters)
        except ClientError as error:
            status = http_status(error)
            if status not in {400, 403} or error_code(error) != str(status):
                raise
            try:
                self._client.get_object(Bucket=self._bucket, Key=key, Range="bytes=0-0")["Body"].close()
            except ClientError as told:
                if http_status(told) != 416:  # an empty object has no such range, so its content was not refused
                    raise
            raise

    def page(self, prefix: str, token: str | None, earlier: Set[str]) -> tuple[list[tuple[str, int, str]], str | None]:
        """Return one page of a listing, (key, size, ETag) each, and the token of the next one, if any.

        Args:
            prefix: of the keys.
            token: of the page; None for the first one.
            earlier: the tokens of all pages so far, none of which may come again.

        Raises:
            StorageError: Corrupted where more follows but the store does not say how to get it.

        """
        request = partial(self._page, prefix, {} if token is None else {"ContinuationToken": token}, earlier)
        return self.retrier.call("list", self.uri(prefix), request)

    def _page(
        self, prefix: str, more: dict[str, Any], earlier: Set[str]
    ) -> tuple[list[tuple[str, int, str]], str | None]:
        answer = self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, **more)
        _require(answer, "IsTruncated")
        found = [(item["Key"], item["Size"], item.get("ETag", "")) for item in answer.get("Contents", [])]
        if not answer["IsTruncated"]:
            return found, None
        following = answer.get("NextContinuationToken")
        if not following or following in earlier:
            raise BrokenListing("no token" if not following else "a token that was used before")
        return found, following

    def put(self, operation: str, key: str, data: bytes, **conditions: str) -> None:
        """Write an object in one request.

        Raises:
            StorageError: Conflict where a condition does not hold.

        """
        request = partial(self._client.put_object, Bucket=self._bucket, Key=key, Body=data, **conditions)  # type: ignore[arg-type]
        self.retrier.call(operation, self.uri(key), partial(self._with_checksum, request, ChecksumSHA256=_sha256(data)))

    def _with_checksum(self, request: Callable[..., _T], **checksum: str) -> _T:
        """Send a request with a SHA-256, which S3 checks and keeps; without it where the store refuses that."""
        if not self._takes_checksums:
            return request()
        try:
            return request(**checksum)
        except ClientError as error:
            if not is_unsupported(error):
                raise
            answer = request()
            self._takes_checksums = False
            return answer

    def delete(self, keys: list[str]) -> None:
        """Delete at most 1,000 objects; missing ones count as deleted."""
        uri = self.uri(keys[0]) if len(keys) == 1 else f"{self.uri(keys[0])} and {len(keys) - 1} more"
        self.retrier.call("delete", uri, partial(self._delete, keys))

    def _delete(self, keys: list[str]) -> None:
        batch: Any = {"Objects": [{"Key": key} for key in keys]}
        try:
            answer = self._client.delete_objects(Bucket=self._bucket, Delete=batch)
        except ClientError as error:
            if not is_unsupported(error):
                raise
            for key in keys:
                self._client.delete_object(Bucket=self._bucket, Key=key)
            return
        if not answer.get("Deleted") and not answer.get("Errors"):
            raise ResponseStreamingError(error="the answer names no key")
        for failure in answer.get("Errors", []):
            # The whole batch is tried again where this one failure is worth it: deleting twice does no harm.
            raise ClientError({"Error": {"Code": failure.get("Code", "")}}, "DeleteObjects")

    def chunks(
        self, operation: str, key: str, wanted: ByteRange, etag: str, cancelled: threading.Event | None = None
    ) -> Iterator[bytes]:
        """Yield a range's bytes; a broken connection is resumed where it broke, while the ETag stays the same.

        Raises:
            StorageError: Conflict where the object was replaced, Corrupted where it is shorter.

        """
        uri = self.uri(key)
        cancelled = cancelled or threading.Event()
        attempts = self.retrier.attempts(cancelled)
        missing = wanted
        while missing.length:
            started = missing
            body = self.retrier.attempt(operation, uri, partial(self._open, operation, key, missing, etag), attempts)
            try:
                with body as stream:
                    while missing.length:
                        deadline = time.monotonic() + self._read_timeout
                        chunk = _read(stream, min(_CHUNK_BYTES, missing.length), uri, deadline, cancelled)
                        if not chunk:
                            raise IncompleteReadError(
                                actual_bytes=missing.start - started.start, expected_bytes=started.length
                            )
                        missing = missing.after(len(chunk))
                        yield chunk
            except TRANSPORT_ERRORS as error:
                if missing.start - started.start >= _STEADY_PROGRESS_BYTES:
                    attempts.refresh()
                attempts.pause(operation, uri, fault_of(error), error)

    def _open(self, operation: str, key: str, wanted: ByteRange, etag: str) -> "StreamingBody":
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key, Range=wanted.header, IfMatch=etag)
        except ClientError as error:
            if http_status(error) != 412:
                raise
            raise Conflict(
                operation, self.uri(key), "it was replaced while it was read", "try again when its writer is done"
            ) from error
        if answer["ResponseMetadata"]["HTTPStatusCode"] == 206:
            _require(answer, "ContentRange")
        found = answer.get("ContentRange", "").partition("/")[0]
        if found != f"bytes {wanted.start}-{wanted.end - 1}":
            answer["Body"].close()
            raise Corrupted(
                operation, self.uri(key), f"asked for {wanted.header}, the store sent {found or 'no range'}",
                "use a store that supports Range requests, and look whether the object was cut",
            )  # fmt: skip
        return answer["Body"]

    def whole(self, operation: str, key: str, limit: int) -> bytes:
        """Return an object of at most `limit` bytes, read in one request that ends with the budget.

        Raises:
            StorageError: Corrupted where it is larger.

        """
        attempts = self.retrier.attempts()
        request = partial(self._whole, operation, key, limit, attempts)
        return self.retrier.attempt(operation, self.uri(key), request, attempts)

    def _whole(self, operation: str, key: str, limit: int, attempts: Attempts) -> bytes:
        answer = self._client.get_object(Bucket=self._bucket, Key=key)
        with answer["Body"] as body:
            _require(answer, "ContentLength")
            size = answer["ContentLength"]
            if size > limit:
                raise Corrupted(
                    operation, self.uri(key), f"it has {size} bytes, more than {limit}", "look what was written there"
                )
            return b"".join(self._content(body, size, self.uri(key), attempts.deadline))

    def _content(self, body: "StreamingBody", size: int, uri: str, budget_end: float) -> Iterator[bytes]:
        """Yield an answer's content; all of it has to come within the budget, or the read timeout if that is over."""
        end = max(budget_end, time.monotonic() + self._read_timeout)
        missing = size
        while missing:
            now = time.monotonic()
            if now > end:
                raise ReadTimeoutError(endpoint_url=uri, error="the object did not arrive within the time budget")
            deadline = min(now + self._read_timeout, end)
            chunk = _read(body, min(_CHUNK_BYTES, missing), uri, deadline, threading.Event())
            if not chunk:
                raise IncompleteReadError(actual_bytes=size - missing, expected_bytes=size)
            missing -= len(chunk)
            yield chunk

    def create_upload(self, key: str) -> str:
        """Begin a multipart upload and return its ID."""
        request = partial(self._client.create_multipart_upload, Bucket=self._bucket, Key=key)
        begin = partial(self._with_checksum, partial(_complete, request, "UploadId"), ChecksumAlgorithm="SHA256")
        return str(self.retrier.call("upload", self.uri(key), begin)["UploadId"])

    def upload_part(self, key: str, upload: str, number: int, data: bytes, attempts: Attempts) -> dict[str, Any]:
        """Send a part and return its entry in the list that completes the upload."""
        request = partial(
            self._client.upload_part, Bucket=self._bucket, Key=key, UploadId=upload, PartNumber=number, Body=data
        )
        answer = self.retrier.attempt(
            "upload",
            self.uri(key),
            partial(self._with_checksum, partial(_complete, request, "ETag"), ChecksumSHA256=_sha256(data)),
            attempts,
        )
        part: dict[str, Any] = {"PartNumber": number, "ETag": answer["ETag"]}
        if self._takes_checksums and "ChecksumSHA256" in answer:
            part["ChecksumSHA256"] = answer["ChecksumSHA256"]
        return part

    def complete_upload(self, key: str, upload: str, parts: list[dict[str, Any]]) -> None:
        """Make the parts an object.

        Raises:
            StorageError: Unreachable where the store forgot the upload.

        """
        listed: Any = {"Parts": parts}
        request = partial(
            self._client.complete_multipart_upload,
            Bucket=self._bucket,
            Key=key,
            UploadId=upload,
            MultipartUpload=listed,
        )
        try:
            self.retrier.call("upload", self.uri(key), request)
        except Unreachable as error:
            # An earlier attempt may have done it and its answer was lost: the object's own checksum tells.
            if _code_behind(error) != "NoSuchUpload" or not self._is_made_of(key, parts):
                raise

    def _is_made_of(self, key: str, parts: list[dict[str, Any]]) -> bool:
        sums = [base64.b64decode(part.get("ChecksumSHA256", "")) for part in parts]
        if not all(sums):
            return False
        composite = _sha256(b"".join(sums))
        request = partial(self._head, key, ChecksumMode="ENABLED")
        try:
            found = self.retrier.call("upload", self.uri(key), request).get("ChecksumSHA256", "")
        except NotFound:
            return False
        return str(found).partition("-")[0] == composite

    def abort_upload(self, key: str, upload: str) -> None:
        """Forget a multipart upload and its parts."""
        request = partial(self._client.abort_multipart_upload, Bucket=self._bucket, Key=key, UploadId=upload)
        self.retrier.call("abort the upload of", self.uri(key), request)


def _complete(request: Callable[..., Any], *required: str, **parameters: str) -> Any:  # noqa: ANN401 - boto3's answers
    """Send a request and return its answer if it has what is needed of it.

    Where a connection breaks within the headers, what came of them is all that the client library sees.
    """
    answer = request(**parameters)
    _require(answer, *required)
    return answer


def _read(stream: "StreamingBody", count: int, uri: str, deadline: float, cancelled: threading.Event) -> bytes:
    """Return `count` bytes, fewer at the end of the answer.

    The socket's timeout starts anew with each packet, so it is this that ends the wait for a store that drips.
    """
    answer = cast("BaseHTTPResponse", stream)  # what a StreamingBody really yields as a context manager
    pieces = []
    while count and (piece := answer.read1(count)):
        pieces.append(piece)
        count -= len(piece)
        if cancelled.is_set():
            raise ResponseStreamingError(error="the transfer was given up")
        if count and time.monotonic() > deadline:
            raise ReadTimeoutError(endpoint_url=uri, error="too few bytes in the time for them")
    return b"".join(pieces)


def _require(answer: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if name not in answer:
            raise ResponseStreamingError(error=f"the answer has no {name}")


def _sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _code_behind(error: StorageError) -> str:
    return error_code(error.__cause__) if isinstance(error.__cause__, Exception) else ""
