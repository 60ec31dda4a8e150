"""What the process is started with: the pod's environment, read once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adapter_contract import ContractError, ExitCode, MountTable, ServerConfig
from adapter_contract.pods import (
    ADAPTER_SET_FILE,
    BIND_ADDRESS,
    MANAGEMENT_PORT,
    MANAGEMENT_PORT_VARIABLE,
    SERVER_CONFIG,
    SERVING_PORT,
    SERVING_PORT_VARIABLE,
    TERMINATION_FILE,
    WORK_DIRECTORY,
)
from adapter_server.errors import ServerError


@dataclass(frozen=True, slots=True)
class Startup:
    """The pod's environment, checked.

    Attributes:
        config: with all paths as they really are.
        mounts: for documents that are read later.
        set_file: the mounted AdapterSet.
        work: a writable directory.
        address: to listen on; empty means all.
    """

    config: ServerConfig
    mounts: MountTable
    set_file: Path
    work: Path
    address: str
    serving_port: int
    management_port: int


def termination_file(environment: Mapping[str, str]) -> Path | None:
    """Return where the termination message goes, where the pod says so."""
    path = environment.get(TERMINATION_FILE)
    return Path(path) if path else None


def read_startup(environment: Mapping[str, str]) -> Startup:
    """Read the environment.

    Raises:
        ServerError: a variable is missing or wrong, or the configuration asks for what this release can't do.
    """
    try:
        mounts = MountTable.from_environment(environment)
        config = ServerConfig.from_json(_required(environment, SERVER_CONFIG))
    except ContractError as error:
        raise _refusal(f"{SERVER_CONFIG}: {error}") from error
    except ValueError as error:
        raise _refusal(str(error)) from error
    _require_supported(config)
    work = Path(_required(environment, WORK_DIRECTORY))
    if not os.access(work, os.W_OK | os.X_OK):
        raise _refusal(f"{WORK_DIRECTORY}: {work} is no directory that can be written: mount an emptyDir there")
    return Startup(
        config=mounts.resolve_paths(config),
        mounts=mounts,
        set_file=Path(_required(environment, ADAPTER_SET_FILE)),
        work=work,
        address=environment.get(BIND_ADDRESS, ""),
        serving_port=_port(environment, SERVING_PORT_VARIABLE, SERVING_PORT),
        management_port=_port(environment, MANAGEMENT_PORT_VARIABLE, MANAGEMENT_PORT),
    )


def _require_supported(config: ServerConfig) -> None:
    if config.engine.type != "Transformers":
        raise _refusal(
            f"engine.type {config.engine.type} can't be run by this release: set spec.engine.type to Transformers"
        )


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise _refusal(f"the environment variable {name} is missing")
    return value


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise _refusal(f"{name}: {text!r} is no port number")
    return int(text)


def _refusal(message: str) -> ServerError:
    return ServerError(ExitCode.BAD_CONFIGURATION, message)
