"""`python -m adapter_operator --settings FILE [--kubeconfig PATH]`: the operator as a process."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import kopf

from adapter_contract.pods import BIND_ADDRESS
from adapter_operator.handlers.operator import Operator, Options, PartEnded, StartError
from adapter_operator.handlers.settings_file import SettingsFileError, read_settings
from adapter_operator.runtime.connection import CredentialsError, credentials
from adapter_operator.runtime.errors import ApiError
from adapter_operator.runtime.probes import PORT

_LOG = logging.getLogger("adapter_operator")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the operator until it is told to end; returns the exit code, which is 0 only then."""
    parser = argparse.ArgumentParser(prog="python -m adapter_operator", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, metavar="FILE", help="YAML file with the settings")
    parser.add_argument(
        "--kubeconfig",
        type=Path,
        metavar="PATH",
        help="how to reach the cluster; default: the pod's service account, else what kubectl would take",
    )
    parser.add_argument(
        "--probe-port", type=int, default=PORT, metavar="PORT", help=f"port of probes and metrics; default {PORT}"
    )
    parser.add_argument("--verbose", action="store_true", help="log details")
    given = parser.parse_args(arguments)
    _set_up_logging(verbose=given.verbose)
    try:
        asyncio.run(_run(given))
    except (SettingsFileError, CredentialsError, StartError, PartEnded, ApiError, OSError) as error:
        _LOG.critical("the operator ends: %s", error, exc_info=error.__cause__)
        return 1
    return 0


async def _run(given: argparse.Namespace) -> None:
    options = Options(probe_host=os.environ.get(BIND_ADDRESS) or None, probe_port=given.probe_port)
    operator = Operator(read_settings(given.settings), credentials(given.kubeconfig), options=options)
    stop = asyncio.Event()

    def take_signals() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)

    take_signals()
    await operator.run(stop, on_start=take_signals)


def _set_up_logging(*, verbose: bool) -> None:
    kopf.configure(verbose=verbose, log_format=kopf.LogFormat.JSON)
    # Kopf tells of every call of a handler that it succeeded; ours only pass on events.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
