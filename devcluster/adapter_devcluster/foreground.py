"""A cluster in this very process, until a signal ends it."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import signal
from pathlib import Path

from adapter_devcluster.cluster import Cluster, ClusterConfig
from adapter_devcluster.loopback import RangeError
from adapter_devcluster.node import NodeError
from adapter_devcluster.node.images import image_table
from adapter_devcluster.process_state import CommandError, sole_use, state_path, write_state
from adapter_devcluster.serving.faults import CallFault, FaultPlan, WatchFault


def serve(options: argparse.Namespace) -> int:
    """Run a cluster in this process until it is told to stop. Raises CommandError."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        images = image_table(options.image)
        folders = {pattern: Path(folder) for pattern, folder in map(_pair, options.image_volume)}
    except ValueError as error:
        raise CommandError(str(error)) from error
    config = ClusterConfig(
        directory=options.directory,
        port=options.port,
        tls=not options.http,
        node=not options.no_node,
        controllers=not options.no_controllers,
        gpus=options.gpus,
        images=images,
        node_options={"image_volumes": folders, "claims": options.claims},
        kubeconfig=options.kubeconfig,
        audit_log=options.audit_log,
        bookmark_every=options.bookmark_seconds,
    )

    async def run() -> None:
        cluster = Cluster(config)
        cluster.faults.set(fault_plan(options))
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            await cluster.start()
            _spare_garbage_collection()
            write_state(options.directory, cluster.url, cluster.kubeconfig_path)
            print(f"ready: {cluster.url}\nexport KUBECONFIG={cluster.kubeconfig_path}", flush=True)
            await stop.wait()
        finally:
            await cluster.stop()
            state_path(options.directory).unlink(missing_ok=True)

    try:
        with sole_use(options.directory):
            asyncio.run(run())
    except (OSError, NodeError, RangeError) as error:
        raise CommandError(f"can't start: {error}") from error
    return 0


def _pair(text: str) -> tuple[str, str]:
    pattern, equals, folder = text.partition("=")
    if not pattern or not equals or not Path(folder).is_dir():
        raise ValueError(f"--image-volume {text!r}: expected PATTERN=FOLDER, with a folder that is there")
    return pattern, folder


def _spare_garbage_collection() -> None:
    """Let Python look for cycles more seldom: objects here are trees, and there are very many of them.

    Measured with ``benchmarks/devcluster.py``, four runs each in turn on a busy machine: 911 creates a second with
    this and 825 without, in the median; the slowest hundredth of watch events took 10 ms and 18 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def fault_plan(options: argparse.Namespace) -> FaultPlan:
    """Return the faults that the flags ask for."""
    calls = []
    if options.fail_nth is not None:
        calls.append(CallFault(nth=options.fail_nth, code=options.fail_code))
    if options.fail_share is not None:
        calls.append(CallFault(share=options.fail_share, code=options.fail_code))
    if options.delay_seconds:
        calls.append(CallFault(effect="Delay", delay_seconds=options.delay_seconds))
    watches = []
    if options.cut_watches_after or options.duplicate_share or options.hold_share:
        watches.append(
            WatchFault(
                cut_after_events=options.cut_watches_after,
                duplicate_share=options.duplicate_share,
                hold_share=options.hold_share,
                hold_seconds=options.hold_seconds,
            )
        )
    return FaultPlan(calls=tuple(calls), watches=tuple(watches), seed=options.seed)
