"""What each namespace is given."""

import pytest

from adapter_devcluster.controllers.service_accounts import RootCaController, ServiceAccountController
from adapter_testing.controller_lab import NAMESPACE, at_rest, eventually, play

pytestmark = pytest.mark.integration

CA = "kube-root-ca.crt"


def publisher(client):
    return RootCaController(client, "PEM")


def test_each_namespace_has_its_default_account():
    async def scene(lab):
        first = await eventually(lambda: lab.get("serviceaccounts", "default"))
        lab.client.patch("serviceaccounts", NAMESPACE, "default", {"metadata": {"labels": {"mine": "yes"}}})
        lab.client.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
        await eventually(lambda: lab.client.get("serviceaccounts", "other", "default"))
        assert lab.get("serviceaccounts", "default")["metadata"]["labels"] == {"mine": "yes"}
        lab.client.delete("serviceaccounts", NAMESPACE, "default")
        again = await eventually(lambda: lab.get("serviceaccounts", "default"))
        assert again["metadata"]["uid"] != first["metadata"]["uid"]

    play(ServiceAccountController)(scene)


def test_a_namespace_that_is_being_deleted_gets_no_account():
    async def scene(lab):
        await eventually(lambda: lab.get("serviceaccounts", "default"))
        lab.client.delete("namespaces", "", NAMESPACE)
        lab.client.delete("serviceaccounts", NAMESPACE, "default")
        await at_rest(lab)
        assert lab.get("serviceaccounts", "default") is None

    play(ServiceAccountController)(scene)


def test_the_ca_is_published_and_stays_as_it_is():
    async def scene(lab):
        await eventually(lambda: lab.get("configmaps", CA))
        assert lab.get("configmaps", CA)["data"] == {"ca.crt": "PEM"}
        lab.client.patch("configmaps", NAMESPACE, CA, {"data": {"ca.crt": "forged", "more": "data"}})
        await eventually(lambda: lab.get("configmaps", CA)["data"] == {"ca.crt": "PEM"})
        lab.client.delete("configmaps", NAMESPACE, CA)
        await eventually(lambda: lab.get("configmaps", CA))

    play(publisher)(scene)


def test_without_a_ca_nothing_is_published():
    async def scene(lab):
        await at_rest(lab)
        assert lab.get("configmaps", CA) is None

    play(lambda client: RootCaController(client, ""))(scene)
