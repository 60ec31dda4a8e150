"""One module per method: how its adapter is put on a base model, computed, read and written."""

import importlib
import sys

import torch


def _import_peft() -> None:
    """Import the PEFT library, without bitsandbytes where no layer of it can come up.

    That takes 2 seconds less: bitsandbytes imports PyTorch's compiler. PEFT asks
    once whether it is there, and keeps the answer.
    """
    hidden = "bitsandbytes" not in sys.modules and not torch.cuda.is_available()
    if hidden:
        sys.modules["bitsandbytes"] = None  # type: ignore[assignment]  # how Python itself marks what isn't to be found
    try:
        importlib.import_module("peft.tuners.lora")
        importlib.import_module("peft.import_utils").is_bnb_available()
    finally:
        if hidden:
            del sys.modules["bitsandbytes"]


_import_peft()
