"""Reading the mounted set: swaps, absence and bad content."""

import json
from pathlib import Path

import pytest

from adapter_contract import AdapterSet, MountTable, mount_environment
from adapter_server.sync.set_file import SetFile
from adapter_testing.seaweedfs import mount_values

pytestmark = pytest.mark.unit


def document(generation: int = 1, **members: object) -> dict[str, object]:
    return {
        "kind": "AdapterSet",
        "schemaVersion": 1,
        "generation": generation,
        "baseModelName": "base",
        "adapters": [],
        **members,
    }


def mount(directory: Path, **members: object) -> Path:
    mount_values(directory, {"adapter-set.json": json.dumps(document(**members))})
    return directory / "adapter-set.json"


def generations(found: AdapterSet | None) -> int | None:
    return None if found is None else found.generation


def test_each_swap_is_seen_once(tmp_path: Path) -> None:
    path = mount(tmp_path / "set", generation=1)
    file = SetFile(path, "base", MountTable())
    assert [generations(file.poll()) for _ in range(3)] == [1, None, None]
    mount(tmp_path / "set", generation=2)
    assert [generations(file.poll()) for _ in range(2)] == [2, None]
    assert file.problem is None


def test_equal_content_in_another_file_is_no_change(tmp_path: Path) -> None:
    path = mount(tmp_path / "set")
    file = SetFile(path, "base", MountTable())
    assert generations(file.poll()) == 1
    mount(tmp_path / "set")
    assert file.poll() is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "can't be read: No such file or directory"),
        ("{", "can't be used"),
        (json.dumps(document(adapters=[{"name": "bot"}])), "policy"),
        (json.dumps(document(baseModelName="other")), "is for the base model 'other', but this pod serves 'base'"),
        (json.dumps(document(schemaVersion=99)), "schemaVersion 99"),
        (" " * (2 << 20), "can't be used"),
    ],
)
def test_a_set_that_can_not_be_used_is_told_and_then_read_again(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "adapter-set.json"
    file = SetFile(path, "base", MountTable())
    for first in (False, True):
        if first:
            path.write_text(json.dumps(document(generation=3)))
            assert generations(file.poll()) == 3
            path.unlink()
        if text is not None:
            path.write_text(text)
        for _ in range(2):
            assert file.poll() is None
            assert file.problem is not None
            assert words in file.problem.message
    path.write_text(json.dumps(document(generation=4)))
    assert generations(file.poll()) == 4
    assert file.problem is None


def test_paths_in_the_set_are_where_the_node_put_them(tmp_path: Path) -> None:
    environment = mount_environment(["/adapter/credentials/storage"])
    moved = {name: value.replace("/adapter/", "/elsewhere/") for name, value in environment.items()}
    storage = {"credentialsDirectory": "/adapter/credentials/storage"}
    path = mount(tmp_path / "set", storage=storage)
    found = SetFile(path, "base", MountTable.from_environment(moved)).poll()
    assert found is not None
    assert found.storage.credentials_directory == "/elsewhere/credentials/storage"
