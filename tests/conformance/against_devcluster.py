#!/usr/bin/env python3
"""Plays the recorded scenarios against the embedded cluster: RBAC on, controllers on, no node.

Arguments are those of ``conformance.py check``: names of scenarios, and ``--verbose``.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import conformance
from adapter_devcluster.devcluster import DevCluster


def main() -> int:
    with DevCluster(node=False) as cluster:
        sys.argv[1:] = ["check", *sys.argv[1:], "--server", cluster.url, "--token", cluster.token]
        return conformance.main()


if __name__ == "__main__":
    sys.exit(main())
