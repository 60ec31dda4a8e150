"""The Python clients of Kubernetes, blocking and asynchronous, in this process and inside a pod."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes.aio.client
import kubernetes.aio.config
import kubernetes.aio.watch
import kubernetes.client
import kubernetes.config
import kubernetes.dynamic
import kubernetes.watch
import pytest
from kubernetes.client.exceptions import ApiException
from kubernetes.leaderelection.electionconfig import Config
from kubernetes.leaderelection.leaderelection import LeaderElection
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.client_manifests import IMAGE, Manifest, boat, config_map, pod
from adapter_testing.kubectl import Kubectl

pytestmark = pytest.mark.integration

GROUP, VERSION, BOATS = "harbour.example.dev", "v1", "boats"
APPLY = "application/apply-patch+yaml"
aio = kubernetes.aio


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    with DevCluster(tls=True) as found:
        yield found


@pytest.fixture
def api(kubectl: Kubectl) -> Iterator[kubernetes.client.ApiClient]:
    with kubernetes.config.new_client_from_config(str(kubectl.kubeconfig)) as found:
        yield found


@pytest.fixture
def core(api: kubernetes.client.ApiClient) -> kubernetes.client.CoreV1Api:
    return kubernetes.client.CoreV1Api(api)


@pytest.fixture
def custom(api: kubernetes.client.ApiClient) -> kubernetes.client.CustomObjectsApi:
    return kubernetes.client.CustomObjectsApi(api)


def colored(name: str, color: str) -> Manifest:
    return config_map(name, labels={"color": color}, color=color)


def once(name: str, *command: str, **spec: Any) -> Manifest:
    """Return a pod that runs a command once."""
    return pod(name, {"name": "main", "image": IMAGE, "command": list(command)}, restartPolicy="Never", **spec)


def message(error: ApiException) -> str:
    return str(json.loads(error.body)["message"])


def test_objects_live_and_die(kubectl: Kubectl, core: kubernetes.client.CoreV1Api) -> None:
    space = kubectl.namespace
    for name, color in (("a", "red"), ("b", "red"), ("c", "blue")):
        core.create_namespaced_config_map(space, colored(name, color))
    with pytest.raises(ApiException) as refused:
        core.create_namespaced_config_map(space, config_map("a"))
    assert (refused.value.status, message(refused.value)) == (409, 'configmaps "a" already exists')

    first = core.read_namespaced_config_map("a", space)
    first.data["size"] = "1"
    second = core.replace_namespaced_config_map("a", space, first)
    assert second.data == {"color": "red", "size": "1"}
    assert int(second.metadata.resource_version) > int(first.metadata.resource_version)
    with pytest.raises(ApiException) as refused:
        core.replace_namespaced_config_map("a", space, first)
    assert refused.value.status == 409

    # A list is a JSON patch to this client, an object a strategic one.
    core.patch_namespaced_config_map("a", space, [{"op": "replace", "path": "/data/size", "value": "2"}])
    patched = core.patch_namespaced_config_map("a", space, {"data": {"color": None, "shape": "round"}})
    assert patched.data == {"size": "2", "shape": "round"}

    red = core.list_namespaced_config_map(space, label_selector="color=red", field_selector="metadata.name!=a")
    assert [one.metadata.name for one in red.items] == ["b"]
    page = core.list_namespaced_config_map(space, limit=2)
    rest = core.list_namespaced_config_map(space, limit=9, _continue=page.metadata._continue)
    names = [one.metadata.name for one in (*page.items, *rest.items)]
    assert [one for one in names if one != "kube-root-ca.crt"] == ["a", "b", "c"]
    assert page.metadata.remaining_item_count == len(rest.items)

    core.delete_collection_namespaced_config_map(space, label_selector="color=red")
    assert core.delete_namespaced_config_map("c", space)["status"] == "Success"
    with pytest.raises(ApiException) as refused:
        core.read_namespaced_config_map("c", space)
    assert (refused.value.status, message(refused.value)) == (404, 'configmaps "c" not found')


def test_watches(cluster: DevCluster, kubectl: Kubectl, core: kubernetes.client.CoreV1Api) -> None:
    space = kubectl.namespace
    start = core.list_namespaced_secret(space).metadata.resource_version
    core.create_namespaced_secret(space, {"metadata": {"name": "a"}, "stringData": {"key": "1"}})
    core.patch_namespaced_secret("a", space, {"stringData": {"key": "2"}})
    core.delete_namespaced_secret("a", space)
    watch = kubernetes.watch.Watch()
    seen = [
        (event["type"], event["object"].data["key"])
        for event in watch.stream(core.list_namespaced_secret, space, resource_version=start, timeout_seconds=1)
    ]
    assert seen == [("ADDED", "MQ=="), ("MODIFIED", "Mg=="), ("DELETED", "Mg==")]
    assert int(watch.resource_version) > int(start)

    cluster.forget_history()
    with pytest.raises(ApiException) as refused:
        list(watch.stream(core.list_namespaced_secret, space, resource_version=start, timeout_seconds=1))
    assert refused.value.status == 410


def test_custom_objects(kubectl: Kubectl, boats: None, custom: kubernetes.client.CustomObjectsApi) -> None:
    where = (GROUP, VERSION, kubectl.namespace, BOATS)
    created = custom.create_namespaced_custom_object(*where, boat("ada"))
    assert created["metadata"]["generation"] == 1
    custom.patch_namespaced_custom_object(*where, "ada", {"spec": {"crew": 4}})
    custom.patch_namespaced_custom_object_status(*where, "ada", {"status": {"aboard": 4}, "spec": {"crew": 9}})
    found = custom.get_namespaced_custom_object(*where, "ada")
    assert (found["spec"], found["status"], found["metadata"]["generation"]) == ({"crew": 4}, {"aboard": 4}, 2)
    scale = custom.get_namespaced_custom_object_scale(*where, "ada")
    assert (scale["spec"], scale["status"]["replicas"]) == ({"replicas": 4}, 4)
    custom.patch_namespaced_custom_object_scale(*where, "ada", {"spec": {"replicas": 5}})
    with pytest.raises(ApiException) as refused:
        custom.patch_namespaced_custom_object(*where, "ada", {"spec": {"crew": 21}})
    assert (refused.value.status, message(refused.value)) == (
        422,
        'Boat.harbour.example.dev "ada" is invalid: spec.crew: Invalid value: 21: spec.crew in body should be less '
        "than or equal to 20",
    )
    custom.delete_namespaced_custom_object(*where, "ada", propagation_policy="Foreground")
    assert custom.list_namespaced_custom_object(*where)["items"] == []


def test_server_side_apply(kubectl: Kubectl, core: kubernetes.client.CoreV1Api) -> None:
    def apply(manager: str, data: dict[str, str], **options: Any) -> Any:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}
        return core.patch_namespaced_config_map(
            "a", kubectl.namespace, body, field_manager=manager, _content_type=APPLY, **options
        )

    assert apply("one", {"color": "red", "size": "1"}).data == {"color": "red", "size": "1"}
    with pytest.raises(ApiException) as refused:
        apply("two", {"color": "blue"})
    assert (refused.value.status, message(refused.value)) == (
        409,
        'Apply failed with 1 conflict: conflict with "one": .data.color',
    )
    assert apply("two", {"color": "blue"}, force=True).data == {"color": "blue", "size": "1"}
    found = apply("one", {})
    assert (found.data, [one.manager for one in found.metadata.managed_fields]) == ({"color": "blue"}, ["one", "two"])


def test_the_dynamic_client(kubectl: Kubectl, boats: None, api: kubernetes.client.ApiClient, tmp_path: Path) -> None:
    dynamic = kubernetes.dynamic.DynamicClient(api, cache_file=str(tmp_path / "discovered.json"))
    boats = dynamic.resources.get(api_version=f"{GROUP}/{VERSION}", kind="Boat")
    assert (boats.name, boats.namespaced, boats.short_names) == ("boats", True, ["bt"])
    boats.create(body=boat("ada"), namespace=kubectl.namespace)
    applied = boats.server_side_apply(body=boat("bea", crew=7), namespace=kubectl.namespace, field_manager="test")
    assert applied.spec.crew == 7
    assert sorted(one.metadata.name for one in boats.get(namespace=kubectl.namespace).items) == ["ada", "bea"]
    seen = [event["object"].metadata.name for event in boats.watch(namespace=kubectl.namespace, timeout=1)]
    assert sorted(seen) == ["ada", "bea"]
    deployments = dynamic.resources.get(api_version="apps/v1", kind="Deployment")
    assert deployments.subresources["scale"].kind == "Scale"


def test_logs(kubectl: Kubectl, core: kubernetes.client.CoreV1Api) -> None:
    space = kubectl.namespace
    core.create_namespaced_pod(space, once("p", "sh", "-c", "for n in 1 2 3; do echo $n; sleep 0.1; done"))
    wait_for_pod(core, space, "p", "Running", "Succeeded")
    assert list(kubernetes.watch.Watch().stream(core.read_namespaced_pod_log, "p", space)) == ["1", "2", "3"]
    assert core.read_namespaced_pod_log("p", space, tail_lines=1) == "3\n"


def wait_for_pod(core: kubernetes.client.CoreV1Api, namespace: str, name: str, *phases: str) -> None:
    """Wait until a pod is in one of the phases."""
    watch = kubernetes.watch.Watch()
    selector = f"metadata.name={name}"
    seen = []
    for event in watch.stream(core.list_namespaced_pod, namespace, field_selector=selector, timeout_seconds=30):
        seen.append(event["object"].status.phase)
        if seen[-1] in phases:
            watch.stop()
            return
    raise TimeoutError(f"pod {name} is not {phases}, but went through {seen}")


IN_CLUSTER = """
import json, sys
from kubernetes import client, config
config.load_incluster_config()
core, space = client.CoreV1Api(), sys.argv[1]

def told(call, *arguments):
    try:
        return [one.metadata.name for one in call(*arguments).items]
    except client.ApiException as error:
        return [error.status, json.loads(error.body)["message"]]

print(json.dumps([
    told(core.list_namespaced_config_map, space),
    told(core.list_namespaced_secret, space),
    told(core.list_namespaced_config_map, "default"),
    client.AuthenticationV1Api().create_self_subject_review({}).status.user_info.username,
    client.Configuration.get_default_copy().host,
]))
"""


def test_a_pod_with_the_rights_of_its_account(
    cluster: DevCluster, kubectl: Kubectl, core: kubernetes.client.CoreV1Api
) -> None:
    space = kubectl.namespace
    kubectl("create", "sa", "reader")
    kubectl("create", "role", "reader", "--verb=get,list", "--resource=configmaps")
    kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={space}:reader")
    kubectl("create", "cm", "book")
    script = once("p", sys.executable, "-c", IN_CLUSTER, space, serviceAccountName="reader")
    core.create_namespaced_pod(space, script)
    wait_for_pod(core, space, "p", "Succeeded")
    account = f"system:serviceaccount:{space}:reader"

    def refused(resource: str, namespace: str) -> list[Any]:
        problem = f'User "{account}" cannot list resource "{resource}" in API group "" in the namespace "{namespace}"'
        return [403, f"{resource} is forbidden: {problem}"]

    assert json.loads(core.read_namespaced_pod_log("p", space)) == [
        ["book", "kube-root-ca.crt"],
        refused("secrets", space),
        refused("configmaps", "default"),
        account,
        cluster.url,
    ]


def in_aio(kubectl: Kubectl, work: Callable[[Any], Awaitable[None]]) -> None:
    """Run something with an asynchronous client."""

    async def run() -> None:
        client = await aio.config.new_client_from_config(config_file=str(kubectl.kubeconfig))
        async with client:
            await work(client)

    asyncio.run(run())


def test_the_asynchronous_client(kubectl: Kubectl, boats: None) -> None:
    space = kubectl.namespace

    async def work(client: Any) -> None:
        core = aio.client.CoreV1Api(client)
        await core.create_namespaced_config_map(space, colored("a", "red"))
        start = (await core.list_namespaced_config_map(space)).metadata.resource_version
        await core.patch_namespaced_config_map("a", space, {"data": {"color": "blue"}})
        seen = []
        async with aio.watch.Watch().stream(
            core.list_namespaced_config_map, space, resource_version=start, field_selector="metadata.name=a"
        ) as stream:
            async for event in stream:
                seen.append((event["type"], event["object"].data["color"]))
                if event["type"] == "DELETED":
                    break
                await core.delete_namespaced_config_map("a", space)
        assert seen == [("MODIFIED", "blue"), ("DELETED", "blue")]

        custom = aio.client.CustomObjectsApi(client)
        where = (GROUP, VERSION, space, BOATS)
        await custom.patch_namespaced_custom_object(
            *where, "ada", boat("ada"), field_manager="test", force=True, _content_type=APPLY
        )
        applied = await custom.get_namespaced_custom_object(*where, "ada")
        assert [(one["manager"], one["operation"]) for one in applied["metadata"]["managedFields"]] == [
            ("test", "Apply")
        ]
        with pytest.raises(aio.client.ApiException) as refused:
            await custom.patch_namespaced_custom_object(
                *where, "ada", boat("ada", crew=4), field_manager="other", _content_type=APPLY
            )
        assert refused.value.status == 409

        await core.create_namespaced_pod(space, once("p", "sh", "-c", "echo one; sleep 0.2; echo two"))
        async with aio.watch.Watch().stream(core.list_namespaced_pod, space, timeout_seconds=20) as stream:
            async for event in stream:
                if event["object"].status.phase in ("Running", "Succeeded"):
                    break
        assert await core.read_namespaced_pod_log("p", space, follow=True) == "one\ntwo\n"

    in_aio(kubectl, work)


def test_an_election_by_lease(kubectl: Kubectl, api: kubernetes.client.ApiClient) -> None:
    coordination = kubernetes.client.CoordinationV1Api(api)

    def candidate(name: str) -> LeaderElection:
        lock = LeaseLock("captain", kubectl.namespace, name)
        lock.api_instance = coordination
        return LeaderElection(Config(lock, 2, 1.5, 1, onstarted_leading=str, onstopped_leading=str))

    first, second = candidate("first"), candidate("second")
    assert first.try_acquire_or_renew()
    assert not second.try_acquire_or_renew()
    assert first.try_acquire_or_renew()
    lease = coordination.read_namespaced_lease("captain", kubectl.namespace)
    assert (lease.spec.holder_identity, lease.spec.lease_duration_seconds) == ("first", 2)
    assert lease.spec.renew_time >= lease.spec.acquire_time
    # The first one says nothing more, so the other takes over when the lease has run out.
    end = time.monotonic() + 20
    while not second.try_acquire_or_renew():
        assert time.monotonic() < end
        time.sleep(0.1)
    assert not first.try_acquire_or_renew()
    assert coordination.read_namespaced_lease("captain", kubectl.namespace).spec.holder_identity == "second"
