"""One call of the API: who makes it, on what, with which options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from adapter_devcluster.access.users import MASTERS, User
from adapter_devcluster.apiextensions import FieldValidation

# In-process callers: they are not authorized again, but admission, validation and conflicts hold for them.
SYSTEM_USER: Final = User("system:apiserver", (MASTERS,))


@dataclass(slots=True)
class Call:
    """What a write needs to know beside the object.

    ``warnings`` collects what is answered in ``Warning`` headers. ``patching``: what is written comes of a patch,
    so that what is wrong with it is the patch's fault.
    """

    user: User = SYSTEM_USER
    manager: str = "devcluster"
    field_validation: FieldValidation = "Ignore"
    decoding_errors: Sequence[str] = ()
    dry_run: bool = False
    force: bool = False
    patching: bool = False
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """How to delete. ``propagation`` None leaves it to the resource's default."""

    grace_seconds: int | None = None
    propagation: str | None = None
    uid: str = ""
    resource_version: str = ""


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What to list. Selectors are texts of a query; ``limit`` 0 means all."""

    label_selector: str = ""
    field_selector: str = ""
    limit: int = 0
    continue_token: str = ""
    resource_version: str = ""
    resource_version_match: str = ""
