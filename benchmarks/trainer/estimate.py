"""How close the estimate of memory is to what trainings really take, on a CPU.

    python benchmarks/trainer/estimate.py [--model .cache/smollm2-135m] [--grid small|full] [--case NUMBER]

Each training runs in a process of its own, for a few optimizer steps: what it measures is the most memory that was
resident (ru_maxrss). The models are a real one, and one of 390 million parameters with random weights in the shape of
Qwen2 that is made on the spot. The last line is a JSON object with the worst difference in percent.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapter_contract import Phase, TrainerConfig, sha256_bytes
from adapter_trainer.architecture.shape import shape_of_directory
from adapter_trainer.estimate.device import Device
from adapter_trainer.estimate.memory import estimate_memory
from adapter_trainer.examples.example import UNLABELLED, Example, PreferencePair, Unit

LORA = {
    "type": "LoRA",
    "rank": 8,
    "alpha": 16,
    "dropout": "0",
    "targetModules": ["all-linear"],
    "scaling": "Standard",
    "weightDecomposition": "Disabled",
    "initialization": "Default",
}
NF4 = {"type": "NF4", "computeType": "BFloat16", "doubleQuantization": "Enabled"}
INT8 = {"type": "Int8", "computeType": "BFloat16", "doubleQuantization": "Disabled"}
BFLOAT16 = {"type": "None", "computeType": "BFloat16", "doubleQuantization": "Disabled"}
FLOAT32 = {"type": "None", "computeType": "Float32", "doubleQuantization": "Disabled"}
BOTTLENECK = {"type": "Bottleneck", "architecture": "Houlsby", "size": 64}
PREFIX = {"type": "PrefixTuning", "virtualTokens": 32}
SHORT, LONG = [100] * 8, [2200]
MIXED = [40, 60, 90, 130, 200, 300, 400, 350]

QWEN2 = {
    "model_type": "qwen2",
    "vocab_size": 32000,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 22,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
}


def case(model: str, **settings: Any) -> dict[str, Any]:
    """Return a training: QLoRA of mixed examples on one thread, unless `settings` say otherwise."""
    plain = {"method": LORA, "quantization": NF4, "lengths": MIXED, "threads": 1, "preference": False}
    return plain | {"model": model} | settings


GRID = [
    case("real"),
    case("real", lengths=LONG),
    case("real", lengths=MIXED, threads=2, method=LORA | {"rank": 64, "dropout": "0.05"}),
    case("real", quantization=FLOAT32, lengths=LONG, method=LORA | {"dropout": "0.05"}),
    case("real", quantization=FLOAT32, lengths=SHORT, threads=2),
    case("real", method=LORA | {"weightDecomposition": "Enabled"}),
    case("real", method=LORA | {"weightDecomposition": "Enabled", "dropout": "0.05"}, threads=2),
    case("real", method=BOTTLENECK, lengths=LONG),
    case("real", method=PREFIX),
    case("real", preference=True, threads=2),
    case("real", quantization=INT8, lengths=SHORT, method={"type": "IA3"}),
    case("random"),
    case("random", lengths=LONG, method=LORA | {"rank": 64}),
    case("random", quantization=FLOAT32, lengths=MIXED, threads=2, method=LORA | {"dropout": "0.05"}),
    case("random", quantization=BFLOAT16, lengths=LONG),
    case("random", method=BOTTLENECK, threads=2),
    case("random", method={"type": "PromptTuning", "virtualTokens": 32}),
    case("random", method=LORA | {"weightDecomposition": "Enabled"}, lengths=LONG),
    case("random", preference=True, method=LORA | {"rank": 64}),
    case("random", method=LORA | {"initialization": "PiSSA"}, lengths=SHORT),
]
SMALL = [0, 2, 3, 5, 7]
STEPS = 2


def configuration(case: Mapping[str, Any]) -> TrainerConfig:
    """Return the TrainerConfig of a case."""
    objective = (
        {"type": "DirectPreferenceOptimization", "beta": "0.1"}
        if case["preference"]
        else {"type": "SupervisedFineTuning", "lossOn": "Completion"}
    )
    return TrainerConfig.from_object(
        {
            "kind": "TrainerConfig",
            "schemaVersion": 1,
            "training": {"cluster": "bench", "namespace": "bench", "name": "bench", "uid": "3f0c2b1e-6a57"},
            "run": {
                "number": 1,
                "specHash": sha256_bytes(b"spec"),
                "recipeHash": sha256_bytes(b"recipe"),
                "hashVersion": 1,
            },
            "baseModel": {"name": "bench/base", "source": {"type": "Path", "path": "/base"}},
            "dataset": {
                "source": {"type": "Path", "path": "/data"},
                "format": "Auto",
                "unusableExamples": {"action": "Drop", "maxPercent": "5"},
            },
            "method": case["method"],
            "quantization": case["quantization"],
            "objective": objective,
            "hyperparameters": {
                "epochs": "1",
                "maxSteps": STEPS,
                "learningRate": "1e-4",
                "scheduler": "Constant",
                "warmup": "0",
                "batchSize": len(case["lengths"]),
                "maxSequenceLength": 4096,
                "packing": "Enabled",
                "seed": 0,
                "optimizer": "AdamW",
                "weightDecay": "0",
                "maxGradientNorm": "1",
            },
            "checkpoint": {"intervalSeconds": 300, "keep": 2},
            "output": {"location": {"uri": "file:///output"}},
            "preflight": {"mode": "Disabled"},
            "lineage": {"image": "bench", "operatorVersion": "0.1.0"},
            "reuse": "Allowed",
        }
    )


def units(case: Mapping[str, Any]) -> list[Unit]:
    """Return random examples, or pairs; the first 30 percent of each are not learned."""
    rng = random.Random(0)  # noqa: S311 - data for a benchmark

    def example(length: int) -> Example:
        tokens = [rng.randrange(3, 30000) for _ in range(length)]
        prompt = max(1, length * 3 // 10)
        return Example.of(tokens, [UNLABELLED] * prompt + tokens[prompt:])

    lengths = case["lengths"] * STEPS
    if case["preference"]:
        return [PreferencePair(example(length), example(length)) for length in lengths]
    return [example(length) for length in lengths]


def estimated(case: Mapping[str, Any], directory: Path) -> tuple[int, Mapping[str, int]]:
    """Return the estimate of a case in bytes, and its parts."""
    sequences = [one for unit in units(case) for one in unit.sequences]
    found = estimate_memory(
        shape_of_directory(directory),
        configuration(case),
        [len(one.tokens) for one in sequences],
        [one.labelled_tokens for one in sequences],
        device=Device("CPU", case["threads"]),
    )
    return found.total_bytes, found.parts


def train_here(case: Mapping[str, Any], directory: Path) -> int:
    """Train in this process; return the most memory that was resident, in bytes."""
    from adapter_trainer.examples.prepared import PreparedExamples  # noqa: PLC0415 - only in the measured process
    from adapter_trainer.model.attach import load_adapted  # noqa: PLC0415 - likewise
    from adapter_trainer.training.run import train  # noqa: PLC0415 - likewise

    class Silent:
        def phase(self, phase: Phase) -> None: ...
        def step(self, report: object) -> None: ...
        def evaluated(self, step: int, metrics: Mapping[str, float]) -> None: ...
        def stop_requested(self) -> bool:
            return False

    config = configuration(case)
    model = load_adapted(directory, config.quantization, config.method, parent=None, seed=0)
    examples = PreparedExamples(
        training=tuple(units(case)),
        evaluation=(),
        dropped=0,
        tokens=0,
        labelled_tokens=0,
        evaluation_digest=None,
        detected_format="Text",
        warnings=(),
    )
    train(model, examples, config, Silent())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measured(case: Mapping[str, Any], directory: Path) -> int:
    """Return the peak of a case in bytes, from a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--train", json.dumps(case), "--model", str(directory)],
        env=os.environ | {"OMP_NUM_THREADS": str(case["threads"]), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"the training failed: {done.stderr[-2000:]}")
    return int(done.stdout.split()[-1])


def save_random_model(directory: Path) -> Path:
    """Save a model with random weights in bfloat16."""
    import torch  # noqa: PLC0415 - not in the measuring process, where it would cost time
    from transformers import AutoConfig, AutoModelForCausalLM  # noqa: PLC0415 - likewise

    settings = dict(QWEN2)
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(directory)
    return directory


def describe(case: Mapping[str, Any]) -> str:
    """Return the words for a case that tell it from others."""
    method, held = case["method"], case["quantization"]
    parts = [case["model"], method["type"]]
    if method["type"] == "LoRA":
        parts += [f"r={method['rank']}", f"dropout={method['dropout']}"]
        parts += ["DoRA"] if method["weightDecomposition"] == "Enabled" else []
        parts += ["PiSSA"] if method["initialization"] == "PiSSA" else []
    parts += [held["type"], held["computeType"], f"{sum(case['lengths'])}/{max(case['lengths'])} tokens"]
    parts += ["DPO"] if case["preference"] else []
    return " ".join([*parts, f"{case['threads']} thread(s)"])


def compare(cases: list[dict[str, Any]], real: Path, random_model: Path, *, verbose: bool) -> list[dict[str, Any]]:
    """Measure and estimate each case, and print both."""
    results = []
    for number, one in cases:
        directory = real if one["model"] == "real" else random_model
        took = measured(one, directory)
        expected, parts = estimated(one, directory)
        percent = 100 * (expected - took) / took
        results.append({"case": describe(one), "percent": round(percent, 1)})
        print(
            f"{number:3} {took / 2**20:7.0f} MiB {expected / 2**20:7.0f} {percent:+6.1f} %  {describe(one)}", flush=True
        )
        if verbose:
            print("      " + ", ".join(f"{name} {size / 2**20:.0f}" for name, size in parts.items()), flush=True)
    return results


def main() -> None:
    """Run the grid, or one training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path(".cache/smollm2-135m"))
    parser.add_argument("--grid", choices=["small", "full"], default="full")
    parser.add_argument("--case", type=int, action="append", help="only these cases, by number")
    parser.add_argument("--parts", action="store_true", help="show what estimates are made of")
    parser.add_argument("--train", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.train:
        print(train_here(json.loads(given.train), given.model))
        return
    numbers = given.case or (SMALL if given.grid == "small" else list(range(len(GRID))))
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "random"
        if any(GRID[number]["model"] == "random" for number in numbers):
            subprocess.run([sys.executable, "-c", _SAVE, __file__, str(directory)], check=True)
        results = compare([(number, GRID[number]) for number in numbers], given.model, directory, verbose=given.parts)
    worst = max(results, key=lambda result: abs(result["percent"]))
    print(json.dumps({"trainings": len(results), "worst_percent": worst["percent"], "worst_case": worst["case"]}))


_SAVE = "import runpy, sys, pathlib; runpy.run_path(sys.argv[1])['save_random_model'](pathlib.Path(sys.argv[2]))"

if __name__ == "__main__":
    main()
