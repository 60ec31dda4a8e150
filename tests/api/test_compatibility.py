"""Nothing that was committed disappears or tightens."""

import subprocess
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapter_operator import crds
from adapter_testing.api_lint import root
from adapter_testing.manifests import MODELS, REPOSITORY, committed_crd

pytestmark = pytest.mark.unit

RELEASED = Path(__file__).parent / "golden/crds"


def earlier_definitions(name: str) -> list[dict[str, Any]]:
    """The definition as it was released, and in the last commits where there is a history."""
    found = [yaml.safe_load((RELEASED / name).read_text(encoding="utf-8"))]
    for revision in ("HEAD", "HEAD^"):
        shown = subprocess.run(
            ["git", "show", f"{revision}:crds/{name}"], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        if shown.returncode == 0:
            found.append(yaml.safe_load(shown.stdout))
    return found


@pytest.mark.parametrize("kind", MODELS)
def test_models_take_nothing_back_from_the_released_and_the_committed_versions(kind: str) -> None:
    """The released snapshot moves only when somebody moves it; the commits catch what was added since."""
    name = f"adapters.dev_{kind.lower()}s.yaml"
    for earlier in earlier_definitions(name):
        assert list(crds.definition_changes(earlier, crds.definitions()[name])) == []


def spec(crd: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = root(crd)["properties"]["spec"]["properties"]
    return fields


def _one_more_defaulted_field(crd: dict[str, Any]) -> None:
    spec(crd)["limits"]["properties"]["maxStreams"] = {"type": "integer", "default": 8}
    spec(crd)["limits"]["default"]["maxStreams"] = 8


def drop(mapping: dict[str, Any], key: str) -> None:
    del mapping[key]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda crd: drop(spec(crd), "storage"), "spec.storage: the field disappeared"),
        (lambda crd: spec(crd)["replicas"].update(maximum=10), "spec.replicas: maximum fell from 1000 to 10"),
        (lambda crd: spec(crd)["replicas"].update(minimum=1), "spec.replicas: minimum rose from 0 to 1"),
        (lambda crd: spec(crd)["replicas"].update(default=2), "spec.replicas: the default was 1, is 2"),
        (lambda crd: spec(crd)["replicas"].update(type="string"), "spec.replicas: type was 'integer', is 'string'"),
        (lambda crd: spec(crd)["adapters"].update(maxItems=8), "spec.adapters: maxItems fell from 256 to 8"),
        (
            lambda crd: spec(crd)["engine"]["properties"]["type"]["enum"].remove("VLLM"),
            "spec.engine.type: no longer accepts VLLM",
        ),
        (
            lambda crd: root(crd)["properties"]["spec"]["required"].append("storage"),
            "spec: storage is newly required",
        ),
        (
            lambda crd: spec(crd)["baseModel"]["properties"]["name"].update(pattern="^a$"),
            "spec.baseModel.name: pattern was",
        ),
        (lambda crd: spec(crd)["adapters"].update({"x-kubernetes-list-type": "atomic"}), "x-kubernetes-list-type was"),
        (
            lambda crd: spec(crd)["limits"].update({"x-kubernetes-validations": [{"rule": "false", "message": "no"}]}),
            "spec.limits: the rule 'false' is new",
        ),
        (
            lambda crd: spec(crd)["adapters"]["items"]["properties"].pop("policy"),
            "spec.adapters[].policy: the field disappeared",
        ),
        (lambda crd: spec(crd)["pod"]["properties"]["image"].update(format="uri"), "format 'uri' is new"),
        (
            lambda crd: spec(crd)["engine"]["properties"].update(vllm={}),
            "spec.engine.vllm.args: the field disappeared",
        ),
        (lambda crd: crd["spec"]["versions"][0].update(served=False), "v1alpha1 is no longer served"),
        (
            lambda crd: crd["spec"]["versions"][0]["additionalPrinterColumns"].pop(),
            "the column Endpoint disappeared",
        ),
        (lambda crd: spec(crd)["limits"]["default"].update(maxOutputTokens=1), "spec.limits: the default was"),
        (lambda crd: crd["spec"]["names"].update(plural="adapters"), "names was"),
        (lambda crd: crd["spec"]["versions"][0]["subresources"].pop("scale"), "subresources were"),
        (lambda crd: crd["spec"]["versions"].clear(), "version v1alpha1 disappeared"),
    ],
)
def test_taking_something_back_is_found(change: Callable[[dict[str, Any]], None], found: str) -> None:
    old = committed_crd("AdapterDeployment")
    new = deepcopy(old)
    change(new)
    assert any(found in line for line in crds.definition_changes(old, new))


@pytest.mark.parametrize(
    "change",
    [
        lambda crd: spec(crd).update(extra={"type": "string", "maxLength": 8}),
        _one_more_defaulted_field,
        lambda crd: spec(crd)["replicas"].update(maximum=2000),
        lambda crd: spec(crd)["engine"]["properties"]["type"]["enum"].append("SGLang"),
        lambda crd: spec(crd)["adapters"].update(maxItems=512),
        lambda crd: spec(crd)["replicas"].update(description="Other words."),
    ],
)
def test_growth_is_compatible(change: Callable[[dict[str, Any]], None]) -> None:
    old = committed_crd("AdapterDeployment")
    new = deepcopy(old)
    change(new)
    assert list(crds.definition_changes(old, new)) == []


def test_generator_refuses_to_write_what_takes_something_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert crds.main([]) == 0
    path = tmp_path / "crds/adapters.dev_adapterdeployments.yaml"
    wider = yaml.safe_load(path.read_text(encoding="utf-8"))
    spec(wider)["replicas"]["maximum"] = 5000
    path.write_text(yaml.safe_dump(wider), encoding="utf-8")
    assert crds.main([]) == 1
    assert "spec.replicas: maximum fell from 5000 to 1000" in capsys.readouterr().err
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == wider
    assert crds.main(["--breaking"]) == 0
    assert crds.main(["--check"]) == 0
