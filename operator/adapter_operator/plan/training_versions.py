"""Versions: what a successful run adds, and what `status.adapter` and `status.versions` show of them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, get_args

from adapter_contract.layout import artifact_uri
from adapter_contract.trainer_result import TrainerResult
from adapter_operator.api.v1alpha1.evaluation import Metric
from adapter_operator.api.v1alpha1.training import TrainingSpec
from adapter_operator.api.v1alpha1.training_status import (
    AdapterStatus,
    MetricValue,
    Run,
    RunResult,
    TrainingStatus,
    VersionSummary,
)
from adapter_operator.api.v1alpha1.version_record import VersionRecord
from adapter_operator.plan.training_facts import Facts

VERSIONS_SHOWN: Final = 10

_METRICS: Final = frozenset(get_args(Metric))


def common_method_name(spec: TrainingSpec) -> str:
    """What people call the method: LoRA on a 4-bit base is QLoRA, with weight decomposition it is DoRA."""
    if spec.method.type != "LoRA":
        return spec.method.type
    decomposed = spec.method.lora is not None and spec.method.lora.weight_decomposition == "Enabled"
    prefix = "Q" if spec.quantization.type in {"NF4", "FP4"} else ""
    return f"{prefix}{'DoRA' if decomposed else 'LoRA'}"


def record_of(facts: Facts, status: TrainingStatus, result: TrainerResult, ended: datetime) -> VersionRecord:
    """The version of a result: the one that has its digest, else a new one.

    Args:
        facts: what is known.
        status: as it is so far; its run made the result.
        result: of a success.
        ended: when the attempt ended; a new version's time, since a repeated plan must write equal bytes.

    """
    digest = result.digest or ""
    known = facts.observed.version_with(digest)
    if known is not None:
        return known
    run, summary = status.run or Run(), result.summary
    return VersionRecord.model_validate(
        {
            "version": _number(facts, status, digest),
            "digest": digest,
            "uri": result.uri or _uri_by_layout(facts, status, digest),
            "run": run.number,
            "spec_hash": run.spec_hash,
            "time": ended,
            "method": status.resolved.method if status.resolved else None,
            "rank": summary.rank if summary else None,
            "trainable_parameters": summary.trainable_parameters if summary else None,
            "size_bytes": summary.size_bytes if summary else None,
            "base_model": facts.spec.base_model.name,
            "metrics": _metrics(result),
            "evaluation_digest": result.evaluation_digest,
        }
    )


def _number(facts: Facts, status: TrainingStatus, digest: str) -> int:
    """The number of the version with the digest, where the status knows it, else the next one."""
    shown = {version.version: version.digest for version in status.versions or ()}
    known = next((number for number, of in shown.items() if of == digest), None)
    if known is not None:
        return known
    recorded = [version.version for version in facts.observed.versions]
    adapter = status.adapter.version if status.adapter else None
    return 1 + max([*shown, *recorded, adapter or 0])


def _uri_by_layout(facts: Facts, status: TrainingStatus, digest: str) -> str:
    """A termination message may have had no room for the URI; the layout gives it again."""
    storage = status.resolved.storage if status.resolved else None
    return artifact_uri((storage.uri if storage else None) or "", facts.name, digest)


def _metrics(result: TrainerResult) -> list[MetricValue] | None:
    """The metrics that the API knows, by name."""
    known = [(name, value) for name, value in sorted(result.metrics.items()) if name in _METRICS]
    values = [MetricValue.model_validate({"name": name, "value": value}) for name, value in known]
    return values or None


def result_of(record: VersionRecord) -> RunResult:
    """What `status.run.result` shows of a version."""
    return RunResult(
        digest=record.digest, uri=record.uri, metrics=record.metrics, evaluation_digest=record.evaluation_digest
    )


def adapter_of(record: VersionRecord) -> AdapterStatus:
    """What `status.adapter` shows of a version."""
    return AdapterStatus(
        version=record.version,
        digest=record.digest,
        uri=record.uri,
        size_bytes=record.size_bytes,
        method=record.method,
        rank=record.rank,
        trainable_parameters=record.trainable_parameters,
        base_model=record.base_model,
        metrics=record.metrics,
    )


def shown_versions(status: TrainingStatus, records: Iterable[VersionRecord]) -> list[VersionSummary] | None:
    """The newest versions, newest first: those that the status shows and those that are recorded.

    A version that the status shows stays even where its record is not seen: it may just have been written.
    """
    found = {version.version: version for version in status.versions or ()}
    found |= {record.version: _summary(record) for record in records}
    return sorted(found.values(), key=lambda version: -version.version)[:VERSIONS_SHOWN] or None


def _summary(record: VersionRecord) -> VersionSummary:
    return VersionSummary(
        version=record.version,
        digest=record.digest,
        uri=record.uri,
        run=record.run,
        time=record.time,
        metrics=record.metrics,
    )
