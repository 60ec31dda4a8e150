"""Where the API server is and who we are: a pod's service account, or a kubeconfig.

Credentials come as Kopf's `ConnectionInfo`, since Kopf needs them for its watches; the client makes its own session
from the same. The service account is read here, because Kopf's reader trusts in cluster DNS and keeps the token;
kubeconfigs, with their plugins, are left to the kubernetes library.
"""

import asyncio
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Final, Protocol

import kopf
import yaml
from kubernetes.client import Configuration
from kubernetes.config import ConfigException, load_kube_config

_LOG = logging.getLogger(__name__)

SERVICE_ACCOUNT_DIRECTORY: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# A token lives an hour or longer, and the kubelet replaces it after four fifths of that.
_TOKEN_SECONDS: Final = 60.0
# The library trusts in the shape of its files, and says so by whatever breaks first.
_UNREADABLE: Final = (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError)


class CredentialsError(Exception):
    """There are no credentials to be had; the message says what was looked for."""


class Credentials(Protocol):
    """Where from the connection's data come."""

    async def connection(self) -> kopf.ConnectionInfo:
        """What to use now. Raises CredentialsError."""

    async def renew(self) -> None:
        """Forget what is known: the server refused it."""


class ServiceAccount:
    """The service account of the pod that this program runs in; its token is read again every minute."""

    def __init__(
        self, directory: Path = SERVICE_ACCOUNT_DIRECTORY, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._directory = directory
        self._environment = environment
        self._known: kopf.ConnectionInfo | None = None
        self._read_at = 0.0

    async def connection(self) -> kopf.ConnectionInfo:
        """See `Credentials`."""
        if self._known is None or monotonic() - self._read_at > _TOKEN_SECONDS:
            self._known, self._read_at = self._read(), monotonic()
        return self._known

    async def renew(self) -> None:
        """See `Credentials`."""
        self._known = None

    def _read(self) -> kopf.ConnectionInfo:
        host, port = (self._environment.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
        if not host or not port:
            raise CredentialsError(
                "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set, so this is no pod: give --kubeconfig"
            )
        try:
            token = (self._directory / "token").read_text().strip()
        except OSError as error:
            raise CredentialsError(
                f"the service account's token can't be read ({error}): set automountServiceAccountToken in the pod"
            ) from error
        return kopf.ConnectionInfo(
            server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
            ca_path=str(self._directory / "ca.crt"),
            token=token,
        )


class Kubeconfig:
    """A kubeconfig file; without a path what kubectl would take. Plugins run again when the server refuses."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known: kopf.ConnectionInfo | None = None
        self._lock = asyncio.Lock()

    async def connection(self) -> kopf.ConnectionInfo:
        """See `Credentials`."""
        async with self._lock:
            if self._known is None:
                # It reads files, and may run a program that asks somebody else for a token.
                self._known = await asyncio.to_thread(self._read)
            return self._known

    async def renew(self) -> None:
        """See `Credentials`."""
        self._known = None

    def _read(self) -> kopf.ConnectionInfo:
        found = Configuration()
        # Absent means the environment's; the library's own default is fixed when it is imported.
        path = str(self._path) if self._path else os.environ.get("KUBECONFIG", "~/.kube/config")
        try:
            load_kube_config(path, client_configuration=found, persist_config=False)  # type: ignore[no-untyped-call]
        except (*_UNREADABLE, ConfigException) as error:
            raise CredentialsError(f"kubeconfig {path} can't be used: {error}") from error
        _LOG.debug("kubeconfig %s names the server %s", path, found.host)
        scheme, _, token = (found.get_api_key_with_prefix("BearerToken") or "").rpartition(" ")
        return kopf.ConnectionInfo(
            server=found.host,
            ca_path=found.ssl_ca_cert,
            insecure=not found.verify_ssl,
            username=found.username or None,
            password=found.password or None,
            scheme=scheme or None,
            token=token or None,
            certificate_path=found.cert_file,
            private_key_path=found.key_file,
        )


def credentials(kubeconfig: Path | None) -> Credentials:
    """Choose: a kubeconfig that is given, else the pod's service account, else what kubectl would take."""
    if kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ and SERVICE_ACCOUNT_DIRECTORY.exists():
        return ServiceAccount()
    return Kubeconfig(kubeconfig)
