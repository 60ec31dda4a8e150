"""ServerConfig: what a server pod runs with, from its start to its end.

The operator puts it into the pod's environment, so a change of it is a change of the pod template and rolls the
pods. What may change while a pod runs stands in the AdapterSet instead.
"""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from adapter_contract.documents import Document, Part
from adapter_contract.scalars import AbsolutePath, Count, PositiveCount
from adapter_contract.trainer_config import BaseModelConfig

EngineArgument = Annotated[str, StringConstraints(pattern=r"^--[a-z][^\x00-\x1f]*$", max_length=256)]


class EngineConfig(Part):
    """What computes the answers.

    Attributes:
        type: Transformers is this project's engine, VLLM the real vLLM.
        max_active_adapters: adapters that can be in use at the same moment.
        max_cached_adapters: adapters in the pod's memory; others rest on its disk.
        max_rank: largest rank of a LoRA adapter.
        max_model_length: tokens of prompt and answer together.
        arguments: further ones of vLLM, as `--name=value`.
    """

    type: Literal["Transformers", "VLLM"]
    max_active_adapters: PositiveCount
    max_cached_adapters: PositiveCount
    max_rank: PositiveCount
    max_model_length: PositiveCount
    arguments: Annotated[tuple[EngineArgument, ...], Field(max_length=64)] = ()

    @model_validator(mode="after")
    def _arguments_are_for_vllm(self) -> Self:
        if self.arguments and self.type != "VLLM":
            raise ValueError("arguments are for the engine VLLM")
        return self


class RequestLimits(Part):
    """What one request may take, and how many may wait.

    Attributes:
        request_timeout_seconds: after which a request is ended.
        max_queued_requests: further ones get 429.
        max_output_tokens: largest `max_tokens` of a request; also used where it names none.
    """

    request_timeout_seconds: PositiveCount
    max_queued_requests: PositiveCount
    max_output_tokens: PositiveCount


class ServerConfig(Document):
    """One server pod.

    Attributes:
        drain_seconds: in which a pod that leaves ends its requests.
        api_keys_file: a mounted file with the API keys, read again when it changes; without it nobody is asked.
    """

    kind: ClassVar[str] = "ServerConfig"
    max_bytes: ClassVar[int] = 65536
    written_by: ClassVar[str] = "the operator"
    read_by: ClassVar[str] = "the server image"

    base_model: BaseModelConfig
    quantization: Literal["None", "NF4", "Int8"]
    engine: EngineConfig
    limits: RequestLimits
    drain_seconds: Count
    api_keys_file: AbsolutePath | None = None
