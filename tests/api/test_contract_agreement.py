"""What the API lets in, the contract can carry: or the operator would fail where it builds a document."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from adapter_contract.locations import S3Location
from adapter_contract.recipe import Recipe
from adapter_contract.scalars import Name, decimal_string
from adapter_operator.api.v1alpha1.identity import learning_rate
from adapter_operator.api.v1alpha1.references import S3Location as APILocation
from adapter_operator.api.v1alpha1.scalars import S3URI, AdapterName, EndpointURL, MeasuredDecimal
from adapter_operator.api.v1alpha1.training import AdapterTraining, TrainingSpec
from adapter_operator.api.v1alpha1.training_status import MetricValue
from adapter_testing.api_lint import root
from adapter_testing.manifests import committed_crd, examples
from adapter_testing.mutations import values

pytestmark = pytest.mark.unit

PIECES = ["s3://", "b", "/", "//", "a", ".", "..", "...", ".a", "\\", "\n", " ", "+", "?", "#", "é", "%2F", "A"]
TRAININGS = [document for _, document in examples() if document["kind"] == "AdapterTraining"]
SPEC_SCHEMA = root(committed_crd("AdapterTraining"))["properties"]["spec"]["properties"]


@given(st.lists(st.sampled_from(PIECES), max_size=8).map(lambda pieces: "s3://bucket" + "".join(pieces)))
def test_every_s3_uri_of_the_api_is_one_of_the_contract(uri: str) -> None:
    try:
        TypeAdapter(S3URI).validate_python(uri)
    except ValidationError:
        return
    assert S3Location(uri=uri).bucket.startswith("bucket")


@given(st.from_regex(TypeAdapter(EndpointURL).json_schema()["pattern"], fullmatch=True))
def test_every_endpoint_of_the_api_is_one_of_the_contract(endpoint: str) -> None:
    location = APILocation.model_validate({"uri": "s3://bucket", "endpointURL": endpoint, "region": "eu-west-1"})
    assert S3Location(uri=location.uri, endpoint_url=endpoint, region=location.region).endpoint_url == endpoint


@given(st.from_regex(re.compile(r"[a-z0-9.-]{1,70}", re.ASCII), fullmatch=True))
def test_every_adapter_name_of_the_api_is_one_of_the_contract(name: str) -> None:
    def takes(kind: object) -> bool:
        try:
            TypeAdapter[Any](kind).validate_python(name)
        except ValidationError:
            return False
        return True

    assert takes(Name) or not takes(AdapterName)


@given(
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: number == 0 or 1e-99 < abs(number) < 1e99)
)
def test_every_measured_value_of_the_contract_fits_the_status(number: float) -> None:
    TypeAdapter(MeasuredDecimal).validate_python(decimal_string(number))
    assert MetricValue(name="Loss", value=decimal_string(number)).value == decimal_string(number)


def recipe_document(spec: TrainingSpec) -> dict[str, Any]:
    """The contract's recipe of a spec: a union's chosen member, flat beside its type."""
    document = spec.to_dict()
    members = {"LoRA": "lora", "IA3": "ia3", "PromptTuning": "prompt_tuning", "PrefixTuning": "prefix_tuning"}
    method = spec.method
    chosen = getattr(method, members.get(method.type, "bottleneck"))
    if chosen is None:
        empty = type(method).model_fields[members.get(method.type, "bottleneck")].annotation
        chosen = TypeAdapter[Any](empty).validate_python({})
    objective = document["objective"]
    preference = objective.get("directPreference", {"beta": "0.1"})
    supervised = {"type": "SupervisedFineTuning", "lossOn": objective["lossOn"]}
    return {
        "method": {"type": method.type, **chosen.to_dict()},
        "quantization": document["quantization"],
        "objective": supervised
        if objective["type"] == "SupervisedFineTuning"
        else {"type": objective["type"], **preference},
        "hyperparameters": document["hyperparameters"] | {"learningRate": learning_rate(spec)},
    }


@given(
    st.sampled_from(TRAININGS),
    st.fixed_dictionaries(
        {},
        optional={
            name: values(SPEC_SCHEMA[name]) for name in ("method", "quantization", "objective", "hyperparameters")
        },
    ),
)
def test_every_recipe_of_the_api_is_one_of_the_contract(document: dict[str, Any], put: dict[str, Any]) -> None:
    try:
        spec = AdapterTraining.parse(document | {"spec": document["spec"] | put}).spec
    except ValueError:
        return
    written = recipe_document(spec)
    recipe = Recipe.model_validate_json(TypeAdapter(dict[str, Any]).dump_json(written))
    assert recipe.model_dump(mode="json", by_alias=True, exclude_none=True) == written
