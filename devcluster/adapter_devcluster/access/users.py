"""Who makes a request (``k8s.io/apiserver/pkg/authentication/user`` and ``.../serviceaccount``, v0.36)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from adapter_devcluster.objects import Object

MASTERS: Final = "system:masters"
AUTHENTICATED: Final = "system:authenticated"
UNAUTHENTICATED: Final = "system:unauthenticated"
SERVICE_ACCOUNTS: Final = "system:serviceaccounts"
_SERVICE_ACCOUNT: Final = "system:serviceaccount"


@dataclass(frozen=True, slots=True)
class User:
    """A user as authentication found it. Groups are complete: `AUTHENTICATED` is among them."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, Sequence[str]] = field(default_factory=dict, hash=False)


ANONYMOUS: Final = User("system:anonymous", (UNAUTHENTICATED,))


def service_account_user_name(namespace: str, name: str) -> str:
    """Return the user name of a service account."""
    return f"{_SERVICE_ACCOUNT}:{namespace}:{name}"


def service_account_groups(namespace: str) -> tuple[str, ...]:
    """Return the groups of every service account of a namespace."""
    return (SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{namespace}", AUTHENTICATED)


def user_info(user: User) -> Object:
    """Write a user as ``authentication.k8s.io/v1`` UserInfo, without what is empty."""
    found = {
        "username": user.name,
        "uid": user.uid,
        "groups": list(user.groups),
        "extra": {key: list(values) for key, values in user.extra.items()},
    }
    return {name: value for name, value in found.items() if value}
