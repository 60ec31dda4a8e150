"""Plain HTTP calls to an embedded cluster, and waiting for what it does by itself."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import requests

from adapter_devcluster.devcluster import DevCluster

T = TypeVar("T")
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


def config_map(name: str, data: dict[str, str] | None = None, **metadata: Any) -> dict[str, Any]:
    """A ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": data or {}}


def eventually(found: Callable[[], T], seconds: float = 10.0) -> T:
    """Ask until the answer is true in itself, and return it; the last answer when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        answer = found()
        if answer or time.monotonic() > deadline:
            return answer
        time.sleep(0.02)


class ApiCalls:
    """Calls with one token; ``as_user`` makes others."""

    def __init__(self, cluster: DevCluster, token: str | None = None) -> None:
        self.url = cluster.url
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers["Authorization"] = f"Bearer {token or cluster.token}"

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        media: str = "application/json",
        accept: str = "application/json",
        headers: dict[str, str] | None = None,
        timeout: float = 30.0,
        **params: str,
    ) -> requests.Response:
        """Make a call; a body that is no text is sent as JSON."""
        data = body if body is None or isinstance(body, str | bytes) else json.dumps(body)
        sent = {"Accept": accept, "Content-Type": media, **(headers or {})}
        return self.http.request(method, self.url + path, params=params, data=data, headers=sent, timeout=timeout)

    @contextmanager
    def watch(self, path: str, **params: str) -> Iterator[Iterator[dict[str, Any]]]:
        """Open a watch; gives its events as they come, until the server ends it."""
        with self.http.get(self.url + path, params={"watch": "1", **params}, stream=True, timeout=30) as response:
            yield (json.loads(line) for line in response.iter_lines() if line)
