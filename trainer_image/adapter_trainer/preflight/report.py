"""From what was found to the report that the operator reads."""

from adapter_contract import ExitCode, PreflightReport
from adapter_contract.preflight import Finding
from adapter_trainer.errors import TrainerError
from adapter_trainer.preflight.checkup import Facts
from adapter_trainer.preflight.codes import Code
from adapter_trainer.preflight.ledger import Ledger


def make_report(ledger: Ledger, facts: Facts, *, run: int, mode: str) -> PreflightReport:
    """Return the report of checks that are over, or were stopped.

    Args:
        ledger: errors and warnings.
        facts: what was found out beside them.
        run: number of the run.
        mode: `preflight.mode`; with Warn no error but the interruption decides the exit code.
    """
    exit_code = ledger.exit_code
    if mode != "Enforce" and exit_code is not ExitCode.INTERRUPTED:
        exit_code = ExitCode.DONE
    prepared, digests = facts.prepared, facts.digests
    return PreflightReport(
        run=run,
        exit_code=exit_code,
        errors=tuple(ledger.errors),
        warnings=tuple(ledger.warnings),
        omitted_findings=ledger.omitted,
        examples=len(prepared.training) if prepared else None,
        evaluation_examples=len(prepared.evaluation) if prepared else None,
        tokens=prepared.tokens if prepared else None,
        truncated_examples=prepared.findings.get("truncated", 0) if prepared else None,
        examples_without_label=prepared.dropped if prepared else None,
        estimated_memory_bytes=facts.estimated_memory_bytes,
        dataset_digest=digests.dataset,
        evaluation_digest=digests.evaluation,
        base_digest=digests.base,
        parent_digest=digests.parent,
        input_digest=digests.inputs,
        reused=facts.reused,
    )


def refused_report(error: TrainerError, code: Code, *, run: int) -> PreflightReport:
    """Return the report where nothing could be checked, since not even the configuration can be read."""
    finding = Finding(code=code.name, message=str(error))
    return PreflightReport(run=run, exit_code=error.exit_code, errors=(finding,))
