"""The manifest, its stored form, and the small documents beside it."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from adapter_contract import (
    AdapterFacts,
    AdapterManifest,
    AdapterSummary,
    ContractError,
    DigestMismatchError,
    InvalidDocument,
    Owner,
    RunRecord,
    StoredManifest,
    TrainerConfig,
    TrainerResult,
    sha256_bytes,
)
from adapter_contract.manifest import MAX_MANIFEST_BYTES

pytestmark = pytest.mark.unit

GOLDEN = Path(__file__).parent / "golden"
FULL = (GOLDEN / "adapter_manifest.full.json").read_bytes()
IMPORTED = (GOLDEN / "adapter_manifest.minimal.json").read_bytes()


def changed(data, **members):
    document = {**json.loads(data), **members}
    return json.dumps({name: value for name, value in document.items() if value is not None})


def test_the_digest_is_that_of_the_bytes_whatever_their_spelling():
    spaced = json.dumps(json.loads(FULL), indent=1).encode()
    stored = StoredManifest.parse(spaced)
    assert stored.digest == sha256_bytes(spaced)
    assert stored.manifest == AdapterManifest.from_json(FULL)
    assert StoredManifest.parse(spaced, expected=stored.digest) == stored


def test_other_bytes_are_refused_before_they_are_parsed():
    with pytest.raises(DigestMismatchError) as caught:
        StoredManifest.parse(b"{", expected=sha256_bytes(FULL))
    assert (caught.value.expected, caught.value.found) == (sha256_bytes(FULL), sha256_bytes(b"{"))


def test_a_manifest_that_would_not_be_read_back_is_not_sealed():
    manifest = AdapterManifest.from_json(FULL)
    assert manifest.record is not None
    libraries = {f"library{index}": "x" * 1024 for index in range(64)}
    entries = tuple(
        manifest.files[0].model_copy(update={"path": f"{'d' * 250}/{'e' * 250}/{index}.json"}) for index in range(1024)
    )
    record = manifest.record.model_copy(update={"libraries": libraries})
    tokens = tuple("m" * 250 + str(index) for index in range(4096))
    adapter = manifest.adapter.model_copy(update={"target_modules": tokens})
    huge = manifest.model_copy(update={"files": entries, "record": record, "adapter": adapter})
    with pytest.raises(ContractError, match=f"at most {MAX_MANIFEST_BYTES} are read back"):
        StoredManifest.seal(huge)


def test_the_summary_is_what_status_shows():
    assert AdapterManifest.from_json(FULL).summary == AdapterSummary(
        method="LoRA", rank=16, trainable_parameters=4884480, size_bytes=19563152
    )


@pytest.mark.parametrize(
    ("data", "changes", "message"),
    [
        (FULL, {"record": None}, "record is required with origin Trained"),
        (FULL, {"origin": "Imported"}, "has no place with Imported"),
        (IMPORTED, {"origin": "Trained"}, "record is required with origin Trained"),
        (FULL, {"files": []}, "at least one file"),
        (FULL, {"files": json.loads(FULL)["files"] * 2}, "is listed twice"),
        (FULL, {"metrics": {"loss": "1"}}, "metrics"),
        (FULL, {"metrics": {"Loss": 1.18}}, "metrics.Loss"),
        (FULL, {"metrics": {"Loss": "NaN"}}, "metrics.Loss"),
        (FULL, {"createdTime": "2026-11-22"}, "createdTime"),
        (FULL, {"inputDigest": "sha256:" + "A" * 64}, "inputDigest"),
        (FULL, {"inputDigest": "sha256:" + "a" * 64 + "\n"}, "inputDigest"),
        (FULL, {"baseModel": {"name": "a b", "digest": "sha256:" + "a" * 64}}, "baseModel.name"),
        (IMPORTED, {"sourceURI": "https://example"}, "sourceURI"),
    ],
)
def test_manifests_that_say_nonsense_are_refused(data, changes, message):
    with pytest.raises(InvalidDocument, match=message):
        AdapterManifest.from_json(changed(data, **changes))


def test_an_imported_adapter_names_its_source():
    manifest = AdapterManifest.from_json(changed(IMPORTED, sourceURI="s3://elsewhere/adapter/"))
    assert manifest.source_uri == "s3://elsewhere/adapter/"
    assert json.loads(manifest.to_json())["sourceURI"] == "s3://elsewhere/adapter/"


@pytest.mark.parametrize(("method", "rank"), [("LoRA", None), ("IA3", 16)])
def test_lora_alone_has_a_rank(method, rank):
    with pytest.raises(ValidationError, match="rank is required with method LoRA"):
        AdapterFacts(method=method, rank=rank, trainable_parameters=1, size_bytes=1, dtype="Float32")


def test_the_owner_is_the_training_without_its_uid():
    training = TrainerConfig.from_json((GOLDEN / "trainer_config.full.json").read_bytes()).training
    again = training.model_copy(update={"uid": "another"})
    assert Owner.of(training) == Owner.of(again)
    assert Owner.of(training).to_json() == (GOLDEN / "owner.full.json").read_bytes()


RECORD = (GOLDEN / "run_record.full.json").read_bytes()


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"run": 2, "attempt": 1, "exitCode": 75}, "only a success is recorded"),
        ({"run": 3, "attempt": 1, "exitCode": 0, "digest": sha256_bytes(b"")}, r"result\.run is 3"),
    ],
)
def test_a_run_record_holds_the_success_of_that_run(result, message):
    with pytest.raises(InvalidDocument, match=message):
        RunRecord.from_json(changed(RECORD, result=result))


def test_a_run_record_gives_the_result_again():
    result = RunRecord.from_json(RECORD).result
    assert result == TrainerResult.from_json((GOLDEN / "trainer_result.full.json").read_bytes())
