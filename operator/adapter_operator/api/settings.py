"""The operator's settings: what a platform decides for all its trainings and deployments.

They are read once, from a YAML file that the chart renders. A field that is not known here is a spelling mistake and
refused. Every field has a default but the cluster's name and the images.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field

from adapter_operator.api.schema.markers import LIST_ATOMIC, ListMap, ListSet
from adapter_operator.api.schema.model import APIModel, InvalidResourceError, Problem, Resource
from adapter_operator.api.v1alpha1.pod import Labels, ResourceRequirements, Toleration
from adapter_operator.api.v1alpha1.references import BaseModelSource, S3Access
from adapter_operator.api.v1alpha1.scalars import (
    S3URI,
    DNSLabel,
    DNSSubdomain,
    ImageReference,
    ModelName,
    Quantity,
    Revision,
)

Patterns = Annotated[list[Annotated[str, Field(min_length=1, max_length=512)]], Field(max_length=256), ListSet()]


class InvalidSettingsError(ValueError):
    """The settings can't be used; `problems` names every field that is wrong."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("the operator's settings are invalid: " + "; ".join(str(problem) for problem in problems))


class Images(APIModel):
    """Images of the pods; one image reads one version of the contract with this operator."""

    trainer: ImageReference
    server: ImageReference


class StorageDefaults(S3Access):
    """What an S3 location leaves out, and where adapters go if a training does not say so.

    Secrets and config maps are names: each namespace holds its own.
    """

    root: S3URI | None = None


class CatalogueEntry(APIModel):
    """A base model that users may name without saying where it lies."""

    name: ModelName
    revision: Revision | None = None
    source: BaseModelSource


class PodDefaults(APIModel):
    """What pods get where the spec is silent."""

    resources: ResourceRequirements = ResourceRequirements()
    node_selector: Labels = Field(default_factory=dict)
    tolerations: Annotated[list[Toleration], Field(max_length=32), LIST_ATOMIC] = Field(default_factory=list)
    service_account_name: DNSSubdomain | None = None
    shared_memory: Quantity = "1Gi"
    scratch: Quantity = "20Gi"


_TRAINER_DEFAULTS = PodDefaults(
    resources=ResourceRequirements(requests={"cpu": "1", "memory": "4Gi"}, limits={"memory": "16Gi"})
)
_SERVER_DEFAULTS = PodDefaults(
    resources=ResourceRequirements(requests={"cpu": "1", "memory": "2Gi"}, limits={"memory": "8Gi"})
)


class PodSettings(APIModel):
    """Defaults by kind of pod."""

    trainer: PodDefaults = _TRAINER_DEFAULTS
    server: PodDefaults = _SERVER_DEFAULTS


class Permitted(APIModel):
    """What users may set although it runs code, or acts, as somebody else: nothing, unless listed.

    Items are shell patterns: `*` permits everything, `registry.example.com/team-*` every image that begins so.
    """

    images: Patterns = Field(default_factory=list)
    service_account_names: Patterns = Field(default_factory=list)
    environment_variables: Patterns = Field(default_factory=list)
    engine_arguments: Patterns = Field(default_factory=list)


class OperatorSettings(Resource):
    """All settings.

    Attributes:
        cluster_name: tells clusters apart that share a store; it is part of every default output and must not change.
        images: of trainer and server.
        storage: defaults of every S3 location.
        base_models: the catalogue.
        pods: defaults by kind of pod.
        permitted: what users may set beyond what is safe for all.
        deadline_seconds: running time of all attempts of a run, where a training names none.
        namespaces: what the operator looks after; None means all.

    """

    cluster_name: DNSLabel
    images: Images
    storage: StorageDefaults = StorageDefaults()
    base_models: Annotated[list[CatalogueEntry], Field(max_length=1024), ListMap(("name",))] = Field(
        default_factory=list
    )
    pods: PodSettings = PodSettings()
    permitted: Permitted = Permitted()
    deadline_seconds: Annotated[int, Field(ge=60, le=2**31 - 1)] = 86400
    namespaces: Annotated[list[DNSLabel], Field(min_length=1, max_length=1024), ListSet()] | None = None

    @classmethod
    def read(cls, document: object) -> "OperatorSettings":
        """Read the document of a settings file, defaults filled in.

        Raises:
            InvalidSettingsError: with every problem found.

        """
        try:
            return cls.parse(document, unknown_fields=False)
        except InvalidResourceError as error:
            raise InvalidSettingsError(error.problems) from error

    def catalogue_entry(self, name: str) -> CatalogueEntry | None:
        """The catalogue's entry for a base model."""
        return next((entry for entry in self.base_models if entry.name == name), None)


def is_permitted(value: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns fits the whole value."""
    return any(fnmatchcase(value, pattern) for pattern in patterns)
