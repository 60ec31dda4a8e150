"""What a pod holds of one adapter: its versions and how far each has come. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from adapter_contract import Digest


class Phase(StrEnum):
    """How far one version is.

    QUEUED, DOWNLOADING, VERIFYING, LOADING, DRAINING, DELETING: a task is about it.
    STORED: its files are on the pod's disk, to be verified before they are used.
    VERIFIED: its files are right; it may be loaded.
    LOADED: the engine holds it, and it has generated a token.
    REFUSED: its bytes are wrong or don't fit this engine. FAILED: tried again at `retry_at`. Both stay while they are
    tried again, until the files are there, so that what is reported does not flicker.
    """

    QUEUED = "Queued"
    DOWNLOADING = "Downloading"
    VERIFYING = "Verifying"
    STORED = "Stored"
    VERIFIED = "Verified"
    LOADING = "Loading"
    LOADED = "Loaded"
    DRAINING = "Draining"
    DELETING = "Deleting"
    REFUSED = "Refused"
    FAILED = "Failed"


LIVE = frozenset({Phase.LOADING, Phase.LOADED, Phase.DRAINING})
"""Phases in which the engine may hold the weights."""


@dataclass(frozen=True, slots=True)
class VersionState:
    """One version.

    Attributes:
        phase: see `Phase`.
        working: a task works on it, and will change the phase; nothing else may be begun with it.
        origin: where its bytes were last taken from; None while they only were found on disk.
        reason, message: why it is REFUSED or FAILED.
        attempts: failures in a row.
        retry_at: when a FAILED version is due, or a REFUSED one whose store may be repaired, on the clock of
            `decide`; None means never.
        last_served: Unix time at which it last became the one that answers; None: never.
    """

    phase: Phase
    working: bool = False
    origin: str | None = None
    reason: str | None = None
    message: str | None = None
    attempts: int = 0
    retry_at: float | None = None
    last_served: float | None = None


_NOTHING: Mapping[Digest, VersionState] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Holding:
    """All versions of one adapter, and the one that answers now: it is always LOADED."""

    serving: Digest | None = None
    versions: Mapping[Digest, VersionState] = field(default_factory=lambda: _NOTHING)

    def phase(self, digest: Digest) -> Phase | None:
        """Return the phase of a version; None where nothing is held of it."""
        state = self.versions.get(digest)
        return None if state is None else state.phase
