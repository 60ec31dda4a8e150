"""The process: how it starts, drains and ends."""

import asyncio
import shutil
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from adapter_contract import ExitCode
from adapter_contract.pods import SERVING_PORT
from adapter_server.errors import ServerError
from adapter_server.program import Program
from adapter_server.startup import read_startup
from adapter_testing.server_lab import Pod, ServerProcess, Shelf, Things, ask, entry
from adapter_testing.trainer_lab import BASE_NAME
from adapter_testing.waiting import until

pytestmark = pytest.mark.integration

LONG = {"requestTimeoutSeconds": 60, "maxQueuedRequests": 32, "maxOutputTokens": 4000}


@pytest.fixture
def pod(things: Things, tmp_path: Path) -> Pod:
    return Pod(tmp_path / "pod", things.base)


def test_a_pod_that_leaves_is_not_ready_ends_its_answers_and_still_takes_new_ones(
    pod: Pod, things: Things, tmp_path: Path
) -> None:
    first, shelf = things.versions[0], Shelf(tmp_path / "store")
    pod.changes |= {"limits": LONG, "drainSeconds": 30, "engine": {**pod.config["engine"], "maxModelLength": 1024}}
    pod.write_set([entry("bot", first.digest, shelf.put(first), policy="Required")])
    with ServerProcess(pod) as server, pod.client() as client:
        until(pod.listens, server.log.read_text, 60)
        assert requests.get(f"{pod.url}/readyz", timeout=10).json()["message"] == "the base model is being loaded"
        early = requests.post(f"{pod.url}/v1/completions", json={"model": "bot", "prompt": "x"}, timeout=10)
        assert (early.status_code, early.headers["retry-after"]) == (503, "2")
        assert pod.report().ready is False
        pod.wait_ready()

        request = {"model": "bot", "messages": [{"role": "user", "content": "hello"}], "temperature": 0}
        chunks = iter(client.chat.completions.create(**request, max_tokens=400, stream=True))
        next(chunks)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not pod.ready())
        with pod.client() as late, ThreadPoolExecutor(1) as pool:
            told = pool.submit(ask, late, "bot", "hello").result()
            raw = late.chat.completions.with_raw_response.create(**request, max_tokens=1)
        assert told.digest == first.digest
        assert raw.headers["connection"] == "close"
        reasons = [chunk.choices[0].finish_reason for chunk in chunks]
        assert reasons[-1] in {"length", "stop"}
        assert server.end() == ExitCode.DONE
    assert [line["error"] for line in server.lines if line.get("error")] == ["not_ready"]
    assert not (pod.directory / "termination-log").exists()


def test_a_process_that_can_not_start_says_why_in_its_termination_message(pod: Pod) -> None:
    pod.changes["baseModel"] = {"name": BASE_NAME, "source": {"type": "Path", "path": "/nowhere"}}
    with ServerProcess(pod) as server:
        assert server.end() == ExitCode.INPUT_MISSING
        assert "there is no config.json in /nowhere: check the volume" in server.termination_message
        assert server.lines[-1]["message"] in server.termination_message


def test_an_error_that_nobody_expected_is_logged_as_json_and_told_in_one_line(pod: Pod) -> None:
    pod.write_set([])
    (pod.work / "adapters").write_text("a file where a directory belongs")
    with ServerProcess(pod) as server:
        assert server.end() == ExitCode.INTERNAL
        last = server.lines[-1]
        assert last["level"] == "error"
        assert last["message"].startswith("unexpected FileExistsError: ")
        assert last["exception"].startswith("Traceback (most recent call last):")
        assert server.termination_message == f"{last['message']}\n"


def test_a_program_told_to_end_while_the_base_loads_ends(pod: Pod) -> None:
    with pod.running_here():
        pod.here.leave()
        pod.here.thread.join(20)
        assert not pod.here.thread.is_alive()


def test_the_base_may_lie_in_a_store_and_is_downloaded_once(pod: Pod, things: Things, tmp_path: Path) -> None:
    stored = tmp_path / "store" / "base"
    shutil.copytree(things.base, stored)
    source = {"type": "S3", "location": {"uri": stored.as_uri()}}
    pod.changes["baseModel"] = {"name": BASE_NAME, "source": source}
    pod.write_set([])
    for _ in range(2):
        with pod.running_here(), pod.client() as client:
            pod.wait_ready()
            assert ask(client, BASE_NAME, "hello").text
        shutil.rmtree(stored, ignore_errors=True)


@pytest.mark.parametrize(
    ("base", "exit_code", "words"),
    [
        ({"source": {"type": "S3", "location": {"uri": "file:///nowhere/base"}}}, ExitCode.INPUT_MISSING, "nowhere"),
        ({"digest": f"sha256:{'0' * 64}"}, ExitCode.BAD_DATA, "digest"),
    ],
)
def test_a_base_that_can_not_be_served_ends_the_program(
    pod: Pod, base: dict[str, object], exit_code: ExitCode, words: str
) -> None:
    pod.changes["baseModel"] = {**pod.config["baseModel"], **base}
    with pytest.raises(ServerError, match=f"^baseModel: .*{words}") as ended, pod.running_here():
        pod.here.thread.join(20)
    assert ended.value.exit_code is exit_code


def test_a_port_that_is_taken_ends_the_program(pod: Pod) -> None:
    taken = socket.create_server((pod.address, SERVING_PORT))
    with taken, pytest.raises(ServerError, match=f"can't listen on {pod.address}, port 8000: Address already in use"):
        asyncio.run(Program(read_startup(pod.environment)).run())


def test_an_engine_that_died_ends_the_program(pod: Pod) -> None:
    pod.write_set([])
    server = pod.running_here()
    server.__enter__()
    pod.wait_ready()
    pod.here.program.service.running.engine.close()
    pod.here.thread.join(20)
    with pytest.raises(ServerError, match="the engine died: ") as ended:
        server.__exit__(None, None, None)
    assert ended.value.exit_code is ExitCode.INTERNAL
