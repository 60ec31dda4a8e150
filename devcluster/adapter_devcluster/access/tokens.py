"""Bearer tokens: static ones, and those of service accounts (TokenRequest), which are bound to what they were made for.

A token is good as long as its account, and the pod it is bound to, live under the uid they had. Sources:
``pkg/serviceaccount/claims.go``, ``pkg/registry/core/serviceaccount/storage/token.go``,
``pkg/apis/authentication/validation`` (v1.36).
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from adapter_devcluster.access import jwt
from adapter_devcluster.access.bodies import Body
from adapter_devcluster.access.users import User, service_account_groups, service_account_user_name
from adapter_devcluster.apiextensions import errors
from adapter_devcluster.apiextensions.errors import FieldError
from adapter_devcluster.client import Client
from adapter_devcluster.objects import Object, meta, parse_time, section, timestamp, uid
from adapter_devcluster.statuses import StatusError, bad_request, conflict, invalid, not_found

ISSUER: Final = "https://kubernetes.default.svc.cluster.local"
# Whom a token is for, if nobody is named: this server.
API_AUDIENCES: Final = (ISSUER,)
DEFAULT_EXPIRATION_SECONDS: Final = 3600
_SHORTEST_SECONDS: Final = 600
_LONGEST_SECONDS: Final = 2**32
# Clocks may differ by this much: so long a token is still good after its end, and after its account's.
_LEEWAY_SECONDS: Final = 60
_REMEMBERED: Final = 4096
_EXTRA: Final = "authentication.kubernetes.io/"


@dataclass(frozen=True, slots=True)
class Verified:
    """Whose a token is, and which of the audiences asked for it is made for."""

    user: User
    audiences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token and the time of its end, in seconds since 1970."""

    token: str
    expires: float


@dataclass(frozen=True, slots=True)
class _Bearer:
    """What a token of a service account says, once its signature was checked. ``pod`` is name and uid."""

    user: User
    namespace: str
    name: str
    pod: tuple[str, str] | None
    audiences: tuple[str, ...]
    not_before: float
    expires: float


class Authenticator:
    """Tells users by their tokens. ``static`` tokens are for every audience; ``now`` is the time since 1970.

    The secret that signs tokens is made here, so no token outlives the process.
    """

    def __init__(self, client: Client, static: Mapping[str, User], now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._static = dict(static)
        self._now = now
        self._secret = secrets.token_bytes(32)
        self._known: dict[str, _Bearer] = {}

    def authenticate(self, token: str) -> User | None:
        """Return the user of a token for this server, None where the token is not (or no longer) good."""
        found = self.verify(token, API_AUDIENCES)
        return None if found is None else found.user

    def verify(self, token: str, audiences: Collection[str]) -> Verified | None:
        """Check a token that has to be made for at least one of these audiences."""
        user = self._static.get(token)
        if user is not None:
            shared = tuple(one for one in API_AUDIENCES if one in audiences)
            return Verified(user, shared) if shared else None
        bearer = self._known.get(token) or self._read(token)
        if bearer is None or not self._is_alive(bearer):
            return None
        shared = tuple(one for one in bearer.audiences if one in audiences)
        return Verified(bearer.user, shared) if shared else None

    def issue(self, request: Object, namespace: str, name: str) -> Object:
        """Answer a TokenRequest for a service account. Raises StatusError."""
        body = Body("TokenRequest", request)
        account = self._account(namespace, name)
        _check_name(body, namespace, name)
        spec = body["spec"]
        seconds = spec.number("expirationSeconds", DEFAULT_EXPIRATION_SECONDS)
        if problems := _check_expiration(seconds):
            raise _invalid("", problems)
        audiences = spec.texts("audiences") or API_AUDIENCES
        pod = self._bound_pod(spec["boundObjectRef"], namespace, name) if "boundObjectRef" in spec else None
        issued = self._issue(account, pod, audiences, seconds)
        sent = {field: value for field, value in body["metadata"].fields.items() if value is not None}
        created = timestamp(datetime.fromtimestamp(self._now(), UTC))
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"creationTimestamp": created, **sent, "name": name, "namespace": namespace},
            "spec": {**spec.fields, "audiences": list(audiences), "expirationSeconds": seconds},
            "status": {
                "token": issued.token,
                "expirationTimestamp": timestamp(datetime.fromtimestamp(issued.expires, UTC)),
            },
        }

    def issue_for_pod(
        self, pod: Object, audience: str = "", expiration_seconds: int = DEFAULT_EXPIRATION_SECONDS
    ) -> IssuedToken:
        """Make a token for a projected volume of a pod. Raises StatusError (404) where the account is gone."""
        namespace, name = str(meta(pod)["namespace"]), section(pod, "spec").get("serviceAccountName") or "default"
        audiences = (audience,) if audience else API_AUDIENCES
        return self._issue(self._account(namespace, name), pod, audiences, expiration_seconds)

    def _account(self, namespace: str, name: str) -> Object:
        found = self._client.get("serviceaccounts", namespace, name)
        if found is None:
            raise not_found("serviceaccounts", name)
        return found

    def _bound_pod(self, reference: Body, namespace: str, account: str) -> Object:
        group, _, version = reference.text("apiVersion").rpartition("/")
        kind, name, wanted = reference.text("kind"), reference.text("name"), reference.text("uid")
        if group or kind != "Pod":
            raise bad_request(f"cannot bind token to object of type {group}/{version}, Kind={kind}")
        pod = self._client.get("pods", namespace, name)
        if pod is None:
            raise not_found("pods", name)
        running_as = section(pod, "spec").get("serviceAccountName", "")
        if running_as != account:
            raise bad_request(
                f'cannot bind token for serviceaccount "{account}" to pod running with serviceaccount "{running_as}"'
            )
        if wanted and wanted != uid(pod):
            problem = (
                f"the UID in the bound object reference ({wanted}) does not match the UID in record. "
                "The object might have been deleted and then recreated"
            )
            raise conflict("Pod", name, problem)
        return pod

    def _issue(self, account: Object, pod: Object | None, audiences: Sequence[str], seconds: int) -> IssuedToken:
        begins = int(self._now())
        namespace, name = str(meta(account)["namespace"]), str(meta(account)["name"])
        bound: Object = {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid(account)}}
        if pod is not None:
            bound["pod"] = {"name": str(meta(pod)["name"]), "uid": uid(pod)}
        claims = {
            "aud": list(audiences),
            "exp": begins + seconds,
            "iat": begins,
            "iss": ISSUER,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": bound,
            "nbf": begins,
            "sub": service_account_user_name(namespace, name),
        }
        return IssuedToken(jwt.sign(claims, self._secret), float(begins + seconds))

    def _read(self, token: str) -> _Bearer | None:
        try:
            claims = jwt.read(token, self._secret)
        except jwt.BadTokenError:
            return None
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        return self._known.setdefault(token, _bearer(claims))

    def _is_alive(self, bearer: _Bearer) -> bool:
        now = self._now()
        if not bearer.not_before - _LEEWAY_SECONDS <= now <= bearer.expires + _LEEWAY_SECONDS:
            return False
        if not self._is_there("serviceaccounts", bearer.namespace, bearer.name, bearer.user.uid, now):
            return False
        return bearer.pod is None or self._is_there("pods", bearer.namespace, *bearer.pod, now)

    def _is_there(self, resource: str, namespace: str, name: str, known_uid: str, now: float) -> bool:
        found = self._client.get(resource, namespace, name)
        if found is None or uid(found) != known_uid:
            return False
        deleted = meta(found).get("deletionTimestamp")
        return deleted is None or parse_time(deleted).timestamp() >= now - _LEEWAY_SECONDS


def _bearer(claims: Object) -> _Bearer:
    bound = claims["kubernetes.io"]
    namespace, account, pod = bound["namespace"], bound["serviceaccount"], bound.get("pod")
    extra = {f"{_EXTRA}credential-id": (f"JTI={claims['jti']}",)}
    if pod is not None:
        extra |= {f"{_EXTRA}pod-name": (pod["name"],), f"{_EXTRA}pod-uid": (pod["uid"],)}
    user = User(claims["sub"], service_account_groups(namespace), account["uid"], extra)
    return _Bearer(
        user=user,
        namespace=namespace,
        name=account["name"],
        pod=(pod["name"], pod["uid"]) if pod is not None else None,
        audiences=tuple(claims["aud"]),
        not_before=claims["nbf"],
        expires=claims["exp"],
    )


def _check_name(body: Body, namespace: str, name: str) -> None:
    """What is in the body must agree with the path."""
    metadata = body["metadata"]
    for field, expected in (("name", name), ("namespace", namespace)):
        given = metadata.text(field)
        if given and given != expected:
            detail = f"must match the service account {field} if specified"
            raise _invalid(name, [errors.invalid(f"metadata.{field}", given, detail)])


def _check_expiration(seconds: int) -> list[FieldError]:
    path = "spec.expirationSeconds"
    if seconds < _SHORTEST_SECONDS:
        return [errors.invalid(path, seconds, "may not specify a duration less than 10 minutes")]
    if seconds > _LONGEST_SECONDS:
        return [errors.invalid(path, seconds, "may not specify a duration larger than 2^32 seconds")]
    return []


def _invalid(name: str, problems: Sequence[FieldError]) -> StatusError:
    return invalid("authentication.k8s.io", "TokenRequest", name, problems)
