"""API keys: the file, and what a running server lets a key see."""

import hashlib
from pathlib import Path

import openai
import pytest
import requests
import yaml

from adapter_server.gateway.errors import ApiError
from adapter_server.gateway.keys import KeyFileError, Keys, read_keys
from adapter_testing.seaweedfs import mount_values
from adapter_testing.server_lab import Pod, Shelf, Things, ask, entry
from adapter_testing.trainer_lab import BASE_NAME
from adapter_testing.waiting import until


def line(name: str, key: str, *models: str) -> dict[str, object]:
    digest = hashlib.sha256(key.encode()).hexdigest()
    return {"name": name, "sha256": digest, **({"models": list(models)} if models else {})}


def write(path: Path, *lines: object) -> Path:
    path.write_text(yaml.safe_dump(list(lines)))
    return path


@pytest.mark.unit
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the document: Input should be a valid list"),
        ("- name: a", "0.sha256: Field required"),
        ("- {name: a, sha256: abc}", "0.sha256: String should match pattern"),
        ("- {name: a, sha256: abc, key: my-secret}", "0.sha256"),
        ("{: [", "is not YAML"),
        ("- !!python/object/apply:os.system [ls]", "is not YAML"),
    ],
)
def test_a_file_that_is_wrong_is_refused_without_its_content(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text(text)
    with pytest.raises(KeyFileError) as refused:
        read_keys(path)
    assert words in str(refused.value)
    assert "my-secret" not in str(refused.value)


@pytest.mark.unit
def test_a_file_that_is_missing_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="can't be read: No such file"):
        read_keys(tmp_path / "keys.yaml")
    (tmp_path / "keys.yaml").write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(KeyFileError, match="has more than 1048576 bytes"):
        read_keys(tmp_path / "keys.yaml")


@pytest.mark.unit
def test_a_key_is_known_by_its_digest_in_either_spelling(tmp_path: Path) -> None:
    other = line("b", "key-b")
    keys = Keys(write(tmp_path / "keys.yaml", line("a", "key-a"), {**other, "sha256": f"sha256:{other['sha256']}"}))
    assert keys.holder("Bearer key-a").name == "a"
    assert keys.holder("bearer key-b").name == "b"
    for header in (None, "", "Bearer", "Basic key-a", "Bearer key-c", f"Bearer {other['sha256']}"):
        with pytest.raises(ApiError) as refused:
            keys.holder(header)
        assert (refused.value.status, refused.value.code) == (401, "invalid_api_key")


@pytest.mark.unit
def test_a_changed_file_counts_and_a_broken_one_does_not(tmp_path: Path) -> None:
    path = write(tmp_path / "keys.yaml", line("a", "key-a"))
    keys = Keys(path)
    write(tmp_path / "keys.yaml", line("b", "key-b"), line("c", "key-c"))
    keys.poll()
    assert keys.holder("Bearer key-b").name == "b"
    for broken in ("nonsense", None):
        path.unlink() if broken is None else path.write_text(broken)
        keys.poll()
        assert keys.holder("Bearer key-b").name == "b"
    with pytest.raises(ApiError):
        keys.holder("Bearer key-a")


@pytest.mark.integration
def test_a_server_with_keys_shows_each_key_its_models_only(
    own_pod: Pod, shelf: Shelf, things: Things, tmp_path: Path
) -> None:
    first, second, _ = things.versions
    mounted = tmp_path / "keys"

    def mount(*lines: object) -> None:
        mount_values(mounted, {"keys.yaml": yaml.safe_dump(list(lines))})

    mount(line("team-a", "key-a", "one"), line("admin", "key-admin"))
    own_pod.changes["apiKeysFile"] = str(mounted / "keys.yaml")
    own_pod.write_set([entry("one", first.digest, shelf.put(first)), entry("two", second.digest, shelf.put(second))])
    with own_pod.running_here():
        own_pod.wait_served(one=first.digest, two=second.digest)
        with own_pod.client("key-a") as client:
            assert ask(client, "one", "hello").digest == first.digest
            assert [model.id for model in client.models.list()] == ["one"]
            for hidden in ("two", BASE_NAME):
                with pytest.raises(openai.NotFoundError) as refused:
                    ask(client, hidden, "hello")
                assert refused.value.body["message"] == f"model {hidden!r} does not exist here; there are: one"
        with own_pod.client("key-admin") as client:
            assert [model.id for model in client.models.list()] == [BASE_NAME, "one", "two"]
        with own_pod.client("key-b") as client:
            with pytest.raises(openai.AuthenticationError, match="this API key is not known"):
                ask(client, "one", "hello")
            mount(line("team-b", "key-b"))
            until(lambda: _works(client))
        assert requests.get(f"{own_pod.url}/v1/models", timeout=10).headers["www-authenticate"] == "Bearer"
        assert own_pod.ready(), "probes have no key"


def _works(client: openai.OpenAI) -> bool:
    try:
        return bool(client.models.list().data)
    except openai.AuthenticationError:
        return False
