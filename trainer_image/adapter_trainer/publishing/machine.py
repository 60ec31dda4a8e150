"""What the training ran on: versions, devices, memory."""

import platform
import resource
from importlib import metadata
from pathlib import Path

_PACKAGES = (
    "accelerate",
    "adapter-operator",
    "bitsandbytes",
    "numpy",
    "peft",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
)


def library_versions() -> dict[str, str]:
    """Return the versions that decide what comes out of a training, by package, and Python's own."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def gpu_count(devices: Path = Path("/dev")) -> int:
    """Return how many NVIDIA GPUs the container holds, used or not: the device plugin shows it these only."""
    return sum(path.name.removeprefix("nvidia").isdigit() for path in devices.glob("nvidia[0-9]*"))


def cpu_name(cpu_information: Path = Path("/proc/cpuinfo")) -> str:
    """Return the CPU's model, as Linux names it."""
    try:
        lines = cpu_information.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next((name for name in names if name), platform.machine())[:1024]


def peak_memory_bytes() -> int:
    """Return the most of the machine's memory that the process has had; Linux counts in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
