"""``python -m adapter_devcluster up|down|status``: a development Kubernetes on this machine."""

from __future__ import annotations

import sys

from adapter_devcluster.command_line import main

if __name__ == "__main__":
    sys.exit(main())
