"""What a run reads and where it publishes: spec and platform defaults resolved to documents and mounts."""

from dataclasses import dataclass

from adapter_contract import locations as contract
from adapter_contract.layout import artifact_uri
from adapter_contract.trainer_config import InitialAdapter
from adapter_operator.api.settings import OperatorSettings
from adapter_operator.api.v1alpha1.references import S3Location
from adapter_operator.api.v1alpha1.training import AdapterTraining
from adapter_operator.build.base_model import ResolvedBaseModel, resolve_base_model
from adapter_operator.build.mounts import Mounts, joined
from adapter_operator.build.storage import ResolvedAccess, dataset_source, resolve_access


class NoOutputError(LookupError):
    """Neither the spec nor the platform says where adapters are published."""

    def __init__(self) -> None:
        super().__init__(
            "spec.output.s3 is missing and the platform has no default output: set spec.output.s3.uri, or ask the "
            "platform team to set storage.root"
        )


@dataclass(frozen=True)
class Parent:
    """The adapter that a run goes on from.

    Attributes:
        name: of its training.
        digest: of the adapter.
        uri: where it lies; None: where the layout puts it below the training's output.
        output: where the training publishes, by its spec; None: where the platform says.

    """

    name: str
    digest: str
    uri: str | None
    output: S3Location | None


@dataclass(frozen=True)
class TrainerInputs:
    """Everything that a run reads or writes, with what the pod mounts for it."""

    base_model: ResolvedBaseModel
    dataset: contract.DatasetSource
    evaluation: contract.DatasetSource | None
    parent: InitialAdapter | None
    output: contract.S3Location
    mounts: Mounts


def output_location(
    output: S3Location | None, namespace: str, settings: OperatorSettings
) -> tuple[str, ResolvedAccess]:
    """The output URI and how it is reached.

    Args:
        output: what the spec says.
        namespace: of the training; part of the platform's default.
        settings: the platform's.

    Raises:
        NoOutputError: neither says where.

    """
    access = resolve_access(output, settings)
    if output is not None:
        return output.uri, access
    if settings.storage.root is None:
        raise NoOutputError
    return f"{settings.storage.root.rstrip('/')}/{settings.cluster_name}/{namespace}/", access


def resolve_inputs(training: AdapterTraining, parent: Parent | None, settings: OperatorSettings) -> TrainerInputs:
    """Resolve every place that a run uses.

    Args:
        training: whose run it is.
        parent: the adapter that it goes on from, resolved to a digest.
        settings: the platform's.

    Raises:
        UnknownBaseModelError: nobody says where the base model lies.
        NoOutputError: nobody says where to publish.

    """
    spec, namespace = training.spec, training.metadata.namespace
    base = resolve_base_model(spec.base_model.name, spec.base_model.revision, spec.base_model.source, settings)
    dataset, dataset_mounts = dataset_source(spec.dataset.source, "dataset", settings)
    evaluation, evaluation_mounts = _evaluation(training, settings)
    uri, access = output_location(spec.output.s3, namespace, settings)
    initial, parent_mounts = _parent(parent, namespace, settings)
    return TrainerInputs(
        base_model=base,
        dataset=dataset,
        evaluation=evaluation,
        parent=initial,
        output=access.in_pod("output").at(uri),
        mounts=joined((base.mounts, dataset_mounts, evaluation_mounts, access.mounts("output"), parent_mounts)),
    )


def _evaluation(training: AdapterTraining, settings: OperatorSettings) -> tuple[contract.DatasetSource | None, Mounts]:
    evaluation = training.spec.evaluation
    if evaluation is None or evaluation.holdout.source is None:
        return None, Mounts()
    return dataset_source(evaluation.holdout.source, "evaluation", settings)


def _parent(parent: Parent | None, namespace: str, settings: OperatorSettings) -> tuple[InitialAdapter | None, Mounts]:
    if parent is None:
        return None, Mounts()
    access = resolve_access(parent.output, settings)
    uri = parent.uri
    if uri is None:
        output_uri, access = output_location(parent.output, namespace, settings)
        uri = artifact_uri(output_uri, parent.name, parent.digest)
    location = access.in_pod("parent").at(uri)
    return InitialAdapter(name=parent.name, digest=parent.digest, location=location), access.mounts("parent")
