"""Pruning, nulls, defaults and metadata: what becomes of an object before it is validated."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from adapter_devcluster.apiextensions.defaulting import apply_defaults
from adapter_devcluster.apiextensions.embedded import EmbeddedError, check_embedded, decode_embedded
from adapter_devcluster.apiextensions.names import check_label_key, check_path_segment
from adapter_devcluster.apiextensions.object_meta import (
    MetaError,
    check_meta,
    check_meta_update,
    decode_meta,
    finalizer_warnings,
)
from adapter_devcluster.apiextensions.pruning import prune, prune_nulls
from adapter_devcluster.apiextensions.tree import read_schema

pytestmark = pytest.mark.unit

TEXT = {"type": "string"}
PRESERVE = {"x-kubernetes-preserve-unknown-fields": True}
EMBEDDED = {"type": "object", "x-kubernetes-embedded-resource": True, **PRESERVE}


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def pruned(schema: dict[str, Any], value: Any) -> tuple[Any, list[str]]:
    left = copy.deepcopy(value)
    return left, prune(left, read_schema(schema))


@pytest.mark.parametrize(
    ("schema", "value", "left", "gone"),
    [
        (obj(a=TEXT), {"a": 1, "b": 2}, {"a": 1}, ["b"]),
        (obj(a=obj(b=TEXT)), {"a": {"b": 1, "c": {"d": 1}}, "x": {}}, {"a": {"b": 1}}, ["a.c", "x"]),
        (
            obj(a={"type": "array", "items": obj(b=TEXT)}),
            {"a": [{"b": 1}, {"c": 1}, 5]},
            {"a": [{"b": 1}, {}, 5]},
            ["a[1].c"],
        ),
        (
            obj(),
            {"apiVersion": "v1", "kind": "K", "metadata": {"x": 1}},
            {"apiVersion": "v1", "kind": "K", "metadata": {"x": 1}},
            [],
        ),
        # A map's values are pruned by their schema; `true` names no fields at all.
        (
            obj(a={"type": "object", "additionalProperties": obj(b=TEXT)}),
            {"a": {"k": {"b": 1, "c": 1}}},
            {"a": {"k": {"b": 1}}},
            ["a.k.c"],
        ),
        (
            obj(a={"type": "object", "additionalProperties": True}),
            {"a": {"k": {"b": 1}, "l": 2}},
            {"a": {"k": {}, "l": 2}},
            ["a.k.b"],
        ),
        (obj(a=PRESERVE), {"a": {"k": [{"l": 1}]}}, {"a": {"k": [{"l": 1}]}}, []),
        (
            obj(a={**obj(b=obj(c=TEXT)), **PRESERVE}),
            {"a": {"b": {"c": 1, "d": 1}, "e": {"f": 1}}},
            {"a": {"b": {"c": 1}, "e": {"f": 1}}},
            ["a.b.d"],
        ),
        (
            obj(a={"type": "array", "items": obj(b=TEXT), **PRESERVE}),
            {"a": [{"b": 1, "c": 1}]},
            {"a": [{"b": 1, "c": 1}]},
            [],
        ),
        (
            obj(a={**obj(spec=obj(b=TEXT)), "x-kubernetes-embedded-resource": True}),
            {"a": {"apiVersion": "v1", "kind": "K", "metadata": {"x": 1}, "spec": {"b": 1, "c": 1}, "y": 1}},
            {"a": {"apiVersion": "v1", "kind": "K", "metadata": {"x": 1}, "spec": {"b": 1}}},
            ["a.spec.c", "a.y"],
        ),
    ],
)
def test_pruning(schema: dict[str, Any], value: Any, left: Any, gone: list[str]) -> None:
    assert pruned(schema, value) == (left, gone)


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (obj(a={**TEXT, "default": "d"}), {}, {"a": "d"}),
        (obj(a={**TEXT, "default": "d"}), {"a": "x"}, {"a": "x"}),
        (obj(a={**TEXT, "default": "d"}), {"a": ""}, {"a": ""}),
        (obj(a={**TEXT, "default": "d"}), {"a": None}, {"a": "d"}),
        (obj(a={**TEXT, "default": "d", "nullable": True}), {"a": None}, {"a": None}),
        (obj(a=TEXT), {"a": None}, {}),
        (obj(a={**TEXT, "nullable": True}), {"a": None}, {"a": None}),
        (obj(a={**obj(b={**TEXT, "default": "d"}), "default": {}}), {}, {"a": {"b": "d"}}),
        (obj(a=obj(b={**TEXT, "default": "d"})), {}, {}),
        (
            obj(a={"type": "array", "items": obj(b={**TEXT, "default": "d"})}),
            {"a": [{}, {"b": 1}]},
            {"a": [{"b": "d"}, {"b": 1}]},
        ),
        (obj(a={"type": "array", "items": {**TEXT, "default": "d"}}), {"a": [None, "x"]}, {"a": ["d", "x"]}),
        (obj(a={"type": "array", "items": TEXT}), {"a": [None]}, {"a": [None]}),
        (
            obj(a={"type": "object", "additionalProperties": obj(b={**TEXT, "default": "d"})}),
            {"a": {"k": {}}},
            {"a": {"k": {"b": "d"}}},
        ),
        (obj(a={"type": "object", "additionalProperties": TEXT}), {"a": {"k": None}}, {"a": {}}),
        (obj(a=PRESERVE), {"a": {"k": None}}, {"a": {"k": None}}),
    ],
)
def test_nulls_and_defaults(schema: dict[str, Any], value: Any, expected: Any) -> None:
    node = read_schema(schema)
    prune_nulls(value, node)
    apply_defaults(value, node)
    assert value == expected


def test_defaults_are_not_shared() -> None:
    node = read_schema(obj(a={"type": "object", "default": {"l": []}, **PRESERVE}))
    first: dict[str, Any] = {}
    second: dict[str, Any] = {}
    apply_defaults(first, node)
    first["a"]["l"].append(1)
    apply_defaults(second, node)
    assert second == {"a": {"l": []}}


def test_metadata_is_decoded_as_go_decodes_it() -> None:
    meta = {
        "name": "x",
        "namespace": "",
        "labels": {"a": "b", "c": None},
        "annotations": {},
        "generation": 0,
        "creationTimestamp": "2020-01-02T03:04:05.6+01:00",
        "deletionGracePeriodSeconds": 0,
        "ownerReferences": [{"name": "o", "controller": False, "extra": 1}],
        "finalizers": None,
        "colour": "red",
    }
    decoded, unknown = decode_meta(meta)
    assert decoded == {
        "name": "x",
        "labels": {"a": "b", "c": ""},
        "creationTimestamp": "2020-01-02T02:04:05Z",
        "deletionGracePeriodSeconds": 0,
        "ownerReferences": [{"apiVersion": "", "kind": "", "name": "o", "uid": "", "controller": False}],
    }
    assert unknown == ["colour", "ownerReferences[0].extra"]
    assert decode_meta(None) == ({}, [])
    assert decode_meta(decoded) == (decoded, [])


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ([], "json: cannot unmarshal array into Go value of type v1.ObjectMeta"),
        ({"name": 1}, "json: cannot unmarshal number into Go struct field ObjectMeta.name of type string"),
        ({"labels": []}, "into Go struct field ObjectMeta.labels of type map[string]string"),
        ({"labels": {"a": True}}, "cannot unmarshal bool into Go struct field ObjectMeta.labels of type string"),
        ({"generation": 1.5}, "cannot unmarshal number into Go struct field ObjectMeta.generation of type int64"),
        ({"finalizers": "x"}, "ObjectMeta.finalizers of type []string"),
        ({"creationTimestamp": "now"}, 'parsing time "now" as "2006-01-02T15:04:05Z07:00"'),
        ({"creationTimestamp": 5}, "of type v1.Time"),
    ],
)
def test_metadata_of_wrong_types(meta: Any, message: str) -> None:
    with pytest.raises(MetaError) as refused:
        decode_meta(meta)
    assert message in str(refused.value)


def meta_errors(meta: dict[str, Any], *, namespaced: bool | None = True) -> list[str]:
    return [str(error) for error in check_meta(meta, "metadata", namespaced=namespaced)]


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ({"name": "a"}, "metadata.namespace: Required value"),
        ({"namespace": "n"}, "metadata.name: Required value: name or generateName is required"),
        ({"name": "a", "namespace": "a.b"}, 'metadata.namespace: Invalid value: "a.b": must not contain dots'),
        ({"name": "a", "namespace": "A"}, 'metadata.namespace: Invalid value: "A": a lowercase RFC 1123 label must'),
        ({"name": "a" * 254, "namespace": "n"}, "must be no more than 253 bytes"),
        ({"name": "a", "generateName": "AB-", "namespace": "n"}, 'metadata.generateName: Invalid value: "AB-"'),
        ({"name": "a", "namespace": "n", "generation": -1}, "metadata.generation: Invalid value: -1: must be greater"),
        ({"name": "a", "namespace": "n", "labels": {"-": "x"}}, 'metadata.labels: Invalid value: "-": name part must'),
        ({"name": "a", "namespace": "n", "labels": {"/a": ""}}, "prefix part must be non-empty"),
        ({"name": "a", "namespace": "n", "labels": {"a/": ""}}, "name part must be non-empty"),
        ({"name": "a", "namespace": "n", "labels": {"A_/b": ""}}, "prefix part a lowercase RFC 1123 subdomain"),
        ({"name": "a", "namespace": "n", "labels": {"a": "-"}}, "a valid label must be an empty string or consist of"),
        ({"name": "a", "namespace": "n", "labels": {"a": "b" * 64}}, "must be no more than 63 bytes"),
        ({"name": "a", "namespace": "n", "annotations": {"a/b/c": ""}}, "a valid label key must consist of"),
        ({"name": "a", "namespace": "n", "annotations": {"a": "x" * 262144}}, "metadata.annotations: Too long"),
        ({"name": "a", "namespace": "n", "finalizers": ["a b"]}, 'metadata.finalizers: Invalid value: "a b"'),
        (
            {"name": "a", "namespace": "n", "finalizers": ["orphan", "foregroundDeletion"]},
            "finalizer orphan and foregroundDeletion cannot be both set",
        ),
        (
            {"name": "a", "namespace": "n", "ownerReferences": [{"kind": "K", "name": "o", "uid": "u"}]},
            'metadata.ownerReferences.apiVersion: Invalid value: "": version must not be empty',
        ),
        (
            {
                "name": "a",
                "namespace": "n",
                "ownerReferences": [{"apiVersion": "v1", "kind": "Event", "name": "o", "uid": "u"}],
            },
            "/v1, Kind=Event is disallowed from being an owner",
        ),
        (
            {
                "name": "a",
                "namespace": "n",
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "K", "name": name, "uid": "u", "controller": True} for name in "ab"
                ],
            },
            'Only one reference can have Controller set to true. Found "true" in references for K/a and K/b',
        ),
    ],
)
def test_metadata_that_is_invalid(meta: dict[str, Any], expected: str) -> None:
    assert expected in meta_errors(meta)[0]


def test_metadata_that_is_valid() -> None:
    meta = {"name": "a.b", "generateName": "a.b-", "labels": {"x.dev/A_b": "C.d"}, "annotations": {"X.dev/a": "?"}}
    assert meta_errors(meta, namespaced=None) == []
    assert meta_errors(meta, namespaced=False) == []
    assert meta_errors({**meta, "namespace": "n"}, namespaced=None) == []
    assert meta_errors({**meta, "namespace": "n"}, namespaced=False) == [
        "metadata.namespace: Forbidden: not allowed on this type"
    ]


def test_metadata_of_updates() -> None:
    old = {
        "name": "a",
        "uid": "u",
        "resourceVersion": "1",
        "deletionTimestamp": "2020-01-01T00:00:00Z",
        "finalizers": ["x/y"],
    }
    new = {**old, "name": "b", "resourceVersion": "", "finalizers": ["x/y", "x/z"]}
    assert [str(error) for error in check_meta_update(new, old, "metadata")] == [
        "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, "
        'found new finalizers []string{"x/z"}',
        'metadata.resourceVersion: Invalid value: "": must be specified for an update',
        'metadata.name: Invalid value: "b": field is immutable',
    ]
    assert list(check_meta_update(old, old, "metadata")) == []


def test_finalizer_names_are_warned_about() -> None:
    assert finalizer_warnings({"finalizers": ["x.dev/y", "orphan", "old"]}, {"finalizers": ["old"]}) == []
    assert finalizer_warnings({"finalizers": ["plain", "a.b"]}, {}) == [
        'metadata.finalizers: "a.b": prefer a domain-qualified finalizer name including a path (/) to avoid '
        "accidental conflicts with other finalizer writers",
        'metadata.finalizers: "plain": prefer a domain-qualified finalizer name to avoid accidental conflicts '
        "with other finalizer writers",
    ]


def test_names_in_paths() -> None:
    assert check_path_segment("a") == []
    assert check_path_segment("..") == ["may not be '..'"]
    assert check_path_segment("..", is_prefix=True) == []
    assert check_path_segment("a/%") == ["may not contain '/'", "may not contain '%'"]
    assert check_label_key("a" * 64) == ["name part must be no more than 63 bytes"]


def test_embedded_resources() -> None:
    node = read_schema(
        obj(a={"type": "array", "items": EMBEDDED}, m={"type": "object", "additionalProperties": EMBEDDED})
    )
    good = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x", "more": 1}}
    value = {"a": [good]}
    assert decode_embedded(value, node) == ["a[0].metadata.more"]
    assert list(check_embedded(value, node)) == []
    bad = {"apiVersion": "a/b/c", "metadata": {"labels": {"-": ""}}}
    errors = [str(error) for error in check_embedded({"a": [bad], "m": {"k": {**good, "kind": ""}}}, node)]
    assert errors[0] == "a[0].kind: Required value"
    assert errors[1] == 'a[0].apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c'
    assert errors[2].startswith('a[0].metadata.labels: Invalid value: "-"')
    assert errors[3] == 'm[k].kind: Invalid value: "": must not be empty'


def test_embedded_resources_of_wrong_types() -> None:
    node = read_schema(obj(a=EMBEDDED))
    for value, message in (
        ({"kind": 1}, "a.kind: Invalid value: 1: must be a string"),
        ({"metadata": {"name": 1}}, 'a.metadata: Invalid value: {"name":1}: json: cannot unmarshal number'),
    ):
        with pytest.raises(EmbeddedError) as refused:
            decode_embedded({"a": value}, node)
        assert message in str(refused.value)
        assert message in str(next(iter(check_embedded({"a": {"apiVersion": "v1", "kind": "K", **value}}, node))))
