"""What travels between the operator, the trainer and the server.

The operator writes a `TrainerConfig` for each run. Preflight reads it first, on a CPU, and answers with a
`PreflightReport`; then the trainer reads it, claims its output (`Owner`), tells how far it is (`Progress`),
and publishes a directory of files whose list, origin and quality stand in an `AdapterManifest`, written last.
The sha256 of the manifest's bytes is the adapter's name for good. What the run gave is kept beside it
(`RunRecord`, `ByInputPointer`), where `layout` says, and told to the operator by a `TrainerResult` and an
`ExitCode`, from which `classify` knows whether to try again. The operator then names the digest in an
`AdapterSet`; the server fetches the directory, lets `verify_artifact` compare every byte with the manifest,
serves it under its `engine_name`, and says so in an `AdapterReport`.

Every document is canonical JSON with a kind and a schema version; version N-1 is read too (`documents`). The
package needs pydantic and rfc8785 alone; what talks to a store is `adapter_contract.s3`, in the extra `s3`.
"""

from adapter_contract.adapter_set import (
    AdapterEntry,
    AdapterLimits,
    AdapterReport,
    AdapterSet,
    AdapterState,
    AdapterStatus,
    AdapterVersion,
    EngineFacts,
    MergeComponent,
    MergeDefinition,
    engine_name,
)
from adapter_contract.artifact_files import (
    ALLOWED_SUFFIXES,
    MANIFEST_NAME,
    FileEntry,
    ForbiddenTypeError,
    list_files,
)
from adapter_contract.bottleneck import (
    BottleneckConfig,
    BottleneckSettings,
    bottleneck_modules,
    bottleneck_tensor,
    bottleneck_tensors,
    find_bottleneck_problems,
)
from adapter_contract.canonical import NotCanonical, canonical_json
from adapter_contract.digests import (
    DIGEST_PATTERN,
    Digest,
    sha256_bytes,
    sha256_chunks,
    sha256_directory,
    sha256_file,
    sha256_json,
)
from adapter_contract.documents import Document, Part
from adapter_contract.errors import (
    ContractError,
    DocumentTooLarge,
    FieldProblem,
    InvalidDocument,
    NotJSON,
    UnsupportedSchemaVersion,
    WrongKind,
)
from adapter_contract.exit_codes import ExitCode, FailureClass, RetryPolicy, Verdict, classify
from adapter_contract.kinds import DOCUMENT_KINDS, read_document
from adapter_contract.layout import input_digest
from adapter_contract.locations import (
    DatasetSource,
    HubDatasetSource,
    HubModelSource,
    ModelSource,
    PathSource,
    S3Access,
    S3Location,
    S3Source,
)
from adapter_contract.manifest import (
    AdapterFacts,
    AdapterManifest,
    BaseModelRecord,
    DatasetRecord,
    DigestMismatchError,
    PromptFormat,
    StopToken,
    StoredManifest,
    TrainingRecord,
)
from adapter_contract.pods import MountTable, mount_environment
from adapter_contract.preflight import Finding, PreflightReport
from adapter_contract.progress import CheckpointReference, Phase, Progress
from adapter_contract.published import AdapterSummary, PublishedAdapter
from adapter_contract.recipe import (
    IA3,
    Bottleneck,
    DirectPreferenceOptimization,
    Hyperparameters,
    LoRA,
    Method,
    Objective,
    PrefixTuning,
    PromptTuning,
    Quantization,
    Recipe,
    SupervisedFineTuning,
)
from adapter_contract.records import ByInputPointer, Owner, RunRecord
from adapter_contract.safetensors_header import InvalidSafetensorsError, SafetensorsHeader, read_header
from adapter_contract.scalars import as_decimal, as_float, decimal_string
from adapter_contract.server_config import EngineConfig, RequestLimits, ServerConfig
from adapter_contract.termination import MAX_TERMINATION_BYTES
from adapter_contract.trainer_config import (
    BaseModelConfig,
    CheckpointConfig,
    DatasetConfig,
    EvaluationConfig,
    ExpectedInputs,
    InitialAdapter,
    Lineage,
    OutputConfig,
    PercentHoldout,
    PreflightConfig,
    RunReference,
    SourceHoldout,
    StoreIdentity,
    TrainerConfig,
    TrainingReference,
    UnusableExamples,
)
from adapter_contract.trainer_result import Outcome, TrainerResult, Usage
from adapter_contract.tree import NotRegularError
from adapter_contract.verify import ArtifactRefused, Problem, find_file_problems, verify_artifact

CONTRACT_VERSION = AdapterSet.schema_version
"""The version of AdapterSet that this release writes and reads: what a server image declares."""

__all__ = [
    "ALLOWED_SUFFIXES",
    "CONTRACT_VERSION",
    "DIGEST_PATTERN",
    "DOCUMENT_KINDS",
    "IA3",
    "MANIFEST_NAME",
    "MAX_TERMINATION_BYTES",
    "AdapterEntry",
    "AdapterFacts",
    "AdapterLimits",
    "AdapterManifest",
    "AdapterReport",
    "AdapterSet",
    "AdapterState",
    "AdapterStatus",
    "AdapterSummary",
    "AdapterVersion",
    "ArtifactRefused",
    "BaseModelConfig",
    "BaseModelRecord",
    "Bottleneck",
    "BottleneckConfig",
    "BottleneckSettings",
    "ByInputPointer",
    "CheckpointConfig",
    "CheckpointReference",
    "ContractError",
    "DatasetConfig",
    "DatasetRecord",
    "DatasetSource",
    "Digest",
    "DigestMismatchError",
    "DirectPreferenceOptimization",
    "Document",
    "DocumentTooLarge",
    "EngineConfig",
    "EngineFacts",
    "EvaluationConfig",
    "ExitCode",
    "ExpectedInputs",
    "FailureClass",
    "FieldProblem",
    "FileEntry",
    "Finding",
    "ForbiddenTypeError",
    "HubDatasetSource",
    "HubModelSource",
    "Hyperparameters",
    "InitialAdapter",
    "InvalidDocument",
    "InvalidSafetensorsError",
    "Lineage",
    "LoRA",
    "MergeComponent",
    "MergeDefinition",
    "Method",
    "ModelSource",
    "MountTable",
    "NotCanonical",
    "NotJSON",
    "NotRegularError",
    "Objective",
    "Outcome",
    "OutputConfig",
    "Owner",
    "Part",
    "PathSource",
    "PercentHoldout",
    "Phase",
    "PrefixTuning",
    "PreflightConfig",
    "PreflightReport",
    "Problem",
    "Progress",
    "PromptFormat",
    "PromptTuning",
    "PublishedAdapter",
    "Quantization",
    "Recipe",
    "RequestLimits",
    "RetryPolicy",
    "RunRecord",
    "RunReference",
    "S3Access",
    "S3Location",
    "S3Source",
    "SafetensorsHeader",
    "ServerConfig",
    "SourceHoldout",
    "StopToken",
    "StoreIdentity",
    "StoredManifest",
    "SupervisedFineTuning",
    "TrainerConfig",
    "TrainerResult",
    "TrainingRecord",
    "TrainingReference",
    "UnsupportedSchemaVersion",
    "UnusableExamples",
    "Usage",
    "Verdict",
    "WrongKind",
    "as_decimal",
    "as_float",
    "bottleneck_modules",
    "bottleneck_tensor",
    "bottleneck_tensors",
    "canonical_json",
    "classify",
    "decimal_string",
    "engine_name",
    "find_bottleneck_problems",
    "find_file_problems",
    "input_digest",
    "list_files",
    "mount_environment",
    "read_document",
    "read_header",
    "sha256_bytes",
    "sha256_chunks",
    "sha256_directory",
    "sha256_file",
    "sha256_json",
    "verify_artifact",
]
