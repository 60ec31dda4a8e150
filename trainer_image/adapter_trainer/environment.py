"""What the pod tells the program in its environment, and the configuration that it points at."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adapter_contract import ContractError, MountTable, TrainerConfig
from adapter_contract.documents import parse_object
from adapter_contract.pods import (
    ATTEMPT,
    BIND_ADDRESS,
    MANAGEMENT_PORT,
    MANAGEMENT_PORT_VARIABLE,
    TRAINER_CONFIG_FILE,
    WORK_DIRECTORY,
)
from adapter_trainer.errors import BadConfiguration

_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Environment:
    """The pod's environment.

    Attributes:
        config_file: the mounted TrainerConfig.
        work_directory: writable, with room for the inputs and the adapter.
        attempt: number of the attempt, from 1.
        bind_address, management_port: where the management server listens; an empty address means all.
        mounts: where mounted paths really are.
    """

    config_file: Path
    work_directory: Path
    attempt: int
    bind_address: str
    management_port: int
    mounts: MountTable

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> "Environment":
        """Read the variables.

        Raises:
            BadConfiguration: naming the variable.
        """
        try:
            mounts = MountTable.from_environment(variables)
        except ValueError as error:
            raise BadConfiguration(
                f"the environment is inconsistent: {error}; let the operator make the pod"
            ) from error
        return cls(
            config_file=Path(_required(variables, TRAINER_CONFIG_FILE)),
            work_directory=Path(_required(variables, WORK_DIRECTORY)),
            attempt=_number(variables, ATTEMPT, least=1, most=2**53 - 1),
            bind_address=variables.get(BIND_ADDRESS, ""),
            management_port=_number(
                variables, MANAGEMENT_PORT_VARIABLE, least=0, most=_MAX_PORT, default=MANAGEMENT_PORT
            ),
            mounts=mounts,
        )


@dataclass(frozen=True, slots=True)
class Configuration:
    """A run's configuration, twice.

    Attributes:
        declared: as the operator wrote it; what is recorded of it is taken from here.
        resolved: with every mounted path as it really is here; files are opened by this one.
    """

    declared: TrainerConfig
    resolved: TrainerConfig


@dataclass(frozen=True, slots=True)
class ConfigurationFile:
    """The bytes of the configuration, before it is known whether they are one.

    Attributes:
        path: for messages.
        data: the bytes.
        run: the number of the run, where at least that can be read.
    """

    path: Path
    data: bytes
    run: int | None

    @classmethod
    def read(cls, path: Path) -> "ConfigurationFile":
        """Read the file.

        Raises:
            BadConfiguration: it can't be read.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BadConfiguration(
                f"the configuration {path} can't be read ({error.strerror}); check the volume of the pod's config map"
            ) from error
        return cls(path, data, _run_number(data))

    def parse(self, mounts: MountTable) -> Configuration:
        """Return the configuration.

        Raises:
            BadConfiguration: naming every field that does not fit.
        """
        try:
            declared = TrainerConfig.from_json(self.data)
        except ContractError as error:
            raise BadConfiguration(f"the configuration {self.path} can't be used: {error}") from error
        return Configuration(declared, mounts.resolve_paths(declared))


def _run_number(data: bytes) -> int | None:
    """Return the run's number also from a configuration that is wrong elsewhere, so that its end can be told."""
    try:
        run = parse_object(data, limit=TrainerConfig.max_bytes).get("run")
    except ContractError:
        return None
    number = run.get("number") if isinstance(run, dict) else None
    return number if type(number) is int and number >= 1 else None


def _required(variables: Mapping[str, str], name: str) -> str:
    value = variables.get(name)
    if not value:
        raise BadConfiguration(f"the environment variable {name} is not set; let the operator make the pod")
    return value


def _number(variables: Mapping[str, str], name: str, *, least: int, most: int, default: int | None = None) -> int:
    text = variables.get(name) or ("" if default is None else str(default))
    if not text.isascii() or not text.isdigit() or not least <= int(text[:20]) <= most:
        raise BadConfiguration(f"the environment variable {name} must be a number from {least} to {most}, not {text!r}")
    return int(text)
