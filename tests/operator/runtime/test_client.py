"""The client's verbs and errors, against the API server of the embedded cluster."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from adapter_devcluster.serving.faults import CallFault, FaultPlan
from adapter_operator.runtime.client import ApiClient, encoded
from adapter_operator.runtime.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NamespaceTerminating,
    NotFound,
    TooManyRequests,
    Unavailable,
)
from adapter_operator.runtime.objects import uid_of
from adapter_operator.runtime.resources import (
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    EVENTS,
    JOBS,
    PODS,
    Resources,
    ResourceType,
    UnknownKindError,
)
from adapter_testing.api_client_lab import WIDGETS, ApiClientLab, config_map, widget

pytestmark = pytest.mark.integration


def test_create_get_find_and_delete(api: ApiClientLab) -> None:
    async def scene(client: ApiClient) -> None:
        created = await client.create(config_map("first"))
        assert created["data"] == {"word": "one"}
        assert created["metadata"]["managedFields"][0]["manager"] == "adapter-operator"
        assert await client.get(CONFIG_MAPS, "default", "first") == created
        with pytest.raises(AlreadyExists) as exists:
            await client.create(config_map("first"))
        assert (exists.value.code, exists.value.reason) == (409, "AlreadyExists")
        with pytest.raises(Conflict):
            await client.delete(CONFIG_MAPS, "default", "first", uid="another", propagation="Background")
        answer = await client.delete(CONFIG_MAPS, "default", "first", uid=uid_of(created), propagation="Background")
        assert answer["kind"] == "Status"
        assert await client.find(CONFIG_MAPS, "default", "first") is None
        with pytest.raises(
            NotFound, match=r'GET /api/v1/namespaces/default/configmaps/first: 404 NotFound: .* "first"'
        ):
            await client.get(CONFIG_MAPS, "default", "first")

    api.play(scene)


def test_what_is_deleted_in_the_foreground_is_returned(api: ApiClientLab) -> None:
    async def scene(client: ApiClient) -> None:
        held = await client.create(config_map("held", finalizers=["example.dev/hold"]))
        answer = await client.delete(CONFIG_MAPS, "default", "held", uid=uid_of(held), propagation="Foreground")
        assert (answer["kind"], uid_of(answer)) == ("ConfigMap", uid_of(held))
        assert answer["metadata"]["deletionTimestamp"]

    api.play(scene)


def test_server_side_apply_creates_changes_takes_over_and_drops(api: ApiClientLab) -> None:
    async def scene(client: ApiClient) -> None:
        first = await client.apply({**config_map("applied"), "data": {"word": "one", "more": "two"}})
        again = await client.apply({**config_map("applied"), "data": {"word": "one", "more": "two"}})
        assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        await client.merge_patch(CONFIG_MAPS, "default", "applied", {"data": {"word": "theirs", "own": "theirs"}})
        third = await client.apply(config_map("applied"))
        assert third["data"] == {"word": "one", "own": "theirs"}

    api.play(scene)


def test_a_status_is_replaced_whole_and_only_on_what_is_known(api: ApiClientLab) -> None:
    async def scene(client: ApiClient) -> None:
        created = await client.create(widget("status"))
        first = await client.replace_status(created, {"words": ["a", "b"]})
        assert first["status"] == {"words": ["a", "b"]}
        second = await client.replace_status(first, {})
        assert second.get("status", {}) == {}
        with pytest.raises(Conflict) as conflict:
            await client.replace_status(first, {"words": ["late"]})
        assert (conflict.value.code, conflict.value.reason) == (409, "Conflict")
        with pytest.raises(Invalid, match="words"):
            await client.replace_status(second, {"words": [1]})
        live = await client.get(WIDGETS, "default", "status")
        assert live == second
        assert live["spec"] == {"size": 1}
        assert live["metadata"]["generation"] == 1

    api.play(scene)


def test_a_pod_is_annotated_through_its_status(api: ApiClientLab) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "nudged", "namespace": "default"},
        "spec": {"containers": [{"name": "main", "image": "example.test/app:1"}]},
    }

    async def scene(client: ApiClient) -> None:
        await client.create(pod)
        patch = {"metadata": {"annotations": {"example.dev/seen": "3"}}, "spec": {"nodeName": "elsewhere"}}
        patched = await client.merge_patch(PODS, "default", "nudged", patch, subresource="status")
        assert patched["metadata"]["annotations"] == {"example.dev/seen": "3"}
        assert "nodeName" not in patched["spec"]

    api.play(scene)


def test_lists_go_page_by_page_with_selectors(api: ApiClientLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter_operator.runtime.client._PAGE", 2)

    async def scene(client: ApiClient) -> None:
        for number in range(5):
            await client.create(config_map(f"listed-{number}", labels={"listed": "yes"}))
        found = await client.list(CONFIG_MAPS, "default", label_selector="listed=yes")
        assert [one["metadata"]["name"] for one in found.items] == [f"listed-{number}" for number in range(5)]
        assert {(one["apiVersion"], one["kind"]) for one in found.items} == {("v1", "ConfigMap")}
        assert found.version >= int(found.items[-1]["metadata"]["resourceVersion"])
        everywhere = await client.list(CONFIG_MAPS, field_selector="metadata.name=listed-3")
        assert [one["metadata"]["name"] for one in everywhere.items] == ["listed-3"]
        assert (await client.list(JOBS)).items == ()

    api.play(scene)
    lists = [one.uri for one in api.cluster.audit() if one.verb == "list" and "labelSelector=listed" in one.uri]
    assert len(lists) == 3
    assert all("limit=2" in uri for uri in lists)


def test_a_list_whose_moment_is_gone_begins_again_in_one_piece(
    api: ApiClientLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter_operator.runtime.client._PAGE", 1)
    gone = CallFault(verbs=("list",), resources=("configmaps",), nth=2, effect="Fail", code=410)

    async def scene(client: ApiClient) -> list[str]:
        for number in range(2):
            await client.create(config_map(f"paged-{number}", labels={"paged": "yes"}))
        api.cluster.set_faults(FaultPlan(calls=(gone,)))
        found = await client.list(CONFIG_MAPS, "default", label_selector="paged=yes")
        return [one["metadata"]["name"] for one in found.items]

    assert api.play(scene) == ["paged-0", "paged-1"]


@pytest.mark.parametrize(
    ("code", "expected", "retry_after"),
    [
        (409, Conflict, None),
        (410, Gone, None),
        (429, TooManyRequests, 1.0),
        (500, Unavailable, None),
        (503, Unavailable, 1.0),
        (504, Unavailable, None),
    ],
)
def test_errors_by_code(api: ApiClientLab, code: Any, expected: type[ApiError], retry_after: float | None) -> None:
    api.cluster.set_faults(FaultPlan(calls=(CallFault(verbs=("get",), effect="Fail", code=code),)))

    async def scene(client: ApiClient) -> None:
        with pytest.raises(expected) as error:
            await client.get(CONFIG_MAPS, "default", "any")
        assert type(error.value) is expected
        assert (error.value.code, error.value.retry_after) == (code, retry_after)

    api.play(scene)


@pytest.mark.parametrize("effect", ["Drop", "Lose"])
def test_without_an_answer_nobody_knows(api: ApiClientLab, effect: Any) -> None:
    api.cluster.set_faults(FaultPlan(calls=(CallFault(verbs=("create",), effect=effect, nth=1),)))

    async def scene(client: ApiClient) -> bool:
        name = f"lost-{effect.lower()}"
        with pytest.raises(Unavailable) as error:
            await client.create(config_map(name))
        assert error.value.code == 0
        return await client.find(CONFIG_MAPS, "default", name) is not None

    assert api.play(scene) is (effect == "Lose")


def test_a_server_that_hangs(api: ApiClientLab) -> None:
    async def scene(client: ApiClient) -> None:
        with pytest.raises(Unavailable, match="TimeoutError"):
            await client.get(CONFIG_MAPS, "default", "any")

    api.cluster.pause()
    api.play(scene, seconds=0.1)


def test_a_namespace_that_ends_and_one_that_is_not_there(api: ApiClientLab) -> None:
    store = api.cluster.cluster.api.client("test")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ending"}}
    api.cluster.call(lambda: store.create("namespaces", namespace))

    async def scene(client: ApiClient) -> None:
        await client.create(config_map("holds", "ending", finalizers=["example.dev/hold"]))
        api.cluster.call(lambda: store.delete("namespaces", "", "ending"))
        with pytest.raises(NamespaceTerminating) as error:
            await client.create(config_map("late", "ending"))
        assert isinstance(error.value, Forbidden)
        with pytest.raises(NotFound):
            await client.create(config_map("never", "nowhere"))

    api.play(scene)


def test_who_has_no_right_is_told_so(api: ApiClientLab) -> None:
    class Impersonating(ApiClient):
        """The same client as somebody else."""

        def _open_session(self, connection: Any) -> Any:
            session = super()._open_session(connection)
            session.headers["Impersonate-User"] = "nobody-in-particular"
            return session

    async def scene() -> None:
        async with api.client() as known, Impersonating(known._credentials, Resources()) as client:
            with pytest.raises(Forbidden, match="nobody-in-particular") as error:
                await client.list(EVENTS, "default")
            assert type(error.value) is Forbidden

    asyncio.run(scene())


def test_it_knows_which_kinds_are_served(api: ApiClientLab) -> None:
    async def scene(client: ApiClient) -> list[bool]:
        other = ResourceType("example.dev/v1", "Gadget", "gadgets")
        elsewhere = ResourceType("example.org/v1", "Widget", "widgets")
        return [await client.serves(one) for one in (WIDGETS, other, elsewhere, CONFIG_MAPS)]

    assert api.play(scene) == [True, False, False, True]


def test_kinds_that_nobody_named(api: ApiClientLab) -> None:
    async def scene(client: ApiClient) -> None:
        with pytest.raises(UnknownKindError, match=r"example\.dev/v1 Gadget is no kind"):
            await client.create({**widget("gadget"), "kind": "Gadget"})

    api.play(scene)


def test_requests_are_counted(api: ApiClientLab) -> None:
    class Meter:
        def __init__(self) -> None:
            self.counts: Counter[tuple[str, str]] = Counter()

        def request_done(self, method: str, code: str) -> None:
            self.counts[method, code] += 1

    meter = Meter()
    api.cluster.set_faults(FaultPlan(calls=(CallFault(verbs=("delete",), effect="Drop"),)))

    async def scene() -> None:
        async with api.client(meter=meter) as client:
            await client.create(config_map("counted"))
            await client.find(CONFIG_MAPS, "default", "not-there")
            with pytest.raises(Unavailable):
                await client.delete(CONFIG_MAPS, "default", "counted", uid="", propagation="Background")

    asyncio.run(scene())
    assert meter.counts == {("POST", "201"): 1, ("GET", "404"): 1, ("DELETE", "<error>"): 1}


def test_paths() -> None:
    assert WIDGETS.path("a b", "c/d", "status") == "/apis/example.dev/v1/namespaces/a%20b/widgets/c%2Fd/status"
    assert PODS.path("") == "/api/v1/pods"
    assert (PODS.group, PODS.version, WIDGETS.group, WIDGETS.version) == ("", "v1", "example.dev", "v1")


def test_json_is_written_as_go_writes_it() -> None:
    assert encoded({"b": "<&>\u2028\u00e9", "a": [1, True, None]}) == (
        rb'{"a":[1,true,null],"b":"\u003c\u0026\u003e\u2028\u00e9"}'
    )


def test_a_controller_revision_can_be_updated_later(api: ApiClientLab) -> None:
    revision = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": "kept", "namespace": "default"},
        "revision": 1,
        "data": {"word": "<a&b>", "also": "\u00e9"},
    }

    async def scene(client: ApiClient) -> None:
        await client.create(revision)
        patch = {"metadata": {"annotations": {"example.dev/seen": "yes"}}}
        patched = await client.merge_patch(CONTROLLER_REVISIONS, "default", "kept", patch)
        assert patched["data"] == {"word": "<a&b>", "also": "\u00e9"}

    api.play(scene)
