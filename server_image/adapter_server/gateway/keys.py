"""API keys: a mounted YAML file that names each key, its SHA-256 and the models that it may see.

    - name: team-a
      sha256: <64 hexadecimal digits of the key's UTF-8 bytes>
      models: [support-bot]        # absent: all

The keys themselves are nowhere: a stolen file opens nothing, as long as the keys are random and long.
"""

import hashlib
import hmac
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from adapter_server.gateway.errors import ApiError

_MAX_BYTES = 1 << 20
_log = logging.getLogger(__name__)


class ApiKey(BaseModel):
    """One entry of the file."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(min_length=1, max_length=253)]
    sha256: Annotated[str, StringConstraints(pattern=r"^(sha256:)?[0-9a-f]{64}$")]
    models: list[str] | None = None

    def may_see(self, model: str) -> bool:
        """Whether the key's allow-list has a model."""
        return self.models is None or model in self.models


EVERYBODY = ApiKey(name="anonymous", sha256="0" * 64)
"""Who asks where no keys are configured."""

_KEYS: TypeAdapter[list[ApiKey]] = TypeAdapter(Annotated[list[ApiKey], Field(max_length=10_000)])


class KeyFileError(Exception):
    """The file can't be used; the message says where it is wrong, and never what stands there."""


def read_keys(path: Path) -> list[ApiKey]:
    """Read the file.

    Raises:
        KeyFileError: it is missing, too large, no YAML list, or an entry is wrong.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"the API key file {path} can't be read: {error.strerror}") from error
    if len(data) > _MAX_BYTES:
        raise KeyFileError(f"the API key file {path} has more than {_MAX_BYTES} bytes")
    try:
        return _KEYS.validate_python(yaml.safe_load(data))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in problem["loc"]) or "the document"
        raise KeyFileError(f"the API key file {path}: {place}: {problem['msg']}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        raise KeyFileError(f"the API key file {path} is not YAML") from None


@dataclass(frozen=True, slots=True)
class _Known:
    mark: tuple[int, ...]
    keys: list[ApiKey]


class Keys:
    """The keys of a file, read again when it changes. What can't be read leaves the keys before in force."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = _Known(self._mark(), read_keys(path))

    def poll(self) -> None:
        """Read the file again if it changed."""
        mark = self._mark()
        if mark == self._known.mark:
            return
        try:
            self._known = _Known(mark, read_keys(self._path))
            _log.info("API keys: %d", len(self._known.keys))
        except KeyFileError as error:
            self._known = _Known(mark, self._known.keys)
            _log.warning("%s; the %d keys before stay in force", error, len(self._known.keys))

    def holder(self, authorization: str | None) -> ApiKey:
        """Return whose key an `Authorization` header holds.

        Raises:
            ApiError: 401.
        """
        scheme, _, secret = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise _unauthorized("an API key is required: send the header Authorization: Bearer <key>")
        digest = hashlib.sha256(secret.strip().encode("utf-8", "surrogateescape")).hexdigest()
        found = None
        for key in self._known.keys:  # all of them, so that the time says nothing about which one fits
            if hmac.compare_digest(key.sha256.removeprefix("sha256:"), digest):
                found = key
        if found is None:
            raise _unauthorized("this API key is not known")
        return found

    def _mark(self) -> tuple[int, ...]:
        try:
            status = os.stat(self._path)  # noqa: PTH116 - follows the links of the mount
        except OSError:
            return ()
        return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _unauthorized(message: str) -> ApiError:
    return ApiError(401, message, code="invalid_api_key")
