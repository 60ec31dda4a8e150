"""Kopf's part: lists, watches and their filters. Its handlers do nothing but hand events over.

Kopf writes nothing to objects and posts nothing: there are no handlers that keep state, peering is off, and the names
under which it would store things are our own all the same. Indexing handlers of all objects run before the first event
handler of any, so the first call of `on_event` finds everything that was listed.
"""

from collections.abc import Callable
from typing import Any, Final, Literal

import kopf

from adapter_operator.handlers.kinds import WATCHED
from adapter_operator.runtime.connection import Credentials
from adapter_operator.runtime.objects import Object

_PREFIX: Final = "adapters.dev"

EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"] | None
"""Kopf keeps bookmarks to itself. None for what a list shows, at the start or after an interruption."""


def watch_registry(
    credentials: Credentials,
    on_sight: Callable[[Object], None],
    on_event: Callable[[EventType, Object], None],
) -> kopf.OperatorRegistry:
    """The handlers.

    Args:
        credentials: how to log in.
        on_sight: gets every object that is there, before `on_event` does.
        on_event: gets every event, the first of them when all that is watched was listed.

    """
    registry = kopf.OperatorRegistry()

    async def login(**_: Any) -> kopf.ConnectionInfo:  # noqa: ANN401 - Kopf hands in what it has
        # It asks at the start, and when the server has refused what it had.
        await credentials.renew()
        return await credentials.connection()

    async def see(body: kopf.Body, **_: Any) -> None:  # noqa: ANN401
        on_sight(_plain(body))

    async def pass_on(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401
        on_event(event["type"], dict(event["object"]))

    kopf.on.login(registry=registry, id="login")(login)
    for kind, _ in WATCHED:
        where = (kind.group, kind.version, kind.plural) if kind.group else (kind.version, kind.plural)
        kopf.index(*where, registry=registry, id=f"see-{kind.plural}")(see)
        kopf.on.event(*where, registry=registry, id=f"pass-on-{kind.plural}")(pass_on)
    return registry


def watch_settings() -> kopf.OperatorSettings:
    """Kopf's settings."""
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.persistence.finalizer = f"{_PREFIX}/watched"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=_PREFIX)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=_PREFIX, key="last-handled")
    # No list or watch of namespaces and definitions: what is to be watched is known.
    settings.scanning.disabled = True
    settings.watching.server_timeout = 600
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = 500
    settings.networking.request_timeout = 30
    settings.networking.enforce_retry_after = True
    settings.queueing.exit_timeout = 1.0
    # A process that does not end is the kubelet's to kill.
    settings.process.ultimate_exiting_timeout = None
    for kind, selector in WATCHED:
        if selector:
            place = (kind.group, kind.version, kind.plural) if kind.group else ("", kind.version, kind.plural)
            settings.watching.label_selectors[place] = selector
    return settings


def _plain(body: kopf.Body) -> Object:
    return dict(body)
