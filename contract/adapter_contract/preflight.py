"""PreflightReport: what preflight found before a GPU was asked for, as JSON in the termination message."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from adapter_contract.digests import Digest
from adapter_contract.documents import Document, Part
from adapter_contract.exit_codes import ExitCode
from adapter_contract.published import PublishedAdapter
from adapter_contract.scalars import Count, Message, PositiveCount, Reason
from adapter_contract.termination import cut, fit


class Finding(Part):
    """One thing that preflight says: a stable code, a sentence with the fix, the number of examples."""

    code: Reason
    message: Message
    count: Count | None = None


Findings = Annotated[tuple[Finding, ...], Field(max_length=256)]


class PreflightReport(Document):
    """What was found, and the digests that the run is then held to.

    Attributes:
        exit_code: 0 where the run may start. With mode Warn there may be errors all the same.
        omitted_findings: findings that had to be left out of the termination message.
        examples, tokens: of the training set, after unusable examples are dropped.
        truncated_examples: longer than the maximum sequence length.
        examples_without_label: nothing to learn is left of them.
        estimated_memory_bytes: of the GPU.
        reused: the adapter that `by-input/<inputDigest>` points to, with what `status` needs of it.
    """

    kind: ClassVar[str] = "PreflightReport"
    max_bytes: ClassVar[int] = 1 << 20
    written_by: ClassVar[str] = "the trainer image"
    read_by: ClassVar[str] = "the operator"

    run: PositiveCount
    exit_code: ExitCode
    errors: Findings = ()
    warnings: Findings = ()
    omitted_findings: Count = 0
    examples: Count | None = None
    evaluation_examples: Count | None = None
    tokens: Count | None = None
    truncated_examples: Count | None = None
    examples_without_label: Count | None = None
    estimated_memory_bytes: Count | None = None
    dataset_digest: Digest | None = None
    evaluation_digest: Digest | None = None
    base_digest: Digest | None = None
    parent_digest: Digest | None = None
    input_digest: Digest | None = None
    reused: PublishedAdapter | None = None

    @model_validator(mode="after")
    def _failure_has_an_error(self) -> Self:
        if self.exit_code is not ExitCode.DONE and not self.errors:
            raise ValueError(f"exit code {self.exit_code} needs at least one entry in errors")
        return self

    def to_termination_message(self) -> bytes:
        """Return at most 4,096 bytes of canonical JSON, always.

        What is too long loses, in this order: the ends of all messages, down to 200 characters; findings from
        the end, warnings before errors, counted in `omittedFindings` (the first error stays); URI, metrics
        and summary of the reused adapter; the rest of the messages. Counts and digests always stay.
        """
        return fit(self._stages(), _texts, _shortened)

    def _stages(self) -> Iterator["PreflightReport"]:
        yield self
        for kept in (16, 8, 4, 2, 1, 0):
            yield self._with_findings(errors=len(self.errors), warnings=kept)
        form = self
        for kept in (16, 8, 4, 2, 1):
            form = self._with_findings(errors=kept, warnings=0)
            yield form
        if form.reused is not None:
            yield form.model_copy(update={"reused": PublishedAdapter(digest=form.reused.digest)})

    def _with_findings(self, *, errors: int, warnings: int) -> "PreflightReport":
        omitted = max(0, len(self.errors) - errors) + max(0, len(self.warnings) - warnings)
        return self.model_copy(
            update={
                "errors": self.errors[:errors],
                "warnings": self.warnings[:warnings],
                "omitted_findings": self.omitted_findings + omitted,
            }
        )


def _texts(report: PreflightReport) -> Iterator[str]:
    yield from (finding.message for finding in (*report.errors, *report.warnings))


def _shortened(report: PreflightReport, length: int) -> PreflightReport:
    return report.model_copy(
        update={
            "errors": tuple(_cut_finding(finding, length) for finding in report.errors),
            "warnings": tuple(_cut_finding(finding, length) for finding in report.warnings),
        }
    )


def _cut_finding(finding: Finding, length: int) -> Finding:
    return finding.model_copy(update={"message": cut(finding.message, length)})
