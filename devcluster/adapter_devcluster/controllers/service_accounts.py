"""What each namespace is given: the service account ``default`` and the config map with the cluster's CA.

Source: ``pkg/controller/serviceaccount/serviceaccounts_controller.go`` and
``pkg/controller/certificates/rootcacertpublisher/publisher.go``, v1.36.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from adapter_devcluster.client import Change, Client
from adapter_devcluster.controllers.base import Controller
from adapter_devcluster.objects import Key, Object, copy, is_deleting, key, section

DEFAULT_SERVICE_ACCOUNT: Final = "default"
ROOT_CA_CONFIG_MAP: Final = "kube-root-ca.crt"


class _NamespaceContent(Controller):
    """Keeps one object in each namespace that is not being deleted. Its keys are namespaces.

    ``wanted`` tells what the object should be, given what it is.
    """

    def __init__(self, client: Client, resource: str, name: str, wanted: Callable[[Object | None], Object]) -> None:
        super().__init__(client)
        self._resource = resource
        self._name = name
        self._wanted = wanted

    def start(self) -> None:
        """Begin to watch."""
        self.watch("namespaces")
        self.watch(self._resource, self._content_changed)

    def sync(self, item: Key) -> None:
        """Put a namespace's object to rights. May raise StatusError."""
        namespace = self.client.get("namespaces", "", item[1])
        if namespace is None or is_deleting(namespace):
            return
        found = self.client.get(self._resource, item[1], self._name)
        wanted = self._wanted(found)
        if found is None:
            self.client.create(self._resource, {**wanted, "metadata": {"name": self._name, "namespace": item[1]}})
        elif wanted != found:
            self.client.update(self._resource, wanted)

    def _content_changed(self, change: Change) -> None:
        namespace, name = key(change.object)
        if name == self._name and change.type != "ADDED":
            self.enqueue(("", namespace))


class ServiceAccountController(_NamespaceContent):
    """Sees to it that each namespace has a service account ``default``."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, "serviceaccounts", DEFAULT_SERVICE_ACCOUNT, self._account)

    @staticmethod
    def _account(found: Object | None) -> Object:
        """Return the account; one that is there stays as it is."""
        return found or {"apiVersion": "v1", "kind": "ServiceAccount"}


class RootCaController(_NamespaceContent):
    """Publishes the CA (PEM text) by which pods know the API server; nothing where there is none."""

    def __init__(self, client: Client, ca: str) -> None:
        super().__init__(client, "configmaps", ROOT_CA_CONFIG_MAP, self._config_map)
        self._ca = ca

    def start(self) -> None:
        """Begin to watch, if there is a CA."""
        if self._ca:
            super().start()

    def _config_map(self, found: Object | None) -> Object:
        """Return the config map; whatever else was put into it goes."""
        data = {"ca.crt": self._ca}
        if found is not None and section(found, "data") == data:
            return found
        return {**(copy(found) if found else {"apiVersion": "v1", "kind": "ConfigMap"}), "data": data}
