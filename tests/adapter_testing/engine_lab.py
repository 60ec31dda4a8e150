"""Tiny adapters as the trainer publishes them, what plain PEFT answers with them, and readers of an engine's streams.

The base is the one of `trainer_lab`.
"""

import asyncio
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from adapter_contract import (
    AdapterManifest,
    BottleneckConfig,
    StoredManifest,
    bottleneck_modules,
    bottleneck_tensors,
    list_files,
    sha256_bytes,
)
from adapter_contract.s3 import LocalModel, base_digest
from adapter_server.engines.engine import Engine, EngineSettings, GenerationRequest, GenerationStream, Piece, Usage
from adapter_testing.trainer_lab import BASE_NAME, CHAT_TEMPLATE, build_base_model

ALL_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SUBLAYERS = ["self_attn", "mlp"]


def engine_settings(base: Path, **changes: Any) -> EngineSettings:
    """Return settings of an engine that computes exactly what PEFT does."""
    values: dict[str, Any] = {
        "base_directory": base,
        "base_model_name": BASE_NAME,
        "max_active_adapters": 4,
        "max_rank": 8,
        "max_model_length": 512,
        "compute_type": "Float32",
    }
    return EngineSettings(**(values | changes))


def publish_lora(directory: Path, base: Path, *, seed: int, strength: float = 0.3, **config: Any) -> AdapterManifest:
    """Write a LoRA adapter with random weights, by PEFT, and its manifest; return that.

    Args:
        directory: the artifact's.
        base: the base model's.
        seed: of the weights; others give other answers.
        strength: standard deviation of the weights of B.
        config: of PEFT's LoraConfig.
    """
    import torch  # noqa: PLC0415 - slow to import
    from peft import LoraConfig, get_peft_model  # noqa: PLC0415 - slow to import
    from transformers import AutoModelForCausalLM  # noqa: PLC0415 - slow to import

    settings: dict[str, Any] = {"r": 4, "lora_alpha": 8, "target_modules": ALL_LINEAR, "task_type": "CAUSAL_LM"}
    torch.manual_seed(seed)
    with _without_deprecations():
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(**(settings | config)))
    for name, parameter in model.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter, std=strength)
    model.save_pretrained(directory, save_embedding_layers=False)
    change_config(directory, base_model_name_or_path=BASE_NAME)
    return seal(directory, base, rank=settings["r"] if "r" not in config else config["r"])


def publish_bottleneck(
    directory: Path, base: Path, *, seed: int, architecture: Literal["Pfeiffer", "Houlsby"], size: int = 8
) -> AdapterManifest:
    """Write a bottleneck adapter of the lab's base with random weights, and its manifest; return that.

    Args:
        directory: the artifact's.
        base: the base model's.
        seed: of the weights; others give other answers.
        architecture: which sublayers have one.
        size: of the bottlenecks.
    """
    import torch  # noqa: PLC0415 - slow to import
    from safetensors.torch import save_file  # noqa: PLC0415 - slow to import

    facts = json.loads((base / "config.json").read_bytes())
    names = [f"model.layers.{layer}.{part}" for layer in range(facts["num_hidden_layers"]) for part in SUBLAYERS]
    config = BottleneckConfig(
        architecture=architecture,
        size=size,
        hidden_size=facts["hidden_size"],
        non_linearity="relu",
        modules=bottleneck_modules(names, architecture),
        base_model_name_or_path=BASE_NAME,
    )
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: torch.randn(shape, generator=generator)
        for module in config.modules
        for name, shape in bottleneck_tensors(module, size=size, hidden_size=config.hidden_size).items()
    }
    directory.mkdir(parents=True, exist_ok=True)
    save_file(tensors, directory / "adapter_model.safetensors")
    (directory / "adapter_config.json").write_text(config.model_dump_json())
    return seal_bottleneck(directory, base)


def seal_bottleneck(directory: Path, base: Path) -> AdapterManifest:
    """Write the manifest of a bottleneck adapter's directory as it is now; return it."""
    return seal(directory, base, rank=None, adapter={"method": "Bottleneck", "targetModules": ["mlp"]})


def seal(directory: Path, base: Path, *, rank: int | None = 4, **changes: Any) -> AdapterManifest:
    """Write the manifest of an artifact's directory as it is now; return it.

    Args:
        directory: the artifact's.
        base: the base model's.
        rank: of the adapter.
        changes: members of the manifest by their name in JSON: objects are merged, others replaced.
    """
    (directory / "manifest.json").unlink(missing_ok=True)
    document: dict[str, Any] = {
        "kind": "AdapterManifest",
        "schemaVersion": 1,
        "files": [entry.model_dump(mode="json", by_alias=True) for entry in list_files(directory)],
        "origin": "Imported",
        "sourceURI": "s3://elsewhere/adapter/",
        "baseModel": {"name": BASE_NAME, "digest": base_digest(LocalModel(base))},
        "adapter": {
            "method": "LoRA",
            "rank": rank,
            "targetModules": ALL_LINEAR,
            "trainableParameters": 1,
            "sizeBytes": 1,
            "dtype": "Float32",
        },
        "promptFormat": {
            "chatTemplateDigest": sha256_bytes(CHAT_TEMPLATE.encode()),
            "stopTokens": [{"id": 2, "text": "<|im_end|>"}],
        },
        "createdTime": datetime(2026, 1, 2, tzinfo=UTC).isoformat().replace("+00:00", "Z"),
    }
    for name, value in changes.items():
        document[name] = document[name] | value if isinstance(value, Mapping) else value
    stored = StoredManifest.seal(AdapterManifest.from_object(document))
    (directory / "manifest.json").write_bytes(stored.data)
    return stored.manifest


def change_config(directory: Path, **values: object) -> None:
    """Change members of an artifact's adapter_config.json; its manifest stays as it is."""
    path = directory / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@contextmanager
def _without_deprecations() -> Iterator[None]:
    """Build PEFT's models, which ask the model for what transformers has renamed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        yield


class Peft:
    """What plain transformers and PEFT answer: one request at a time, by `generate`, in float32."""

    def __init__(self, base: Path, adapters: Mapping[str, Path]) -> None:
        from peft import PeftModel  # noqa: PLC0415 - slow to import
        from transformers import AutoModelForCausalLM  # noqa: PLC0415 - slow to import

        self._models: dict[str | None, Any] = {None: AutoModelForCausalLM.from_pretrained(base)}
        for name, directory in adapters.items():
            with _without_deprecations():
                self._models[name] = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), directory)

    def answer(self, request: GenerationRequest) -> list[int]:
        """Return the tokens of the greedy answer, with the one that ended it."""
        import torch  # noqa: PLC0415 - slow to import

        model = self._models[request.adapter].eval()
        tokens = torch.tensor([request.prompt_tokens])
        output = model.generate(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            do_sample=False,
            max_new_tokens=request.max_tokens,
        )
        return output[0, tokens.shape[1] :].tolist()


@dataclass(frozen=True)
class Lab:
    """A base and its adapters by engine name."""

    base: Path
    artifacts: dict[str, Path]
    manifests: dict[str, AdapterManifest]
    peft: Peft

    def load(self, engine: Engine, *names: str) -> None:
        """Load these adapters."""
        for name in names:
            engine.load(name, self.artifacts[name], self.manifests[name])


FIRST, SECOND, THIRD = "support.bot--0123456789ab", "rank-stabilized--0123456789ab", "attention-only--0123456789ab"


def build_lab(root: Path) -> Lab:
    """Make a base and three adapters that differ in rank, scaling and target modules; a dot is in a name."""
    base = build_base_model(root / "base", seed=3)
    configs: dict[str, dict[str, Any]] = {
        FIRST: {},
        SECOND: {"r": 8, "lora_alpha": 4, "use_rslora": True},
        THIRD: {"target_modules": ["q_proj", "v_proj"], "r": 2, "lora_alpha": 16},
    }
    artifacts = {name: root / name for name in configs}
    manifests = {
        name: publish_lora(artifacts[name], base, seed=seed, **config)
        for seed, (name, config) in enumerate(configs.items())
    }
    return Lab(base, artifacts, manifests, Peft(base, artifacts))


@dataclass(frozen=True)
class Answer:
    """All pieces of an answer."""

    pieces: list[Piece]
    usage: Usage

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    @property
    def tokens(self) -> list[int]:
        return [piece.token_id for piece in self.pieces]

    @property
    def finish_reason(self) -> str | None:
        return self.pieces[-1].finish_reason


async def read(stream: GenerationStream) -> Answer:
    """Read a stream to its end."""
    pieces = [piece async for piece in stream]
    return Answer(pieces, stream.usage)


async def read_some(stream: GenerationStream, count: int) -> list[Piece]:
    """Read so many pieces."""
    return [await anext(stream) for _ in range(count)]


def answers(engine: Engine, requests: Sequence[GenerationRequest]) -> list[Answer]:
    """Return the answers to requests that run at the same time."""

    async def gather() -> list[Answer]:
        return await asyncio.gather(*(read(engine.generate(request)) for request in requests))

    return asyncio.run(gather())


@contextmanager
def started(settings: EngineSettings) -> Iterator[Any]:
    """Start a Transformers engine, and close it at the end."""
    from adapter_server.engines.transformers import TransformersEngine  # noqa: PLC0415 - slow to import

    engine = TransformersEngine(settings)
    engine.start()
    try:
        yield engine
    finally:
        engine.close()
