"""The policies in force, and their word on each write (``.../policy/validating/dispatcher.go``, v0.36)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from adapter_devcluster.access.rbac import RbacAuthorizer
from adapter_devcluster.client import Change, Client
from adapter_devcluster.objects import Object, meta, uid
from adapter_devcluster.policies.compilation import CompiledPolicy, compile_policy
from adapter_devcluster.policies.evaluation import Denial, evaluate, values_of
from adapter_devcluster.policies.matching import ConfigurationError, ResourceMatcher
from adapter_devcluster.policies.parameters import collect, param_resource
from adapter_devcluster.policies.request import AdmissionRequest, Match
from adapter_devcluster.statuses import StatusError, not_found, status_error

_GROUP: Final = "admissionregistration.k8s.io"
POLICIES: Final = f"validatingadmissionpolicies.{_GROUP}"
BINDINGS: Final = f"validatingadmissionpolicybindings.{_GROUP}"
# Policies that could forbid their own repair, and requests that change nothing
# (``k8s.io/kubernetes/pkg/kubeapiserver/admission/exclusion``).
_EXCLUDED: Final = frozenset(
    {
        *(
            (_GROUP, f"{kind}{suffix}")
            for kind in ("mutating", "validating")
            for suffix in (
                "admissionpolicies",
                "admissionpolicybindings",
                "webhookconfigurations",
            )
        ),
        *(("authentication.k8s.io", name) for name in ("selfsubjectreviews", "tokenreviews")),
        *(
            ("authorization.k8s.io", f"{name}reviews")
            for name in (
                "localsubjectaccess",
                "selfsubjectaccess",
                "selfsubjectrules",
                "subjectaccess",
            )
        ),
    }
)
_CODES: Final = {"Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413}
_Place = tuple[str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class _Binding:
    name: str
    matcher: ResourceMatcher | None
    param_ref: Object | None
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Hook:
    """A policy with its bindings. ``since`` is when it was first seen, on the clock of the admission."""

    policy: CompiledPolicy
    matcher: ResourceMatcher
    bindings: tuple[_Binding, ...]
    since: float


@dataclass(frozen=True, slots=True)
class _Verdict:
    denial: Denial
    policy: str
    binding: str = ""

    @property
    def message(self) -> str:
        """The whole sentence."""
        bound = f" with binding '{self.binding}'" if self.binding else ""
        return f"ValidatingAdmissionPolicy '{self.policy}'{bound} denied request: {self.denial.message}"


class PolicyAdmission:
    """Asks the stored policies about writes.

    ``version`` must change with each write to policies and bindings, which hold from the very next request on.
    ``clock`` counts seconds and never goes back.
    """

    def __init__(
        self,
        client: Client,
        authorizer: RbacAuthorizer,
        version: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._authorizer = authorizer
        self._version = version
        self._clock = clock
        self._seen: int | None = None
        self._since: dict[str, float] = {}
        self._compiled: dict[tuple[str, object], CompiledPolicy] = {}
        self._hooks: tuple[_Hook, ...] = ()
        self._by_place: dict[_Place, tuple[_Hook, ...]] = {}

    def start(self) -> Callable[[], None]:
        """Begin to notice new policies even while nobody writes; returns what ends it."""
        return self._client.watch(POLICIES, self._noticed)

    def check(self, request: AdmissionRequest) -> list[str]:
        """Ask all policies; returns warnings. Raises StatusError if one denies the request."""
        if self._version() != self._seen:
            self._read()
        if not self._hooks:
            return []
        place = (request.group, request.version, request.resource, request.subresource, request.operation)
        found = self._by_place.get(place)
        if found is None:
            found = self._by_place[place] = self._concerned(request)
        return self._ask(found, request) if found else []

    def _noticed(self, _: Change) -> None:
        if self._version() != self._seen:
            self._read()

    def _read(self) -> None:
        self._seen = self._version()
        now = self._clock()
        policies = self._client.list(POLICIES)
        self._since = {uid(policy): self._since.get(uid(policy), now) for policy in policies}
        self._compiled = {at: self._compiled.get(at) or compile_policy(one) for at, one in map(_versioned, policies)}
        bindings: dict[str, list[_Binding]] = {}
        for binding in self._client.list(BINDINGS):
            bindings.setdefault(binding["spec"]["policyName"], []).append(self._binding(binding))
        self._by_place.clear()
        self._hooks = tuple(
            _Hook(
                policy=self._compiled[_versioned(policy)[0]],
                matcher=ResourceMatcher(policy["spec"].get("matchConstraints") or {}, self._client),
                bindings=tuple(bindings[meta(policy)["name"]]),
                since=self._since[uid(policy)],
            )
            for policy in policies
            if meta(policy)["name"] in bindings
        )

    def _binding(self, binding: Object) -> _Binding:
        spec = binding["spec"]
        resources = spec.get("matchResources")
        matcher = None if resources is None else ResourceMatcher(resources, self._client)
        actions = tuple(spec.get("validationActions") or ())
        return _Binding(meta(binding)["name"], matcher, spec.get("paramRef"), actions)

    def _concerned(self, request: AdmissionRequest) -> tuple[_Hook, ...]:
        if (request.group, request.resource) in _EXCLUDED:
            return ()
        return tuple(hook for hook in self._hooks if hook.matcher.may_match(request))

    def _ask(self, hooks: Sequence[_Hook], request: AdmissionRequest) -> list[str]:
        verdicts: list[_Verdict] = []
        warnings: list[str] = []
        for hook in hooks:
            try:
                match = hook.matcher.match(request)
                if match is None:
                    continue
                resource = param_resource(hook.policy, self._client)
            except ConfigurationError as error:
                if hook.policy.fails:
                    verdicts.append(_Verdict(Denial(f"failed to configure policy: {error}"), hook.policy.name))
                continue
            for binding in hook.bindings:
                self._bound(hook, binding, resource, request, match, verdicts, warnings)
        if verdicts:
            raise _denied(verdicts[0], request)
        return warnings

    def _bound(
        self,
        hook: _Hook,
        binding: _Binding,
        resource: str,
        request: AdmissionRequest,
        match: Match,
        verdicts: list[_Verdict],
        warnings: list[str],
    ) -> None:
        """Ask one policy through one binding; add what comes of it to ``verdicts`` and ``warnings``."""
        policy = hook.policy
        try:
            if binding.matcher is not None and binding.matcher.match(request) is None:
                return
            age = self._clock() - hook.since
            params = collect(self._client, resource, binding.param_ref, request.effective_namespace, age)
        except ConfigurationError as error:
            if policy.fails:
                denial = Denial(f"failed to configure binding: {error}")
                verdicts.append(_Verdict(denial, policy.name, binding.name))
            return
        values = values_of(request, match, self._namespace(request), self._authorizer)
        for denial in (one for found in params for one in evaluate(policy, values, found)):
            if denial.always or "Deny" in binding.actions:
                verdicts.append(_Verdict(denial, policy.name, binding.name))
            if "Warn" in binding.actions and not denial.always:
                warnings.append(
                    f"Validation failed for ValidatingAdmissionPolicy '{policy.name}' "
                    f"with binding '{binding.name}': {denial.message}"
                )

    def _namespace(self, request: AdmissionRequest) -> Object | None:
        if not request.namespace or request.is_namespace:
            return None
        found = self._client.get("namespaces", "", request.namespace)
        if found is None:
            raise not_found("namespaces", request.namespace)
        return found


def _versioned(policy: Object) -> tuple[tuple[str, object], Object]:
    return (uid(policy), meta(policy).get("generation")), policy


def _denied(verdict: _Verdict, request: AdmissionRequest) -> StatusError:
    resource = f"{request.resource}.{request.group}" if request.group else request.resource
    name = request.name or str(meta(request.object or {}).get("generateName") or "Unknown")
    reason, message = verdict.denial.reason, verdict.message
    return status_error(
        _CODES.get(reason, 422),
        reason,
        f'{resource} "{name}" is forbidden: {message}',
        resource=resource,
        name=name,
        causes=[{"message": message}],
    )
