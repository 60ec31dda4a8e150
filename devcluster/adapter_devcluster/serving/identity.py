"""Who a request comes from: its token, and whom it speaks for (``Impersonate-*`` headers)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapter_devcluster.access.rbac import Attributes, forbidden
from adapter_devcluster.access.users import ANONYMOUS, AUTHENTICATED, User
from adapter_devcluster.api.server import Api
from adapter_devcluster.statuses import bad_request, unauthorized

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy


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
    _check(api, user, "users", wanted)
    for group in groups:
        _check(api, user, "groups", group)
    return User(wanted, tuple(dict.fromkeys([*groups, AUTHENTICATED]))), user


def _check(api: Api, user: User, resource: str, name: str) -> None:
    attributes = Attributes(user=user, verb="impersonate", resource=resource, name=name)
    if not api.authorizer.decide(attributes).allowed:
        raise forbidden(attributes)
