"""One run of a peer: TRL's SFTTrainer or transformers' Trainer, with the settings of the comparison.

    python speed_peers.py KIND MODEL DATA.json OUTPUT STARTED SETTINGS.json

KIND: `trl`, `trl-packing`, `hf` (padding) or `hf-grouped` (padding; the data are in the order of its sampler). STARTED
is the time at which the process was started. The last line of the output is a JSON object.
"""

import json
import os
import sys
import time
import warnings
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TOKENIZERS_PARALLELISM": "false"}
warnings.simplefilter("ignore")

import torch  # noqa: E402 - after the variables
from transformers import (  # noqa: E402
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

Rows = list[dict[str, list[int]]]


class Clock(TrainerCallback):
    """Keeps when the first optimizer step was done."""

    first: float | None = None

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Called by the trainer."""
        self.first = self.first or time.time()


def arguments(output: str, given: dict[str, Any], batch: int) -> dict[str, Any]:
    """Return what both trainers are told; data are taken in order, one pass."""
    return {
        "output_dir": output,
        "per_device_train_batch_size": batch,
        "num_train_epochs": 1,
        "learning_rate": given["learning_rate"],
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "max_grad_norm": given["max_gradient_norm"],
        "bf16": True,
        "use_cpu": True,
        "seed": 0,
        "train_sampling_strategy": "sequential",
        "save_strategy": "no",
        "logging_steps": 1,
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def lora(given: dict[str, Any]) -> Any:
    """Return PEFT's settings."""
    from peft import LoraConfig  # noqa: PLC0415 - its import is part of what is measured

    return LoraConfig(
        task_type="CAUSAL_LM", r=given["rank"], lora_alpha=given["alpha"], lora_dropout=0.0, target_modules="all-linear"
    )


def load(model: str) -> Any:
    """Load the base in NF4."""
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_use_double_quant=True,
    )
    return AutoModelForCausalLM.from_pretrained(
        model, quantization_config=config, dtype=torch.bfloat16, device_map={"": "cpu"}
    )


def trl(model: str, rows: Rows, output: str, given: dict[str, Any], *, packing: bool) -> Any:
    """Return TRL's trainer; with packing, as many bins per step as give the same number of steps."""
    from datasets import Dataset  # noqa: PLC0415 - as above
    from trl import SFTConfig, SFTTrainer  # noqa: PLC0415 - as above

    batch = given["batch"]
    if packing:
        tokens = sum(len(row["input_ids"]) for row in rows)
        batch = max(1, round(tokens / given["max_length"] / (len(rows) / batch)))
    config = SFTConfig(**arguments(output, given, batch), max_length=given["max_length"], packing=packing)
    return SFTTrainer(
        model=load(model),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(model),
        peft_config=lora(given),
    )


def transformers_trainer(model: str, rows: Rows, output: str, given: dict[str, Any]) -> Any:
    """Return transformers' trainer with padding to the longest of a batch."""
    from peft import get_peft_model  # noqa: PLC0415 - as above
    from transformers import DataCollatorForSeq2Seq  # noqa: PLC0415 - as above

    labelled = [
        {
            "input_ids": row["input_ids"],
            "labels": [
                token if learned else -100
                for token, learned in zip(row["input_ids"], row["completion_mask"], strict=True)
            ],
        }
        for row in rows
    ]
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    adapted = get_peft_model(load(model), lora(given))
    return Trainer(
        model=adapted,
        args=TrainingArguments(**arguments(output, given, given["batch"])),
        train_dataset=labelled,
        data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=-100),
        processing_class=tokenizer,
    )


def main(kind: str, model: str, data: str, output: str, started: float, given: dict[str, Any]) -> None:
    """Train, save the adapter and tell the times."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with open(data) as file:  # noqa: PTH123
        rows: Rows = json.load(file)
    if kind.startswith("trl"):
        trainer = trl(model, rows, output, given, packing=kind == "trl-packing")
    else:
        trainer = transformers_trainer(model, rows, output, given)
    clock = Clock()
    trainer.add_callback(clock)
    began = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - began
    trainer.model.save_pretrained(output)
    told = {
        "train_seconds": seconds,
        "tokens": sum(len(row["input_ids"]) for row in rows),
        "steps": trainer.state.global_step,
        "first_step": (clock.first or 0) - started,
    }
    sys.stdout.write("\n" + json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:5], float(sys.argv[5]), json.loads(sys.argv[6]))
