"""The entry: `python -m adapter_trainer.preflight`, with the trainer's environment."""

import os
import sys

from adapter_trainer.libraries import LIBRARIES
from adapter_trainer.processors import usable_processors

# Nothing but the tokenizer computes here, so it may have all processors, and transformers need not advise to install
# torch.
os.environ.update(LIBRARIES | {"TOKENIZERS_PARALLELISM": "true", "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1"})
os.environ.setdefault("RAYON_NUM_THREADS", str(usable_processors()))

# Where torch is installed, transformers would import it for its tokenizers: seconds and hundreds of megabytes that
# nothing here needs. None makes every import fail, and libraries do as if it were not there, as in the slim image.
for _name in ("torch", "peft", "bitsandbytes", "accelerate"):
    sys.modules[_name] = None  # type: ignore[assignment]  # the import system's own way to forbid a module

from adapter_trainer.preflight.program import main  # noqa: E402 - after the modules that it must not import

sys.exit(main(os.environ))
