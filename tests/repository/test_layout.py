"""The repository's own rules: what would break on another machine, or mislead a reader."""

import operator
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

REPOSITORY = Path(__file__).resolve().parents[2]
PARTS = ("cli", "contract", "devcluster", "operator", "quickstart", "server_image", "trainer_image")
# Kept as it was recorded against a real Kubernetes.
RECORDED = {
    REPOSITORY / "tests/conformance" / f"{name}.py" for name in ("client", "compare", "conformance", "scenarios")
}
PYTHON_FILES = [
    path for part in (*PARTS, "tests") for path in (REPOSITORY / part).rglob("*.py") if path not in RECORDED
]
LONGEST_FILE_LINES = 450


@pytest.mark.parametrize("part", PARTS)
def test_directories_hold_packages_but_are_none(part: str) -> None:
    assert not (REPOSITORY / part / "__init__.py").exists()


def test_the_standard_librarys_operator_is_not_shadowed() -> None:
    assert Path(operator.__file__).parent == Path(re.__file__).parent.parent
    answer = subprocess.run(
        [sys.executable, "-c", "import dataclasses, operator; print(operator.attrgetter.__name__)"],
        cwd=REPOSITORY,
        env={"PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (answer.stdout.strip(), answer.stderr) == ("attrgetter", "")


def test_every_package_is_in_the_wheel_and_typed() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {package.partition("/")[0] for package in packages} == set(PARTS)
    for package in packages:
        assert (REPOSITORY / package / "__init__.py").is_file()
        assert (REPOSITORY / package / "py.typed").is_file()


def test_torch_is_pinned_and_never_hash_checked() -> None:
    constraints = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8")
    assert re.search(r"^torch==2\.13\.0$", constraints, re.MULTILINE)
    for path in (REPOSITORY / "requirements").glob("*.txt"):
        assert not re.search(r"^torch==", path.read_text(encoding="utf-8"), re.MULTILINE), path.name


def test_hashed_requirements_agree_with_the_constraints() -> None:
    def pins(text: str) -> dict[str, str]:
        return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE))

    constraints = pins((REPOSITORY / "constraints.txt").read_text(encoding="utf-8"))
    development = pins((REPOSITORY / "requirements/dev.txt").read_text(encoding="utf-8"))
    assert len(development) > 30
    assert {name: version for name, version in development.items() if constraints.get(name) != version} == {}


def test_lock_files_name_no_host() -> None:
    for path in (REPOSITORY / "constraints.txt", *(REPOSITORY / "requirements").glob("*.txt")):
        assert "://" not in path.read_text(encoding="utf-8"), path.name


def test_files_fit_a_reader() -> None:
    long = {
        str(path.relative_to(REPOSITORY)): lines
        for path in PYTHON_FILES
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_FILE_LINES
    }
    assert long == {}


def test_no_module_is_called_utils() -> None:
    assert [path for path in PYTHON_FILES if re.search(r"util|helper|common|misc", path.stem)] == []


def test_readme_begins_with_the_two_commands() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    first_block = readme.split("```")[1]
    assert [line for line in first_block.splitlines()[1:] if line] == ["make test", "make quickstart"]
