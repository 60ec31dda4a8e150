"""Who a request comes from: its token, and whom it speaks for (``Impersonate-*`` headers)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adapter_devcluster.access.rbac import Attributes, forbidden
from adapter_devcluster.access.users import ANONYMOUS, AUTHENTICATED, User, service_account_groups
from adapter_devcluster.api.server import Api
from adapter_devcluster.statuses import bad_request, unauthorized

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

_SERVICE_ACCOUNT: Final = "system:serviceaccount:"


def identify(api: Api, headers: CIMultiDictProxy[str]) -> tuple[User, User | None]:
    """Return who the request counts as coming from, and who really sent it where that is another.

    Raises StatusError: 401 for a token that is not known, 403 where the sender may not speak for the other.
    """
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    user: User | None = ANONYMOUS
    if scheme:
        user = api.authenticator.authenticate(token.strip()) if scheme.lower() == "bearer" else None
    if user is None:
        raise unauthorized()
    wanted = headers.get("Impersonate-User", "")
    groups = headers.getall("Impersonate-Group", [])
    if not wanted:
        if groups:
            raise bad_request("requested [] without impersonating a user")
        return user, None
    implied = _check_user(api, user, wanted)
    for group in groups:
        _check(api, Attributes(user=user, verb="impersonate", resource="groups", name=group))
    # Groups that are asked for stand in place of those that a service account has.
    return User(wanted, tuple(dict.fromkeys([*(groups or implied), AUTHENTICATED]))), user


def _check_user(api: Api, user: User, wanted: str) -> tuple[str, ...]:
    """Check that a user may speak for another; returns the groups that the other has by its name."""
    if not wanted.startswith(_SERVICE_ACCOUNT) or wanted.count(":") != 3:
        _check(api, Attributes(user=user, verb="impersonate", resource="users", name=wanted))
        return ()
    namespace, name = wanted.removeprefix(_SERVICE_ACCOUNT).split(":")
    _check(
        api,
        Attributes(user=user, verb="impersonate", resource="serviceaccounts", namespace=namespace, name=name),
    )
    return service_account_groups(namespace)


def _check(api: Api, wanted: Attributes) -> None:
    decision = api.authorizer.decide(wanted)
    if not decision.allowed:
        raise forbidden(wanted, decision.reason)
