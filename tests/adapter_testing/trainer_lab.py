"""Tiny real models, tokenizers, chats and configurations, made on the spot, for the tests of the trainer.

The model is a Llama of two layers with random weights; the tokenizer a byte-level BPE with a ChatML template. Both
are saved as transformers saves them, so that everything that reads a real base model reads these.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapter_contract import (
    PreflightReport,
    Progress,
    S3Location,
    TrainerConfig,
    TrainerResult,
    mount_environment,
    sha256_bytes,
)
from adapter_contract.pods import (
    ATTEMPT,
    BIND_ADDRESS,
    MANAGEMENT_PORT_VARIABLE,
    TERMINATION_FILE,
    TRAINER_CONFIG_FILE,
    WORK_DIRECTORY,
)

BASE_NAME = "tests/tiny-llama"
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_TEXT = (
    "the adapter answers questions about trains boats lamps rivers parcels and opening hours of a small harbour "
    "office please thanks morning evening blue green seven nine open closed who where when what how"
)
_WORDS = _TEXT.split()


def build_tokenizer(directory: Path) -> Path:
    """Save a byte-level BPE tokenizer of some 400 tokens that ends an answer with `<|im_end|>`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: PLC0415 - slow to import
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415 - slow to import

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(_WORDS), "system user assistant"] * 4, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
    )
    wrapped.chat_template = CHAT_TEMPLATE
    wrapped.save_pretrained(directory)
    return directory


def build_base_model(directory: Path, *, seed: int = 0) -> Path:
    """Save a Llama of 2 layers and hidden size 32 with random weights, and its tokenizer."""
    import torch  # noqa: PLC0415 - slow to import
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM  # noqa: PLC0415 - slow to import

    build_tokenizer(directory)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    model.save_pretrained(directory)
    return directory


def chats(count: int, *, seed: int = 0) -> bytes:
    """Return JSON Lines of `count` different short chats in the `messages` format."""
    rng = random.Random(seed)  # noqa: S311 - test data
    lines = []
    for number in range(count):
        question = " ".join(rng.choices(_WORDS, k=rng.randint(3, 8)))
        answer = " ".join(rng.choices(_WORDS, k=rng.randint(2, 6)))
        messages = [
            {"role": "user", "content": f"{question} {number}?"},
            {"role": "assistant", "content": f"{answer}."},
        ]
        lines.append(json.dumps({"messages": messages}))
    return ("\n".join(lines) + "\n").encode()


def write_chats(path: Path, count: int, *, seed: int = 0) -> Path:
    """Write such chats into a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(chats(count, seed=seed))
    return path


def trainer_config(
    *, dataset: Mapping[str, Any], base_model: Path | str, output: S3Location | str, **changes: object
) -> TrainerConfig:
    """Return a whole configuration: QLoRA of rank 4 for two epochs of batches of 4.

    Args:
        dataset: the source, such as `{"type": "Path", "path": "..."}`.
        base_model: directory of the base model.
        output: location, or its URI.
        changes: members of the JSON document by their name in JSON, which replace whole members.
    """
    location = output if isinstance(output, S3Location) else S3Location(uri=output)
    document: dict[str, Any] = {
        "kind": "TrainerConfig",
        "schemaVersion": 1,
        "training": {"cluster": "test", "namespace": "team-a", "name": "support-bot", "uid": "3f0c2b1e-6a57"},
        "run": {
            "number": 1,
            "specHash": sha256_bytes(b"spec"),
            "recipeHash": sha256_bytes(b"recipe"),
            "hashVersion": 1,
        },
        "baseModel": {"name": BASE_NAME, "source": {"type": "Path", "path": str(base_model)}},
        "dataset": {
            "source": dict(dataset),
            "format": "Auto",
            "unusableExamples": {"action": "Drop", "maxPercent": "5"},
        },
        "method": {
            "type": "LoRA",
            "rank": 4,
            "alpha": 8,
            "dropout": "0",
            "targetModules": ["all-linear"],
            "scaling": "Standard",
            "weightDecomposition": "Disabled",
            "initialization": "Default",
        },
        "quantization": {"type": "NF4", "computeType": "BFloat16", "doubleQuantization": "Enabled"},
        "objective": {"type": "SupervisedFineTuning", "lossOn": "Completion"},
        "hyperparameters": {
            "epochs": "2",
            "learningRate": "1e-3",
            "scheduler": "Cosine",
            "warmup": "0.03",
            "batchSize": 4,
            "maxSequenceLength": 128,
            "packing": "Enabled",
            "seed": 0,
            "optimizer": "AdamW",
            "weightDecay": "0",
            "maxGradientNorm": "1",
        },
        "evaluation": {"holdout": {"type": "Percent", "percent": "20"}, "metrics": ["Loss", "Perplexity"]},
        "checkpoint": {"intervalSeconds": 300, "keep": 2},
        "output": {"location": location.model_dump(mode="json", by_alias=True, exclude_none=True)},
        "preflight": {"mode": "Disabled"},
        "lineage": {"image": "adapter-trainer:test", "operatorVersion": "0.1.0"},
        "reuse": "Allowed",
    }
    kept = {name: value for name, value in (document | changes).items() if value is not None}
    return TrainerConfig.from_object(kept)


def s3_source(location: S3Location) -> dict[str, Any]:
    """Return the source of a location, as it stands in a configuration."""
    return {"type": "S3", "location": location.model_dump(mode="json", by_alias=True, exclude_none=True)}


@dataclass(frozen=True)
class Ended:
    """How a trainer's process ended, and what it wrote."""

    exit_code: int
    stdout: str
    stderr: str
    termination_message: str

    @property
    def result(self) -> TrainerResult:
        """The result in the termination message."""
        return TrainerResult.from_json(self.termination_message)

    @property
    def report(self) -> PreflightReport:
        """The report of preflight in the termination message."""
        return PreflightReport.from_json(self.termination_message)

    @property
    def documents(self) -> list[dict[str, Any]]:
        """Every line of the log; each must be a JSON object."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def progress(self) -> list[Progress]:
        """The progress documents among the lines of the log."""
        return [Progress.from_object(line) for line in self.documents if line.get("kind") == "Progress"]

    @property
    def messages(self) -> list[str]:
        """The messages of the other lines."""
        return [line["message"] for line in self.documents if "message" in line and "kind" not in line]


class TrainerProcess:
    """`python -m adapter_trainer` in a directory of its own, with the environment that the operator gives it.

    Another `module` that reads the same environment, such as preflight's, is started with `module`.
    """

    def __init__(
        self,
        directory: Path,
        config: TrainerConfig | bytes,
        *,
        attempt: int = 1,
        port: int = 0,
        module: str = "adapter_trainer",
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._module = module
        (directory / "trainer-config.json").write_bytes(config if isinstance(config, bytes) else config.to_json())
        self.environment = {
            **{name: value for name, value in os.environ.items() if name in _KEPT_VARIABLES},
            **mount_environment([str(directory)]),
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "HOME": str(directory),
            "OMP_NUM_THREADS": "1",
            "PYTHONWARNINGS": "default",
            ATTEMPT: str(attempt),
            BIND_ADDRESS: "127.0.0.1",
            MANAGEMENT_PORT_VARIABLE: str(port),
            TERMINATION_FILE: str(directory / "termination-log"),
            TRAINER_CONFIG_FILE: str(directory / "trainer-config.json"),
            WORK_DIRECTORY: str(directory / "work"),
        }
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> subprocess.Popen[str]:
        """Start it; its log is a pipe."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", self._module],
            cwd=self._directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return self.process

    def end(self, *, read_before: str = "", seconds: float = 120) -> Ended:
        """Wait for its end; it is killed if that doesn't come."""
        process = self.process or self.start()
        try:
            stdout, stderr = process.communicate(timeout=seconds)
        finally:
            process.kill()
            process.wait()
        written = self._directory / "termination-log"
        message = written.read_text() if written.exists() else ""
        return Ended(process.returncode, read_before + stdout, stderr, message)


_KEPT_VARIABLES = frozenset({"PATH", "LANG", "LC_ALL", "TMPDIR", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"})
