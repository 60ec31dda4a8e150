"""`python -m adapter_server`: no arguments; the pod's environment says everything (see `startup`)."""

import sys

from adapter_server.program import main

sys.exit(main())
