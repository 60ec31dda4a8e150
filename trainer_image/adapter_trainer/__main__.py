"""The entry: `python -m adapter_trainer`, with everything it needs in the environment."""

import os
import sys

from adapter_trainer.program import main

sys.exit(main(os.environ))
