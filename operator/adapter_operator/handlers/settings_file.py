"""Reads the operator's settings from their YAML file."""

from pathlib import Path

import yaml

from adapter_operator.api.settings import InvalidSettingsError, OperatorSettings


class SettingsFileError(Exception):
    """The settings can't be used; the message names the file, the fields and what is wrong."""


def read_settings(path: Path) -> OperatorSettings:
    """Read a settings file.

    Raises:
        SettingsFileError: it can't be read, is no YAML, or has wrong fields.

    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsFileError(f"{path}: {error}") from error
    try:
        return OperatorSettings.read(document)
    except InvalidSettingsError as error:
        raise SettingsFileError(f"{path}: {error}") from error
