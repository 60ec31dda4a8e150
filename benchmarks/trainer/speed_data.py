"""Examples for the comparison: prompts and completions of pseudo-words, of given lengths in tokens.

    python speed_data.py MODEL DIRECTORY PLAN.json

The plan: `lengths` ("log-uniform" or "long"), `examples`, `held_out`, `pool`, `batch`, `seed`. Written are, for our
trainer, `train.jsonl`; for the peers, `train.json` (the same tokens in the order in which our trainer takes them),
`grouped.json` (see `grouped`) and, for judging all, `held_out.json`.
"""

import json
import math
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer
from transformers.trainer_pt_utils import get_length_grouped_indices

SYLLABLES = ("ba", "lo", "ri", "ten", "mar", "sol", "qui", "der", "an", "ge", "pha", "stra", "wick", "um", "el", "os")
RANGES = {"log-uniform": (20, 400), "long": (320, 400)}


def lengths(kind: str, count: int, rng: random.Random) -> list[int]:
    """Return lengths in tokens."""
    low, high = RANGES[kind]
    if kind == "log-uniform":
        return [round(math.exp(rng.uniform(math.log(low), math.log(high)))) for _ in range(count)]
    return [rng.randint(low, high) for _ in range(count)]


def write(tokenizer: Any, tokens: int, rng: random.Random) -> dict[str, str]:
    """Return a prompt and a completion that have about so many tokens together, the end of text among them."""
    vocabulary = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(tokens)]
    ids = tokenizer(" ".join(vocabulary), add_special_tokens=False)["input_ids"][: tokens - 1]
    middle = len(ids) // 2
    return {"prompt": tokenizer.decode(ids[:middle]), "completion": tokenizer.decode(ids[middle:])}


def tokenized(row: dict[str, str], tokenizer: Any) -> dict[str, list[int]]:
    """Return what our trainer makes of a row: prompt and completion together, then the end of the text."""
    prompt = tokenizer(row["prompt"], add_special_tokens=False)["input_ids"]
    whole = [
        *tokenizer(row["prompt"] + row["completion"], add_special_tokens=False)["input_ids"],
        tokenizer.eos_token_id,
    ]
    return {"input_ids": whole, "completion_mask": [0] * len(prompt) + [1] * (len(whole) - len(prompt))}


def grouped(pool: Sequence[dict[str, list[int]]], batch: int, steps: int) -> list[dict[str, list[int]]]:
    """Return the batches that transformers' sampler makes of a large data set: one of each quantile of their lengths.

    Few examples can't be grouped at all (its groups are sorted fourths of the data, of 50 batches at most), so it is
    shown here with what it does for a data set of the pool's size.
    """
    order = get_length_grouped_indices([len(row["input_ids"]) for row in pool], batch)
    batches = [[pool[index] for index in order[start : start + batch]] for start in range(0, len(order), batch)]
    batches.sort(key=lambda rows: sum(len(row["input_ids"]) for row in rows))
    return [row for step in range(steps) for row in batches[int((step + 0.5) / steps * len(batches))]]


def main(model: str, directory: Path, plan: dict[str, Any]) -> None:
    """Write the files."""
    import torch  # noqa: PLC0415

    from adapter_contract import Hyperparameters  # noqa: PLC0415
    from adapter_trainer.training.schedule import Schedule  # noqa: PLC0415

    rng = random.Random(plan["seed"])  # noqa: S311 - data for a benchmark
    torch.manual_seed(plan["seed"])
    tokenizer = AutoTokenizer.from_pretrained(model)
    rows = [write(tokenizer, length, rng) for length in lengths(plan["lengths"], plan["examples"], rng)]
    held_out = [write(tokenizer, length, rng) for length in lengths(plan["lengths"], plan["held_out"], rng)]
    pool = [write(tokenizer, length, rng) for length in lengths(plan["lengths"], plan["pool"], rng)]
    schedule = Schedule(len(rows), Hyperparameters.model_validate_json(json.dumps(plan["hyperparameters"])))
    order = [position for step in range(1, schedule.total_steps + 1) for position in schedule.batch(step)]
    tokens = [tokenized(row, tokenizer) for row in rows]
    (directory / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    _dump(directory / "train.json", [tokens[position] for position in order])
    _dump(directory / "held_out.json", [tokenized(row, tokenizer) for row in held_out])
    several = [tokenized(row, tokenizer) for row in pool]
    _dump(directory / "grouped.json", grouped(several, plan["batch"], schedule.total_steps))


def _dump(path: Path, rows: list[dict[str, list[int]]]) -> None:
    path.write_text(json.dumps(rows))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))
