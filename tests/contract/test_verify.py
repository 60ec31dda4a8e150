"""Verification of artifacts: every file flipped, cut, missing, added, replaced; every problem has its test."""

import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from adapter_contract import (
    MANIFEST_NAME,
    AdapterFacts,
    AdapterManifest,
    ArtifactRefused,
    BaseModelRecord,
    FileEntry,
    ForbiddenTypeError,
    NotRegularError,
    StoredManifest,
    find_file_problems,
    list_files,
    sha256_bytes,
    verify_artifact,
)
from adapter_contract.verify import (
    BaseModelMismatch,
    ForbiddenType,
    InvalidAdapterConfig,
    InvalidSafetensors,
    ManifestInvalid,
    ManifestMismatch,
    ManifestMissing,
    MissingFile,
    NotRegular,
    UnlistedFile,
    Unreadable,
    WrongDigest,
    WrongSize,
)

pytestmark = pytest.mark.unit

BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
WEIGHTS = "adapter_model.safetensors"
HEADER = json.dumps({"lora_A": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
SAFETENSORS = len(HEADER).to_bytes(8, "little") + HEADER + bytes(range(16))
FILES = {
    WEIGHTS: SAFETENSORS,
    "adapter_config.json": json.dumps({"base_model_name_or_path": BASE, "r": 4}).encode(),
    "README.md": b"# An adapter\n",
    "tokenizer.model": b"\x0a\x0b",
    "chat_template.jinja": b"{{ messages }}",
    "special_tokens.txt": b"<|im_end|>\n",
    "curves/loss.svg": b"<svg/>",
    "curves/history.jsonl": b'{"step":1}\n',
}


def manifest_of(files, **changes):
    fields = {
        "files": files,
        "origin": "Imported",
        "base_model": BaseModelRecord(name=BASE, digest=sha256_bytes(b"base")),
        "adapter": AdapterFacts(method="LoRA", rank=4, trainable_parameters=4, size_bytes=16, dtype="Float32"),
        "created_time": datetime(2026, 11, 22, tzinfo=UTC),
    }
    return StoredManifest.seal(AdapterManifest(**{**fields, **changes}))


def write(directory: Path, files):
    for path, data in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(data)


def publish(directory, files=FILES):
    write(directory, files)
    stored = manifest_of(list_files(directory))
    (directory / MANIFEST_NAME).write_bytes(stored.data)
    return stored


@pytest.fixture
def artifact(tmp_path):
    publish(tmp_path)
    return tmp_path


def problems_of(directory, **arguments):
    with pytest.raises(ArtifactRefused) as caught:
        verify_artifact(directory, **arguments)
    return list(caught.value.problems)


def kinds_of(directory, **arguments):
    return [(type(problem), problem.path) for problem in problems_of(directory, **arguments)]


def test_a_good_artifact_gives_its_manifest(tmp_path):
    stored = publish(tmp_path)
    assert verify_artifact(tmp_path, expected=stored.digest) == stored
    assert verify_artifact(tmp_path) == stored
    assert [entry.path for entry in stored.manifest.files] == sorted(FILES)
    assert list_files(tmp_path) == stored.manifest.files


@pytest.mark.parametrize("path", [*FILES, MANIFEST_NAME])
def test_a_flipped_bit_anywhere_is_noticed(artifact, path):
    data = bytearray((artifact / path).read_bytes())
    expected = sha256_bytes((artifact / MANIFEST_NAME).read_bytes())
    for position in {0, len(data) // 2, len(data) - 1}:
        flipped = bytearray(data)
        flipped[position] ^= 1
        (artifact / path).write_bytes(flipped)
        kind = ManifestMismatch if path == MANIFEST_NAME else WrongDigest
        assert kinds_of(artifact, expected=expected) == [(kind, path)]


@pytest.mark.parametrize("path", [*FILES, MANIFEST_NAME])
def test_a_cut_file_is_noticed(artifact, path):
    data = (artifact / path).read_bytes()
    for length in {0, len(data) // 2, len(data) - 1}:
        (artifact / path).write_bytes(data[:length])
        assert kinds_of(artifact, expected=sha256_bytes(data) if path == MANIFEST_NAME else None) == [
            (ManifestMismatch if path == MANIFEST_NAME else WrongSize, path)
        ]


@pytest.mark.parametrize("path", FILES)
def test_a_longer_file_is_noticed(artifact, path):
    with (artifact / path).open("ab") as stream:
        stream.write(b"\n")
    assert kinds_of(artifact) == [(WrongSize, path)]


@pytest.mark.parametrize("path", [*FILES, MANIFEST_NAME])
def test_a_missing_file_is_noticed(artifact, path):
    (artifact / path).unlink()
    assert kinds_of(artifact) == [(ManifestMissing if path == MANIFEST_NAME else MissingFile, path)]


@pytest.mark.parametrize("path", [*FILES, MANIFEST_NAME])
def test_a_file_replaced_by_a_link_is_noticed_even_if_its_bytes_are_right(artifact, tmp_path_factory, path):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "file"
    (artifact / path).rename(elsewhere)
    (artifact / path).symlink_to(elsewhere)
    assert kinds_of(artifact) == [(NotRegular, path)]


@pytest.mark.parametrize("path", [*FILES, MANIFEST_NAME])
def test_a_file_replaced_by_a_directory_is_noticed(artifact, path):
    (artifact / path).unlink()
    (artifact / path).mkdir()
    assert kinds_of(artifact) == [(NotRegular if path == MANIFEST_NAME else MissingFile, path)]


@pytest.mark.parametrize("path", ["added.txt", "a/b/c.json", ".hidden.md", "nested/manifest.json"])
def test_an_added_file_is_noticed(artifact, path):
    write(artifact, {path: b"{}"})
    assert kinds_of(artifact) == [(UnlistedFile, path)]


@pytest.mark.parametrize(
    "path", ["pytorch_model.bin", "x.pt", "x.pkl", "run.py", "x.so", "noSuffix", ".json", "X.JSON", "a.json.bin"]
)
def test_an_added_file_of_a_type_that_can_hold_code_is_noticed_as_such(artifact, path):
    write(artifact, {path: b""})
    assert kinds_of(artifact) == [(UnlistedFile, path), (ForbiddenType, path)]


@pytest.mark.parametrize("path", ["adapter_model.bin", "optimizer.pt", "rng_state.pkl", "LICENSE"])
def test_a_listed_file_of_a_forbidden_type_is_refused_and_never_published(tmp_path, path):
    write(tmp_path, {**FILES, path: b"\x80\x04"})
    with pytest.raises(ForbiddenTypeError, match=path):
        list_files(tmp_path)
    (tmp_path / path).unlink()
    entry = FileEntry(path=path, size_bytes=2, digest=sha256_bytes(b"\x80\x04"))
    (tmp_path / MANIFEST_NAME).write_bytes(manifest_of((*list_files(tmp_path), entry)).data)
    write(tmp_path, {path: b"\x80\x04"})
    assert kinds_of(tmp_path) == [(ForbiddenType, path)]


@pytest.mark.parametrize("link", ["file", "directory", "dangling"])
def test_an_added_link_is_noticed_and_not_followed(artifact, tmp_path_factory, link):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write(elsewhere, {"secret.json": b"{}"})
    targets = {"file": elsewhere / "secret.json", "directory": elsewhere, "dangling": elsewhere / "nothing"}
    (artifact / "link.json").symlink_to(targets[link])
    assert kinds_of(artifact) == [(UnlistedFile, "link.json"), (NotRegular, "link.json")]


def test_a_directory_replaced_by_a_link_is_noticed(artifact, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "curves"
    (artifact / "curves").rename(elsewhere)
    (artifact / "curves").symlink_to(elsewhere)
    assert sorted(kinds_of(artifact), key=str) == sorted(
        [
            (MissingFile, "curves/history.jsonl"),
            (MissingFile, "curves/loss.svg"),
            (UnlistedFile, "curves"),
            (NotRegular, "curves"),
        ],
        key=str,
    )


def test_a_pipe_and_a_socket_are_noticed_and_never_opened(artifact, monkeypatch):
    (artifact / "README.md").unlink()
    os.mkfifo(artifact / "README.md")
    monkeypatch.chdir(artifact)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.json")
        problems = problems_of(artifact)
    assert [(type(problem), problem.path, problem.message.split(";")[0]) for problem in problems] == [
        (NotRegular, "README.md", "a pipe"),
        (UnlistedFile, "s.json", "not listed in the manifest"),
        (NotRegular, "s.json", "a socket"),
    ]


def test_all_problems_are_collected(artifact):
    (artifact / "README.md").unlink()
    (artifact / "tokenizer.model").write_bytes(b"\x0a\x0c")
    (artifact / "chat_template.jinja").write_bytes(b"")
    write(artifact, {"x.txt": b""})
    (artifact / "special_tokens.txt").unlink()
    (artifact / "special_tokens.txt").symlink_to("x.txt")
    assert set(kinds_of(artifact)) == {
        (MissingFile, "README.md"),
        (WrongDigest, "tokenizer.model"),
        (WrongSize, "chat_template.jinja"),
        (UnlistedFile, "x.txt"),
        (NotRegular, "special_tokens.txt"),
    }


def test_the_message_names_ten_problems_and_counts_the_rest(artifact):
    write(artifact, {f"x{index:02}.txt": b"" for index in range(13)})
    with pytest.raises(ArtifactRefused, match=r"UnlistedFile: x09\.txt: not listed in the manifest; and 3 more$"):
        verify_artifact(artifact)


def test_another_manifest_than_the_one_asked_for_is_refused_before_it_is_read(tmp_path):
    (tmp_path / MANIFEST_NAME).write_bytes(b"not even JSON")
    (problem,) = problems_of(tmp_path, expected=sha256_bytes(b"another"))
    assert isinstance(problem, ManifestMismatch)
    assert sha256_bytes(b"another") in problem.message
    assert problem.reason == "ManifestMismatch"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"kind":"AdapterManifest","schemaVersion":2}',
        b'{"kind":"Owner","schemaVersion":1}',
        b'{"kind":"AdapterManifest","schemaVersion":1}',
        b" " * (1 << 20) + b"{}",
    ],
    ids=lambda data: repr(data[:50]),
)
def test_a_manifest_that_cannot_be_read_is_refused(artifact, data):
    (artifact / MANIFEST_NAME).write_bytes(data)
    assert kinds_of(artifact) == [(ManifestInvalid, MANIFEST_NAME)]


def test_a_directory_that_is_not_there_was_never_committed(tmp_path):
    assert kinds_of(tmp_path / "nothing") == [(ManifestMissing, MANIFEST_NAME)]
    assert [type(problem) for problem in find_file_problems(tmp_path / "nothing", [])] == [Unreadable]


def test_an_artifact_without_weights_is_refused(tmp_path):
    publish(tmp_path, {name: data for name, data in FILES.items() if name != WEIGHTS})
    assert kinds_of(tmp_path) == [(MissingFile, WEIGHTS)]


@pytest.mark.parametrize(
    "weights",
    [b"", SAFETENSORS[:-1], SAFETENSORS + b"\x00", SAFETENSORS[:7], b"\x80\x04pickle" * 9],
    ids=["empty", "cut", "long", "stub", "pickle"],
)
def test_weights_must_be_safetensors_even_if_the_manifest_vouches_for_them(tmp_path, weights):
    publish(tmp_path, {**FILES, WEIGHTS: weights})
    assert kinds_of(tmp_path) == [(InvalidSafetensors, WEIGHTS)]


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        (b'{"base_model_name_or_path": "other/model"}', BaseModelMismatch),
        (b'{"base_model_name_or_path": null}', BaseModelMismatch),
        (b"{}", BaseModelMismatch),
        (b"[]", InvalidAdapterConfig),
        (b"{", InvalidAdapterConfig),
        (b'{"r": 1, "r": 2}', InvalidAdapterConfig),
    ],
)
def test_the_configuration_must_name_the_manifests_base(tmp_path, config, kind):
    publish(tmp_path, {**FILES, "adapter_config.json": config})
    assert kinds_of(tmp_path) == [(kind, "adapter_config.json")]


def test_an_artifact_without_its_configuration_is_refused(tmp_path):
    """Without it nothing ties the weights to the base's name, and no engine knows how to load them."""
    publish(tmp_path, {WEIGHTS: SAFETENSORS})
    assert kinds_of(tmp_path) == [(MissingFile, "adapter_config.json")]


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_is_not_regular_is_never_published(tmp_path, kind):
    write(tmp_path, FILES)
    if kind == "link":
        (tmp_path / "x.json").symlink_to("adapter_config.json")
    else:
        os.mkfifo(tmp_path / "x.json")
    with pytest.raises(NotRegularError, match=r"x\.json is a "):
        list_files(tmp_path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/a.json",
        "../a.json",
        "a/../b.json",
        "./a.json",
        "a//b.json",
        "a/",
        "a\\b.json",
        "a\n.json",
        "a\x00.json",
        "a\u202e.json",
        "manifest.json",
        "x" * 256 + ".json",
        "a/" * 256 + "b.json",
    ],
)
def test_paths_that_no_manifest_may_list(path):
    with pytest.raises(ValidationError):
        FileEntry(path=path, size_bytes=0, digest=sha256_bytes(b""))


@pytest.mark.parametrize(
    ("paths", "message"),
    [(["a.json", "a.json"], "listed twice"), (["a.json/b.json", "a.json"], "as a file and as a directory")],
)
def test_lists_that_no_directory_can_have(paths, message):
    entries = tuple(FileEntry(path=path, size_bytes=0, digest=sha256_bytes(b"")) for path in paths)
    with pytest.raises(ValidationError, match=message):
        manifest_of(entries)


@pytest.mark.parametrize("path", ["README.md", MANIFEST_NAME])
def test_a_file_that_the_system_does_not_let_us_read_is_named(artifact, monkeypatch, path):
    real = Path.open

    def refusing(self, *arguments, **options):
        if self.name == path:
            raise PermissionError(13, "Permission denied")
        return real(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refusing)
    (problem,) = problems_of(artifact)
    assert (type(problem), problem.path, problem.message) == (Unreadable, path, "Permission denied")
