"""Our trainer against TRL's SFTTrainer and transformers' Trainer: speed, memory, loss, and how soon they begin.

    make bench-trainer [ARGS="--repetitions 1 --only log-uniform"]

Same model, examples, hyperparameters and number of steps, on one core; each configuration in a process of its own,
one after the other, the whole round repeated. Figures are medians, with their range. Throughput is tokens without
padding by the seconds of the training itself, memory the largest resident size of the process, loading included. The
loss on held-out examples is computed for all by PEFT itself, one example at a time. The last line is a JSON object.

The grouped configuration can't be shown on a few examples: it gets batches that its sampler makes of a large data set
of the same lengths. So its tokens are others, and its loss is not compared.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from adapter_contract import mount_environment, sha256_bytes
from adapter_contract.pods import (
    ATTEMPT,
    BIND_ADDRESS,
    MANAGEMENT_PORT_VARIABLE,
    TERMINATION_FILE,
    TRAINER_CONFIG_FILE,
    WORK_DIRECTORY,
)

HERE = Path(__file__).parent
GIVEN: dict[str, Any] = {
    "rank": 16,
    "alpha": 32,
    "learning_rate": 2e-4,
    "batch": 8,
    "max_length": 512,
    "max_gradient_norm": 1.0,
}
HYPERPARAMETERS: dict[str, Any] = {
    "epochs": "1",
    "learningRate": "2e-4",
    "scheduler": "Constant",
    "warmup": "0",
    "batchSize": 8,
    "maxSequenceLength": 512,
    "packing": "Enabled",
    "seed": 0,
    "optimizer": "AdamW",
    "weightDecay": "0",
    "maxGradientNorm": "1",
}
EXAMPLES = {"log-uniform": 32, "long": 16}
NAMES = {
    "ours": "this trainer",
    "trl": "TRL SFTTrainer",
    "trl-packing": "TRL SFTTrainer, packing",
    "hf": "transformers Trainer, padding",
    "hf-grouped": "transformers Trainer, grouped by length",
}
ON_A_GPU = """\
What of this would not carry over to a GPU (none was measured): there, TRL computes logits for learned tokens only and
attention without a mask or padding when it packs, so there is less to gain over its packing. Attention by plain matrix
products, layers in functions of our own, and weights rounded once instead of dequantized in each step are for CPUs; on
a GPU weights stay packed in 4 or 8 bits. What remains is no padding at unchanged steps, no recomputation while memory
suffices, and logits that are never kept."""


@dataclass
class Runs:
    """What was measured of one configuration."""

    seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    adapter: Path | None = None

    def speeds(self) -> list[float]:
        """Return tokens per second of each repetition."""
        return [tokens / seconds for tokens, seconds in zip(self.tokens, self.seconds, strict=True)]


@dataclass(frozen=True)
class Ended:
    """A process that ended well."""

    stdout: str
    peak: int
    started: float


class Bench:
    """One data set."""

    def __init__(self, options: argparse.Namespace, kind: str, directory: Path) -> None:
        self.options = options
        self.kind = kind
        self.directory = directory
        self.runs: defaultdict[str, Runs] = defaultdict(Runs)
        self.parts: defaultdict[str, list[float]] = defaultdict(list)
        self.first: list[float] = []
        directory.mkdir()

    def prepare(self) -> None:
        """Write the data, and let our trainer keep what it keeps of a base model that it sees for the first time."""
        plan = {
            "lengths": self.kind,
            "examples": self.options.examples or EXAMPLES[self.kind],
            "held_out": 12,
            "pool": 1600,
            "batch": GIVEN["batch"],
            "seed": 1,
            "hyperparameters": HYPERPARAMETERS,
        }
        program = [sys.executable, str(HERE / "speed_data.py")]
        self._run([*program, str(self.options.model), str(self.directory), json.dumps(plan)])
        self._ours("warm", {"maxSteps": 1})

    def measure(self, repetition: int) -> None:
        """Run each configuration once."""
        for name in self.options.configurations:
            if name == "ours":
                self._measure_ours(repetition)
            else:
                self._measure_peer(name, repetition)
            runs = self.runs[name]
            found = f"{runs.speeds()[-1]:.1f} tokens/s, {runs.peak[-1] >> 20} MiB"
            print(f"{self.kind}, repetition {repetition + 1}, {NAMES[name]}: {found}", flush=True)

    def judged(self) -> dict[str, float]:
        """Return the loss on held-out examples of each configuration's first adapter, and of the base."""
        names = [name for name in self.options.configurations if name != "hf-grouped"]
        paths = [str(self.runs[name].adapter) for name in names]
        data = str(self.directory / "held_out.json")
        ended = self._run([sys.executable, str(HERE / "speed_judge.py"), str(self.options.model), data, *paths])
        return dict(zip([*names, "base"], json.loads(ended.stdout.splitlines()[-1]), strict=True))

    def _measure_peer(self, name: str, repetition: int) -> None:
        output = self.directory / f"{name}-{repetition}"
        data = self.directory / ("grouped.json" if name == "hf-grouped" else "train.json")
        command = [sys.executable, str(HERE / "speed_peers.py"), name, str(self.options.model), str(data), str(output)]
        ended = self._run([*command, str(time.time()), json.dumps(GIVEN)], PYTHONPATH=str(self.options.peers))
        told = json.loads(ended.stdout.splitlines()[-1])
        runs = self.runs[name]
        runs.seconds.append(told["train_seconds"])
        runs.tokens.append(told["tokens"])
        runs.peak.append(ended.peak)
        runs.first.append(told["first_step"])
        runs.adapter = runs.adapter or output

    def _measure_ours(self, repetition: int) -> None:
        lines, peak, _, adapter = self._ours(f"ours-{repetition}", {})
        stages = {line["stage"]: line["seconds"] for line in lines if "stage" in line}
        rows = json.loads((self.directory / "train.json").read_text())
        runs = self.runs["ours"]
        runs.seconds.append(stages["training"])
        runs.tokens.append(sum(len(row["input_ids"]) for row in rows))
        runs.peak.append(peak)
        runs.adapter = runs.adapter or adapter
        self._measure_first_step(repetition)

    def _measure_first_step(self, repetition: int) -> None:
        """Train one step: from the start of the process to the end of the stage that makes it."""
        lines, _, started, _ = self._ours(f"first-{repetition}", {"maxSteps": 1})
        at = {line["stage"]: datetime.fromisoformat(line["time"]).timestamp() for line in lines if "stage" in line}
        took = {line["stage"]: line["seconds"] for line in lines if "stage" in line}
        total = at["training"] - started
        self.runs["ours"].first.append(total)
        until = list(at).index("training") + 1
        for name in list(at)[:until]:
            self.parts[name].append(took[name])
        self.parts["start of the program, and what lies between"].append(total - sum(list(took.values())[:until]))

    def _ours(self, name: str, changes: dict[str, Any]) -> tuple[list[dict[str, Any]], int, float, Path]:
        directory = self.directory / name
        directory.mkdir()
        document = _configuration(self.options.model, self.directory / "train.jsonl", directory / "output", changes)
        (directory / "config.json").write_text(json.dumps(document))
        variables = {
            **mount_environment([str(self.directory), str(self.options.model)]),
            ATTEMPT: "1",
            BIND_ADDRESS: "127.0.0.1",
            MANAGEMENT_PORT_VARIABLE: "0",
            TERMINATION_FILE: str(directory / "termination"),
            TRAINER_CONFIG_FILE: str(directory / "config.json"),
            WORK_DIRECTORY: str(directory / "work"),
        }
        ended = self._run([sys.executable, "-m", "adapter_trainer"], **variables)
        lines = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
        (adapter,) = (directory / "output").rglob("adapter_model.safetensors")
        return lines, ended.peak, ended.started, adapter.parent

    def _run(self, command: Sequence[str], **variables: str) -> Ended:
        """Run a program on the core that this one runs on."""
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            started = time.time()
            environment = os.environ | {"OMP_NUM_THREADS": "1"} | variables
            process = subprocess.Popen(command, stdout=out, stderr=err, env=environment, cwd=self.directory)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            err.seek(0)
            if process.returncode != 0:
                log = out.read()[-3000:] + err.read()[-3000:]
                raise SystemExit(f"{command[1:3]} ended with {process.returncode}:\n{log}")
            return Ended(out.read(), used.ru_maxrss * 1024, started)


def _configuration(model: Path, data: Path, output: Path, changes: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": "TrainerConfig",
        "schemaVersion": 1,
        "training": {"cluster": "bench", "namespace": "bench", "name": "bench", "uid": "3f0c2b1e-6a57"},
        "run": {
            "number": 1,
            "specHash": sha256_bytes(b"spec"),
            "recipeHash": sha256_bytes(json.dumps(changes).encode()),
            "hashVersion": 1,
        },
        "baseModel": {"name": "bench/smollm2-135m", "source": {"type": "Path", "path": str(model)}},
        "dataset": {
            "source": {"type": "Path", "path": str(data)},
            "format": "PromptCompletion",
            "unusableExamples": {"action": "Fail", "maxPercent": "0"},
        },
        "method": {
            "type": "LoRA",
            "rank": GIVEN["rank"],
            "alpha": GIVEN["alpha"],
            "dropout": "0",
            "targetModules": ["all-linear"],
            "scaling": "Standard",
            "weightDecomposition": "Disabled",
            "initialization": "Default",
        },
        "quantization": {"type": "NF4", "computeType": "BFloat16", "doubleQuantization": "Enabled"},
        "objective": {"type": "SupervisedFineTuning", "lossOn": "Completion"},
        "hyperparameters": HYPERPARAMETERS | changes,
        "checkpoint": {"intervalSeconds": 3600, "keep": 1},
        "output": {"location": {"uri": f"file://{output}"}},
        "preflight": {"mode": "Disabled"},
        "lineage": {"image": "adapter-trainer:bench", "operatorVersion": "0.1.0"},
        "reuse": "Allowed",
    }


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Return the median and the range."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def table(bench: Bench, losses: dict[str, float]) -> None:
    """Print what was measured on one data set."""
    runs = bench.runs
    ours = statistics.median(runs["ours"].speeds())
    tokens = runs["ours"].tokens[0]
    print(f"\n{bench.kind} lengths, {tokens} tokens, loss of the base {losses['base']:.4f}\n")
    print(f"| {'configuration':40} | tokens/s | ours is faster by | peak MiB | first step after s | held-out loss |")
    print("|---|---|---|---|---|---|")
    for name in bench.options.configurations:
        one = runs[name]
        speed = statistics.median(one.speeds())
        loss = f"{losses[name]:.4f}" if name in losses else "-"
        peak = spread([peak / 2**20 for peak in one.peak], 0)
        cells = [f"{NAMES[name]:40}", spread(one.speeds()), f"{ours / speed:.2f}", peak, spread(one.first), loss]
        print(f"| {' | '.join(cells)} |")


def summary(benches: Sequence[Bench], losses: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Return the last line: figures of the first data set, and how the others compare with the best peer."""
    found: dict[str, Any] = {}
    for bench, loss in zip(benches, losses, strict=True):
        medians = {name: statistics.median(runs.speeds()) for name, runs in bench.runs.items()}
        best = max((speed for name, speed in medians.items() if name != "ours"), default=None)
        if bench is not benches[0]:
            found[f"vs_best_peer_{bench.kind}"] = _ratio(medians["ours"], best)
            continue
        peaks = {name: statistics.median(runs.peak) for name, runs in bench.runs.items()}
        found |= {
            "lengths": bench.kind,
            "tokens_per_second": round(medians["ours"], 1),
            "vs_trl_default": _ratio(medians["ours"], medians.get("trl")),
            "vs_trl_packing": _ratio(medians["ours"], medians.get("trl-packing")),
            "vs_best_peer": _ratio(medians["ours"], best),
            "peak_memory_vs_trl_default": _ratio(peaks["ours"], peaks.get("trl")),
            "eval_loss_vs_trl_percent": round(100 * (loss["ours"] / loss["trl"] - 1), 3) if "trl" in loss else None,
            "seconds_to_first_step": round(statistics.median(bench.runs["ours"].first), 2),
        }
    return found


def _ratio(ours: float, theirs: float | None) -> float | None:
    return None if theirs is None else round(ours / theirs, 3)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, default=Path(".cache/smollm2-135m"))
    parser.add_argument("--peers", type=Path, default=Path(".cache/peers"), help="where TRL is installed")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--only", choices=tuple(EXAMPLES), help="one data set")
    parser.add_argument("--examples", type=int, help="training examples, a multiple of 8")
    parser.add_argument("--configurations", nargs="+", choices=tuple(NAMES), default=list(NAMES))
    parser.add_argument("--core", type=int, default=0)
    options = parser.parse_args()
    options.model, options.peers = options.model.resolve(), options.peers.resolve()
    return options


def main() -> None:
    """Measure and print."""
    options = _options()
    os.sched_setaffinity(0, {options.core})
    with tempfile.TemporaryDirectory(prefix="bench-trainer-") as scratch:
        benches = [Bench(options, kind, Path(scratch) / kind) for kind in EXAMPLES if options.only in {None, kind}]
        for bench in benches:
            bench.prepare()
        for repetition in range(options.repetitions):
            for bench in benches:
                bench.measure(repetition)
        losses = [bench.judged() for bench in benches]
        for bench, loss in zip(benches, losses, strict=True):
            table(bench, loss)
        print("\nFrom the start of our process to the end of its first step, base model seen before:")
        for name, values in benches[0].parts.items():
            print(f"  {statistics.median(values):6.2f} s  {name}")
        print(f"\n{ON_A_GPU}\n")
        print(json.dumps(summary(benches, losses)))


if __name__ == "__main__":
    main()
