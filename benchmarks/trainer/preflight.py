"""How long preflight takes for a large dataset: the whole program, from the start of its process to its report.

    python benchmarks/trainer/preflight.py [--examples 100000] [--model .cache/smollm2-135m]

The dataset is made on the spot: chats whose lengths in words are spread log-uniformly, a fifth of them with two
answers, a third with a system prompt, all different. The program runs on two processors (fewer where there are fewer).
The last line is a JSON object with `seconds`, `examples_per_second`, `tokens`, `peak_memory_bytes` and the seconds of
each stage.
"""

import argparse
import json
import math
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adapter_contract import PreflightReport, mount_environment, sha256_bytes
from adapter_contract.pods import ATTEMPT, TERMINATION_FILE, TRAINER_CONFIG_FILE, WORK_DIRECTORY

PROCESSORS = 2
SHORTEST_WORDS, LONGEST_WORDS = 12, 280
SYSTEM = "You answer questions about the timetable of a small harbour, in whole and friendly sentences."
SYLLABLES = ("ba", "lo", "ri", "ten", "mar", "sol", "qui", "der", "an", "ge", "pha", "stra", "wick", "um", "el", "os")


def words(rng: random.Random) -> list[str]:
    """Return a vocabulary of pseudo-words, so that tokens are not repeated too often."""
    return ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(8000)]


def conversations(count: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield chats."""
    rng = random.Random(seed)  # noqa: S311 - data for a benchmark
    vocabulary = words(rng)

    def say(amount: float) -> str:
        return " ".join(rng.choices(vocabulary, k=max(1, round(amount))))

    for number in range(count):
        length = math.exp(rng.uniform(math.log(SHORTEST_WORDS), math.log(LONGEST_WORDS)))
        turns = 2 if rng.random() < 0.2 else 1
        messages = [{"role": "system", "content": SYSTEM}] if rng.random() < 1 / 3 else []
        for _ in range(turns):
            messages.append({"role": "user", "content": f"{say(length / turns / 3)} {number}?"})
            messages.append({"role": "assistant", "content": f"{say(2 * length / turns / 3)}."})
        yield {"messages": messages}


def configuration(data: Path, model: Path, output: Path) -> dict[str, Any]:
    """Return the TrainerConfig of the run."""
    return {
        "kind": "TrainerConfig",
        "schemaVersion": 1,
        "training": {"cluster": "bench", "namespace": "bench", "name": "preflight", "uid": "bench"},
        "run": {
            "number": 1,
            "specHash": sha256_bytes(b"spec"),
            "recipeHash": sha256_bytes(b"recipe"),
            "hashVersion": 1,
        },
        "baseModel": {"name": "bench/base", "source": {"type": "Path", "path": str(model.resolve())}},
        "dataset": {
            "source": {"type": "Path", "path": str(data)},
            "format": "Auto",
            "unusableExamples": {"action": "Drop", "maxPercent": "5"},
        },
        "method": {
            "type": "LoRA",
            "rank": 16,
            "alpha": 32,
            "dropout": "0",
            "targetModules": ["all-linear"],
            "scaling": "Standard",
            "weightDecomposition": "Disabled",
            "initialization": "Default",
        },
        "quantization": {"type": "NF4", "computeType": "BFloat16", "doubleQuantization": "Enabled"},
        "objective": {"type": "SupervisedFineTuning", "lossOn": "Completion"},
        "hyperparameters": {
            "epochs": "1",
            "learningRate": "2e-4",
            "scheduler": "Cosine",
            "warmup": "0.03",
            "batchSize": 16,
            "maxSequenceLength": 1024,
            "packing": "Enabled",
            "seed": 0,
            "optimizer": "AdamW",
            "weightDecay": "0",
            "maxGradientNorm": "1",
        },
        "evaluation": {"holdout": {"type": "Percent", "percent": "5"}, "metrics": ["Loss"]},
        "checkpoint": {"intervalSeconds": 300, "keep": 2},
        "output": {"location": {"uri": f"file://{output}"}},
        "preflight": {"mode": "Enforce"},
        "lineage": {"image": "bench", "operatorVersion": "0"},
        "reuse": "Allowed",
    }


def run(directory: Path, model: Path, examples: int) -> dict[str, Any]:
    """Run preflight once, and return what was measured."""
    data = directory / "train.jsonl"
    with data.open("w") as stream:
        for row in conversations(examples):
            stream.write(json.dumps(row) + "\n")
    config = directory / "config.json"
    config.write_text(json.dumps(configuration(data, model, directory / "store")))
    processors = sorted(os.sched_getaffinity(0))[:PROCESSORS]
    environment = {
        **{name: value for name, value in os.environ.items() if name in {"PATH", "LANG"}},
        **mount_environment([str(directory)]),
        "HOME": str(directory),
        ATTEMPT: "1",
        TERMINATION_FILE: str(directory / "termination-log"),
        TRAINER_CONFIG_FILE: str(config),
        WORK_DIRECTORY: str(directory / "work"),
    }
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", "adapter_trainer.preflight"],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, processors),
    )
    seconds = time.monotonic() - began
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    report = PreflightReport.from_object(lines[-1])
    stages = {line["stage"]: line["seconds"] for line in lines if "stage" in line}
    return {
        "seconds": round(seconds, 1),
        "examples": examples,
        "examples_per_second": round(examples / seconds),
        "tokens": report.tokens,
        "dataset_bytes": data.stat().st_size,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
        "processors": len(processors),
        "seconds_to_first_check": round(seconds - sum(stages.values()), 1),
        "stages": stages,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--model", type=Path, default=Path(".cache/smollm2-135m"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="preflight-") as directory:
        measured = run(Path(directory), arguments.model, arguments.examples)
    for name, seconds in measured["stages"].items():
        print(f"{seconds:8.1f} s  {name}")
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
