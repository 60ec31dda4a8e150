"""Plans of mounts, and the translation that stands in for them."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.node.container_process import Command, Isolation, start
from adapter_devcluster.node.mount_plan import Mount, MountError, Translation, container_path, plan_mounts

pytestmark = pytest.mark.unit


def run(tmp_path: Path, mounts: list[Mount], script: str, isolation: Isolation = "root") -> str:
    """What a script prints that sees these mounts."""
    root = tmp_path / "root"
    root.mkdir(exist_ok=True)

    async def go() -> str:
        output = bytearray()
        command = Command(
            arguments=["/bin/sh", "-c", script],
            env={"PATH": "/usr/bin:/bin"},
            working_dir="/",
            isolation=isolation,
            operations=plan_mounts(mounts, str(root)),
            root=str(root),
        )
        process = await start(command, output.extend)
        await process.exited
        return output.decode()

    return asyncio.run(go())


def folder(path: Path, **files: str) -> Path:
    path.mkdir(parents=True)
    for name, text in files.items():
        (path / name).write_text(text)
    return path


@pytest.mark.parametrize("isolation", ["root", "user"])
def test_mounts_stand_where_nothing_was_and_the_host_does_not_change(tmp_path: Path, isolation: Isolation) -> None:
    volume = folder(tmp_path / "volume", file="seen\n")
    before = sorted(Path("/etc").iterdir()), sorted(Path("/").iterdir())
    mounts = [Mount("/models/base", volume), Mount("/etc/adapter/config", volume, read_only=True)]
    script = "cat /models/base/file /etc/adapter/config/file; echo new > /models/base/new; head -c 4 /etc/hostname >&2"
    hostname = Path("/etc/hostname").read_text()[:4]
    assert run(tmp_path, mounts, script, isolation) == f"seen\nseen\n{hostname}"
    assert (volume / "new").read_text() == "new\n"
    assert (sorted(Path("/etc").iterdir()), sorted(Path("/").iterdir())) == before


@pytest.mark.parametrize("isolation", ["root", "user"])
def test_a_read_only_mount_refuses_writes(tmp_path: Path, isolation: Isolation) -> None:
    volume = folder(tmp_path / "volume", file="seen\n")
    said = run(tmp_path, [Mount("/data", volume, read_only=True)], "echo x > /data/file", isolation)
    assert "Read-only file system" in said
    assert (volume / "file").read_text() == "seen\n"


def test_what_a_container_writes_beside_its_mount_points_goes_with_it(tmp_path: Path) -> None:
    volume = folder(tmp_path / "volume")
    assert run(tmp_path, [Mount("/etc/adapter/x", volume)], "echo x > /etc/mine && cat /etc/mine") == "x\n"
    assert not Path("/etc/mine").exists()


def test_a_mount_over_a_directory_of_the_host_hides_it(tmp_path: Path) -> None:
    volume, shadowed = folder(tmp_path / "volume", file="mine\n"), folder(tmp_path / "host", file="host\n")
    assert run(tmp_path, [Mount(str(shadowed), volume)], f"cat {shadowed}/file") == "mine\n"
    assert (shadowed / "file").read_text() == "host\n"


def test_a_volume_may_lie_below_the_path_that_another_covers(tmp_path: Path) -> None:
    outer, inner = folder(tmp_path / "outer", a="outer\n"), folder(tmp_path / "covered" / "inner", b="inner\n")
    mounts = [Mount(str(tmp_path / "covered"), outer), Mount("/other", inner)]
    assert run(tmp_path, mounts, f"cat {tmp_path}/covered/a /other/b") == "outer\ninner\n"


def test_mounts_inside_mounts(tmp_path: Path) -> None:
    outer, inner, file = folder(tmp_path / "outer"), folder(tmp_path / "inner", b="inner\n"), tmp_path / "file"
    file.write_text("file\n")
    mounts = [
        Mount("/data/sub/deep", inner),
        Mount("/data", outer),
        Mount("/data/sub/one.txt", file),
        Mount("/data/sub/deep/b", file),
    ]
    assert (
        run(tmp_path, mounts, "cat /data/sub/deep/b /data/sub/one.txt; ls /data/sub") == "file\nfile\ndeep\none.txt\n"
    )
    # As with a container runtime, mount points inside a volume are made in the volume.
    assert sorted(path.name for path in (outer / "sub").iterdir()) == ["deep", "one.txt"]


def test_a_mount_point_that_a_read_only_volume_lacks_is_refused(tmp_path: Path) -> None:
    outer, inner = folder(tmp_path / "outer"), folder(tmp_path / "inner")
    mounts = [Mount("/data", outer, read_only=True), Mount("/data/sub", inner)]
    with pytest.raises(MountError, match="/data/sub: make mountpoint: read-only file system"):
        plan_mounts(mounts, "/unused")


def test_symbolic_links_of_the_host_are_followed(tmp_path: Path) -> None:
    volume, real = folder(tmp_path / "volume", file="seen\n"), folder(tmp_path / "real")
    (tmp_path / "link").symlink_to(real)
    said = run(tmp_path, [Mount(f"{tmp_path}/link/sub", volume)], f"cat {real}/sub/file {tmp_path}/link/sub/file")
    assert said == "seen\nseen\n"


def test_a_file_as_a_mount(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.touch()
    assert (
        run(tmp_path, [Mount("/dev/termination-log", file)], "echo bye > /dev/termination-log; test -c /dev/null") == ""
    )
    assert file.read_text() == "bye\n"
    assert not Path("/dev/termination-log").exists()


def test_file_and_directory_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(MountError, match="/etc/hostname: the volume is a directory, and the host has a file there"):
        plan_mounts([Mount("/etc/hostname", tmp_path)], "/unused")


def test_the_root_directory_is_no_mount_point(tmp_path: Path) -> None:
    with pytest.raises(MountError, match="can't be mounted over /"):
        plan_mounts([Mount("/", tmp_path)], "/unused")
    with pytest.raises(MountError, match="can't be mounted over /"):
        Translation([Mount("/", tmp_path)])


def test_a_mount_point_below_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MountError, match="reading /etc/hostname: Not a directory"):
        plan_mounts([Mount("/etc/hostname/sub", tmp_path)], "/unused")


@pytest.mark.parametrize(
    ("path", "expected"), [("/a/b/", "/a/b"), ("a", "/a"), ("//a//b", "/a/b"), ("/a/./b/../c", "/a/c"), ("/", "/")]
)
def test_paths_of_containers(path: str, expected: str) -> None:
    assert container_path(path) == expected


def test_translation_replaces_whole_paths() -> None:
    translation = Translation([Mount("/data", Path("/real/a")), Mount("/data/sub", Path("/real/b"))])
    cases = {
        "/data": "/real/a",
        "--path=/data/x": "--path=/real/a/x",
        "/data/sub/x:/data": "/real/b/x:/real/a",
        "/database": "/database",
        "/my/data": "/my/data",
        "/data-set": "/data-set",
        "/data.json": "/data.json",
        "cat '/data/sub'": "cat '/real/b'",
        '{"path": "/data/sub/"}': '{"path": "/real/b/"}',
        "": "",
    }
    assert {text: translation.text(text) for text in cases} == cases


def test_translation_without_mounts_changes_nothing() -> None:
    assert Translation([]).text("/data") == "/data"


@given(st.text(alphabet="abc/ :=-.", max_size=40))
def test_translation_changes_only_texts_that_have_the_path(text: str) -> None:
    translated = Translation([Mount("/abc", Path("/real"))]).text(text)
    assert (translated == text) or ("/abc" in text and "/real" in translated)
