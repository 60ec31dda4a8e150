"""The report as a stream of server-sent events: the present one at once, then each that says something else."""

import asyncio
from collections.abc import AsyncIterator

from adapter_contract import AdapterReport
from adapter_server.changes import ChangesEnded
from adapter_server.management.reporter import Reporter

KEEP_ALIVE_SECONDS = 15.0
PAUSE_SECONDS = 0.1
"""Changes within it are told together."""


async def report_events(reporter: Reporter) -> AsyncIterator[bytes]:
    """Yield events until the pod leaves; a comment now and then, so that a dead connection is noticed."""
    changes = reporter.service.changes
    told = None
    while True:
        seen = changes.count
        report = reporter.report()
        if _essence(report) != told:
            told = _essence(report)
            yield b"data: " + report.to_json() + b"\n\n"
        await asyncio.sleep(PAUSE_SECONDS)
        try:
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                await changes.wait_beyond(seen)
        except TimeoutError:
            yield b": keep-alive\n\n"
        except ChangesEnded:
            return


def _essence(report: AdapterReport) -> tuple[object, ...]:
    """What must differ for an event: the engine's counts change with every request."""
    return (report.generation, report.ready, report.adapters, report.engine.base_digest)
