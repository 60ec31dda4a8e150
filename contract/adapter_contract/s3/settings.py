"""How hard a transfer tries: timeouts, retries, sizes of parts, concurrency."""

from dataclasses import dataclass

MIB = 1 << 20
_S3_MINIMUM_PART_BYTES = 5 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSettings:
    """The bounds of every request.

    A request is one HTTP exchange: a listing page, a part of an upload, a range of a download. Its retries end
    with the attempts or with the budget, whichever comes first; no attempt starts after the budget. What one
    attempt may take is bounded in steps: the connection (per address of the endpoint's name), TLS, each 16 KiB
    sent, one second for writes (botocore waits so long for "100 Continue"), each wait for bytes of the answer.
    So a store that falls silent makes a request fail at the latest after
    `budget_seconds + connect_timeout_seconds + read_timeout_seconds`, and that second.

    Of an object's content moreover each 64 KiB must arrive within `read_timeout_seconds` (looked at after each
    packet, so twice that at most), and the whole of an object that `get` reads within the budget (an attempt
    that starts at its end has `read_timeout_seconds` left): a store that drips bytes is given up like a silent one,
    at most three read timeouts and the connect timeout after the budget. A range that got 256 KiB further than
    before starts with fresh attempts and a fresh budget. No such bound holds for a store that drips the *headers* of
    its answers, or listings and refusals, nor for one that takes 16 KiB of a body just before each timeout.

    Attributes:
        connect_timeout_seconds: for the connection, for TLS, and, as urllib3 leaves it on the socket until all
            is sent, for the store to take each 16 KiB of a request: 30 s bear a store that pauses for a while.
            A port that is closed is found at once; only one whose packets are dropped takes this long.
        read_timeout_seconds: the longest silence of the store, and the longest time for 64 KiB of content.
        attempts: per request, the first one included.
        budget_seconds: per request, over all attempts.
        backoff_seconds: the upper bound of the first pause; it doubles with each attempt, and the pause is
            drawn evenly below it.
        longest_backoff_seconds: where the doubling ends; also the longest Retry-After that is obeyed.
        part_bytes: of a multipart upload and of a ranged download; S3 wants 5 MiB at least.
        concurrency: parts in flight per transferred file, and buffers of uploads per store.
        files: files of a directory in flight.

    """

    connect_timeout_seconds: float = 30.0
    read_timeout_seconds: float = 60.0
    attempts: int = 6
    budget_seconds: float = 120.0
    backoff_seconds: float = 0.2
    longest_backoff_seconds: float = 10.0
    part_bytes: int = 8 * MIB
    concurrency: int = 4
    files: int = 4

    def __post_init__(self) -> None:
        """Refuse what could not work.

        Raises:
            ValueError: naming the field.

        """
        for field in ("connect_timeout_seconds", "read_timeout_seconds", "attempts", "concurrency", "files"):
            if getattr(self, field) <= 0:
                raise ValueError(f"TransferSettings.{field} must be greater than 0")
        for field in ("budget_seconds", "backoff_seconds", "longest_backoff_seconds"):
            if getattr(self, field) < 0:
                raise ValueError(f"TransferSettings.{field} must not be negative")
        if self.part_bytes < _S3_MINIMUM_PART_BYTES:
            raise ValueError("TransferSettings.part_bytes must be at least 5 MiB, S3's minimum for a part")


DEFAULT_SETTINGS = TransferSettings()
