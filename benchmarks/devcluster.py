#!/usr/bin/env python3
"""Figures of the embedded cluster: start, memory, creates a second, latency of watch events.

The server is a process of its own, as ``up`` starts it; the clients are threads of this one, so both share the
machine. ``--tls`` measures over TLS. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

GROUP = "benchmark.example.test"
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"samples.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"kind": "Sample", "plural": "samples", "singular": "sample", "listKind": "SampleList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["size"],
                                "properties": {
                                    "size": {"type": "integer", "minimum": 1},
                                    "mode": {"type": "string", "default": "slow", "maxLength": 16},
                                    "items": {
                                        "type": "array",
                                        "maxItems": 64,
                                        "x-kubernetes-list-type": "map",
                                        "x-kubernetes-list-map-keys": ["name"],
                                        "items": {
                                            "type": "object",
                                            "required": ["name"],
                                            "properties": {
                                                "name": {"type": "string", "maxLength": 63},
                                                "value": {"type": "string", "maxLength": 256},
                                                "weight": {"type": "integer", "default": 1},
                                            },
                                        },
                                    },
                                },
                                "x-kubernetes-validations": [
                                    {"rule": "self.mode == 'slow' || self.size > 1", "message": "a fast one is large"}
                                ],
                            },
                            "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
                        },
                    }
                },
            }
        ],
    },
}


def sample(name: str) -> bytes:
    """One custom resource of 2 KiB."""
    items = [{"name": f"item-{number}", "value": "v" * 60, "weight": number} for number in range(17)]
    obj = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Sample",
        "metadata": {"name": name, "labels": {"app": "benchmark"}},
        "spec": {"size": 3, "items": items},
    }
    body = json.dumps(obj)
    obj["metadata"]["annotations"] = {"padding": "p" * (2048 - len(body) - 32)}
    return json.dumps(obj).encode()


class Server:
    """The cluster as ``up`` starts it."""

    def __init__(self, directory: Path, *, tls: bool) -> None:
        arguments = ["--directory", str(directory), *([] if tls else ["--http"])]
        command = [sys.executable, "-m", "adapter_devcluster"]
        began = time.perf_counter()
        subprocess.run([*command, "up", "--no-node", *arguments], check=True, stdout=subprocess.DEVNULL)
        self.start_seconds = time.perf_counter() - began
        state = json.loads((directory / "cluster.json").read_text())
        self.pid, self.url = state["pid"], urlsplit(state["server"])
        self.token = yaml.safe_load(Path(state["kubeconfig"]).read_text())["users"][0]["user"]["token"]
        self._down = [*command, "down", "--directory", str(directory)]

    def connect(self) -> http.client.HTTPConnection:
        if self.url.scheme == "https":
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            return http.client.HTTPSConnection(self.url.hostname or "", self.url.port, context=context)
        return http.client.HTTPConnection(self.url.hostname or "", self.url.port)

    def call(self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = response.read()
        if response.status >= 400:
            raise RuntimeError(f"{method} {path}: {response.status} {answer[:300]!r}")
        return answer

    def memory_mib(self) -> float:
        """Resident memory, MiB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("no VmRSS")

    def stop(self) -> None:
        subprocess.run(self._down, check=True, stdout=subprocess.DEVNULL)


class Watch(threading.Thread):
    """A watch that notes when each object was first seen."""

    def __init__(self, server: Server, path: str, revision: str) -> None:
        super().__init__(daemon=True)
        self._server, self._path = server, f"{path}?watch=1&resourceVersion={revision}"
        self.seen: dict[str, float] = {}
        self.open = threading.Event()

    def run(self) -> None:
        connection = self._server.connect()
        headers = {"Authorization": f"Bearer {self._server.token}"}
        connection.request("GET", self._path, headers=headers)
        response = connection.getresponse()
        self.open.set()
        while line := response.readline():
            now = time.perf_counter()
            name = json.loads(line)["object"]["metadata"]["name"]
            self.seen.setdefault(name, now)


def creates(server: Server, path: str, count: int, clients: int) -> tuple[float, dict[str, float]]:
    """Create objects from several clients; returns the seconds, and when each object was sent."""
    bodies = [(f"s-{number:05}", sample(f"s-{number:05}")) for number in range(count)]
    sent: dict[str, float] = {}
    barrier = threading.Barrier(clients + 1)

    def work(mine: list[tuple[str, bytes]]) -> None:
        connection = server.connect()
        connection.connect()
        barrier.wait()
        for name, body in mine:
            sent[name] = time.perf_counter()
            server.call(connection, "POST", path, body)

    threads = [threading.Thread(target=work, args=(bodies[number::clients],)) for number in range(clients)]
    for thread in threads:
        thread.start()
    barrier.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began, sent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--tls", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        server = Server(Path(directory), tls=options.tls)
        try:
            empty = server.memory_mib()
            connection = server.connect()
            server.call(
                connection,
                "POST",
                "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
                json.dumps(CRD).encode(),
            )
            path = f"/apis/{GROUP}/v1/namespaces/default/samples"
            listed = json.loads(server.call(connection, "GET", path))
            watch = Watch(server, path, listed["metadata"]["resourceVersion"])
            watch.start()
            watch.open.wait()
            seconds, sent = creates(server, path, options.count, options.clients)
            deadline = time.perf_counter() + 30
            while len(watch.seen) < options.count and time.perf_counter() < deadline:
                time.sleep(0.05)
            latencies = sorted(1000 * (watch.seen[name] - at) for name, at in sent.items())
            quantiles = statistics.quantiles(latencies, n=100)
            figures = {
                "cores": os.cpu_count(),
                "start_seconds": round(server.start_seconds, 3),
                "memory_empty_mib": round(empty, 1),
                "memory_full_mib": round(server.memory_mib(), 1),
                "objects": options.count,
                "object_bytes": len(sample("s-00000")),
                "creates_per_second": round(options.count / seconds, 1),
                "watch_latency_ms_p50": round(quantiles[49], 2),
                "watch_latency_ms_p99": round(quantiles[98], 2),
            }
        finally:
            server.stop()
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
