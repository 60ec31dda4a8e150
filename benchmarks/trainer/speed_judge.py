"""The loss on held-out examples, of any adapter in PEFT's format, by PEFT itself and one example at a time.

    python speed_judge.py MODEL HELD_OUT.json ADAPTER...

The output is a JSON array: the mean negative log likelihood per learned token of each adapter, then that of the base.
"""

import json
import sys

import torch
from peft import PeftModel
from torch.nn import functional
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

torch.set_num_threads(1)


@torch.no_grad()
def loss(model: torch.nn.Module, rows: list[dict[str, list[int]]]) -> float:
    """Return the mean over all learned tokens."""
    total, count = 0.0, 0
    for row in rows:
        ids = torch.tensor([row["input_ids"]])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(input_ids=ids).logits[0, :-1].float()
        learned = torch.tensor(row["completion_mask"][1:], dtype=torch.bool)
        total += float(functional.cross_entropy(logits[learned], ids[0, 1:][learned], reduction="sum"))
        count += int(learned.sum())
    return total / count


def main(model: str, held_out: str, adapters: list[str]) -> None:
    """Judge all."""
    with open(held_out) as file:  # noqa: PTH123
        rows = json.load(file)
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_use_double_quant=True,
    )
    base = AutoModelForCausalLM.from_pretrained(
        model, quantization_config=config, dtype=torch.bfloat16, device_map={"": "cpu"}
    )
    # In training mode, which has no other effect on this model, weights keep the layout that they are stored in.
    base.train()
    losses = [loss(base, rows)]
    adapted = None
    for number, adapter in enumerate(adapters):
        name = f"adapter{number}"
        if adapted is None:
            adapted = PeftModel.from_pretrained(base, adapter, adapter_name=name)
        else:
            adapted.load_adapter(adapter, adapter_name=name)
        adapted.set_adapter(name)
        losses.append(loss(adapted.train(), rows))
    sys.stdout.write("\n" + json.dumps([*losses[1:], losses[0]]) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
