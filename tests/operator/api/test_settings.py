"""The operator's settings: strict, with a default for everything but the cluster's name and the images."""

from importlib.metadata import version
from typing import Any

import pytest

from adapter_operator.api.settings import InvalidSettingsError, OperatorSettings, is_permitted
from adapter_operator.api.version import OPERATOR_VERSION
from adapter_testing.manifests import changed

pytestmark = pytest.mark.unit

LEAST: dict[str, Any] = {"clusterName": "lab", "images": {"trainer": "adapter-trainer:1", "server": "adapter-server:1"}}


def test_everything_else_has_a_default() -> None:
    settings = OperatorSettings.read(LEAST)
    assert settings.storage.root is None
    assert settings.namespaces is None
    assert settings.deadline_seconds == 86400
    assert settings.pods.trainer.scratch == "20Gi"
    assert settings.permitted.images == []
    assert settings.catalogue_entry("any") is None


@pytest.mark.parametrize(
    ("put", "field"),
    [
        ({"clusterNmae": "x"}, "clusterNmae: unknown field"),
        ({"storage.bucket": "x"}, "storage.bucket: unknown field"),
        ({"images.trainer": "adapter-trainer"}, "images.trainer: "),
        ({"images": {}}, "images.server: Field required"),
        ({"storage.root": "http://x"}, "storage.root: "),
        ({"baseModels": [{"name": "a", "source": {}}]}, "baseModels[0].source: baseModel.source takes exactly one"),
        ({"namespaces": []}, "namespaces: "),
    ],
)
def test_a_mistake_is_named_by_its_field(put: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidSettingsError) as caught:
        OperatorSettings.read(changed(LEAST, put))
    assert any(str(problem).startswith(field) for problem in caught.value.problems), caught.value
    assert "the operator's settings are invalid" in str(caught.value)


def test_a_document_that_is_no_mapping() -> None:
    with pytest.raises(InvalidSettingsError):
        OperatorSettings.read(None)


@pytest.mark.parametrize(
    ("value", "patterns", "permitted"),
    [
        ("a:1", [], False),
        ("a:1", ["*"], True),
        ("registry/team-a/x:1", ["registry/team-*"], True),
        ("evil/registry/team-a/x:1", ["registry/team-*"], False),
        ("A", ["a"], False),
    ],
)
def test_patterns_fit_whole_values(value: str, patterns: list[str], *, permitted: bool) -> None:
    assert is_permitted(value, patterns) is permitted


def test_the_version_is_the_packages() -> None:
    assert version("adapter-operator") == OPERATOR_VERSION
