"""What the operator answers on its own port: whether it lives, whether it is ready, and its metrics."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from adapter_operator.runtime.metrics import CONTENT_TYPE, Metrics

_LOG = logging.getLogger(__name__)

PORT: Final = 8080

Check = Callable[[], str | None]
"""Returns what is wrong, or None."""


@asynccontextmanager
async def serve_probes(
    *, host: str | None, port: int, live: Sequence[Check], ready: Sequence[Check], metrics: Metrics
) -> AsyncIterator[int]:
    """Serve `GET /healthz`, `/readyz` and `/metrics` as long as the context lasts; gives the port.

    Args:
        host: address to listen on; None means all.
        port: 0 takes a free one.
        live: what must be well for the process to go on.
        ready: what must be well for it to be of use.
        metrics: to show.

    """

    async def healthz(_: web.Request) -> web.Response:
        return _answer(live)

    async def readyz(_: web.Request) -> web.Response:
        return _answer(ready)

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    application = web.Application()
    application.add_routes(
        [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", show_metrics)]
    )
    runner = web.AppRunner(application, handle_signals=False, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _answer(checks: Sequence[Check]) -> web.Response:
    problems = [problem for check in checks if (problem := check())]
    if problems:
        _LOG.warning("probe: %s", "; ".join(problems))
        return web.Response(status=500, text="".join(f"{problem}\n" for problem in problems))
    return web.Response(text="ok\n")
