"""The life of the process: listen, load the base, keep the adapters as the set says, drain, end."""

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from adapter_contract import ExitCode
from adapter_server import logs
from adapter_server.base_model import start_engine
from adapter_server.engines.engine import Engine
from adapter_server.errors import ServerError
from adapter_server.gateway.app import serving_app
from adapter_server.gateway.keys import KeyFileError, Keys
from adapter_server.gateway.models import Models
from adapter_server.gateway.service import Running, Service
from adapter_server.listeners import Listener, bind
from adapter_server.management.app import management_app
from adapter_server.management.reporter import Reporter
from adapter_server.metrics import Metrics
from adapter_server.startup import Startup, read_startup, termination_file
from adapter_server.sync.aliases import Aliases
from adapter_server.sync.set_file import POLL_SECONDS, SetFile
from adapter_server.sync.synchronizer import Synchronizer

LONGEST_SETTLE_SECONDS = 2.0
"""How long a pod that leaves takes new requests: until its endpoint is gone everywhere."""

_log = logging.getLogger(__name__)
T = TypeVar("T")


def main(environment: Mapping[str, str] | None = None) -> int:
    """Run the server until it is told to end; return the exit code."""
    logs.configure()
    variables = os.environ if environment is None else environment
    try:
        asyncio.run(_run_until_told(Program(read_startup(variables))))
    except ServerError as error:
        _log.error("%s", error)
        write_termination_message(variables, str(error))
        return error.exit_code
    except Exception as error:
        message = " ".join(f"unexpected {type(error).__name__}: {error}".split())
        _log.exception("%s", message)
        write_termination_message(variables, message)
        return ExitCode.INTERNAL
    return ExitCode.DONE


async def _run_until_told(program: "Program") -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, program.leave)
    await program.run()


def write_termination_message(environment: Mapping[str, str], message: str) -> None:
    """Leave the message where the pod's status takes it from, if the pod says where."""
    path = termination_file(environment)
    if path is not None:
        try:
            path.write_text(f"{message[:1000]}\n")
        except OSError as error:
            _log.warning("the termination message can't be written to %s: %s", path, error.strerror)


class Program:
    """One server process.

    Attributes:
        service: what it shares with its requests.
    """

    def __init__(self, startup: Startup) -> None:
        self._startup = startup
        self.service = Service(startup.config.limits, Metrics(), keys=_keys(startup))
        self._leaving = self.service.draining

    async def run(self) -> None:
        """Serve until told to leave, then drain.

        Raises:
            ServerError: it can't start, or the engine died.
        """
        startup, service = self._startup, self.service
        with contextlib.ExitStack() as held:
            sockets = [
                held.enter_context(bind(startup.address, port))
                for port in (startup.management_port, startup.serving_port)
            ]
            management = Listener(management_app(Reporter(startup.config, service)), sockets[0])
            serving = Listener(serving_app(service), sockets[1])
            _log.info("listening: the API on port %d, management on port %d", serving.port, management.port)
            try:
                engine = await self._load_base()
                if engine is not None:
                    await self._serve(engine, serving)
            finally:
                await serving.stop(0)
                service.changes.close()
                await management.stop(0)

    def leave(self) -> None:
        """Begin to leave: not ready from now on. On the event loop only."""
        if not self._leaving.is_set():
            _log.info("told to end: not ready any more")
        self._leaving.set()
        self.service.changes.announce()

    async def _load_base(self) -> Engine | None:
        """Return the engine once it answers; None where the process is told to end before."""
        stopping = threading.Event()
        began = time.monotonic()
        loading = on_daemon_thread(lambda: start_engine(self._startup.config, self._startup.work, stopping))
        leaving = asyncio.create_task(self._leaving.wait())
        loading.add_done_callback(lambda _: leaving.cancel())
        await asyncio.wait({leaving})
        if not loading.done():
            stopping.set()
            loading.cancel()
            return None
        engine = loading.result()
        _log.info("the base model %s answers after %.1f s", engine.facts.base_model_name, time.monotonic() - began)
        return engine

    async def _serve(self, engine: Engine, serving: Listener) -> None:
        """Keep the adapters as the set says until the process is told to end, then drain."""
        startup, service = self._startup, self.service
        base_name = startup.config.base_model.name
        aliases = Aliases(base_name)
        synchronizer = Synchronizer(engine, aliases, startup.work / "adapters", service.changes)
        await synchronizer.start()
        set_file = SetFile(startup.set_file, base_name, startup.mounts)
        service.metrics.watch_engine(engine)
        service.metrics.watch_adapters(lambda: synchronizer.statuses)
        service.running = Running(engine, Models(aliases, synchronizer, int(time.time())), synchronizer, set_file)
        service.changes.announce()
        watchers = [
            asyncio.create_task(set_file.watch(synchronizer.apply)),
            asyncio.create_task(_watch_engine(engine)),
            asyncio.create_task(_watch_keys(service.keys)),
        ]
        leaving = asyncio.create_task(self._leaving.wait())
        try:
            done, _ = await asyncio.wait({leaving, *watchers}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            await self._drain(serving)
        finally:
            for task in (leaving, *watchers):
                task.cancel()
            await asyncio.gather(leaving, *watchers, return_exceptions=True)
            await synchronizer.close()
            await asyncio.to_thread(engine.close)

    async def _drain(self, serving: Listener) -> None:
        """Answer what still comes for a short while, then let requests end, all within the time for draining."""
        seconds = float(self._startup.config.drain_seconds)
        settle = min(LONGEST_SETTLE_SECONDS, seconds / 4)
        await asyncio.sleep(settle)
        await serving.stop(seconds - settle)
        _log.info("drained")


def _keys(startup: Startup) -> Keys | None:
    """Read the API keys: a file that can't be read must not leave the door open."""
    path = startup.config.api_keys_file
    if path is None:
        return None
    try:
        return Keys(Path(path))
    except KeyFileError as error:
        raise ServerError(ExitCode.BAD_CONFIGURATION, f"apiKeysFile: {error}") from error


async def _watch_engine(engine: Engine) -> None:
    while True:
        await asyncio.sleep(POLL_SECONDS)
        if engine.failure is not None:
            raise ServerError(ExitCode.INTERNAL, f"the engine died: {engine.failure}")


async def _watch_keys(keys: Keys | None) -> None:
    while True:
        await asyncio.sleep(POLL_SECONDS)
        if keys is not None:
            keys.poll()


def on_daemon_thread(call: Callable[[], T]) -> asyncio.Future[T]:
    """Run a call that may take minutes on a thread that does not keep the process alive; return its future."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if not future.done():
            if error is None:
                future.set_result(result)  # type: ignore[arg-type]  # T may be optional itself
            else:
                future.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = call()
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="base-model", daemon=True).start()
    return future
