"""Helm: installs a chart in a process of its own, since its library keeps threads and handlers of signals.

`python -m adapter_quickstart.helm` reads one JSON object {kubeconfig, namespace, chart, release, values} from
standard input.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from adapter_quickstart.kubectl import CommandFailed

_TIMEOUT_SECONDS = 60


def install(kubeconfig: Path, namespace: str, chart: Path, release: str, values: dict[str, Any]) -> None:
    """Install a chart, and wait until what it holds is ready.

    Raises:
        CommandFailed: Helm refused.
    """
    request = {
        "kubeconfig": str(kubeconfig),
        "namespace": namespace,
        "chart": str(chart),
        "release": release,
        "values": values,
    }
    done = subprocess.run(
        [sys.executable, "-m", "adapter_quickstart.helm"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=2 * _TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise CommandFailed(f"helm install {release} {chart}: {done.stderr.strip()}")


def main() -> int:
    """Install what standard input asks for."""
    import helm_python  # noqa: PLC0415 - loaded in its own process only

    request = json.load(sys.stdin)
    with helm_python.Config(kubeconfig_path=request["kubeconfig"], namespace=request["namespace"]) as config:
        try:
            config.install(
                request["chart"],
                request["release"],
                request["values"],
                create_namespace=True,
                wait="watcher",
                timeout=_TIMEOUT_SECONDS,
            )
        except helm_python.HelmError as error:
            sys.stderr.write(f"{error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
