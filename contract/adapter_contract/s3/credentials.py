"""Credentials in mounted files, read again for every request.

A mounted Secret shows its keys as files. When the Secret changes, the kubelet writes a new directory and
swaps the symbolic link `..data`, so a reader that holds one directory open sees one version of all files.
"""

import os
from pathlib import Path

from botocore.credentials import CredentialProvider, Credentials, ReadOnlyCredentials

from adapter_contract.s3.errors import AccessDenied

ACCESS_KEY_FILE = "AWS_ACCESS_KEY_ID"
SECRET_KEY_FILE = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - the name of a file
TOKEN_FILE = "AWS_SESSION_TOKEN"  # noqa: S105 - the name of a file

_ATOMIC_LINK = "..data"
_MAX_BYTES = 16 << 10  # a session token has about 1 KiB
_ATTEMPTS = 3  # a directory that vanishes three times while three small files are read is not being rotated


class MountedCredentials(Credentials):
    """What a mounted directory holds at the moment of each signature."""

    def __init__(self, directory: Path) -> None:
        super().__init__(access_key="", secret_key="", method="mounted-files")
        self._directory = directory

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return the credentials of this moment, all of one version of the mount.

        Raises:
            AccessDenied: a file is missing, can't be read, is empty, or no credential. The message
                names the directory and the file.

        """
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._read_once()
            except FileNotFoundError:
                continue  # the version that was open has just been replaced and removed
        try:
            return self._read_once()
        except FileNotFoundError as error:
            raise self._unreadable(error) from error

    def _read_once(self) -> ReadOnlyCredentials:
        try:
            return self._read()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._unreadable(error) from error

    def _read(self) -> ReadOnlyCredentials:
        try:
            directory = os.open(self._directory / _ATOMIC_LINK, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return ReadOnlyCredentials(
                self._value(directory, ACCESS_KEY_FILE),
                self._value(directory, SECRET_KEY_FILE),
                self._token(directory),
            )
        finally:
            os.close(directory)

    def _token(self, directory: int) -> str | None:
        try:
            return self._value(directory, TOKEN_FILE)
        except FileNotFoundError:
            return None

    def _value(self, directory: int, name: str) -> str:
        file = os.open(name, os.O_RDONLY, dir_fd=directory)
        try:
            raw = os.read(file, _MAX_BYTES)
        except OSError as error:  # which knows the file by its number only: a directory, a failing disk
            error.filename = name
            raise
        finally:
            os.close(file)
        text = raw.strip().decode("ascii", "replace")
        # Anything else would be sent as a broken HTTP header. The value itself stands in no message.
        if not text or not all("!" <= char <= "~" for char in text):
            raise self._refusal(f"the file {name} is empty or holds more than one printable word")
        return text

    def _unreadable(self, error: OSError) -> AccessDenied:
        return self._refusal(f"{error.filename or 'the directory'} can't be read ({error.strerror})")

    def _refusal(self, reason: str) -> AccessDenied:
        return AccessDenied(
            "read credentials from",
            str(self._directory),
            reason,
            f"mount a secret with the keys {ACCESS_KEY_FILE} and {SECRET_KEY_FILE}",
        )


class MountedCredentialProvider(CredentialProvider):
    """The one provider of a session whose credentials are mounted: nothing else may answer in its place."""

    METHOD = "mounted-files"
    CANONICAL_NAME = "custom-mounted-files"

    def __init__(self, credentials: MountedCredentials) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> Credentials:
        """Return the credentials; they are read when they are used."""
        return self._credentials
