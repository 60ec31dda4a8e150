from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.api.call import Call
from adapter_devcluster.api.server import Api
from adapter_devcluster.builtin import with_sent_data
from adapter_devcluster.builtin.revisions import SentData, canonical_data
from adapter_devcluster.objects import Object
from adapter_devcluster.statuses import StatusError
from adapter_testing.judge_lab import change_refusal, created, manifest, refusal, update

pytestmark = pytest.mark.unit

REFUSED = [("data", "Invalid")]


def _revision(data: Any, **content: Any) -> Object:
    return manifest("apps/v1", "ControllerRevision", data=data, **{"revision": 1, **content})


def _sent(body: str) -> Object:
    return with_sent_data(json.loads(body), body.encode())


def _body(data: str) -> str:
    return f'{{ "apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {{"name": "a"}}, "data": {data} }}'


@pytest.mark.parametrize(
    "data", ['{"a":1,"b":"x"}', r'{"a":"\u003ca\u003e \u0026"}', r'{"a":"\u00fc"}', '{"a":[1,{"b":null}]}']
)
def test_data_in_the_form_of_go_can_be_updated(data: str) -> None:
    obj = _sent(_body(data))
    assert not isinstance(obj["data"], SentData)
    assert change_refusal(created(obj), lambda one: one["metadata"].update(labels={"a": "b"})) == []
    assert change_refusal(created(obj), lambda one: one.update(revision=2)) == []


@pytest.mark.parametrize(
    "data", ['{"b": 1}', '{"b":1,"a":2}', '{"a":"<"}', '{"a":"ü"}', '{"a":1.50}', '{"a":1 }', r'{"a":"\u0041"}']
)
def test_data_in_another_form_can_never_be_updated(data: str) -> None:
    obj = _sent(_body(data))
    stored = created(obj)
    assert stored["data"] == json.loads(data)
    assert change_refusal(stored, lambda one: one["metadata"].update(labels={"a": "b"})) == REFUSED
    # Only the very bytes are the same data.
    again = with_sent_data({**stored, "data": json.loads(data)}, _body(data).encode())
    assert change_refusal(stored, lambda one: one.update(data=again["data"])) == []


def test_data_can_not_change() -> None:
    stored = created(_revision({"a": 1}))
    assert change_refusal(stored, lambda one: one.update(data={"a": 2})) == REFUSED
    assert change_refusal(stored, lambda one: one.pop("data")) == [*REFUSED, ("data", "Required")]


def test_what_is_wrong_with_a_revision() -> None:
    assert refusal(_revision(None)) == [("data", "Required")]
    assert refusal(_revision({}, revision=-1)) == [("revision", "Invalid")]
    assert created(_revision({}, revision=0))["revision"] == 0


def test_bodies_without_data_of_their_own() -> None:
    for body in ('{"metadata":{"name":"a"}}', '{"data":null}', '{"data":[1, 2]}', "{}"):
        assert _sent(body) == json.loads(body)
    assert _sent('{"data":{"b": 1},"data":{"a":1}}')["data"] == {"a": 1}


def test_a_whole_server_remembers_the_bytes() -> None:
    async def play() -> None:
        api = Api({})
        client = api.client()
        client.create("namespaces", manifest("v1", "Namespace", "ns"))
        for name, data in (("good", '{"a":1}'), ("bad", '{"a": 1}')):
            obj = _sent(_body(data))
            obj["metadata"] = {"name": name, "namespace": "ns"}
            api.create(api.served("controllerrevisions.apps"), "ns", obj, Call(manager="me"))
        patch = {"metadata": {"labels": {"a": "b"}}}
        client.patch("controllerrevisions.apps", "ns", "good", patch)
        with pytest.raises(StatusError, match="data: Invalid value"):
            client.patch("controllerrevisions.apps", "ns", "bad", patch)

    asyncio.run(play())


_DATA = st.dictionaries(
    st.text("ab<é", max_size=3),
    st.recursive(st.none() | st.booleans() | st.integers() | st.text("x&>ü\u2028", max_size=4), st.lists, max_leaves=4),
    max_size=4,
)


@given(_DATA)
def test_the_form_of_go_is_recognised(data: dict[str, Any]) -> None:
    body = b'{"metadata":{"name":"a"},"data":' + canonical_data(data) + b"}"
    assert json.loads(body)["data"] == data
    assert not isinstance(with_sent_data(json.loads(body), body)["data"], SentData)
    stored = created(_revision(data))
    assert not any(change_refusal(stored, lambda one: one["metadata"].update(labels={"a": "b"})))
    assert update(stored, lambda one: one.update(data=json.loads(json.dumps(data))))
