"""What a spec comes to: what of it this release or the platform refuses, and what the pods are made from."""

from collections.abc import Iterator
from typing import Any

from adapter_contract.digests import sha256_json
from adapter_contract.locations import HubModelSource
from adapter_operator.api.schema.model import APIModel
from adapter_operator.api.settings import OperatorSettings
from adapter_operator.api.v1alpha1 import names
from adapter_operator.api.v1alpha1.deployment import AdapterDeployment
from adapter_operator.api.v1alpha1.references import BaseModelSource
from adapter_operator.build.base_model import UnknownBaseModelError, resolve_base_model
from adapter_operator.build.server_deployment import ServerInputs
from adapter_operator.build.storage import ResolvedAccess, resolve_access
from adapter_operator.plan.deployment_conclusion import Conclusion
from adapter_operator.plan.permitted import pod_problems

JSON = dict[str, Any]


class RefusedSpecError(ValueError):
    """The spec can't be carried out; `conclusion` says why and what to do."""

    def __init__(self, conclusion: Conclusion) -> None:
        self.conclusion = conclusion
        super().__init__(f"{conclusion.reason}: {conclusion.message}")


def resolve_inputs(deployment: AdapterDeployment, settings: OperatorSettings) -> ServerInputs:
    """Everything that the pods are made from.

    Raises:
        RefusedSpecError: this release can't carry a field out, the platform does not permit one, or nobody knows
            the base model.

    """
    if unsupported := list(_unsupported(deployment)):
        raise RefusedSpecError(Conclusion("InvalidSpec", "; ".join(unsupported)))
    if forbidden := [str(problem) for problem in pod_problems(deployment.spec.pod, settings)]:
        raise RefusedSpecError(Conclusion("NotPermitted", "; ".join(forbidden)))
    name = deployment.spec.base_model.name
    revision, source = _locate_base(deployment, settings)
    base = resolve_base_model(name, revision, source, settings)
    if isinstance(base.config.source, HubModelSource):
        raise RefusedSpecError(Conclusion("InvalidSpec", _hub_message(deployment)))
    storage = deployment.spec.storage
    access = resolve_access(storage.s3 if storage is not None else None, settings)
    base_inputs = {"name": name, "revision": revision, **_source_inputs(source, settings)}
    shared = _shared_inputs(deployment, base_inputs, access)
    digest = sha256_json(shared | _template_inputs(deployment, settings))
    set_name = names.adapter_set_config_map(deployment.metadata.name, sha256_json(shared))
    return ServerInputs(base=base, access=access, set_name=set_name, digest=digest)


def _locate_base(deployment: AdapterDeployment, settings: OperatorSettings) -> tuple[str | None, BaseModelSource]:
    """Revision and place of the base: the spec's, else the catalogue's."""
    wanted = deployment.spec.base_model
    if wanted.source is not None:
        return wanted.revision, wanted.source
    entry = settings.catalogue_entry(wanted.name)
    if entry is None:
        raise RefusedSpecError(Conclusion("UnknownBaseModel", str(UnknownBaseModelError(wanted.name))))
    return wanted.revision or entry.revision, entry.source


def _unsupported(deployment: AdapterDeployment) -> Iterator[str]:
    spec = deployment.spec
    if spec.engine.type == "VLLM":
        yield "spec.engine.type: this release does not run VLLM; create the AdapterDeployment with type Transformers"
    if spec.autoscaling is not None:
        yield "spec.autoscaling: this release does not scale by load; remove it, and set spec.replicas"


def _hub_message(deployment: AdapterDeployment) -> str:
    field = "spec.baseModel.source.huggingFace"
    if deployment.spec.base_model.source is None:
        field = f"the platform's catalogue has {deployment.spec.base_model.name} on the Hugging Face Hub"
    return f"{field}: this release does not serve from the Hub; give spec.baseModel.source as s3, image or a claim"


def _shared_inputs(deployment: AdapterDeployment, base: JSON, access: ResolvedAccess) -> JSON:
    """Base, engine and storage: pods that have these in common share one AdapterSet."""
    spec = deployment.spec
    return {
        "baseModel": base,
        "quantization": _changed_fields(spec.quantization),
        "engine": _changed_fields(spec.engine),
        "requestTimeoutSeconds": spec.limits.request_timeout_seconds,
        "storage": _access_inputs(access),
    }


def _source_inputs(source: BaseModelSource, settings: OperatorSettings) -> JSON:
    """Where the base lies, and how its store is reached."""
    inputs: JSON = {"source": _changed_fields(source)}
    if source.s3 is not None:
        inputs["access"] = _access_inputs(resolve_access(source.s3, settings))
    return inputs


def _access_inputs(access: ResolvedAccess) -> JSON:
    bundle = access.ca_bundle
    return {
        "endpointURL": access.endpoint_url,
        "region": access.region,
        "addressingStyle": access.addressing_style,
        "credentialsSecret": access.credentials_secret,
        "caBundle": None if bundle is None else {"name": bundle.name, "key": bundle.key},
    }


def _template_inputs(deployment: AdapterDeployment, settings: OperatorSettings) -> JSON:
    """What else the pod template is made from, in the API's terms: how manifests are built may change.

    The platform's image and its defaults for pods are left out, so that a new operator rolls no pods; with
    `imageUpgrade: Rolling` the image counts.
    """
    spec = deployment.spec
    inputs: JSON = {
        "limits": _changed_fields(spec.limits),
        "drainSeconds": spec.rollout.drain_seconds,
        "authentication": None if spec.authentication is None else _changed_fields(spec.authentication),
        "pod": _changed_fields(spec.pod),
    }
    if spec.rollout.image_upgrade == "Rolling":
        inputs["image"] = spec.pod.image or settings.images.server
    return inputs


def _changed_fields(part: APIModel) -> JSON:
    """The fields that differ from their defaults: those that a later release adds do not count until they are set."""
    document: JSON = part.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    return document
