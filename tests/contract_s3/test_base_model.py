"""The base digest: equal for equal models wherever they lie, other for any other, and cheap the second time."""

import json
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from adapter_contract.digests import sha256_bytes, sha256_json
from adapter_contract.locations import S3Location
from adapter_contract.s3.base_model import base_digest
from adapter_contract.s3.base_model_files import LocalModel, StoredModel
from adapter_contract.s3.directories import upload_directory
from adapter_contract.s3.errors import Conflict, Corrupted, InvalidLocation, NotFound
from adapter_contract.s3.store import ObjectStore, open_store
from adapter_testing.proxies import HTTPProxy, Request, Response
from adapter_testing.seaweedfs import SeaweedFS, mount_secret

pytestmark = pytest.mark.integration

CACHE = ".adapter-base-digest.json"
Through = Callable[[str], ObjectStore]


def _safetensors(seed: int, size: int = 4096, name: str = "weight") -> bytes:
    header = json.dumps({name: {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes((seed + index) % 256 for index in range(size))


def _write(directory: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(data)
    return directory


SHARDED = {
    "config.json": b'{"model_type":"llama"}',
    "generation_config.json": b"{}",
    "tokenizer.json": b'{"version":"1.0"}',
    "tokenizer_config.json": b"{}",
    "special_tokens_map.json": b"{}",
    "chat_template.jinja": b"{{ messages }}",
    "additional_chat_templates/tools.jinja": b"{{ tools }}",
    "model-00001-of-00002.safetensors": _safetensors(1, name="a"),
    "model-00002-of-00002.safetensors": _safetensors(2, name="b"),
    "model.safetensors.index.json": json.dumps(
        {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    ).encode(),
    "README.md": b"a model",
    "LICENSE": b"a licence",
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return _write(tmp_path / "model", SHARDED)


def _stored(store: ObjectStore, directory: Path, prefix: str = "models/base") -> StoredModel:
    upload_directory(store, directory, prefix)
    return StoredModel(store, prefix)


@pytest.mark.parametrize("identity", [None, "commit:0123abc"])
def test_equal_models_have_equal_digests_wherever_they_lie(store: ObjectStore, model: Path, identity: str | None):
    store.put("models/base-2/config.json", b"another model, by a similar name")
    stored = _stored(store, model)

    digests = {
        base_digest(LocalModel(model), identity=identity),
        base_digest(stored, identity=identity),
        base_digest(StoredModel(store, "models/base/"), identity=identity),
    }

    assert len(digests) == 1
    assert digests.pop().startswith("sha256:")


def test_the_digest_is_that_of_a_documented_document(model: Path):
    def header(name: str) -> str:
        data = SHARDED[name]
        return sha256_bytes(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])

    weights = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    documents = sorted(SHARDED.keys() - {*weights, "README.md", "LICENSE"})
    expected = {
        "baseDigestVersion": 1,
        "identity": "",
        "documents": [{"path": name, "digest": sha256_bytes(SHARDED[name])} for name in documents],
        "weights": [
            {
                "path": name,
                "sizeBytes": len(SHARDED[name]),
                "headerDigest": header(name),
                "digest": sha256_bytes(SHARDED[name]),
            }
            for name in weights
        ],
    }

    assert base_digest(LocalModel(model)) == sha256_json(expected)


@pytest.mark.parametrize("name", sorted(SHARDED.keys() - {"README.md", "LICENSE", "model.safetensors.index.json"}))
def test_any_changed_file_that_counts_changes_the_digest(model: Path, name: str):
    before = base_digest(LocalModel(model))
    data = SHARDED[name]
    (model / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))

    assert base_digest(LocalModel(model)) != before


def test_what_changes_no_token_changes_no_digest(model: Path):
    before = base_digest(LocalModel(model))
    _write(model, {"README.md": b"more", "onnx/model.onnx": b"x", "pytorch_model.bin": b"pickle", "tf_model.h5": b"x"})

    assert base_digest(LocalModel(model)) == before


def test_an_identity_spares_reading_the_weights(
    s3: ObjectStore, seaweedfs: SeaweedFS, through: Through, tmp_path: Path, model: Path
):
    (model / "model-00001-of-00002.safetensors").write_bytes(_safetensors(1, size=4 << 20, name="a"))
    _stored(s3, model)

    with HTTPProxy(seaweedfs.port) as proxy:
        with_commit = base_digest(StoredModel(through(proxy.endpoint), "models/base"), identity="commit:abc")
    ranges = [
        request.headers["Range"]
        for request in proxy.requests
        if "-of-00002" in request.target and "Range" in request.headers
    ]
    assert all(int(text.rpartition("-")[2]) < 1000 for text in ranges), "headers only"
    assert with_commit != base_digest(LocalModel(model), identity="commit:abd")
    assert s3.head(f"models/base/{CACHE}") is None


def test_weights_are_read_once(s3: ObjectStore, seaweedfs: SeaweedFS, through: Through, model: Path):
    _stored(s3, model)

    def digest() -> tuple[str, int]:
        with HTTPProxy(seaweedfs.port) as proxy:
            found = base_digest(StoredModel(through(proxy.endpoint), "models/base"))
        full = f"-{len(SHARDED['model-00001-of-00002.safetensors']) - 1}"
        return found, sum(request.headers.get("Range", "").endswith(full) for request in proxy.requests)

    first, second = digest(), digest()
    s3.put("models/base/model-00002-of-00002.safetensors", _safetensors(3, name="b"))
    third = digest()

    assert first[1] == 2
    assert second == (first[0], 0)
    assert third[0] != first[0]
    assert third[1] == 1, "only the file that changed"


def test_the_cache_beside_a_directory_is_used(model: Path, monkeypatch: pytest.MonkeyPatch):
    before = base_digest(LocalModel(model))
    cached = json.loads((model / CACHE).read_bytes())
    assert {entry["path"] for entry in cached["files"]} == {name for name in SHARDED if name.endswith(".safetensors")}

    # Nothing of the files changed: the entry is trusted, whatever it says. That is what makes it a cache.
    true = cached["files"][0]["digest"]
    (model / CACHE).write_text(json.dumps(cached).replace(true, sha256_bytes(b"something else")))
    assert base_digest(LocalModel(model)) != before


@pytest.mark.parametrize("field", ["sizeBytes", "mark", "headerDigest", "path"])
def test_an_entry_that_does_not_fit_is_not_trusted(model: Path, field: str):
    before = base_digest(LocalModel(model))
    cached = json.loads((model / CACHE).read_bytes())
    for entry in cached["files"]:
        entry["digest"] = sha256_bytes(b"poison")
        entry[field] = {"sizeBytes": 1, "mark": "mtime:1", "headerDigest": sha256_bytes(b"x"), "path": "x"}[field]
    (model / CACHE).write_text(json.dumps(cached))

    assert base_digest(LocalModel(model)) == before


@pytest.mark.parametrize("content", [b"", b"not json", b"[]", b'{"version":2,"files":[]}', b'{"files":[{"path":1}]}'])
def test_a_damaged_cache_is_computed_anew(model: Path, content: bytes):
    before = base_digest(LocalModel(model))
    (model / CACHE).write_bytes(content)

    assert base_digest(LocalModel(model)) == before
    assert len(json.loads((model / CACHE).read_bytes())["files"]) == 2


def test_a_model_in_a_bucket_that_may_only_be_read(
    s3: ObjectStore, seaweedfs: SeaweedFS, location: S3Location, model: Path, tmp_path: Path
):
    _stored(s3, model)
    secret = mount_secret(tmp_path / "secret", seaweedfs.reader)
    there = location.model_copy(update={"credentials_directory": str(secret)})

    with open_store(there) as reading:
        without = base_digest(StoredModel(reading, "models/base"))
        first = base_digest(StoredModel(reading, "models/base"), cache_directory=tmp_path / "cache")
        [cached] = (tmp_path / "cache").iterdir()
        modified = cached.stat().st_mtime_ns
        second = base_digest(StoredModel(reading, "models/base"), cache_directory=tmp_path / "cache")

    assert without == first == second == base_digest(LocalModel(model))
    assert cached.stat().st_mtime_ns == modified, "read, not written again"
    assert s3.head(f"models/base/{CACHE}") is None


def test_a_model_on_a_volume_that_cannot_be_written(model: Path, tmp_path: Path):
    # A directory in the cache's place: like a read-only mount, it refuses the write, also for root.
    (model / CACHE).mkdir()

    first = base_digest(LocalModel(model), cache_directory=tmp_path / "cache")
    second = base_digest(LocalModel(model), cache_directory=tmp_path / "cache")

    assert first == second == base_digest(LocalModel(model))
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_weights_that_change_while_they_are_read(s3: ObjectStore, seaweedfs: SeaweedFS, through: Through, model: Path):
    _stored(s3, model)
    name = "model-00001-of-00002.safetensors"
    full = f"-{len(SHARDED[name]) - 1}"

    def replace(request: Request, answer: Response) -> Response:
        if name in request.target and request.headers.get("Range", "").endswith(full):
            s3.put(f"models/base/{name}", _safetensors(9, name="a"))
        return answer

    with HTTPProxy(seaweedfs.port, after=replace) as proxy, pytest.raises(Conflict, match="changed while it was read"):
        base_digest(StoredModel(through(proxy.endpoint), "models/base"))
    assert s3.get(f"models/base/{name}") == _safetensors(9, name="a")


def test_other_directories_beside_the_model_are_not_looked_into(model: Path):
    before = base_digest(LocalModel(model))
    (model / "lost+found").mkdir()
    (model / "lost+found" / "config.json").write_bytes(b"x")
    (model / "nowhere.safetensors").symlink_to("nothing")

    assert base_digest(LocalModel(model)) == before


def test_links_as_in_the_hubs_cache(model: Path, tmp_path: Path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "0123abc"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for name, data in SHARDED.items():
        blob = blobs / sha256_bytes(data)[7:]
        blob.write_bytes(data)
        (snapshot / name).parent.mkdir(exist_ok=True)
        (snapshot / name).symlink_to(os.path.relpath(blob, (snapshot / name).parent))

    assert base_digest(LocalModel(snapshot)) == base_digest(LocalModel(model))


@pytest.mark.parametrize("name", sorted(SHARDED.keys() - {"README.md", "LICENSE"} | {"additional_chat_templates"}))
def test_a_link_to_nothing_in_a_file_that_counts_is_named(model: Path, name: str):
    for path in [model / name, *(model / name).glob("*")][::-1]:
        path.rmdir() if path.is_dir() else path.unlink()
    (model / name).symlink_to("../../blobs/0123abc")

    with pytest.raises(NotFound, match=rf"/{re.escape(name)}: it is a link to \.\./\.\./blobs/0123abc"):
        base_digest(LocalModel(model))


def test_a_link_to_nothing_in_a_file_that_does_not_count(model: Path):
    before = base_digest(LocalModel(model))
    (model / "README.md").unlink()
    (model / "README.md").symlink_to("nothing")

    assert base_digest(LocalModel(model)) == before


@pytest.mark.parametrize(
    "name",
    ["spm.model", "vocab.bpe", "source.spm", "target.spm", "sentencepiece.model", "bpe.codes", "quantize_config.json",
     "hf_quant_config.json"],
)  # fmt: skip
def test_every_tokenizer_and_every_quantization_counts(model: Path, name: str):
    before = base_digest(LocalModel(model))
    _write(model, {name: b"x"})

    assert base_digest(LocalModel(model)) != before


def test_a_single_file_of_weights_and_weights_without_index(tmp_path: Path):
    config = {"config.json": b"{}"}
    single = _write(tmp_path / "single", {**config, "model.safetensors": _safetensors(1)})
    beside = _write(
        tmp_path / "beside", {**config, "model.safetensors": _safetensors(1), "x.safetensors": _safetensors(2)}
    )
    globbed = _write(
        tmp_path / "globbed", {**config, "a.safetensors": _safetensors(1), "b.safetensors": _safetensors(2)}
    )
    other = _write(tmp_path / "other", {**config, "a.safetensors": _safetensors(1), "b.safetensors": _safetensors(3)})

    assert base_digest(LocalModel(single)) == base_digest(LocalModel(beside))
    assert len({base_digest(LocalModel(path)) for path in (single, globbed, other)}) == 3


def test_an_index_and_a_single_file_both_count(model: Path):
    before = base_digest(LocalModel(model))
    (model / "model.safetensors").write_bytes(_safetensors(7))

    assert base_digest(LocalModel(model)) != before


def _both(store: ObjectStore, directory: Path) -> list[LocalModel | StoredModel]:
    return [LocalModel(directory), _stored(store, directory)]


@pytest.mark.parametrize(
    ("files", "expected", "complaint"),
    [
        ({"model.safetensors": _safetensors(1)}, NotFound, r"has no config\.json"),
        ({"config.json": b"{}"}, NotFound, "has no weights"),
        ({"config.json": b"{}", "pytorch_model.bin": b"x"}, InvalidLocation, r"pytorch_model\.bin is no safetensors"),
        ({"config.json": b"{}", "model-Q4_K_M.gguf": b"x"}, InvalidLocation, r"model-Q4_K_M\.gguf is no safetensors"),
        ({"config.json": b"{}", "consolidated.00.pth": b"x"}, InvalidLocation, r"consolidated\.00\.pth"),
        ({**SHARDED, "model-00002-of-00002.safetensors": None}, NotFound, "model-00002-of-00002.safetensors is listed"),
        ({**SHARDED, "model.safetensors.index.json": b"{}"}, Corrupted, "weight_map"),
        ({**SHARDED, "model.safetensors.index.json": b"{"}, Corrupted, "no JSON"),
        *(
            ({**SHARDED, "model.safetensors.index.json": index}, Corrupted, r"index\.json: its weight_map")
            for index in (
                b'{"weight_map":{"a":["x"]}}',
                b'{"weight_map":{"a":{}}}',
                b'{"weight_map":["x"]}',
                b'{"weight_map":{"a":1,"b":"b.safetensors"}}',
            )
        ),
        (
            {**SHARDED, "model.safetensors.index.json": b'{"weight_map":{"a":"../other/model.safetensors"}}'},
            Corrupted,
            "weight_map",
        ),
        ({"config.json": b"{}", "model.safetensors": _safetensors(1)[:-1]}, Corrupted, r"model\.safetensors"),
        ({"config.json": b"{}", "model.safetensors": b"short"}, Corrupted, r"model\.safetensors"),
        ({"config.json": b"{}", "model.safetensors": b"\xff" * 100}, Corrupted, "does not fit"),
        ({"config.json": b"{}", "model.safetensors": b""}, Corrupted, r"model\.safetensors"),
    ],
)
def test_what_is_no_usable_model(
    store: ObjectStore,
    tmp_path: Path,
    files: dict[str, bytes | None],
    expected: type[Exception],
    complaint: str,
):
    directory = _write(tmp_path / "bad", {name: data for name, data in files.items() if data is not None})

    for model in _both(store, directory):
        with pytest.raises(expected, match=complaint):
            base_digest(model)


def test_a_directory_that_is_not_there(tmp_path: Path):
    with pytest.raises(NotFound):
        base_digest(LocalModel(tmp_path / "nothing"))
