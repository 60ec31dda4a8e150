"""Shapes of built-in types and of custom resources."""

from __future__ import annotations

import pytest

from adapter_devcluster.builtin.definitions import definition
from adapter_devcluster.objects import Object
from adapter_devcluster.patching.comparison import element_of
from adapter_devcluster.patching.shapes import DEDUCED, Shape, shape_of, shape_of_crd

pytestmark = pytest.mark.unit


def at(shape: Shape, path: str) -> Shape:
    for name in path.split("."):
        found = shape.items if name == "[]" else shape.child(name)
        assert found is not None, name
        shape = found
    return shape


def built_in(name: str) -> Shape:
    return shape_of(definition(name), definition)


DEPLOYMENT = built_in("io.k8s.api.apps.v1.Deployment")


def test_a_built_in_struct() -> None:
    pod_spec = at(DEPLOYMENT, "spec.template.spec")
    assert (pod_spec.scalar, pod_spec.map_type, pod_spec.list_type) == ("", "granular", "")
    assert pod_spec.child("nothing") is None


@pytest.mark.parametrize(
    ("path", "list_type", "keys", "merge_key", "strategies"),
    [
        ("spec.template.spec.containers", "map", ("name",), "name", ("merge",)),
        ("spec.template.spec.volumes", "map", ("name",), "name", ("merge", "retainKeys")),
        ("spec.template.spec.containers.[].ports", "map", ("containerPort", "protocol"), "containerPort", ("merge",)),
        ("spec.template.spec.containers.[].command", "atomic", (), "", ()),
        ("metadata.finalizers", "set", (), "", ("merge",)),
        ("metadata.ownerReferences", "map", ("uid",), "uid", ("merge",)),
        ("metadata.managedFields", "atomic", (), "", ()),
        ("spec.template.spec.tolerations", "atomic", (), "", ()),
    ],
)
def test_built_in_lists(path: str, list_type: str, keys: tuple[str, ...], merge_key: str, strategies: object) -> None:
    shape = at(DEPLOYMENT, path)
    assert (shape.list_type, shape.map_keys, shape.patch_merge_key) == (list_type, keys, merge_key)
    assert shape.patch_strategies == strategies


def test_built_in_maps() -> None:
    assert at(DEPLOYMENT, "spec.strategy").patch_strategies == ("retainKeys",)
    assert at(DEPLOYMENT, "spec.selector").map_type == "atomic"
    labels = at(DEPLOYMENT, "metadata.labels")
    assert labels.map_type == "granular"
    assert labels.fields == {}
    assert labels.values is labels.child("anything")
    assert at(labels, "anything").scalar == "string"


def test_built_in_scalars() -> None:
    assert at(DEPLOYMENT, "spec.replicas").scalar == "numeric"
    assert at(DEPLOYMENT, "spec.paused").scalar == "boolean"
    assert at(DEPLOYMENT, "metadata.creationTimestamp").scalar == "untyped"
    resources = at(DEPLOYMENT, "spec.template.spec.containers.[].resources")
    assert at(resources, "limits.cpu").scalar == "untyped"
    assert at(DEPLOYMENT, "spec.strategy.rollingUpdate.maxSurge").scalar == "untyped"


def test_keys_have_the_defaults_of_the_server() -> None:
    ports = at(DEPLOYMENT, "spec.template.spec.containers.[].ports")
    assert element_of({"containerPort": 80}, ports) == 'k:{"containerPort":80,"protocol":"TCP"}'
    assert element_of({"protocol": "UDP"}, ports) == 'k:{"containerPort":0,"protocol":"UDP"}'
    service = at(built_in("io.k8s.api.core.v1.Service"), "spec.ports")
    assert element_of({"port": 80}, service) == 'k:{"port":80,"protocol":"TCP"}'
    assert element_of({}, at(DEPLOYMENT, "spec.template.spec.imagePullSecrets")) == 'k:{"name":""}'
    # An optional key without default is no part of the item's key.
    devices = at(built_in("io.k8s.api.resource.v1.ResourceClaim"), "status.devices")
    item = {"driver": "d", "device": "x", "pool": "p"}
    assert element_of(item, devices) == 'k:{"device":"x","driver":"d","pool":"p"}'


def test_recursive_definitions() -> None:
    schema = at(
        built_in("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition"),
        "spec.versions.[].schema.openAPIV3Schema",
    )
    deep = at(schema, "properties.a.properties.b.not.properties.c")
    assert deep.fields is schema.fields
    assert at(schema, "default").scalar == "untyped"


def test_free_content() -> None:
    revision = built_in("io.k8s.api.apps.v1.ControllerRevision")
    data = at(revision, "data")
    assert (data.scalar, data.map_type, data.list_type) == ("untyped", "atomic", "atomic")
    assert data.child("anything") is data
    assert DEDUCED.child("anything") is DEDUCED
    assert DEDUCED.items is data.items
    assert (DEDUCED.map_type, DEDUCED.list_type, DEDUCED.fields) == ("granular", "atomic", {})


def test_a_property_may_override_the_map_type_of_what_it_refers_to() -> None:
    definitions: dict[str, Object] = {"T": {"type": "object", "properties": {"a": {"type": "string"}}}}
    schema = {
        "type": "object",
        "properties": {
            "plain": {"$ref": "#/$defs/T"},
            "unit": {"$ref": "#/$defs/T", "x-kubernetes-map-type": "atomic"},
        },
    }
    shape = shape_of(schema, definitions.__getitem__)
    assert at(shape, "plain").map_type == "granular"
    assert at(shape, "unit").map_type == "atomic"
    assert at(shape, "unit.a").scalar == "string"


CRD = shape_of_crd(
    {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "ports": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["port", "protocol"],
                        "items": {
                            "type": "object",
                            "required": ["port"],
                            "properties": {
                                "port": {"type": "integer"},
                                "protocol": {"type": "string", "default": "TCP"},
                            },
                        },
                    },
                    "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                    "args": {"type": "array", "items": {"type": "string"}},
                    "port": {"x-kubernetes-int-or-string": True},
                    "ref": {
                        "type": "object",
                        "x-kubernetes-map-type": "atomic",
                        "properties": {"name": {"type": "string"}},
                    },
                    "open": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                        "properties": {"known": {"type": "object", "properties": {"x": {"type": "string"}}}},
                    },
                    "free": {"type": "object"},
                    "any": {"type": "object", "additionalProperties": True},
                    "none": {"type": "object", "additionalProperties": False},
                    "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
                    "template": {
                        "type": "object",
                        "x-kubernetes-embedded-resource": True,
                        "properties": {"spec": {"type": "object"}},
                    },
                },
            }
        },
    }
)


def test_lists_of_custom_resources() -> None:
    ports = at(CRD, "spec.ports")
    assert (ports.list_type, ports.map_keys) == ("map", ("port", "protocol"))
    assert at(ports, "[].protocol").default == "TCP"
    # Unlike in a built-in type, a required field has no default that it doesn't declare.
    assert at(ports, "[].port").default is None
    assert at(CRD, "spec.tags").list_type == "set"
    assert at(CRD, "spec.args").list_type == "atomic"


def test_maps_of_custom_resources() -> None:
    assert at(CRD, "spec.ref").map_type == "atomic"
    assert at(CRD, "spec").child("nothing") is None
    assert at(CRD, "spec.open").child("nothing") is DEDUCED
    # Below a struct that preserves unknown fields, all do.
    assert at(CRD, "spec.open.known").child("nothing") is DEDUCED
    assert at(CRD, "spec.free").child("anything") is DEDUCED
    assert at(CRD, "spec.any").child("anything") is DEDUCED
    assert at(CRD, "spec.none").child("anything") is None
    assert at(CRD, "spec.counts.x").scalar == "numeric"
    assert at(CRD, "spec.port").scalar == "untyped"


def test_metadata_of_custom_resources_and_of_what_they_embed() -> None:
    for path in ("metadata", "spec.template.metadata"):
        assert at(CRD, f"{path}.ownerReferences").map_keys == ("uid",)
        assert at(CRD, f"{path}.finalizers").list_type == "set"
        assert at(CRD, f"{path}.labels").map_type == "granular"
    assert at(CRD, "apiVersion").scalar == "string"
    assert at(CRD, "spec.template.kind").scalar == "string"
