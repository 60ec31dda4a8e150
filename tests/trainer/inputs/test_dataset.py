"""Fetching examples: which files count, what digest they have, and what is refused how."""

import gzip
import hashlib
import os
from pathlib import Path

import pytest

from adapter_contract import HubDatasetSource, PathSource, S3Location, S3Source, sha256_bytes, sha256_json
from adapter_contract.s3 import open_store
from adapter_testing.hub_server import HubServer
from adapter_testing.seaweedfs import mount_values
from adapter_trainer.errors import BadConfiguration, InputMissing, PermissionDenied
from adapter_trainer.inputs.dataset import fetch_dataset, source_uri

pytestmark = pytest.mark.integration

FIELD = "dataset.source"
ONE, TWO = b'{"text": "one"}\n', b'{"text": "two"}\n{"text": "zwei"}\n'


def put(location: S3Location, **objects: bytes) -> None:
    with open_store(location) as store:
        for name, data in objects.items():
            store.put(name.replace("__", "/").replace("_jsonl", ".jsonl"), data)


def listing_digest(**files: bytes) -> str:
    return sha256_json(
        [
            {
                "path": name.replace("__", "/").replace("_jsonl", ".jsonl"),
                "sizeBytes": len(data),
                "digest": sha256_bytes(data),
            }
            for name, data in files.items()
        ]
    )


@pytest.fixture(params=["file", "s3"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> S3Location:
    if request.param == "s3":
        found: S3Location = request.getfixturevalue("location")
        return found
    return S3Location(uri=f"file://{tmp_path}/store")


def test_an_object_has_the_digest_that_sha256sum_gives(stored: S3Location, tmp_path: Path) -> None:
    put(stored, data__train_jsonl=TWO, data__other_jsonl=ONE)
    fetched = fetch_dataset(S3Source(location=stored.below("data/train.jsonl")), tmp_path / "to", FIELD)
    assert fetched.digest == f"sha256:{hashlib.sha256(TWO).hexdigest()}"
    assert fetched.files == (tmp_path / "to/train.jsonl",)
    assert fetched.files[0].read_bytes() == TWO


@pytest.mark.parametrize("slash", ["", "/"])
def test_of_a_prefix_the_json_lines_files_count(stored: S3Location, tmp_path: Path, slash: str) -> None:
    put(stored, data__b_jsonl=ONE, data__a__c_jsonl=TWO, data__README=b"read", data__a__skip=b"", other_jsonl=ONE)
    put(stored, **{"data/.hidden.jsonl": ONE})
    source = S3Source(location=stored.below(f"data{slash}"))
    fetched = fetch_dataset(source, tmp_path / "to", FIELD)
    assert fetched.files == (tmp_path / "to/a/c.jsonl", tmp_path / "to/b.jsonl")
    assert fetched.digest == listing_digest(a__c_jsonl=TWO, b_jsonl=ONE)
    assert [path.read_bytes() for path in fetched.files] == [TWO, ONE]


def test_a_whole_bucket_can_be_read(tmp_path: Path, seaweedfs, secret: Path) -> None:
    bucket = seaweedfs.location("x", secret=secret).at("s3://whole-bucket")
    put(bucket, one_jsonl=ONE)
    assert fetch_dataset(S3Source(location=bucket), tmp_path / "to", FIELD).digest == listing_digest(one_jsonl=ONE)


@pytest.mark.parametrize("name", [b"caf\xe9.jsonl", b"two\nlines.jsonl"])
def test_a_name_that_cannot_be_shown_is_refused(tmp_path: Path, name: bytes) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / os.fsdecode(name)).write_bytes(ONE)
    with pytest.raises(
        BadConfiguration, match=r"dataset\.source: .* has a file with an unprintable name \(.*: rename|; re"
    ):
        fetch_dataset(PathSource(path=str(tmp_path / "data")), tmp_path / "to", FIELD)


def test_what_is_not_there_is_missing(stored: S3Location, tmp_path: Path) -> None:
    put(stored, there=b"")
    with pytest.raises(InputMissing) as caught:
        fetch_dataset(S3Source(location=stored.below("gone.jsonl")), tmp_path / "to", FIELD)
    message = str(caught.value)
    assert message.startswith(f"{FIELD}: cannot read the dataset at {stored.uri}/gone.jsonl")
    assert "there is no such object, and there is no file with examples in it" in message
    assert not (tmp_path / "to").exists()


def test_another_format_is_refused_by_name(stored: S3Location, tmp_path: Path) -> None:
    put(stored, **{"train.arrow": b"ARROW1", "x/train.jsonl.gz": b""})
    with pytest.raises(BadConfiguration, match=r"dataset\.source: train\.arrow is of a type that can't be read"):
        fetch_dataset(S3Source(location=stored.below("train.arrow")), tmp_path / "to", FIELD)
    with pytest.raises(BadConfiguration, match=r"dataset\.source: train\.jsonl\.gz of .*x/ is compressed: decompress"):
        fetch_dataset(S3Source(location=stored.below("x")), tmp_path / "to", FIELD)


@pytest.mark.parametrize("name", ["train.json", "train.csv", "train.tsv", "train.parquet", "train.ndjson"])
def test_every_type_of_file_is_fetched_alone_and_below_a_prefix(stored: S3Location, tmp_path: Path, name: str) -> None:
    put(stored, **{f"data/{name}": ONE, "data/_SUCCESS": b"", "data/.part.crc": b"crc"})
    alone = fetch_dataset(S3Source(location=stored.below(f"data/{name}")), tmp_path / "alone", FIELD)
    below = fetch_dataset(S3Source(location=stored.below("data/")), tmp_path / "below", FIELD)
    assert [path.name for path in alone.files] == [path.name for path in below.files] == [name]
    assert (alone.digest, below.digest) == (sha256_bytes(ONE), listing_digest(**{name: ONE}))
    assert alone.uri == stored.below(f"data/{name}").uri


def test_types_that_are_mixed_are_refused(stored: S3Location, tmp_path: Path) -> None:
    put(stored, **{"data/a.csv": b"text\n", "data/b.jsonl": ONE})
    with pytest.raises(BadConfiguration, match=r"holds files of several types \(a\.csv, b\.jsonl\): name the file"):
        fetch_dataset(S3Source(location=stored.below("data/")), tmp_path / "to", FIELD)


def test_what_is_left_out_and_what_is_empty_is_logged(
    stored: S3Location, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    put(stored, **{"data/a.jsonl": ONE, "data/b.jsonl": b"", "data/README.md": b"x"})
    fetched = fetch_dataset(S3Source(location=stored.below("data/")), tmp_path / "to", FIELD)
    assert [path.name for path in fetched.files] == ["a.jsonl", "b.jsonl"]
    assert any("since they are no examples: README.md" in message for message in caplog.messages)
    assert f"b.jsonl of {stored.uri}/data/ is empty" in caplog.messages


def test_a_compressed_file_under_another_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(gzip.compress(ONE))
    with pytest.raises(
        BadConfiguration, match=r"train\.jsonl is compressed, whatever its name says: decompress it \(gun"
    ):
        fetch_dataset(PathSource(path=str(path)), tmp_path / "to", FIELD)


def test_refused_credentials_are_a_matter_of_permission(location: S3Location, tmp_path: Path) -> None:
    wrong = mount_values(tmp_path / "wrong", {"AWS_ACCESS_KEY_ID": "AKIAWRONG", "AWS_SECRET_ACCESS_KEY": "wr0ng"})
    source = S3Source(location=location.model_copy(update={"credentials_directory": str(wrong)}))
    with pytest.raises(PermissionDenied, match=r"^dataset\.source: cannot look at ") as caught:
        fetch_dataset(source, tmp_path / "to", FIELD)
    assert "wr0ng" not in str(caught.value)


def test_a_mounted_file_is_copied(tmp_path: Path) -> None:
    path = tmp_path / "volume" / "train"
    path.parent.mkdir()
    path.write_bytes(TWO)
    fetched = fetch_dataset(PathSource(path=str(path)), tmp_path / "to", FIELD)
    path.write_bytes(ONE)
    assert fetched.digest == sha256_bytes(TWO)
    assert [one.read_bytes() for one in fetched.files] == [TWO]


def test_a_mounted_config_map_has_the_digest_of_the_same_files_in_a_store(tmp_path: Path) -> None:
    mounted = mount_values(tmp_path / "mounted", {"b.jsonl": ONE.decode(), "a.jsonl": TWO.decode(), "notes.txt": "x"})
    fetched = fetch_dataset(PathSource(path=str(mounted)), tmp_path / "to", FIELD)
    assert [path.name for path in fetched.files] == ["a.jsonl", "b.jsonl"]
    assert fetched.digest == listing_digest(a_jsonl=TWO, b_jsonl=ONE)


@pytest.mark.parametrize(
    ("make", "finding"),
    [
        (lambda _: None, "it does not exist"),
        (lambda path: path.mkdir(), "there is no file with examples in it"),
        (lambda path: path.symlink_to("nowhere"), "it does not exist"),
    ],
)
def test_a_mounted_path_without_examples_is_missing(tmp_path: Path, make, finding: str) -> None:
    path = tmp_path / "volume"
    make(path)
    with pytest.raises(InputMissing) as caught:
        fetch_dataset(PathSource(path=str(path)), tmp_path / "to", FIELD)
    assert finding in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_mounted_file_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.csv.gz"
    path.write_bytes(b"")
    with pytest.raises(BadConfiguration, match=r"train\.csv\.gz is compressed: decompress it \(gunzip\)"):
        fetch_dataset(PathSource(path=str(path)), tmp_path / "to", FIELD)


def test_a_split_of_a_repository_of_the_hub(hub: HubServer, tmp_path: Path) -> None:
    files = {"README.md": b"# Chats", "en/train.jsonl": ONE, "en/test.jsonl": TWO, "de/train.jsonl": TWO}
    commit = hub.dataset("org/chats", files)
    source = HubDatasetSource(repository="org/chats", subset="en", split="train")
    fetched = fetch_dataset(source, tmp_path / "to", FIELD)
    assert [path.read_bytes() for path in fetched.files] == [ONE]
    assert fetched.digest == listing_digest(en__train_jsonl=ONE)
    assert fetched.uri == f"hf://datasets/org/chats@{commit}"
    assert {one.target.rpartition("/")[2] for one in hub.targets("/resolve/")} == {"README.md", "train.jsonl"}


def test_the_card_of_a_repository_says_what_its_files_are(hub: HubServer, tmp_path: Path) -> None:
    card = b"---\nconfigs:\n- config_name: default\n  data_files:\n  - {split: train, path: 'x/*.jsonl'}\n---\n"
    hub.dataset("org/chats", {"README.md": card, "x/1.jsonl": ONE, "x/2.jsonl": TWO, "train.jsonl": b"no"})
    fetched = fetch_dataset(HubDatasetSource(repository="org/chats"), tmp_path / "to", FIELD)
    assert [path.read_bytes() for path in fetched.files] == [ONE, TWO]


def test_a_repository_that_is_not_there_names_the_field(hub: HubServer, tmp_path: Path) -> None:
    with pytest.raises(PermissionDenied, match=r"^dataset\.source: cannot read hf://datasets/org/gone@main: "):
        fetch_dataset(HubDatasetSource(repository="org/gone"), tmp_path / "to", FIELD)
    hub.dataset("org/empty", {"README.md": b"# Nothing", "notes.txt": b""})
    with pytest.raises(InputMissing, match=r"there is no file with examples in it, only README\.md, notes\.txt; check"):
        fetch_dataset(HubDatasetSource(repository="org/empty"), tmp_path / "to", FIELD)
    assert not (tmp_path / "to").exists()


def test_the_record_names_where_the_data_lie() -> None:
    assert source_uri(S3Source(location=S3Location(uri="s3://data/train.jsonl"))) == "s3://data/train.jsonl"
    assert source_uri(PathSource(path="/adapter/dataset/train.jsonl")) == "/adapter/dataset/train.jsonl"
    assert source_uri(HubDatasetSource(repository="a/b", revision="main")) == "hf://datasets/a/b@main"
    assert source_uri(HubDatasetSource(repository="a/b")) == "hf://datasets/a/b"
