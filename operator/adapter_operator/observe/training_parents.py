"""The trainings that another may go on from, reduced to what a run needs of its parent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapter_operator.api.schema.model import InvalidResourceError
from adapter_operator.api.v1alpha1.references import S3Location
from adapter_operator.api.v1alpha1.training import AdapterTraining

JSON = Mapping[str, Any]


@dataclass(frozen=True)
class ParentTraining:
    """A training in the same namespace.

    Attributes:
        name: of the training.
        output: where it publishes, by its spec; None: where the platform says.
        digest: of the adapter that deployments follow, if there is one.
        uris: where its versions lie, by digest: those that its status names.
        problem: why it can't be read; empty when all is well.

    """

    name: str
    output: S3Location | None = None
    digest: str | None = None
    uris: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


def observe_parent(name: str, document: JSON) -> ParentTraining:
    """Read a training as a parent."""
    try:
        training = AdapterTraining.parse(document)
    except InvalidResourceError as error:
        return ParentTraining(name, problem=str(error))
    status = training.status
    adapter = status.adapter if status else None
    versions = [*((status.versions if status else None) or ()), *([adapter] if adapter else ())]
    return ParentTraining(
        name=name,
        output=training.spec.output.s3,
        digest=adapter.digest if adapter else None,
        uris={version.digest: version.uri for version in versions if version.digest and version.uri},
    )
