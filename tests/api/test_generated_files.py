"""What is generated from the models is committed, small, and what the API server takes."""

import json
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from adapter_operator import crds
from adapter_testing.manifests import MODELS, REPOSITORY, committed_crd, example

pytestmark = pytest.mark.unit

CRD_SIZE_LIMIT_BYTES = 200 * 1024


def test_generated_files_are_committed_as_the_models_have_them() -> None:
    stale = [
        str(path)
        for path, text in crds.generated_files().items()
        if (REPOSITORY / path).read_text(encoding="utf-8") != text
    ]
    assert stale == []


def test_check_names_the_stale_file_and_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert crds.main([]) == 0
    assert crds.main(["--check"]) == 0
    stale = tmp_path / "docs/api.md"
    stale.write_text("edited by hand", encoding="utf-8")
    assert crds.main(["--check"]) == 1
    assert "docs/api.md is stale: run `make crds`" in capsys.readouterr().err


def test_total_size_of_the_crds_is_small() -> None:
    sizes = {path.name: path.stat().st_size for path in (REPOSITORY / "crds").glob("*.yaml")}
    assert len(sizes) == 2
    assert sum(sizes.values()) < CRD_SIZE_LIMIT_BYTES, sizes


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("version", ["1.30", "1.33", "1.37"])
def test_crd_is_valid_for_the_supported_kubernetes_versions(kind: str, version: str) -> None:
    kubernetes_validate.validate(committed_crd(kind), version, strict=True)


@pytest.mark.parametrize("kind", MODELS)
def test_crd_fits_the_annotation_of_client_side_apply(kind: str) -> None:
    assert len(json.dumps(committed_crd(kind))) < 256 * 1024


def test_minimal_training_is_at_most_14_lines() -> None:
    text = (REPOSITORY / "examples/minimal/training.yaml").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 14
    assert example("minimal", "AdapterTraining")["kind"] == "AdapterTraining"


def test_chart_templates_hold_the_crds_and_keep_them_on_uninstall() -> None:
    for kind in MODELS:
        name = f"adapters.dev_{kind.lower()}s.yaml"
        template = (REPOSITORY / "charts/adapter-operator-crds/templates" / name).read_text(encoding="utf-8")
        rendered = "\n".join(line for line in template.splitlines() if "{{" not in line)
        document = yaml.safe_load(rendered)
        assert document["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        assert document == committed_crd(kind)
        assert "{{- if .Values.keep }}" in template


def test_scale_subresource_is_on_deployments_alone() -> None:
    subresources = {kind: committed_crd(kind)["spec"]["versions"][0]["subresources"] for kind in MODELS}
    assert subresources["AdapterTraining"] == {"status": {}}
    assert subresources["AdapterDeployment"]["scale"] == {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }


def test_columns_are_those_that_users_want() -> None:
    shown = {
        kind: [
            (column["name"], column.get("priority", 0))
            for column in committed_crd(kind)["spec"]["versions"][0]["additionalPrinterColumns"]
        ]
        for kind in MODELS
    }
    assert [name for name, wide in shown["AdapterTraining"] if not wide] == [
        "Ready", "Reason", "Progress", "Loss", "ETA", "Version", "Age",
    ]  # fmt: skip
    assert [name for name, wide in shown["AdapterTraining"] if wide] == ["Base", "Method", "Run"]
    assert [name for name, wide in shown["AdapterDeployment"] if not wide] == [
        "Ready", "Reason", "Replicas", "Adapters", "Base", "Age",
    ]  # fmt: skip
