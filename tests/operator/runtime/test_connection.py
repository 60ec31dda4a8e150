"""Ways to log in: a pod's service account, whose token changes, and a kubeconfig."""

from __future__ import annotations

import asyncio
import base64
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import kopf
import pytest
import trustme
import yaml
from aiohttp import web

from adapter_devcluster.devcluster import DevCluster
from adapter_operator.runtime.client import ApiClient
from adapter_operator.runtime.connection import (
    Credentials,
    CredentialsError,
    Kubeconfig,
    ServiceAccount,
    credentials,
)
from adapter_operator.runtime.errors import Unauthorized, Unavailable
from adapter_operator.runtime.resources import CONFIG_MAPS, Resources

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def secure() -> Iterator[DevCluster]:
    with DevCluster(node=False, controllers=False, tls=True) as found:
        yield found


class Account:
    """A service account's directory, as the kubelet mounts it."""

    def __init__(self, directory: Path, cluster: DevCluster) -> None:
        self.directory = directory
        self.environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1"}
        self.environment["KUBERNETES_SERVICE_PORT"] = cluster.url.rpartition(":")[2]
        kubeconfig = yaml.safe_load(cluster.kubeconfig.read_text())
        self.authority = kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"]
        (directory / "token").write_text(f"{cluster.token}\n")
        self.write_authority(base64.b64decode(self.authority).decode())

    def write_authority(self, text: str) -> None:
        (self.directory / "ca.crt").write_text(text)

    @property
    def credentials(self) -> ServiceAccount:
        return ServiceAccount(self.directory, self.environment)


@pytest.fixture
def account(tmp_path: Path, secure: DevCluster) -> Account:
    return Account(tmp_path, secure)


async def names(client: ApiClient) -> list[str]:
    return [one["metadata"]["name"] for one in (await client.list(CONFIG_MAPS, "kube-system")).items]


def listed(found: Credentials) -> list[str]:
    async def scene() -> list[str]:
        async with ApiClient(found, Resources()) as client:
            return await names(client)

    return asyncio.run(scene())


def test_in_a_pod(account: Account) -> None:
    assert listed(account.credentials) == []
    found = asyncio.run(account.credentials.connection())
    assert found.server == f"https://127.0.0.1:{account.environment['KUBERNETES_SERVICE_PORT']}"
    assert "\n" not in (found.token or "")


def test_a_token_that_the_server_refuses_is_read_again(account: Account, secure: DevCluster) -> None:
    (account.directory / "token").write_text("expired")

    async def scene() -> None:
        async with ApiClient(account.credentials, Resources()) as client:
            with pytest.raises(Unauthorized):
                await names(client)
            (account.directory / "token").write_text(secure.token)
            assert await names(client) == []

    asyncio.run(scene())


def test_a_token_is_read_again_every_minute(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("adapter_operator.runtime.connection.monotonic", lambda: now)
    found = account.credentials

    async def token() -> str | None:
        return (await found.connection()).token

    (account.directory / "token").write_text("first")
    assert asyncio.run(token()) == "first"
    (account.directory / "token").write_text("second")
    now += 59
    assert asyncio.run(token()) == "first"
    now += 2
    assert asyncio.run(token()) == "second"


def test_an_authority_that_was_replaced_is_read_again(account: Account) -> None:
    right = (account.directory / "ca.crt").read_text()

    async def scene() -> None:
        async with ApiClient(account.credentials, Resources()) as client:
            account.write_authority(trustme.CA().cert_pem.bytes().decode())
            with pytest.raises(Unavailable, match="certificate"):
                await names(client)
            account.write_authority(right)
            assert await names(client) == []

    asyncio.run(scene())


def test_outside_of_a_pod(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="this is no pod: give --kubeconfig"):
        asyncio.run(ServiceAccount(tmp_path, {}).connection())


def test_a_pod_without_a_token(tmp_path: Path) -> None:
    found = ServiceAccount(tmp_path, {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"})
    with pytest.raises(CredentialsError, match="automountServiceAccountToken"):
        asyncio.run(found.connection())
    (tmp_path / "token").write_text("word")
    assert asyncio.run(found.connection()).server == "https://[fd00::1]:443"


def test_a_pod_uses_its_service_account_unless_told_otherwise(
    account: Account, secure: DevCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter_operator.runtime.connection.SERVICE_ACCOUNT_DIRECTORY", account.directory)
    for name, value in account.environment.items():
        monkeypatch.setenv(name, value)
    assert isinstance(credentials(None), ServiceAccount)
    assert isinstance(credentials(secure.kubeconfig), Kubeconfig)


def test_a_kubeconfig(secure: DevCluster) -> None:
    assert listed(Kubeconfig(secure.kubeconfig)) == []
    found = asyncio.run(Kubeconfig(secure.kubeconfig).connection())
    assert (found.server, found.scheme, found.token) == (secure.url, "Bearer", secure.token)


def test_the_environments_kubeconfig(secure: DevCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(secure.kubeconfig))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert listed(credentials(None)) == []


def test_a_kubeconfig_with_a_plugin_that_is_asked_again(secure: DevCluster, tmp_path: Path) -> None:
    plugin, token, path = tmp_path / "plugin", tmp_path / "token", tmp_path / "kubeconfig"
    token.write_text("expired")
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "TOKEN"},
    }
    script = f"#!/bin/sh\nread word < {token} || true\necho '{json.dumps(answer)}' | sed \"s/TOKEN/$word/\"\n"
    plugin.write_text(script)
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    config = yaml.safe_load(secure.kubeconfig.read_text())
    config["users"][0]["user"] = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(plugin),
            "interactiveMode": "Never",
        }
    }
    path.write_text(yaml.safe_dump(config))

    async def scene() -> None:
        async with ApiClient(Kubeconfig(path), Resources()) as client:
            with pytest.raises(Unauthorized):
                await names(client)
            token.write_text(f"{secure.token}\n")
            assert await names(client) == []

    asyncio.run(scene())


@pytest.mark.parametrize("content", [None, "", "clusters: 7", "a: b: c", "current-context: nowhere\nclusters: []\n"])
def test_a_kubeconfig_that_is_none(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CredentialsError, match=str(path)):
        asyncio.run(Kubeconfig(path).connection())


class Fixed:
    """Credentials for a server that asks for none."""

    def __init__(self, server: str) -> None:
        self.server = server

    async def connection(self) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server=self.server)

    async def renew(self) -> None:
        raise AssertionError("nothing was refused")


def test_an_answer_that_is_none() -> None:
    async def scene() -> None:
        application = web.Application()

        async def login_page(request: web.Request) -> web.Response:
            return web.Response(text="<html>please log in</html>", content_type="text/html")

        application.router.add_get("/{path:.*}", login_page)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0]
        try:
            async with ApiClient(Fixed(f"http://{host}:{port}/"), Resources()) as client:
                with pytest.raises(Unavailable, match="the answer is no JSON") as error:
                    await names(client)
                assert error.value.code == 200
        finally:
            await runner.cleanup()

    asyncio.run(scene())


def test_a_server_that_is_not_there() -> None:
    async def scene() -> None:
        async with ApiClient(Fixed("http://127.0.0.1:1"), Resources()) as client:
            with pytest.raises(Unavailable, match="Cannot connect") as error:
                await names(client)
            assert isinstance(error.value.__cause__, aiohttp.ClientConnectorError)

    asyncio.run(scene())
