"""The output in its store, of either kind: whose it is, what a run gave, publishing, pointing, recording."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapter_contract import (
    ByInputPointer,
    ExitCode,
    Owner,
    RunRecord,
    S3Location,
    StoredManifest,
    TrainerConfig,
    TrainerResult,
    sha256_bytes,
)
from adapter_contract.layout import ByInputKey, RunKey, parse_artifact_uri
from adapter_contract.s3 import ObjectStore, fetch_artifact, open_store
from adapter_contract.verify import verify_artifact
from adapter_testing.seaweedfs import SeaweedFS, mount_secret
from adapter_trainer.errors import BadConfiguration, PermissionDenied
from adapter_trainer.inputs.digests import KnownDigests
from adapter_trainer.publishing.artifact import complete_artifact
from adapter_trainer.publishing.manifest import Circumstances
from adapter_trainer.publishing.output import Output
from adapter_trainer.publishing.trained import Trained

pytestmark = pytest.mark.integration

RUN_KEY = RunKey("support-bot", "3f0c2b1e-6a57", 1).key


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    where = S3Location(uri=f"file://{tmp_path}/store")
    if request.param == "s3":
        where = request.getfixturevalue("location")
    with open_store(where) as opened:
        yield opened


@pytest.fixture
def output(store: ObjectStore, config: TrainerConfig) -> Output:
    return Output(store, config)


@pytest.fixture
def stored(
    adapter: Callable[[str], Path],
    config: TrainerConfig,
    digests: KnownDigests,
    trained: Trained,
    circumstances: Circumstances,
) -> StoredManifest:
    return complete_artifact(adapter("adapter"), config, digests, trained, circumstances)


def success(word: bytes = b"adapter", attempt: int = 1) -> TrainerResult:
    return TrainerResult(run=1, attempt=attempt, exit_code=ExitCode.DONE, digest=sha256_bytes(word))


def test_the_first_claims_and_the_same_one_may_come_again(
    output: Output, store: ObjectStore, config: TrainerConfig
) -> None:
    output.claim()
    output.claim()
    assert Owner.from_json(store.get("support-bot/owner.json")) == Owner.of(config.training)


def test_another_owner_is_named_and_refused(store: ObjectStore, config: TrainerConfig) -> None:
    theirs = config.training.model_copy(update={"cluster": "other", "namespace": "team-b"})
    Output(store, config.model_copy(update={"training": theirs})).claim()
    with pytest.raises(BadConfiguration) as caught:
        Output(store, config).claim()
    assert str(caught.value).startswith("OutputInUse: ")
    assert "team-b/support-bot of the cluster other publishes here, and this is team-a/support-bot of test" in str(
        caught.value
    )


def test_the_same_owner_in_other_bytes_is_the_same(store: ObjectStore, config: TrainerConfig, output: Output) -> None:
    document = json.loads(Owner.of(config.training).to_json()) | {"later": "field"}
    store.put("support-bot/owner.json", json.dumps(document).encode())
    output.claim()


def test_what_is_no_owners_document_is_not_overwritten(store: ObjectStore, output: Output) -> None:
    store.put("support-bot/owner.json", b"hello")
    with pytest.raises(BadConfiguration, match=r"^OutputInUse: .*owner\.json is no owner's document"):
        output.claim()
    assert store.get("support-bot/owner.json") == b"hello"


def test_a_run_that_gave_nothing_yet_has_no_result(output: Output) -> None:
    assert output.recorded_result() is None


def test_the_first_result_counts(output: Output, store: ObjectStore, config: TrainerConfig) -> None:
    assert output.record(success()) == success()
    assert output.record(success()) == success()
    assert output.record(success(b"slower", attempt=2)) == success()
    assert output.recorded_result() == success()
    record = RunRecord.from_json(store.get(RUN_KEY))
    assert (record.training, record.run) == (config.training, config.run)


def test_a_record_of_something_else_is_refused(output: Output, store: ObjectStore, config: TrainerConfig) -> None:
    run = config.run.model_copy(update={"spec_hash": sha256_bytes(b"another")})
    record = RunRecord(training=config.training, run=run, result=success())
    store.put(RUN_KEY, record.to_json())
    with pytest.raises(BadConfiguration, match=r"^output: .* but this is run 1 of .*; set restartToken$"):
        output.recorded_result()


def test_a_record_that_is_none_is_refused(output: Output, store: ObjectStore) -> None:
    store.put(RUN_KEY, b"{}")
    with pytest.raises(
        BadConfiguration, match=r"^output: .* is no record of a run: .*; remove it, or set restartToken$"
    ):
        output.recorded_result()


def test_what_is_published_can_be_fetched_by_its_digest(
    output: Output, store: ObjectStore, stored: StoredManifest, config: TrainerConfig, tmp_path: Path
) -> None:
    uri = output.publish(tmp_path / "adapter", stored)
    assert output.publish(tmp_path / "adapter", stored) == uri
    output_uri, key = parse_artifact_uri(uri)
    assert output_uri == config.output.location.uri
    fetch_artifact(store, key.key, stored.digest, tmp_path / "fetched")
    assert verify_artifact(tmp_path / "fetched", expected=stored.digest).manifest == stored.manifest


def test_equal_inputs_keep_pointing_to_the_first_adapter(
    output: Output, store: ObjectStore, digests: KnownDigests
) -> None:
    assert digests.inputs is not None
    first, second = sha256_bytes(b"first"), sha256_bytes(b"second")
    for digest in (first, first, second):
        output.point_from_inputs(digests.inputs, digest)
    pointer = ByInputPointer.from_json(store.get(ByInputKey("support-bot", digests.inputs).key))
    assert (pointer.input_digest, pointer.digest) == (digests.inputs, first)


def test_who_may_only_read_is_denied(
    seaweedfs: SeaweedFS, config: TrainerConfig, tmp_path: Path, location: S3Location
) -> None:
    reader = mount_secret(tmp_path / "reader", seaweedfs.reader)
    where = location.model_copy(update={"credentials_directory": str(reader)})
    denied = pytest.raises(PermissionDenied, match=r"^output: cannot create .*owner\.json")
    with open_store(where) as store, denied:
        Output(store, config).claim()
