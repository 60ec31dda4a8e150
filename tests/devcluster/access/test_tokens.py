"""Tokens of service accounts: what they say, how long they are good, and what a TokenRequest may ask for."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.access import jwt
from adapter_devcluster.access.tokens import ISSUER, Authenticator
from adapter_devcluster.objects import timestamp
from adapter_devcluster.statuses import StatusError
from adapter_testing.access_lab import ANN, STATIC_TOKEN, AccessLab

pytestmark = pytest.mark.unit


class Clerk(AccessLab):
    """A lab with an account ``robot``, a pod that runs as it, and an authenticator on the lab's clock."""

    def __init__(self) -> None:
        super().__init__()
        self.account = self.put("serviceaccounts", "robot", "one")
        self.pod = self.put("pods", "p", "one", spec={"serviceAccountName": "robot"})
        self.tokens = Authenticator(self.client, {STATIC_TOKEN: ANN}, now=lambda: self.clock)

    def issue(self, **spec: Any) -> dict[str, Any]:
        return self.tokens.issue({"spec": spec}, "one", "robot")

    def token(self, **spec: Any) -> str:
        return str(self.issue(**spec)["status"]["token"])


@pytest.fixture
def clerk() -> Clerk:
    return Clerk()


def part(token: str, number: int) -> dict[str, Any]:
    text = token.split(".")[number]
    found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert isinstance(found, dict)
    return found


def refused(clerk: Clerk, body: Any, name: str = "robot") -> dict[str, Any]:
    with pytest.raises(StatusError) as caught:
        clerk.tokens.issue(body, "one", name)
    return caught.value.status


def test_a_token_is_three_parts_and_says_whose_it_is(clerk: Clerk) -> None:
    token = clerk.token()
    assert token.count(".") == 2
    assert part(token, 0)["alg"] == "HS256"
    claims = part(token, 1)
    assert len(claims.pop("jti")) == 36
    assert claims == {
        "aud": [ISSUER],
        "exp": 1_003_600,
        "iat": 1_000_000,
        "iss": ISSUER,
        "kubernetes.io": {
            "namespace": "one",
            "serviceaccount": {"name": "robot", "uid": clerk.account["metadata"]["uid"]},
        },
        "nbf": 1_000_000,
        "sub": "system:serviceaccount:one:robot",
    }


def test_a_token_makes_the_account_the_user(clerk: Clerk) -> None:
    token = clerk.token()
    user = clerk.tokens.authenticate(token)
    assert user is not None
    assert (user.name, user.uid) == ("system:serviceaccount:one:robot", clerk.account["metadata"]["uid"])
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:one", "system:authenticated")
    assert user.extra == {"authentication.kubernetes.io/credential-id": (f"JTI={part(token, 1)['jti']}",)}
    assert clerk.tokens.authenticate(token) is user


def test_static_tokens_are_their_users(clerk: Clerk) -> None:
    assert clerk.tokens.authenticate(STATIC_TOKEN) is ANN


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", "a.b", "..", "\u20ac.b.c"])
def test_what_is_no_token_is_nobody(clerk: Clerk, token: str) -> None:
    assert clerk.tokens.authenticate(token) is None


def test_another_process_signs_with_another_secret(clerk: Clerk) -> None:
    other = Authenticator(clerk.client, {}, now=lambda: clerk.clock)
    assert other.authenticate(clerk.token()) is None


@given(st.integers(0, 400), st.integers(0, 63))
def test_a_token_with_any_character_changed_is_nobody(position: int, letter: int) -> None:
    clerk = Clerk()
    token = clerk.token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # The last character of a signature has two bits that mean nothing.
    position %= len(token) - 1
    changed = token[:position] + alphabet[letter] + token[position + 1 :]
    assert (clerk.tokens.authenticate(changed) is not None) == (changed == token)


def test_a_header_of_another_algorithm_is_refused() -> None:
    token = jwt.sign({"a": 1}, b"secret")
    assert jwt.read(token, b"secret") == {"a": 1}
    header = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    body = f"{header}.{token.split('.')[1]}"
    signature = base64.urlsafe_b64encode(jwt._signature(body, b"secret")).rstrip(b"=").decode()
    with pytest.raises(jwt.BadTokenError, match="another algorithm"):
        jwt.read(f"{body}.{signature}", b"secret")


def test_a_token_ends_a_minute_after_its_time(clerk: Clerk) -> None:
    token = clerk.token(expirationSeconds=600)
    clerk.clock += 660
    assert clerk.tokens.authenticate(token) is not None
    clerk.clock += 1
    assert clerk.tokens.authenticate(token) is None


def test_a_token_from_the_future_is_refused(clerk: Clerk) -> None:
    token = clerk.token()
    clerk.clock -= 61
    assert clerk.tokens.authenticate(token) is None


def test_a_token_for_others_is_not_for_this_server(clerk: Clerk) -> None:
    token = clerk.token(audiences=["vault", "store"])
    assert clerk.tokens.authenticate(token) is None
    found = clerk.tokens.verify(token, ["store", "other"])
    assert found is not None
    assert found.audiences == ("store",)
    assert clerk.tokens.verify(STATIC_TOKEN, ["store"]) is None


def test_a_token_dies_with_its_account(clerk: Clerk) -> None:
    token = clerk.token()
    clerk.remove("serviceaccounts", "robot", "one")
    assert clerk.tokens.authenticate(token) is None
    clerk.put("serviceaccounts", "robot", "one", uid="another")
    assert clerk.tokens.authenticate(token) is None


def test_an_account_that_is_being_deleted_is_good_for_a_minute_more(clerk: Clerk) -> None:
    token = clerk.token()
    account = clerk.put("serviceaccounts", "robot", "one")
    account["metadata"]["deletionTimestamp"] = "1970-01-12T13:46:40Z"
    clerk.clock = 1_000_060.0
    assert clerk.tokens.authenticate(token) is not None
    clerk.clock = 1_000_061.0
    assert clerk.tokens.authenticate(token) is None


def test_a_bound_token_dies_with_its_pod(clerk: Clerk) -> None:
    token = clerk.token(boundObjectRef={"apiVersion": "v1", "kind": "Pod", "name": "p"})
    uid = clerk.pod["metadata"]["uid"]
    assert part(token, 1)["kubernetes.io"]["pod"] == {"name": "p", "uid": uid}
    user = clerk.tokens.authenticate(token)
    assert user is not None
    assert user.extra["authentication.kubernetes.io/pod-name"] == ("p",)
    assert user.extra["authentication.kubernetes.io/pod-uid"] == (uid,)
    clerk.put("pods", "p", "one", uid="another", spec={"serviceAccountName": "robot"})
    assert clerk.tokens.authenticate(token) is None


def test_the_node_gets_tokens_for_pods(clerk: Clerk) -> None:
    issued = clerk.tokens.issue_for_pod(clerk.pod, "vault", 700)
    assert issued.expires == 1_000_700.0
    assert clerk.tokens.authenticate(issued.token) is None
    assert clerk.tokens.verify(issued.token, ["vault"]) is not None
    assert clerk.tokens.authenticate(clerk.tokens.issue_for_pod(clerk.pod).token) is not None
    clerk.remove("serviceaccounts", "robot", "one")
    with pytest.raises(StatusError, match='serviceaccounts "robot" not found'):
        clerk.tokens.issue_for_pod(clerk.pod)


def test_a_pod_without_an_account_runs_as_default(clerk: Clerk) -> None:
    clerk.put("serviceaccounts", "default", "one")
    issued = clerk.tokens.issue_for_pod(clerk.put("pods", "q", "one", spec={}))
    assert part(issued.token, 1)["sub"] == "system:serviceaccount:one:default"


def test_a_token_request_is_answered_with_a_token_and_its_end(clerk: Clerk) -> None:
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "metadata": {"creationTimestamp": None},
        "spec": {"audiences": [], "expirationSeconds": 7200, "boundObjectRef": None},
        "status": {"token": "", "expirationTimestamp": None},
    }
    answer = clerk.tokens.issue(body, "one", "robot")
    token = answer["status"].pop("token")
    assert clerk.tokens.authenticate(token) is not None
    assert answer == {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": "1970-01-12T13:46:40Z", "name": "robot", "namespace": "one"},
        "spec": {"audiences": [ISSUER], "expirationSeconds": 7200, "boundObjectRef": None},
        "status": {"expirationTimestamp": "1970-01-12T15:46:40Z"},
    }


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (599, "Invalid value: 599: may not specify a duration less than 10 minutes"),
        (-1, "Invalid value: -1: may not specify a duration less than 10 minutes"),
        (2**32 + 1, "Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds"),
    ],
)
def test_durations_have_bounds(clerk: Clerk, seconds: int, words: str) -> None:
    status = refused(clerk, {"spec": {"expirationSeconds": seconds}})
    assert status["code"] == 422
    assert status["message"] == f'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: {words}'
    assert clerk.issue(expirationSeconds=600)["spec"]["expirationSeconds"] == 600
    assert clerk.issue(expirationSeconds=2**32)["spec"]["expirationSeconds"] == 2**32


def test_an_account_that_is_not_there_gets_no_token(clerk: Clerk) -> None:
    assert refused(clerk, {"spec": {}}, "nobody")["message"] == 'serviceaccounts "nobody" not found'


@pytest.mark.parametrize(
    ("reference", "code", "message"),
    [
        (
            {"apiVersion": "v1", "kind": "Pod", "name": "gone"},
            404,
            'pods "gone" not found',
        ),
        (
            {"apiVersion": "v1", "kind": "Pod", "name": "other"},
            400,
            'cannot bind token for serviceaccount "robot" to pod running with serviceaccount "default"',
        ),
        (
            {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            400,
            "cannot bind token to object of type apps/v1, Kind=Deployment",
        ),
        (
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "d"},
            400,
            "cannot bind token to object of type /v1, Kind=ConfigMap",
        ),
        (
            {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"},
            409,
            'Operation cannot be fulfilled on Pod "p": the UID in the bound object reference (u) does not match the '
            "UID in record. The object might have been deleted and then recreated",
        ),
    ],
)
def test_a_token_is_bound_only_to_a_pod_of_its_account(
    clerk: Clerk, reference: dict[str, str], code: int, message: str
) -> None:
    clerk.put("pods", "other", "one", spec={"serviceAccountName": "default"})
    status = refused(clerk, {"spec": {"boundObjectRef": reference}})
    assert (status["code"], status["message"]) == (code, message)


@pytest.mark.parametrize(
    ("metadata", "field", "words"),
    [
        ({"name": "x"}, "metadata.name", "must match the service account name if specified"),
        ({"namespace": "x"}, "metadata.namespace", "must match the service account namespace if specified"),
    ],
)
def test_the_body_agrees_with_the_path(clerk: Clerk, metadata: dict[str, str], field: str, words: str) -> None:
    status = refused(clerk, {"metadata": metadata, "spec": {}})
    assert status["code"] == 422
    assert status["details"]["causes"] == [
        {"reason": "FieldValueInvalid", "message": f'Invalid value: "x": {words}', "field": field}
    ]
    assert clerk.tokens.issue({"metadata": {"name": "robot", "namespace": "one"}}, "one", "robot")


@pytest.mark.parametrize(
    ("body", "at", "shown", "wanted"),
    [
        ({"spec": []}, "spec", "array", "object"),
        ({"spec": {"expirationSeconds": "600"}}, "spec.expirationSeconds", "string", "int64"),
        ({"spec": {"expirationSeconds": True}}, "spec.expirationSeconds", "bool", "int64"),
        ({"spec": {"audiences": "x"}}, "spec.audiences", "string", "[]string"),
        ({"spec": {"audiences": [1]}}, "spec.audiences", "number", "string"),
        ({"spec": {"boundObjectRef": {"name": {}}}}, "spec.boundObjectRef.name", "object", "string"),
    ],
)
def test_values_of_a_wrong_type_are_refused(clerk: Clerk, body: Any, at: str, shown: str, wanted: str) -> None:
    status = refused(clerk, body)
    assert status["code"] == 400
    assert status["message"] == (
        'TokenRequest in version "v1" cannot be handled as a TokenRequest: '
        f"json: cannot unmarshal {shown} into Go struct field TokenRequest.{at} of type {wanted}"
    )


def test_many_tokens_do_not_fill_the_memory(clerk: Clerk) -> None:
    for _ in range(4200):
        assert clerk.tokens.authenticate(clerk.tokens.issue_for_pod(clerk.pod).token) is not None
    assert len(clerk.tokens._known) <= 4096


def test_the_clock_is_the_time_since_1970_by_default() -> None:
    lab = AccessLab()
    lab.put("serviceaccounts", "robot", "one")
    answer = Authenticator(lab.client, {}).issue({"spec": {}}, "one", "robot")
    assert answer["metadata"]["creationTimestamp"] <= timestamp()
    assert answer["status"]["expirationTimestamp"] > timestamp()
