"""The requirements of preflight's image suffice: with nothing else to import, preflight does all that it does."""

import json
import os
import subprocess
import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from packaging.requirements import Requirement

from adapter_contract import PreflightReport, S3Location
from adapter_contract.s3 import open_store, upload_directory
from adapter_testing.preflight_lab import PreflightWorld
from adapter_testing.trainer_lab import TrainerProcess, chats, s3_source

pytestmark = pytest.mark.integration

PROJECT = "adapter-operator"
REPOSITORY = Path(__file__).parents[3]


def needed_by(name: str, extras: frozenset[str], found: dict[str, Distribution]) -> None:
    """Collect a distribution and what it requires, as pip would install it."""
    one = distribution(name)
    found[one.metadata["Name"]] = one
    for line in one.requires or ():
        requirement = Requirement(line)
        marks = [{"extra": extra} for extra in extras or {""}]
        if requirement.marker is not None and not any(requirement.marker.evaluate(mark) for mark in marks):
            continue
        if requirement.name == PROJECT or requirement.name not in found:
            needed_by(requirement.name, frozenset(requirement.extras), found)


def declared(extra: str) -> dict[str, Distribution]:
    """Return what pyproject.toml declares for an extra, which may be newer than what was installed."""
    import tomllib  # noqa: PLC0415 - for this function only

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    found: dict[str, Distribution] = {}
    waiting = [*project["dependencies"], f"{PROJECT}[{extra}]"]
    while waiting:
        requirement = Requirement(waiting.pop())
        if requirement.name == PROJECT:
            waiting += [item for name in requirement.extras for item in project["optional-dependencies"][name]]
        else:
            needed_by(requirement.name, frozenset(requirement.extras), found)
    return found


@pytest.fixture(scope="module")
def site_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with links to the files of these distributions, and of no others."""
    directory = tmp_path_factory.mktemp("site-packages")
    for one in declared("preflight").values():
        tops = {file.parts[0] for file in one.files or () if file.parts[0] not in {"..", "__pycache__"}}
        for top in tops:
            if not (directory / top).exists():
                (directory / top).symlink_to(Path(str(one.locate_file(top))).resolve())
    return directory


def run(world: PreflightWorld, site_packages: Path) -> PreflightReport:
    pod = TrainerProcess(world.directory / "pod", world.config)
    paths = [str(REPOSITORY / "trainer_image"), str(REPOSITORY / "contract"), str(site_packages)]
    ended = subprocess.run(
        [sys.executable, "-S", "-m", "adapter_trainer.preflight"],
        env={**pod.environment, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.stderr == ""
    assert ended.returncode == 0, ended.stdout
    return PreflightReport.from_json((world.directory / "pod" / "termination-log").read_bytes())


def test_there_is_no_torch_among_them(site_packages: Path) -> None:
    present = {path.name for path in site_packages.iterdir()}
    assert not present & {"torch", "peft", "bitsandbytes", "accelerate"}
    assert {"transformers", "pyarrow", "botocore"} <= present


def test_json_lines_on_a_volume(world: PreflightWorld, site_packages: Path) -> None:
    assert run(world, site_packages).examples == 560


def test_parquet_and_a_base_model_in_a_store(world: PreflightWorld, site_packages: Path, location: S3Location) -> None:
    rows = [json.loads(line) for line in chats(700).splitlines()]
    pq.write_table(pa.Table.from_pylist(rows), world.data.with_name("train.parquet"))
    with open_store(location) as store:
        upload_directory(store, world.base, "base")
        store.upload(world.data.with_name("train.parquet"), "data/train.parquet")
    output = location.below("out").model_dump(mode="json", by_alias=True, exclude_none=True)
    world.change(
        baseModel={"source": s3_source(location.below("base"))},
        dataset={"source": s3_source(location.below("data/train.parquet"))},
        output={"location": output},
    )
    report = run(world, site_packages)
    assert report.examples == 560
    assert report.input_digest is not None
