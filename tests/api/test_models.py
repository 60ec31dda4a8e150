"""How the models read and write resources."""

from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
from pydantic import Field

from adapter_operator.api.schema.markers import Immutable, ListMap, ListSet, python_name
from adapter_operator.api.schema.model import APIModel, InvalidResourceError, Problem
from adapter_operator.api.schema.structural import NotStructuralError, structural_schema
from adapter_operator.api.v1alpha1 import names
from adapter_operator.api.v1alpha1.deployment import AdapterDeployment
from adapter_operator.api.v1alpha1.metadata import Condition
from adapter_operator.api.v1alpha1.training import AdapterTraining
from adapter_testing.manifests import changed, example

pytestmark = pytest.mark.unit


def test_every_problem_is_reported_with_its_field() -> None:
    document = changed(
        example("minimal", "AdapterTraining"),
        {"spec.method": {"lora": {"rank": 0, "dropout": 0.1}}, "spec.dataset": {"format": "Nope"}},
    )
    with pytest.raises(InvalidResourceError) as caught:
        AdapterTraining.parse(document)
    assert {problem.field for problem in caught.value.problems} == {
        "spec.method.lora.rank",
        "spec.method.lora.dropout",
        "spec.dataset.source",
        "spec.dataset.format",
    }
    assert str(caught.value).startswith("AdapterTraining 'support-bot' is invalid: spec.")


@pytest.mark.parametrize("document", [None, [], "text", 7, {}, {"metadata": []}, {"metadata": {"name": 7}}])
def test_what_is_no_resource_is_refused_in_the_same_way(document: object) -> None:
    with pytest.raises(InvalidResourceError) as caught:
        AdapterTraining.parse(document)
    assert caught.value.problems


def test_null_means_unset_everywhere() -> None:
    document = changed(
        example("minimal", "AdapterTraining"),
        {
            "spec.evaluation": None,
            "spec.hyperparameters": {"seed": None},
            "spec.dataset.columns": None,
            "spec.pod": {"labels": None},
            "status": None,
        },
    )
    assert AdapterTraining.parse(document) == AdapterTraining.parse(example("minimal", "AdapterTraining"))


def test_null_means_unset_in_maps_too() -> None:
    document = changed(
        example("minimal", "AdapterTraining"),
        {"spec.pod": {"labels": {"a": None, "b": "c"}, "resources": {"limits": {"cpu": None, "memory": "1Gi"}}}},
    )
    pod = AdapterTraining.parse(document).spec.pod
    assert pod.labels == {"b": "c"}
    assert pod.resources is not None
    assert pod.resources.limits == {"memory": "1Gi"}


def test_unknown_fields_pass_for_the_operator_and_fail_for_the_command_line() -> None:
    document = changed(example("minimal", "AdapterTraining"), {"spec.futureField": {"a": 1}})
    assert AdapterTraining.parse(document) == AdapterTraining.parse(example("minimal", "AdapterTraining"))
    with pytest.raises(InvalidResourceError) as caught:
        AdapterTraining.parse(document, unknown_fields=False)
    assert caught.value.problems == (Problem("spec.futureField", "unknown field"),)


def test_an_unknown_field_is_unknown_also_when_it_is_null() -> None:
    document = changed(example("minimal", "AdapterTraining"), {"spec.futureField": None})
    assert AdapterTraining.parse(document) == AdapterTraining.parse(example("minimal", "AdapterTraining"))
    with pytest.raises(InvalidResourceError, match=r"spec\.futureField: unknown field"):
        AdapterTraining.parse(document, unknown_fields=False)


def test_unknown_metadata_of_kubernetes_always_passes() -> None:
    document = changed(example("minimal", "AdapterTraining"), {"metadata.managedFields": [{"manager": "kubectl"}]})
    assert AdapterTraining.parse(document, unknown_fields=False).metadata.name == "support-bot"


def test_types_are_never_coerced() -> None:
    for value in ("16", 16.5, True):
        with pytest.raises(InvalidResourceError, match=r"spec\.method\.lora\.rank"):
            AdapterTraining.parse(
                changed(example("minimal", "AdapterTraining"), {"spec.method": {"lora": {"rank": value}}})
            )


@pytest.mark.parametrize("folder", ["minimal", "full"])
def test_writing_and_reading_again_changes_nothing(folder: str) -> None:
    for model in (AdapterTraining, AdapterDeployment):
        resource = model.parse(example(folder, model.__name__))
        assert model.parse(resource.to_dict()) == resource


@pytest.mark.parametrize("text", ["2030-01-31T12:00:00Z", "2030-01-31T13:00:00+01:00", "2030-01-31T12:00:00.000000Z"])
def test_times_are_read_as_kubernetes_writes_them(text: str) -> None:
    condition = Condition.model_validate(
        {"type": "Ready", "status": "True", "reason": "A", "message": "b", "lastTransitionTime": text}
    )
    assert condition.last_transition_time == datetime(2030, 1, 31, 12, 0, tzinfo=UTC)
    assert condition.to_dict()["lastTransitionTime"] == "2030-01-31T12:00:00Z"


@pytest.mark.parametrize("text", ["yesterday", "", 7, "2030-13-01T00:00:00Z"])
def test_other_times_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match="lastTransitionTime"):
        Condition.model_validate(
            {"type": "Ready", "status": "True", "reason": "A", "message": "b", "lastTransitionTime": text}
        )


@pytest.mark.parametrize(
    ("json_name", "attribute"),
    [
        ("s3", "s3"),
        ("endpointURL", "endpoint_url"),
        ("jobTTLSecondsAfterFinished", "job_ttl_seconds_after_finished"),
        ("persistentVolumeClaim", "persistent_volume_claim"),
        ("maxModelLength", "max_model_length"),
        ("podUID", "pod_uid"),
    ],
)
def test_attributes_of_json_names(json_name: str, attribute: str) -> None:
    assert python_name(json_name) == attribute


def test_an_optional_immutable_field_is_judged_when_added_and_removed() -> None:
    class Part(APIModel):
        """A part."""

        given: Annotated[str, Immutable()] = Field(max_length=8)
        shown: Annotated[str, Immutable()] = Field("a", max_length=8)
        optional: Annotated[str | None, Immutable()] = None

    rules = [rule["rule"] for rule in structural_schema(Part)["x-kubernetes-validations"]]
    assert rules == [
        "self.given == oldSelf.given",
        "self.shown == oldSelf.shown",
        "has(self.optional) == has(oldSelf.optional) && (!has(self.optional) || self.optional == oldSelf.optional)",
    ]


def test_what_no_structural_schema_can_say_is_refused_by_place() -> None:
    class TwoTypes(APIModel):
        """A part."""

        value: int | str = 0

    class Pair(APIModel):
        """A part."""

        pair: tuple[int, str] = (0, "")

    with pytest.raises(NotStructuralError, match=r"TwoTypes\.value: a union of 2 types"):
        structural_schema(TwoTypes)
    with pytest.raises(NotStructuralError, match=r"Pair\.pair: no structural form of \['prefixItems'\]"):
        structural_schema(Pair)


def test_duplicates_in_named_lists_and_sets_are_refused() -> None:
    class Item(APIModel):
        """An item."""

        name: str
        other: int = 0

    class Holder(APIModel):
        """A holder."""

        items: Annotated[list[Item], ListMap(("name",))] = Field(default_factory=list)
        words: Annotated[list[str], ListSet()] = Field(default_factory=list)

    good: dict[str, Any] = {"items": [{"name": "a"}, {"name": "b"}], "words": ["a", "b"]}
    assert Holder.model_validate(good).to_dict() == {
        "items": [{"name": "a", "other": 0}, {"name": "b", "other": 0}],
        "words": ["a", "b"],
    }
    with pytest.raises(ValueError, match="item 1 repeats an earlier one"):
        Holder.model_validate({"items": [{"name": "a"}, {"name": "a", "other": 1}]})
    with pytest.raises(ValueError, match="item 2 repeats an earlier one"):
        Holder.model_validate({"words": ["a", "b", "a"]})


def test_names_of_children_fit_63_characters() -> None:
    longest = "a" * 40
    digest = f"sha256:{'f' * 64}"
    children = [
        names.preflight_job(longest, 9_999),
        names.attempt_job(longest, 9_999, 999),
        names.trainer_config_map(longest, 9_999, digest),
        names.version_revision(longest, 9_999),
        names.prune_job(longest, digest),
        names.deletion_job(longest),
        names.adapter_set_config_map(longest, digest),
    ]
    # A Job's pods get a dash and five more characters.
    assert max(len(name) for name in children) + 6 <= 63
    assert len(set(children)) == len(children)


def test_names_of_children_follow_the_documented_patterns() -> None:
    digest = f"sha256:{'0123456789abcdef' * 4}"
    made = {
        names.preflight_job("<name>", 1).replace("r1", "r<run>"),
        names.attempt_job("<name>", 1, 2).replace("r1-a2", "r<run>-a<attempt>"),
        names.trainer_config_map("<name>", 1, digest).replace("r1-0123456789", "r<run>-<hash>"),
        names.version_revision("<name>", 1).replace("v1", "v<version>"),
        names.prune_job("<name>", digest).replace("0123456789", "<hash>"),
        names.deletion_job("<name>"),
        names.adapter_set_config_map("<name>", digest).replace("0123456789", "<hash>"),
        "<name>",
    }
    assert {child.pattern for child in names.CHILDREN} == made
