from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.apiextensions import Columns
from adapter_devcluster.presentation.tables import partial_metadata_list, table
from adapter_devcluster.resource_types import ResourceType
from adapter_testing.table_rows import NOW, TYPES, made, shown

pytestmark = pytest.mark.unit


WIDGET = ResourceType("example.dev", "v1", "Widget", "widgets", "widget")


def test_a_custom_resource_has_the_columns_of_its_definition() -> None:
    columns = Columns.compile(
        {"additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.n"}]}
    )
    found = table(WIDGET, [made(spec={"n": 3})], now_ns=NOW, resource_version="7", columns=columns)
    assert [column["name"] for column in found["columnDefinitions"]] == ["Name", "Size"]
    assert found["rows"][0]["cells"] == ["x", 3]
    assert "conditions" not in found["rows"][0]


def test_a_table_says_where_the_list_goes_on() -> None:
    found = table(WIDGET, [], now_ns=NOW, resource_version="7", continue_token="t", remaining=0, version="v1beta1")
    assert (found["kind"], found["apiVersion"]) == ("Table", "meta.k8s.io/v1beta1")
    assert found["metadata"] == {"resourceVersion": "7", "continue": "t", "remainingItemCount": 0}
    assert found["rows"] == []


def test_a_row_has_as_much_of_the_object_as_was_asked_for() -> None:
    obj = made(apiVersion="v1", kind="ConfigMap", data={})

    def row_object(**options: Any) -> Any:
        return table(TYPES["configmaps"], [obj], now_ns=NOW, resource_version="7", **options)["rows"][0]["object"]

    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}
    assert row_object() == partial
    assert row_object(version="v1beta1") == {**partial, "apiVersion": "meta.k8s.io/v1beta1"}
    assert row_object(include_object="None") is None
    assert row_object(include_object="Object") == obj


def test_a_watch_gets_the_headers_once() -> None:
    found = table(TYPES["pods"], [], now_ns=NOW, resource_version="7", no_headers=True)
    assert found["columnDefinitions"] is None


def test_a_list_of_metadata() -> None:
    obj = made(spec={"n": 3})
    assert partial_metadata_list([obj], resource_version="7", continue_token="t", remaining=2) == {
        "kind": "PartialObjectMetadataList",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": "7", "continue": "t", "remainingItemCount": 2},
        "items": [{"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}],
    }


def test_an_object_without_a_time_has_no_age() -> None:
    assert shown("configmaps", {"metadata": {"name": "x"}})["Age"] == "<unknown>"
