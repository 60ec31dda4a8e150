"""The real Helm 4, through its SDK, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from adapter_testing.kubectl import Kubectl

READY = {"wait": "watcher", "timeout": 30}
# The library keeps threads and handlers of signals of its own, so it gets a process of its own.
SCRIPT = """
import json, sys
import helm_python
kubeconfig, namespace, steps = sys.argv[1:]
with helm_python.Config(kubeconfig_path=kubeconfig, namespace=namespace) as config:
    for method, arguments, options in json.loads(steps):
        try:
            print(json.dumps(getattr(config, method)(*arguments, **options)))
        except helm_python.HelmError as error:
            print(json.dumps({"error": str(error)}))
"""
Step = tuple[str, list[Any], dict[str, Any]]


def step(method: str, *arguments: Any, **options: Any) -> Step:
    return method, [str(one) if isinstance(one, Path) else one for one in arguments], options


def helm(kubectl: Kubectl, *steps: Step) -> list[Any]:
    """Take steps with Helm in the test's namespace, and return what came of each."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(kubectl.kubeconfig), kubectl.namespace, json.dumps(steps)],
        env={"HOME": str(kubectl.home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
