"""A repository of the Hub: one commit of it, every byte verified, and what a failure is told as."""

import errno
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from adapter_contract import HubModelSource, sha256_bytes
from adapter_contract.s3 import AccessDenied, Corrupted, InvalidLocation, NotFound, StorageError, Unreachable
from adapter_contract.s3.settings import TransferSettings
from adapter_testing.hub_server import Fault, HubServer
from adapter_trainer.inputs.hub import HubRepository

pytestmark = pytest.mark.integration

QUICK = TransferSettings(attempts=3, backoff_seconds=0.01, read_timeout_seconds=0.5, connect_timeout_seconds=0.5)
SMALL, LARGE = b"small\n", bytes(range(256)) * 4000
FILES = {"README.md": SMALL, "data/train.jsonl": LARGE, "data/test.jsonl": b"x" * 70, "a b#c.json": b"{}"}


def opened(source: HubModelSource | None = None) -> HubRepository:
    return HubRepository(source or HubModelSource(repository="org/chats"), "dataset", QUICK)


def test_it_is_one_commit_with_all_its_files(hub: HubServer, tmp_path: Path) -> None:
    commit = hub.dataset("org/chats", FILES)
    with opened() as repository:
        assert (repository.commit, repository.uri) == (commit, f"hf://datasets/org/chats@{commit}")
        assert {path: file.size_bytes for path, file in repository.files.items()} == {
            path: len(data) for path, data in FILES.items()
        }
        moved = repository.download(FILES, tmp_path)
    assert {path: (tmp_path / path).read_bytes() for path in FILES} == FILES
    assert {path: one.digest for path, one in moved.items()} == {path: sha256_bytes(FILES[path]) for path in FILES}
    assert all(f"/resolve/{commit}/" in one.target for one in hub.targets("/resolve/"))


def test_a_commit_can_be_asked_for_and_another_revision_is_missing(hub: HubServer) -> None:
    commit = hub.dataset("org/chats", FILES)
    with opened(HubModelSource(repository="org/chats", revision=commit)) as repository:
        assert repository.commit == commit
    with pytest.raises(NotFound, match=r"^cannot read hf://datasets/org/chats@v2/x: the repository has no such revis"):
        opened(HubModelSource(repository="org/chats", revision="v2/x"))


@pytest.mark.parametrize("ranges", [True, False])
def test_parts_of_files_can_be_read(hub: HubServer, *, ranges: bool) -> None:
    hub.dataset("org/chats", FILES)
    hub.ranges = ranges
    with opened() as repository:
        assert repository.read("data/train.jsonl", 300, 20) == LARGE[300:320]
        assert repository.read("README.md", 1, 3) == SMALL[1:4]
        assert b"".join(repository.chunks("data/train.jsonl")) == LARGE
        with pytest.raises(Corrupted, match=r"README\.md: it ends before byte 100"):
            repository.read("README.md", 0, 100)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_goes_on_where_it_broke(hub: HubServer, tmp_path: Path, *, ranges: bool) -> None:
    hub.dataset("org/chats", FILES)
    hub.ranges = ranges
    # More often than there are attempts: each gets on, so each starts with fresh bounds.
    hub.faults.append(Fault("/large/", after_bytes=300_000, times=3 if ranges else 1))
    with opened() as repository:
        repository.download(["data/train.jsonl"], tmp_path)
    assert (tmp_path / "data/train.jsonl").read_bytes() == LARGE
    if ranges:
        assert {one.range for one in hub.targets("/large/")} > {"bytes=300000-1023999"}


def test_a_hub_that_fails_for_a_moment_is_asked_again(hub: HubServer, tmp_path: Path) -> None:
    hub.dataset("org/chats", FILES)
    hub.faults += [
        Fault("/revision/", status=503),
        Fault("/tree/", status=0, times=2),
        Fault("README", status=429, headers={"Retry-After": "0"}),
    ]
    with opened() as repository:
        repository.download(["README.md"], tmp_path)
    assert (tmp_path / "README.md").read_bytes() == SMALL


@pytest.mark.parametrize("fault", [Fault("/large/", status=500, times=99), Fault("/large/", seconds=1.0, times=3)])
def test_one_that_goes_on_failing_is_unavailable(hub: HubServer, tmp_path: Path, fault: Fault) -> None:
    hub.dataset("org/chats", FILES)
    hub.faults.append(fault)
    with (
        opened() as repository,
        pytest.raises(Unreachable, match=r"^cannot download hf://datasets/org/chats@\w+/data/"),
    ):
        repository.download(["data/train.jsonl"], tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_other_bytes_than_listed_are_refused(hub: HubServer, tmp_path: Path) -> None:
    hub.dataset("org/chats", FILES)
    hub.faults += [
        Fault("README", change=lambda data: data[::-1]),
        Fault("/large/", change=lambda data: data[:-1] + b"?"),
    ]
    with opened() as repository:
        for path in ("README.md", "data/train.jsonl"):
            with pytest.raises(Corrupted, match=rf"{path}: it has other bytes than the repository lists"):
                repository.download([path], tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_failure_of_one_file_ends_the_others_and_a_full_disk_is_told_as_one(hub: HubServer, tmp_path: Path) -> None:
    hub.dataset("org/chats", FILES | {f"{number}.jsonl": LARGE + bytes([number]) for number in range(20)})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with opened() as repository, pytest.raises(OSError, match="File too large") as caught:
            repository.download(repository.files, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG
    assert not any("jsonl" in path.name for path in tmp_path.rglob("*") if path.is_file())
    assert len(hub.targets("/large/")) < 20


def test_a_token_is_read_for_each_request_and_goes_to_the_hub_alone(hub: HubServer, tmp_path: Path) -> None:
    hub.dataset("org/chats", FILES, token="hf_new")
    token = tmp_path / "token"
    token.write_text("hf_old\n")
    source = HubModelSource(repository="org/chats", token_file=str(token))
    with pytest.raises(NotFound, match=r"no such repository, or it is private; correct .* or set tokenSecretRef"):
        opened(source)
    token.write_text("hf_new\n")
    with opened(source) as repository:
        repository.download(FILES, tmp_path / "to")
    assert {one.authorization for one in hub.targets("/resolve/")} == {"Bearer hf_new"}
    assert {one.authorization for one in hub.targets("/large/")} == {None}
    assert {one.host for one in hub.targets("/large/")} == {hub.storage.removeprefix("http://")}


def test_without_a_token_none_of_this_machine_is_sent(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_machine")
    hub.dataset("org/chats", FILES)
    opened().close()
    assert {one.authorization for one in hub.asked} == {None}


@pytest.mark.parametrize("content", [None, "", "two words"])
def test_a_token_that_can_not_be_used_is_a_matter_of_permission(hub: HubServer, tmp_path: Path, content) -> None:
    hub.dataset("org/chats", FILES)
    token = tmp_path / "token"
    if content is not None:
        token.write_text(content)
    with pytest.raises(AccessDenied, match=f"the token in {token}: it .*; check the secret"):
        opened(HubModelSource(repository="org/chats", token_file=str(token)))
    assert hub.asked == []


def test_private_and_gated_repositories_say_what_to_do(hub: HubServer, tmp_path: Path) -> None:
    hub.dataset("org/chats", FILES, token="hf_right")
    with pytest.raises(AccessDenied, match=r"no such repository, or it is private; .* set tokenSecretRef"):
        opened()
    hub.dataset("org/chats", FILES, token="hf_right", gated=True)
    with (
        opened() as repository,
        pytest.raises(AccessDenied, match="is gated; accept its terms on its page, and set to"),
    ):
        repository.download(["README.md"], tmp_path)
    hub.faults.append(Fault("/revision/", status=403))
    with pytest.raises(AccessDenied, match="the Hub refuses access; set tokenSecretRef"):
        opened()


def test_what_is_no_hub_is_told(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.dataset("org/chats", FILES)
    hub.faults.append(Fault("/revision/", status=200, times=2))
    with pytest.raises(Unreachable, match=r"the answer is not what the Hub answers; .* HF_ENDPOINT"):
        opened()
    hub.faults[:] = [Fault("/revision/", status=418)]
    with pytest.raises(StorageError, match="the Hub refuses the request \\(HTTP 418\\)"):
        opened()
    monkeypatch.setenv("HF_ENDPOINT", "ftp://mirror")
    with pytest.raises(InvalidLocation, match="the endpoint is no HTTP address; correct HF_ENDPOINT"):
        opened()


def test_an_endpoint_where_nobody_listens_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(Unreachable, match=r"^cannot read hf://datasets/org/chats@main: no connection to the Hub"):
            opened()


def test_paths_that_lead_out_of_a_directory_are_not_listed(hub: HubServer) -> None:
    hub.dataset("org/chats", FILES | {"../evil.jsonl": b"{}"})
    with opened() as repository:
        assert set(repository.files) == set(FILES)


def test_the_server_of_these_tests_is_a_hub_to_the_library_too(hub: HubServer, tmp_path: Path) -> None:
    hub.dataset("org/chats", FILES)
    hub.model("org/base", {"config.json": b"{}", "model.safetensors": LARGE})
    program = (
        "from huggingface_hub import HfApi, snapshot_download\n"
        "assert len(HfApi().list_repo_files('org/chats', repo_type='dataset')) == 4\n"
        "snapshot_download('org/chats', repo_type='dataset', local_dir='chats')\n"
        "snapshot_download('org/base', local_dir='base')\n"
    )
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_ENDPOINT": hub.endpoint, "HF_HUB_DISABLE_TELEMETRY": "1"
    }  # fmt: skip
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True, timeout=60)
    assert (tmp_path / "chats/data/train.jsonl").read_bytes() == LARGE
    assert (tmp_path / "base/model.safetensors").read_bytes() == LARGE
