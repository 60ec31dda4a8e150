"""From the adapters of a spec to versions: each source resolves to a digest and a location, or says why it does not."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import TypeAdapter, ValidationError

from adapter_contract import AdapterVersion
from adapter_contract.adapter_set import MAX_ADAPTERS
from adapter_contract.layout import NotInLayoutError, artifact_uri, parse_artifact_uri
from adapter_operator.api.v1alpha1.deployment import (
    Adapter,
    AdapterDeployment,
    AdapterSource,
    LabelSelector,
    LabelSelectorRequirement,
    TrainingSource,
)
from adapter_operator.api.v1alpha1.scalars import AdapterName
from adapter_operator.observe.deployment import ObservedDeployment
from adapter_operator.observe.served_trainings import FollowedTraining, Version
from adapter_operator.plan.deployment_conclusion import Conclusion
from adapter_operator.plan.deployment_memory import Archive, Memory

Policy = Literal["Optional", "Required"]

_NAME: Final = TypeAdapter(AdapterName)


@dataclass(frozen=True)
class ResolvedAdapter:
    """One adapter as it is to be served.

    Attributes:
        source: the version that its source names, or why it names none.
        kept: in the latter case the last version that was served, if it is one of this source.
        fallback: what was served last.
        held: the spec names the digest itself.
        memory: what was served before.
        servable: clients can ask for the name.
    """

    name: str
    policy: Policy
    source: Version | Conclusion
    kept: Version | None
    fallback: Version | None
    held: bool
    memory: Memory
    servable: bool = True

    @property
    def version(self) -> Version | None:
        """What to serve."""
        return self.source if isinstance(self.source, Version) else self.kept

    @property
    def obstacle(self) -> Conclusion | None:
        """Why the source names no version."""
        return self.source if isinstance(self.source, Conclusion) else None


class TooManyAdaptersError(ValueError):
    """More adapters than a server serves."""


def resolve_adapters(
    deployment: AdapterDeployment, observed: ObservedDeployment, endpoint_url: str | None
) -> tuple[ResolvedAdapter, ...]:
    """Resolve every adapter: those listed, then those selected by labels, by name.

    Args:
        deployment: the resource.
        observed: with the trainings that it may follow.
        endpoint_url: of the store that its pods read; None is AWS.

    Raises:
        TooManyAdaptersError: more than 256 together.

    """
    listed = list(deployment.spec.adapters)
    selected = list(_selected(deployment, observed))
    if len(listed) + len(selected) > MAX_ADAPTERS:
        raise TooManyAdaptersError(
            f"spec.adapters lists {len(listed)} adapters and spec.adapterSelector adds {len(selected)}: "
            f"at most {MAX_ADAPTERS} are served together; narrow spec.adapterSelector, or use a second "
            "AdapterDeployment"
        )
    archive = Archive(deployment, observed)
    return tuple(
        _resolve(adapter, deployment, observed, endpoint_url, archive.recall(adapter.name))
        for adapter in (*listed, *selected)
    )


def _selected(deployment: AdapterDeployment, observed: ObservedDeployment) -> Iterator[Adapter]:
    """An entry for every training of the namespace that the selector finds and no entry names."""
    selector = deployment.spec.adapter_selector
    if selector is None:
        return
    listed = {adapter.name for adapter in deployment.spec.adapters}
    for (namespace, name), training in sorted(observed.trainings.items()):
        if namespace == deployment.metadata.namespace and name not in listed and _matches(selector, training):
            source = AdapterSource(training=TrainingSource(name=name))
            # The name is judged below: a training may be called what an adapter may not.
            yield Adapter.model_construct(name=name, source=source, policy="Optional")


def _matches(selector: LabelSelector, training: FollowedTraining) -> bool:
    labels = training.labels
    return all(labels.get(key) == value for key, value in (selector.match_labels or {}).items()) and all(
        _holds(requirement, labels.get(requirement.key)) for requirement in selector.match_expressions or ()
    )


def _holds(requirement: LabelSelectorRequirement, value: str | None) -> bool:
    """As Kubernetes judges it: a label that is not there is NotIn everything."""
    match requirement.operator:
        case "In":
            return value is not None and value in (requirement.values or ())
        case "NotIn":
            return value is None or value not in (requirement.values or ())
        case "Exists":
            return value is not None
        case _:
            return value is None


def _resolve(
    adapter: Adapter,
    deployment: AdapterDeployment,
    observed: ObservedDeployment,
    endpoint_url: str | None,
    memory: Memory,
) -> ResolvedAdapter:
    clash = _name_clash(adapter.name, deployment)
    found = clash or _source(adapter, deployment, observed, endpoint_url, memory)
    kept = _last_own(adapter.source, memory) if isinstance(found, Conclusion) else None
    version = found if isinstance(found, Version) else kept
    training = adapter.source.training
    return ResolvedAdapter(
        name=adapter.name,
        policy=adapter.policy,
        source=found,
        kept=kept,
        fallback=memory.fallback_for(version.digest if version is not None else None),
        held=training is not None and training.digest is not None,
        memory=memory,
        servable=clash is None,
    )


def _name_clash(name: str, deployment: AdapterDeployment) -> Conclusion | None:
    """Names of listed adapters were judged at admission; a selected training may have any name of a training."""
    try:
        _NAME.validate_python(name)
    except ValidationError:
        clash = "two hyphens in a row stand for a version"
    else:
        if name != deployment.spec.base_model.name:
            return None
        clash = "it is the base model's"
    return Conclusion(
        "InvalidSpec",
        f"spec.adapterSelector finds the AdapterTraining {name}, whose name can't be an adapter's ({clash}): list it "
        "in spec.adapters under another name, and leave it out of the selector",
    )


def _source(
    adapter: Adapter,
    deployment: AdapterDeployment,
    observed: ObservedDeployment,
    endpoint_url: str | None,
    memory: Memory,
) -> Version | Conclusion:
    source = adapter.source
    if source.training is not None:
        namespace = source.training.namespace or deployment.metadata.namespace
        training = observed.trainings.get((namespace, source.training.name))
        return _followed(adapter.name, source.training, namespace, training, deployment, endpoint_url, memory)
    if source.s3 is not None:
        return _checked(Version(source.s3.digest, source.s3.uri), adapter.name)
    return Conclusion(
        "InvalidSpec",
        f"spec.adapters[name={adapter.name}].source.merge: this release does not merge adapters; remove the entry, "
        "or name a training or an artifact",
    )


def _followed(
    name: str,
    source: TrainingSource,
    namespace: str,
    training: FollowedTraining | None,
    deployment: AdapterDeployment,
    endpoint_url: str | None,
    memory: Memory,
) -> Version | Conclusion:
    """The version of a training that may be served, or why there is none."""
    who = f"AdapterTraining {namespace}/{source.name} of adapter {name}"
    own = deployment.metadata.namespace
    if training is None:
        where = f"spec.adapters[name={name}].source.training"
        return Conclusion("TrainingNotFound", f"{who} does not exist: check name and namespace in {where}")
    if namespace != own and own not in training.shared_with:
        return Conclusion(
            "NotShared",
            f"{who} does not share with the namespace {own}: add {own} to spec.sharing.namespaces there",
        )
    if training.output_uri is not None and _plain(training.endpoint_url) != _plain(endpoint_url):
        return Conclusion(
            "StorageMismatch",
            f"{who} publishes to {training.endpoint_url or 'AWS'}, but spec.storage reads {endpoint_url or 'AWS'}: "
            "set spec.storage.s3.endpointURL, or serve it from another AdapterDeployment",
        )
    if source.digest is None:
        return _promoted(name, who, training)
    return _held(name, who, source.digest, training, memory)


def _promoted(name: str, who: str, training: FollowedTraining) -> Version | Conclusion:
    if training.current is None:
        state = f" (its Ready says {training.reason})" if training.reason else ""
        return Conclusion("WaitingForTraining", f"{who} has not published a version yet{state}")
    return _checked(training.current, name)


def _held(name: str, who: str, digest: str, training: FollowedTraining, memory: Memory) -> Version | Conclusion:
    """A version by its digest: as it is recorded, else where the layout puts it; pods verify the bytes."""
    if digest in training.pruned:
        return Conclusion("VersionNotFound", f"{who}: {digest} is being deleted by spec.output.keepVersions there")
    known = training.version(digest) or memory.versions.get(digest)
    if known is None and training.output_uri is not None:
        known = Version(digest, artifact_uri(training.output_uri, training.name, digest))
    if known is None:
        return Conclusion(
            "VersionNotFound",
            f"{who} has no version {digest}: take a digest of its status.versions, or remove the digest to follow it",
        )
    return _checked(known, name)


def _checked(version: Version, name: str) -> Version | Conclusion:
    """The version, if it is one that pods can be told."""
    try:
        AdapterVersion(digest=version.digest, uri=version.uri)
    except ValidationError as error:
        why = error.errors(include_url=False, include_input=False)[0]["msg"]
        return Conclusion("VersionNotFound", f"adapter {name}: its location {version.uri!r} can't be used: {why}")
    return version


def _plain(endpoint_url: str | None) -> str | None:
    return endpoint_url.rstrip("/").lower() if endpoint_url is not None else None


def _last_own(source: AdapterSource, memory: Memory) -> Version | None:
    """The version that was served last, if it is one that this very source would name.

    Under a name whose source was changed it is another training's, and only a fallback.
    """
    last, training = memory.last_served(), source.training
    if last is None or training is None or training.digest not in {None, last.digest}:
        return None
    try:
        _, key = parse_artifact_uri(last.uri)
    except NotInLayoutError:
        return None
    return last if key.training == training.name else None
