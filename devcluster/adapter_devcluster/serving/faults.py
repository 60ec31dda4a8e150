"""Faults on purpose: failing, delaying and losing calls, and watches that lie as real ones do.

Chaos tests of an operator set rules while the cluster runs. A rule says which calls it is about and which of
these it hits (the n-th, or a share of them, drawn from a seeded source), and what then happens.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from adapter_devcluster.statuses import (
    StatusError,
    conflict,
    expired,
    internal_error,
    status_error,
    too_many_requests,
)
from adapter_devcluster.storage import Event


class Match(BaseModel):
    """Which calls a rule is about; what is left empty matches all.

    ``resources`` are written ``plural.group``, with ``/subresource`` where one is meant. ``users`` may end with ``*``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    verbs: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()

    def matches(self, verb: str, resource: str, user: str, namespace: str) -> bool:
        """Whether a call is meant."""
        return (
            (not self.verbs or verb in self.verbs)
            and (not self.resources or resource in self.resources)
            and (not self.namespaces or namespace in self.namespaces)
            and (not self.users or any(_user_matches(one, user) for one in self.users))
        )


def _user_matches(pattern: str, user: str) -> bool:
    return user.startswith(pattern[:-1]) if pattern.endswith("*") else user == pattern


class CallFault(Match):
    """What happens to calls: an error, a delay, a lost connection.

    ``nth`` counts matching calls from 1; ``share`` is between 0 and 1; ``times`` ends the rule after so many hits.
    ``effect``: Fail answers with ``code``; Drop closes the connection before the call is carried out; Lose
    carries it out and closes the connection without an answer, but drops a watch, a log and a proxied call; Delay only
    waits ``delay_seconds``, which the other effects wait too.
    """

    nth: int | None = Field(default=None, ge=1)
    share: float = Field(default=1.0, ge=0, le=1)
    times: int | None = Field(default=None, ge=1)
    effect: Literal["Fail", "Drop", "Lose", "Delay"] = "Fail"
    code: Literal[409, 410, 429, 500, 503, 504] = 500
    delay_seconds: float = Field(default=0.0, ge=0)


class WatchFault(Match):
    """What happens to the events of watches.

    ``cut_after_events`` breaks the connection after so many events; ``duplicate_share`` of the events come
    twice; ``lose_share`` never come; ``hold_share`` come late by up to ``hold_seconds``, others overtaking them.
    """

    cut_after_events: int | None = Field(default=None, ge=1)
    duplicate_share: float = Field(default=0.0, ge=0, le=1)
    lose_share: float = Field(default=0.0, ge=0, le=1)
    hold_share: float = Field(default=0.0, ge=0, le=1)
    hold_seconds: float = Field(default=0.0, ge=0)


class FaultPlan(BaseModel):
    """All rules that are in force. ``seed`` makes the draws of shares repeatable."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    calls: tuple[CallFault, ...] = ()
    watches: tuple[WatchFault, ...] = ()
    seed: int = 0


class Cuttable(Protocol):
    """A watch that can be broken off."""

    def cut(self) -> None:
        """Break the connection."""


class Faults:
    """The faults in force, and what they have counted."""

    def __init__(self) -> None:
        self._running = asyncio.Event()
        self._running.set()
        self._streams: dict[Cuttable, tuple[str, str, str]] = {}
        self.set(FaultPlan())

    def set(self, plan: FaultPlan) -> None:
        """Put rules in force, in place of those before; counts begin anew."""
        self.plan = plan
        self._random = random.Random(plan.seed)  # noqa: S311 - repeatable on purpose
        self._seen = [0] * len(plan.calls)
        self._hits = [0] * len(plan.calls)

    @property
    def hits(self) -> list[int]:
        """How often each rule for calls has struck."""
        return list(self._hits)

    @property
    def open_watches(self) -> int:
        """How many watches are open."""
        return len(self._streams)

    def pause(self) -> None:
        """Let every call wait until `resume`, as behind a server that hangs."""
        self._running.clear()

    def resume(self) -> None:
        """Go on."""
        self._running.set()

    async def wait_while_paused(self) -> None:
        """Return at once, or when the pause ends."""
        await self._running.wait()

    def strike(self, verb: str, resource: str, user: str, namespace: str) -> CallFault | None:
        """Count a call; returns the first rule that strikes it."""
        struck = None
        for position, rule in enumerate(self.plan.calls):
            if not rule.matches(verb, resource, user, namespace):
                continue
            self._seen[position] += 1
            if struck or (rule.nth is not None and rule.nth != self._seen[position]):
                continue
            if rule.times is not None and self._hits[position] >= rule.times:
                continue
            if rule.share < 1 and self._random.random() >= rule.share:
                continue
            self._hits[position] += 1
            struck = rule
        return struck

    def for_watch(self, resource: str, user: str, namespace: str) -> WatchFaults:
        """Return what happens to one watch."""
        return WatchFaults(self, resource, user, namespace)

    def cut_watches(self, match: Match | None = None) -> int:
        """Break the watches that match, all by default; returns how many."""
        found = [
            stream
            for stream, (resource, user, namespace) in self._streams.items()
            if match is None or match.matches("watch", resource, user, namespace)
        ]
        for stream in found:
            stream.cut()
        return len(found)

    def draw(self) -> float:
        """Draw a number between 0 and 1."""
        return self._random.random()

    def follow(self, stream: Cuttable, resource: str, user: str, namespace: str) -> Callable[[], None]:
        """Remember a watch that is open; returns what forgets it."""
        self._streams[stream] = (resource, user, namespace)
        return lambda: self._streams.pop(stream, None) and None


class WatchFaults:
    """What happens to the events of one watch."""

    def __init__(self, faults: Faults, resource: str, user: str, namespace: str) -> None:
        self._faults = faults
        self._about = (resource, user, namespace)
        self._events = 0
        self._stream: Cuttable | None = None

    def register(self, stream: Cuttable) -> Callable[[], None]:
        """Name the stream that is cut; returns what ends the registration."""
        self._stream = stream
        return self._faults.follow(stream, *self._about)

    def pass_on(self, event: Event, deliver: Callable[[Event], None]) -> None:
        """Deliver an event, unless a rule has it otherwise."""
        rule = next((one for one in self._faults.plan.watches if one.matches("watch", *self._about)), None)
        if rule is None:
            deliver(event)
            return
        self._events += 1
        if rule.lose_share and self._faults.draw() < rule.lose_share:
            return
        if rule.hold_share and self._faults.draw() < rule.hold_share:
            delay = self._faults.draw() * rule.hold_seconds
            asyncio.get_running_loop().call_later(delay, deliver, event)
        else:
            deliver(event)
        if rule.duplicate_share and self._faults.draw() < rule.duplicate_share:
            deliver(event)
        if rule.cut_after_events is not None and self._events >= rule.cut_after_events and self._stream:
            self._stream.cut()


def fault_error(rule: CallFault, resource: str, name: str) -> StatusError:
    """Return the error that a rule answers with, as the real server words it."""
    match rule.code:
        case 409:
            return conflict(resource, name)
        case 410:
            return expired("The resourceVersion for the provided watch is too old.")
        case 429:
            return too_many_requests("The apiserver is overloaded, please try again later.", 1)
        case 500:
            return internal_error("fault injected")
        case 503:
            message = "the server is currently unable to handle the request"
            return status_error(503, "ServiceUnavailable", message, retry_after=1)
        case _:
            message = "Timeout: request did not complete within the allotted timeout"
            return status_error(504, "Timeout", message)
