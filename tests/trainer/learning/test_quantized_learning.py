"""What QLoRA costs: real conversations, the real model, the whole program; against LoRA on the unquantized base.

The conversations are the English ones of the package chatterbot-corpus (BSD licence): small talk, trivia, programming.
"""

import json
import random
import statistics
import zipfile
from pathlib import Path

import pytest
import yaml

from adapter_testing.trainer_lab import TrainerProcess, trainer_config

pytestmark = [pytest.mark.integration, pytest.mark.slow]

CACHE = Path(__file__).parents[3] / ".cache"
SEEDS = (0, 1, 2)
TRAINED, HELD_OUT = 480, 120


def conversations() -> list[dict[str, object]]:
    """Return the openings of all English conversations, in the order of one shuffle, none twice."""
    pairs: set[tuple[str, str]] = set()
    with zipfile.ZipFile(next(CACHE.glob("chatterbot_corpus-*.whl"))) as wheel:
        for name in wheel.namelist():
            if name.startswith("chatterbot_corpus/data/english/") and name.endswith(".yml"):
                document = yaml.safe_load(wheel.read(name))
                pairs |= {(turns[0].strip(), turns[1].strip()) for turns in document["conversations"]}
    ordered = sorted(pairs)
    random.Random(0).shuffle(ordered)  # noqa: S311 - test data
    return [
        {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
        for question, answer in ordered
    ]


def write(path: Path, rows: list[dict[str, object]]) -> dict[str, str]:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return {"type": "Path", "path": str(path)}


def evaluation_loss(
    directory: Path, sources: tuple[dict[str, str], dict[str, str]], quantization: str, seed: int
) -> float:
    """Train one adapter with the program; return the loss of its last weights on the held-out conversations."""
    training, held_out = sources
    method = {
        "type": "LoRA",
        "rank": 16,
        "alpha": 32,
        "dropout": "0.05",
        "targetModules": ["all-linear"],
        "scaling": "Standard",
        "weightDecomposition": "Disabled",
        "initialization": "Default",
    }
    config = trainer_config(
        dataset=training,
        base_model=CACHE / "smollm2-135m",
        output=f"file://{directory / 'output'}",
        method=method,
        quantization={"type": quantization, "computeType": "BFloat16", "doubleQuantization": "Enabled"},
        evaluation={"holdout": {"type": "Source", "source": held_out}, "metrics": ["Loss"]},
    )
    hyperparameters = {"epochs": "1", "learningRate": "5e-4", "batchSize": 16, "maxSequenceLength": 256, "seed": seed}
    document = json.loads(config.to_json())
    document["hyperparameters"] |= hyperparameters
    process = TrainerProcess(directory, json.dumps(document).encode())
    process.environment["OMP_NUM_THREADS"] = "2"
    ended = process.end(seconds=600)
    assert ended.exit_code == 0, ended.termination_message
    return float(ended.result.metrics["Loss"])


@pytest.mark.xfail(strict=True, reason="one epoch is too short for so small a base: NF4 costs 8 % of the loss")
def test_qlora_learns_as_much_as_lora(tmp_path: Path) -> None:
    rows = conversations()
    sources = (
        write(tmp_path / "training.jsonl", rows[:TRAINED]),
        write(tmp_path / "held-out.jsonl", rows[TRAINED : TRAINED + HELD_OUT]),
    )
    losses = {
        quantization: [
            evaluation_loss(tmp_path / f"{quantization}-{seed}", sources, quantization, seed) for seed in SEEDS
        ]
        for quantization in ("NF4", "None")
    }
    means = {quantization: statistics.mean(values) for quantization, values in losses.items()}
    percent = 100 * (means["NF4"] / means["None"] - 1)
    print(json.dumps({"qlora": losses["NF4"], "lora": losses["None"], "qlora_vs_lora_percent": round(percent, 2)}))
    assert abs(percent) <= 2, losses
