"""What the pod tells of itself: the status of each adapter, and whether the pod is ready. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from adapter_contract import AdapterEntry, AdapterState, AdapterStatus, Digest
from adapter_server.sync.versions import Holding, Phase

_STATES = {
    None: AdapterState.PENDING,
    Phase.STORED: AdapterState.PENDING,
    Phase.QUEUED: AdapterState.PENDING,
    Phase.DOWNLOADING: AdapterState.DOWNLOADING,
    Phase.VERIFYING: AdapterState.VERIFYING,
    Phase.VERIFIED: AdapterState.LOADING,
    Phase.LOADING: AdapterState.LOADING,
    Phase.LOADED: AdapterState.LOADING,
    Phase.DRAINING: AdapterState.PENDING,
    Phase.DELETING: AdapterState.PENDING,
    Phase.REFUSED: AdapterState.REFUSED,
    Phase.FAILED: AdapterState.FAILED,
}


def status_of(name: str, entry: AdapterEntry | None, holding: Holding, now: datetime) -> AdapterStatus:
    """Return the status of one adapter, as if it had just come to be so."""
    desired = None if entry is None else entry.digest
    reason = message = None
    if entry is None:
        state = AdapterState.UNLOADING
    elif desired is None:
        state = AdapterState.WAITING
    elif holding.serving == desired:
        state = AdapterState.SERVED
    else:
        version = holding.versions.get(desired)
        state = _STATES[None if version is None else version.phase]
        if version is not None and state in {AdapterState.REFUSED, AdapterState.FAILED}:
            reason, message = version.reason, version.message
    return AdapterStatus(
        name=name,
        state=state,
        desired_digest=desired,
        served_digest=holding.serving,
        reason=reason,
        message=message,
        since=now,
    )


def since_kept(status: AdapterStatus, before: AdapterStatus | None) -> AdapterStatus:
    """Return the status with the time since which it is so, given the one before."""
    if before is None or status.model_copy(update={"since": before.since}) != before:
        return status
    return before


def required_are_settled(entries: Iterable[AdapterEntry], holdings: Mapping[str, Holding]) -> bool:
    """Tell whether each Required adapter is served, or has only versions that are refused."""
    return all(
        _is_settled(entry, holdings.get(entry.name, Holding())) for entry in entries if entry.policy == "Required"
    )


def _is_settled(entry: AdapterEntry, holding: Holding) -> bool:
    if holding.serving is not None:
        return True
    digests: list[Digest] = [version.digest for version in (entry.desired, entry.fallback) if version is not None]
    return bool(digests) and all(holding.phase(digest) is Phase.REFUSED for digest in digests)
