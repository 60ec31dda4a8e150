"""The ServerConfig of a deployment's pods: everything that a pod runs with from its start to its end."""

from typing import Final

from adapter_contract import EngineConfig, RequestLimits, ServerConfig
from adapter_operator.api.v1alpha1.deployment import DeploymentSpec
from adapter_operator.build.base_model import ResolvedBaseModel
from adapter_operator.build.mounts import Mounts, mounted

_KEYS_DIRECTORY: Final = "/adapter/credentials/api-keys"
_KEYS_FILE: Final = "keys.yaml"


def server_config(spec: DeploymentSpec, base: ResolvedBaseModel) -> ServerConfig:
    """The document for the pod's environment."""
    engine, limits = spec.engine, spec.limits
    return ServerConfig(
        base_model=base.config,
        quantization=spec.quantization.type,
        engine=EngineConfig(
            type=engine.type,
            max_active_adapters=engine.max_active_adapters,
            max_cached_adapters=engine.max_cached_adapters,
            max_rank=engine.max_rank,
            max_model_length=engine.max_model_length,
            arguments=tuple(engine.vllm.args) if engine.vllm is not None else (),
        ),
        limits=RequestLimits(
            request_timeout_seconds=limits.request_timeout_seconds,
            max_queued_requests=limits.max_queued_requests,
            max_output_tokens=limits.max_output_tokens,
        ),
        drain_seconds=spec.rollout.drain_seconds,
        api_keys_file=None if spec.authentication is None else f"{_KEYS_DIRECTORY}/{_KEYS_FILE}",
    )


def api_keys_mounts(spec: DeploymentSpec) -> Mounts:
    """The secret with the API keys, as a directory, so that a change of it arrives in running pods."""
    if spec.authentication is None:
        return Mounts()
    source = {"secret": {"secretName": spec.authentication.api_keys_secret_ref.name}}
    return mounted("api-keys", source, _KEYS_DIRECTORY)
