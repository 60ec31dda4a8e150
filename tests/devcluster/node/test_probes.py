"""Probes: what they send, how results count, what follows."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from adapter_devcluster.node.http_checks import CheckError, http_get, port_number, request_url, tcp_connect
from adapter_devcluster.objects import Object
from adapter_testing.node_lab import NAMESPACE, NodeLab, with_node

pytestmark = pytest.mark.integration

FAST = {"periodSeconds": 1}
SERVER = (
    "import http.server, os, pathlib\n"
    "class Handler(http.server.BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        self.send_response(200 if pathlib.Path(os.environ['FLAG']).exists() else 503)\n"
    "        self.end_headers()\n"
    "    def log_message(self, *args): pass\n"
    "print('up', flush=True)\n"
    "http.server.HTTPServer((os.environ['ADAPTER_BIND_ADDRESS'], 8080), Handler).serve_forever()\n"
)


async def served(work: Any) -> list[Any]:
    """Run a server that notes requests; ``work`` gets its port."""
    seen: list[Any] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request)
        if request.path == "/slow":
            await asyncio.sleep(5)
        if target := "/loop" if request.path == "/loop" else request.query.get("to"):
            return web.Response(status=302, headers={"Location": target})
        return web.Response(status=int(request.query.get("status", 200)), text="body")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        await work(runner.addresses[0][1])
    finally:
        await runner.cleanup()
    return seen


async def get(port: int, path: str = "/", **action: Any) -> str:
    whole: Object = {"port": port, "path": path, **action}
    return await http_get(whole, request_url(whole, {"name": "c"}, "127.0.0.1"), 0.3)


def test_a_request_carries_path_headers_and_agent() -> None:
    async def work(port: int) -> None:
        headers = [{"name": "X-Key", "value": "v"}, {"name": "User-Agent", "value": "mine"}]
        assert await get(port, "healthz?deep=1", httpHeaders=headers) == "body"
        assert await get(port) == "body"

    first, second = asyncio.run(served(work))
    assert (first.path_qs, first.headers["X-Key"], first.headers["User-Agent"]) == ("/healthz?deep=1", "v", "mine")
    assert second.headers["User-Agent"] == "kube-probe/1.36"


@pytest.mark.parametrize(("status", "good"), [(200, True), (204, True), (399, True), (400, False), (503, False)])
def test_which_answers_are_good(status: int, good: bool) -> None:
    async def work(port: int) -> None:
        if good:
            await get(port, f"/?status={status}")
        else:
            with pytest.raises(CheckError) as raised:
                await get(port, f"/?status={status}")
            assert str(raised.value) == f"HTTP probe failed with statuscode: {status}"

    asyncio.run(served(work))


def test_redirects_are_followed_on_the_same_host_only() -> None:
    async def work(port: int) -> None:
        with pytest.raises(CheckError, match="statuscode: 500"):
            await get(port, "/?to=/next?status=500")
        await get(port, "/?to=http://192.0.2.1/")
        with pytest.raises(CheckError, match="stopped after 10 redirects"):
            await get(port, "/loop")

    asyncio.run(served(work))


def test_a_slow_answer_and_a_closed_port() -> None:
    async def work(port: int) -> None:
        with pytest.raises(CheckError, match="context deadline exceeded"):
            await get(port, "/slow")

    asyncio.run(served(work))

    async def closed() -> None:
        with pytest.raises(
            CheckError, match=r'Get "http://127.0.0.1:1/": dial tcp 127.0.0.1:1: connect: connection refused'
        ):
            await get(1)
        with pytest.raises(CheckError, match=r"dial tcp 127\.0\.0\.1:1: connect: connection refused"):
            await tcp_connect("localhost", 1, 1)

    asyncio.run(closed())


def test_a_port_that_is_open() -> None:
    async def work(port: int) -> None:
        await tcp_connect("127.0.0.1", port, 1)

    asyncio.run(served(work))


def test_an_answer_that_is_no_http() -> None:
    async def work() -> None:
        async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(b"who are you\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(babble, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(CheckError, match=f'Get "http://127.0.0.1:{port}/": '):
            await get(port)
        server.close()

    asyncio.run(work())


def test_a_connection_that_nobody_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async def hang(*_: object) -> None:
            await asyncio.sleep(5)

        monkeypatch.setattr(asyncio, "open_connection", hang)
        with pytest.raises(CheckError, match=r"dial tcp 127\.0\.0\.1:1: i/o timeout"):
            await tcp_connect("127.0.0.1", 1, 0.01)

    asyncio.run(work())


@pytest.mark.parametrize("host", ["192.0.2.1", "example.test", "::1", "128.0.0.1"])
def test_nothing_is_sent_beyond_the_loopback_addresses(host: str) -> None:
    with pytest.raises(CheckError, match=f"sends no requests beyond 127.0.0.0/8, and {host} lies there"):
        request_url({"host": host, "port": 80}, {"name": "c"}, "127.0.0.1")
    with pytest.raises(CheckError, match="sends no requests beyond"):
        asyncio.run(tcp_connect(host, 80, 1))


def test_ports_may_be_named() -> None:
    container = {"name": "c", "ports": [{"name": "web", "containerPort": 8080}, {"containerPort": 1}]}
    assert [port_number(port, container) for port in ("web", 81, "82")] == [8080, 81, 82]
    with pytest.raises(CheckError, match="couldn't find port: other in container c"):
        port_number("other", container)


def test_readiness_over_http_makes_the_pod_ready_and_unready(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        flag = tmp_path / "flag"
        probe = {**FAST, "httpGet": {"port": "web", "path": "/readyz"}, "failureThreshold": 1}
        main = {
            "command": ["python", "-c", SERVER],
            "env": [{"name": "FLAG", "value": str(flag)}],
            "ports": [{"name": "web", "containerPort": 8080}],
            "readinessProbe": probe,
        }
        lab.pod("p", main=main)
        await lab.until(
            lambda: ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503") in lab.events("p")
        )
        assert lab.condition("p", "Ready")["message"] == "containers with unready status: [main]"
        flag.touch()
        await lab.ready("p")
        since = lab.condition("p", "Ready")["lastTransitionTime"]
        assert lab.condition("p", "ContainersReady") == {**lab.condition("p", "Ready"), "type": "ContainersReady"}
        flag.unlink()
        await lab.ready("p", "False")
        assert lab.condition("p", "Ready")["lastTransitionTime"] >= since
        assert lab.container("p")["restartCount"] == 0

    with_node(work, tmp_path / "node")


def test_a_failed_liveness_probe_restarts_the_container(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        flag = tmp_path / "flag"
        probe = {**FAST, "exec": {"command": ["sh", "-c", f"echo dead; test -e {flag}"]}, "failureThreshold": 1}
        lab.pod(
            "p",
            f"test -e {flag} || touch {flag}.second; sleep 60",
            restartPolicy="Always",
            main={"livenessProbe": probe},
        )
        await lab.until(lambda: lab.container("p").get("restartCount") == 1)
        flag.touch()
        await lab.running("p")
        last = lab.container("p")["lastState"]["terminated"]
        assert (last["exitCode"], last["reason"]) == (143, "Error")
        events = lab.events("p")
        assert ("Unhealthy", "Liveness probe failed: dead\n") in events
        assert ("Killing", "Container main failed liveness probe, will be restarted") in events

    with_node(work, tmp_path / "node")


def test_a_failed_liveness_probe_ends_a_pod_that_is_never_restarted(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        probe = {
            **FAST,
            "initialDelaySeconds": 1,
            "tcpSocket": {"port": 1},
            "failureThreshold": 1,
            "terminationGracePeriodSeconds": 1,
        }
        lab.pod(
            "p",
            "trap '' TERM; while :; do sleep 1; done",
            main={"livenessProbe": probe},
            terminationGracePeriodSeconds=600,
        )
        await lab.phase("p", "Failed")
        assert lab.container("p")["state"]["terminated"]["exitCode"] == 137

    with_node(work, tmp_path)


def test_other_probes_wait_for_the_startup_probe(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        flag = tmp_path / "flag"
        main = {
            "startupProbe": {**FAST, "exec": {"command": ["test", "-e", str(flag)]}, "failureThreshold": 100},
            "livenessProbe": {**FAST, "exec": {"command": ["test", "-e", str(flag)]}, "failureThreshold": 1},
            "readinessProbe": {**FAST, "exec": {"command": ["true"]}},
        }
        lab.pod("p", "sleep 60", main=main)
        await lab.until(lambda: ("Unhealthy", "Startup probe failed: ") in lab.events("p"))
        found = lab.container("p")
        assert (found["started"], found["ready"]) == (False, False)
        flag.touch()
        await lab.ready("p")
        assert lab.container("p")["started"] is True
        assert not any(text.startswith("Liveness") for _, text in lab.events("p"))

    with_node(work, tmp_path / "node")


def test_a_failed_startup_probe_ends_the_container(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        probe = {**FAST, "exec": {"command": ["false"]}, "failureThreshold": 1}
        lab.pod("p", "sleep 60", main={"startupProbe": probe})
        await lab.phase("p", "Failed")
        assert ("Killing", "Container main failed startup probe, will be restarted") in lab.events("p")

    with_node(work, tmp_path)


@pytest.mark.parametrize(
    ("probe", "message"),
    [
        (
            {"exec": {"command": ["sleep", "60"]}},
            'Readiness probe failed: command timed out: "sleep 60" timed out after 1s',
        ),
        (
            {"grpc": {"port": 1}},
            "Readiness probe errored and resulted in unknown state: gRPC probes are not supported by this node",
        ),
        (
            {"exec": {"command": ["no-such-program"]}},
            "Readiness probe errored and resulted in unknown state: rpc error: code = Unknown desc = failed to exec in "
            'container: exec: "no-such-program": executable file not found in $PATH',
        ),
    ],
)
def test_probes_that_give_no_answer(tmp_path: Path, probe: Object, message: str) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "sleep 60", main={"readinessProbe": {**FAST, **probe}})
        await lab.until(lambda: ("Unhealthy", message) in lab.events("p"))
        assert lab.container("p")["ready"] is False

    with_node(work, tmp_path)


def test_readiness_gates(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "sleep 60", readinessGates=[{"conditionType": "test/gate"}])
        await lab.ready("p", "False")
        await lab.until(lambda: lab.condition("p", "ContainersReady")["status"] == "True")
        message = 'corresponding condition of pod readiness gate "test/gate" does not exist.'
        assert lab.condition("p", "Ready")["message"] == message

        def answer(value: str) -> None:
            gate = {"type": "test/gate", "status": value, "lastTransitionTime": "2026-01-01T00:00:00Z"}
            others = [one for one in lab.get("p")["status"]["conditions"] if one["type"] != "test/gate"]
            lab.client.patch("pods", NAMESPACE, "p", {"status": {"conditions": [*others, gate]}}, "status")

        answer("False")
        told = 'the status of pod readiness gate "test/gate" is not "True", but False'
        await lab.until(lambda: lab.condition("p", "Ready").get("message") == told)
        answer("True")
        await lab.ready("p")
        assert lab.condition("p", "test/gate")["status"] == "True"

    with_node(work, tmp_path)
