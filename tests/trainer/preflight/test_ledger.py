"""Findings: which exit code several of them make, what is cut, and that a check that breaks is a finding itself."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_contract import MAX_TERMINATION_BYTES, ExitCode, PreflightReport
from adapter_contract.s3 import NotFound, Unreachable
from adapter_trainer.errors import BadConfiguration, BadData, InputMissing
from adapter_trainer.preflight.checkup import Facts
from adapter_trainer.preflight.codes import BASE_MODEL, DATASET, OUTPUT, PARENT, Code, Severity
from adapter_trainer.preflight.ledger import MAX_FINDINGS, Ledger
from adapter_trainer.preflight.report import make_report
from adapter_trainer.stopping import Stopped

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("found", "exit_code"),
    [
        ([], ExitCode.DONE),
        ([Code.FewExamples], ExitCode.DONE),
        ([Code.OutputUnreachable, Code.FewExamples], ExitCode.STORAGE_UNAVAILABLE),
        ([Code.OutputUnreachable, Code.DatasetNotFound], ExitCode.INPUT_MISSING),
        ([Code.OutputUnreachable, Code.BaseModelAccessDenied, Code.DatasetNotFound], ExitCode.PERMISSION),
        ([Code.OutputUnreachable, Code.ExamplesInvalid], ExitCode.BAD_DATA),
        ([Code.CheckFailed, Code.ExamplesInvalid, Code.RecipeUnsupported], ExitCode.BAD_CONFIGURATION),
        ([Code.RecipeUnsupported, Code.Interrupted], ExitCode.INTERRUPTED),
    ],
)
def test_what_no_repetition_mends_decides_before_what_may_mend_itself(found: list[Code], exit_code: ExitCode) -> None:
    ledger = Ledger()
    for code in found:
        ledger.add(code, "a sentence")
    assert ledger.exit_code == exit_code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound("read", "s3://b/k", "it is gone", "look"), Code.DatasetNotFound),
        (Unreachable("read", "s3://b/k", "no answer", "wait"), Code.DatasetUnreachable),
        (InputMissing("gone"), Code.DatasetNotFound),
        (BadData("wrong"), Code.DatasetUnreadable),
        (BadConfiguration("wrong"), Code.DatasetUnsupported),
        (PermissionError(13, "denied", "/x"), Code.DatasetAccessDenied),
        (OSError(28, "No space left on device", "/x"), Code.CheckFailed),
        (ZeroDivisionError("a bug"), Code.CheckFailed),
        (MemoryError(), Code.CheckFailed),
    ],
)
def test_an_error_of_a_check_becomes_a_finding(error: Exception, code: Code) -> None:
    ledger = Ledger()

    def broken() -> None:
        raise error

    assert ledger.attempt(DATASET, broken) is None
    assert [finding.code for finding in ledger.errors] == [code.name]


def test_a_bug_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        Ledger().attempt(OUTPUT, lambda: 1 // 0)
    assert any(record.exc_info for record in caplog.records)


def test_being_stopped_is_no_finding_of_a_check() -> None:
    def stopped() -> None:
        raise Stopped("stopped")

    with pytest.raises(Stopped):
        Ledger().attempt(OUTPUT, stopped)


def test_every_subject_has_its_own_codes() -> None:
    subjects = (DATASET, BASE_MODEL, PARENT, OUTPUT)
    used = [code for subject in subjects for code in subject.values()]
    assert len(used) == len(set(used)) == 20
    for subject in subjects:
        for exit_code, code in subject.items():
            assert code.value.exit_code == exit_code


@given(
    found=st.lists(st.tuples(st.sampled_from(Code), st.text(max_size=300)), max_size=300),
    mode=st.sampled_from(["Enforce", "Warn"]),
)
def test_a_report_of_any_findings_is_one_and_fits(found: list[tuple[Code, str]], mode: str) -> None:
    ledger = Ledger()
    for code, message in found:
        ledger.add(code, message)
    report = make_report(ledger, Facts(), run=3, mode=mode)
    errors = [code for code, _ in found if code.value.severity is Severity.ERROR]
    assert len(report.errors) == min(len(errors), MAX_FINDINGS)
    total = len(report.errors) + len(report.warnings) + report.omitted_findings
    assert total == len(found)
    assert PreflightReport.from_json(report.to_json()) == report
    assert len(report.to_termination_message()) <= MAX_TERMINATION_BYTES
    if mode == "Warn":
        assert report.exit_code in {ExitCode.DONE, ExitCode.INTERRUPTED}
    else:
        assert (report.exit_code is ExitCode.DONE) == (not errors)
