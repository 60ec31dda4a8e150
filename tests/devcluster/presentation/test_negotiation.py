from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.presentation.negotiation import Endpoint, Presentation, negotiate

pytestmark = pytest.mark.unit

TABLE = Presentation("application/json", "Table", "meta.k8s.io", "v1")
KUBECTL_GET = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
)
DISCOVERY = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)


@pytest.mark.parametrize(
    ("accept", "found"),
    [
        ("", Presentation()),
        ("application/json", Presentation()),
        ("application/json, */*", Presentation()),
        ("*/*", Presentation()),
        ("application/*", Presentation()),
        ("application/yaml", Presentation("application/yaml")),
        ("application/vnd.kubernetes.protobuf,application/json", Presentation()),
        ("application/cbor, application/json;q=0.9", Presentation()),
        ("application/json;q=0.1, application/yaml;q=0.9", Presentation("application/yaml")),
        ("application/json;q=odd, application/yaml;q=0.9", Presentation()),
        ("*/*, application/yaml", Presentation("application/yaml")),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Presentation()),
        ("application/json;stream=watch", Presentation()),
        (KUBECTL_GET, TABLE),
        (
            "application/json;as=Table;v=v1beta1;g=meta.k8s.io",
            Presentation("application/json", "Table", "meta.k8s.io", "v1beta1"),
        ),
        (
            "application/yaml;as=Table;v=v1;g=meta.k8s.io",
            Presentation("application/yaml", "Table", "meta.k8s.io", "v1"),
        ),
        (
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            Presentation("application/json", "PartialObjectMetadataList", "meta.k8s.io", "v1"),
        ),
        ("application/json;as=Table;v=v7;g=meta.k8s.io,application/json", Presentation()),
        ("application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/json", Presentation()),
        (DISCOVERY, Presentation()),
        ("application/json;as=Table", None),
        ("application/json;as=Table;v=v7;g=meta.k8s.io", None),
        ("application/vnd.kubernetes.protobuf", None),
        ("text/html", None),
    ],
)
def test_answers_about_objects(accept: str, found: Presentation | None) -> None:
    assert negotiate(accept) == found


@pytest.mark.parametrize(
    ("endpoint", "accept", "found"),
    [
        (
            "discovery",
            DISCOVERY,
            Presentation("application/json", "APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2"),
        ),
        ("discovery", KUBECTL_GET, Presentation()),
        ("plain", KUBECTL_GET, Presentation()),
        ("plain", DISCOVERY, Presentation()),
        ("plain", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf", None),
    ],
)
def test_each_endpoint_has_its_own_transformations(endpoint: Endpoint, accept: str, found: Presentation) -> None:
    assert negotiate(accept, endpoint) == found


def test_the_content_type_tells_clients_that_discovery_is_aggregated() -> None:
    found = negotiate(DISCOVERY, "discovery")
    assert found is not None
    assert found.content_type == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    assert TABLE.content_type == "application/json"


@given(st.text())
def test_any_text_is_read(accept: str) -> None:
    negotiate(accept)


@given(st.lists(st.sampled_from(["text/html", "application/cbor", "application/json;as=Table;v=v9;g=meta.k8s.io"])))
def test_what_is_not_offered_never_keeps_json_away(refused: list[str]) -> None:
    assert negotiate(",".join([*refused, "application/json;q=0.01"])) == Presentation()
