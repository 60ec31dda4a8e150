"""The golden fixtures: what every release reads and writes, byte for byte.

Other parts test the same files: `read_document(path.read_bytes()).to_json() == path.read_bytes()` is the whole
of it. A fixture changes only together with a schema version.
"""

import json
from pathlib import Path

import pytest

from adapter_contract import (
    DOCUMENT_KINDS,
    AdapterManifest,
    AdapterSet,
    ContractError,
    MergeDefinition,
    RunRecord,
    StoredManifest,
    TrainerResult,
    WrongKind,
    canonical_json,
    read_document,
)

pytestmark = pytest.mark.unit

GOLDEN = Path(__file__).parent / "golden"
FIXTURES = sorted(GOLDEN.glob("*.json"))
MANIFEST_DIGEST = "sha256:7dd38ecbb18f1b1beb2c179e242a5f381c6ea706966de7b9af8f422918442f51"


def fixture_name(path):
    return path.stem


@pytest.mark.parametrize("path", FIXTURES, ids=fixture_name)
def test_reading_and_writing_gives_the_same_bytes(path):
    data = path.read_bytes()
    assert read_document(data).to_json() == data


@pytest.mark.parametrize("path", FIXTURES, ids=fixture_name)
def test_every_fixture_is_canonical(path):
    assert canonical_json(json.loads(path.read_bytes())) == path.read_bytes()


@pytest.mark.parametrize("path", FIXTURES, ids=fixture_name)
def test_a_newer_writers_fields_are_ignored_everywhere(path):
    data = path.read_bytes()

    def with_news(node):
        if isinstance(node, list):
            return [with_news(item) for item in node]
        if not isinstance(node, dict):
            return node
        # Mappings from a user's name to a value have no fields.
        mapped = {key: value if key in {"metrics", "libraries"} else with_news(value) for key, value in node.items()}
        return {**mapped, "addedLater": {"a": [1]}}

    newer = json.dumps(with_news(json.loads(data)))
    assert read_document(newer).to_json() == data


@pytest.mark.parametrize("path", FIXTURES, ids=fixture_name)
def test_no_required_field_can_go_missing(path):
    """Each member is either optional, so that the rest still reads, or missed by its own name."""
    document = json.loads(path.read_bytes())
    complaints = {}
    for key in document:
        try:
            read_document(json.dumps({name: value for name, value in document.items() if name != key}))
        except ContractError as error:
            complaints[key] = str(error)
    assert {"kind", "schemaVersion"} <= complaints.keys()
    assert [key for key, complaint in complaints.items() if key not in complaint] == []


@pytest.mark.parametrize("kind", DOCUMENT_KINDS)
def test_every_kind_has_a_full_fixture(kind):
    kinds = [json.loads(path.read_bytes())["kind"] for path in FIXTURES if path.stem.endswith(".full")]
    assert kinds.count(kind) == 1


@pytest.mark.parametrize("kind", DOCUMENT_KINDS)
def test_the_full_fixtures_of_a_kind_name_every_field(kind):
    model = DOCUMENT_KINDS[kind]
    (full,) = (
        document
        for path in FIXTURES
        if path.stem.endswith(".full") and (document := json.loads(path.read_bytes()))["kind"] == kind
    )
    aliases = {field.alias for field in model.model_fields.values()}
    # origin Trained has no sourceURI: only an imported adapter has one
    assert aliases - full.keys() <= {"sourceURI"}


def test_the_digest_of_the_manifest_is_that_of_its_bytes():
    data = (GOLDEN / "adapter_manifest.full.json").read_bytes()
    stored = StoredManifest.parse(data)
    assert stored.digest == MANIFEST_DIGEST
    assert stored.data == data
    assert StoredManifest.seal(stored.manifest) == stored


def test_the_digest_covers_what_this_release_does_not_know():
    data = (GOLDEN / "adapter_manifest.full.json").read_bytes()
    newer = data.replace(b'"adapter":', b'"aNewField":1,"adapter":', 1)
    stored = StoredManifest.parse(newer)
    assert stored.manifest == AdapterManifest.from_json(data)
    assert stored.digest != MANIFEST_DIGEST
    assert stored.data == newer


def test_the_digest_of_a_merge_is_fixed():
    data = (GOLDEN / "adapter_set.full.json").read_bytes()
    merge = next(entry.merge for entry in AdapterSet.from_json(data).adapters if entry.merge)
    assert isinstance(merge, MergeDefinition)
    assert merge.digest == "sha256:169bc76e24d1dbd125caa6a97866b986746b1581ab100d483ddabf56a7e67841"


def test_an_unknown_kind_is_refused():
    with pytest.raises(WrongKind, match="expected one of the kinds AdapterManifest"):
        read_document(b'{"kind":"Adapter","schemaVersion":1}')


def test_a_run_record_has_its_results_version():
    assert RunRecord.schema_version == TrainerResult.schema_version
