"""The decision: what to do next for one adapter, given what is wanted and what is held. Pure.

The rules, in this order of weight: what answers never stops answering while its adapter is wanted; only a loaded
version answers; the desired version answers as soon as it is loaded; the fallback answers where the desired one is
refused, not known or not there yet; the engine never holds more than two versions of one adapter.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from adapter_contract import AdapterEntry, AdapterVersion, Digest
from adapter_server.sync.versions import LIVE, Holding, Phase, VersionState

MAX_LIVE = 2
KEPT_VERSIONS = 1
"""Versions that are kept on disk beside the wanted ones, so that going back needs no download."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Bring the version's files to disk unless they are there, and verify them."""

    version: AdapterVersion


@dataclass(frozen=True, slots=True)
class Load:
    """Load a verified version into the engine and probe it."""

    digest: Digest


@dataclass(frozen=True, slots=True)
class Serve:
    """Let a loaded version answer from now on, in place of the one before."""

    digest: Digest


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Let nothing answer: the adapter is no longer wanted."""


@dataclass(frozen=True, slots=True)
class Retire:
    """Wait for the last request on a loaded version that answers no more, then unload it."""

    digest: Digest


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a version's files and forget it."""

    digest: Digest


Action = Prepare | Load | Serve | Withdraw | Retire | Delete


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, in order, and when to ask again if nothing happens before."""

    actions: tuple[Action, ...] = ()
    wake_at: float | None = None


def decide(entry: AdapterEntry | None, holding: Holding, now: float) -> Decision:
    """Return the next steps for one adapter.

    Args:
        entry: what the set wants; None when it no longer names the adapter.
        holding: what there is of it.
        now: on the clock of `VersionState.retry_at`, seconds.
    """
    wanted = _wanted(entry)
    target = _target(wanted, holding) if entry is not None else None
    aims = _aims(wanted, holding)
    actions: list[Action] = []
    if target is not None and target != holding.serving:
        actions.append(Serve(target))
    if target is None and holding.serving is not None:
        actions.append(Withdraw())
    needed = {version.digest for version in aims} | ({target} if target is not None else set())
    actions.extend(
        Retire(digest)
        for digest, state in holding.versions.items()
        if state.phase is Phase.LOADED and digest not in needed
    )
    actions.extend(_advance(aims, holding, now))
    actions.extend(_deletions(wanted, holding, wanted_at_all=entry is not None))
    return Decision(tuple(actions), _wake_at(aims, holding, now))


@dataclass(frozen=True, slots=True)
class _Wanted:
    desired: AdapterVersion | None
    fallback: AdapterVersion | None

    def __iter__(self) -> Iterator[AdapterVersion]:
        yield from (version for version in (self.desired, self.fallback) if version is not None)


def _wanted(entry: AdapterEntry | None) -> _Wanted:
    if entry is None:
        return _Wanted(None, None)
    desired, fallback = entry.desired, entry.fallback
    same = desired is not None and fallback is not None and desired.digest == fallback.digest
    return _Wanted(desired, None if same else fallback)


def _desired_is_hopeless(wanted: _Wanted, holding: Holding) -> bool:
    return wanted.desired is None or holding.phase(wanted.desired.digest) is Phase.REFUSED


def _target(wanted: _Wanted, holding: Holding) -> Digest | None:
    """Return the version that shall answer now; None only where none is loaded that may."""
    if wanted.desired is not None and holding.phase(wanted.desired.digest) is Phase.LOADED:
        return wanted.desired.digest
    fallback = wanted.fallback
    if (
        fallback is not None
        and holding.phase(fallback.digest) is Phase.LOADED
        and (holding.serving is None or _desired_is_hopeless(wanted, holding))
    ):
        return fallback.digest
    return holding.serving


def _aims(wanted: _Wanted, holding: Holding) -> tuple[AdapterVersion, ...]:
    """Return the versions that shall be loaded, the desired one first."""
    aims = []
    if wanted.desired is not None:
        aims.append(wanted.desired)
        if holding.phase(wanted.desired.digest) is Phase.LOADED:
            return tuple(aims)
    if wanted.fallback is not None and (holding.serving is None or _desired_is_hopeless(wanted, holding)):
        aims.append(wanted.fallback)
    return tuple(aims)


def _advance(aims: tuple[AdapterVersion, ...], holding: Holding, now: float) -> Iterator[Action]:
    live = sum(state.phase in LIVE for state in holding.versions.values())
    for version in aims:
        state = holding.versions.get(version.digest)
        if state is not None and state.working:
            continue
        if state is None or state.phase is Phase.STORED or _is_due(state, version, now):
            yield Prepare(version)
        elif state.phase is Phase.VERIFIED and live < MAX_LIVE:
            live += 1
            yield Load(version.digest)


def _is_due(state: VersionState, version: AdapterVersion, now: float) -> bool:
    if state.phase not in {Phase.FAILED, Phase.REFUSED} or state.retry_at is None:
        return False
    return state.retry_at <= now or state.origin != version.uri


def _deletions(wanted: _Wanted, holding: Holding, *, wanted_at_all: bool) -> Iterator[Delete]:
    named = {version.digest for version in wanted}
    unwanted = {
        digest: state
        for digest, state in holding.versions.items()
        if not state.working and state.phase not in LIVE and digest not in named
    }
    served = [
        (state.last_served, digest)
        for digest, state in unwanted.items()
        if state.phase is Phase.STORED and state.last_served is not None
    ]
    kept = {digest for _, digest in sorted(served)[-KEPT_VERSIONS:]} if wanted_at_all else set()
    yield from (Delete(digest) for digest in unwanted if digest not in kept)


def _wake_at(aims: tuple[AdapterVersion, ...], holding: Holding, now: float) -> float | None:
    states = (holding.versions.get(version.digest) for version in aims)
    times = [state.retry_at for state in states if state is not None and state.retry_at is not None]
    return min((time for time in times if time > now), default=None)
