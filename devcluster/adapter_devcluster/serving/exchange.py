"""One request in flight: what it asks for, by whom, with which parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, cast

from aiohttp import web

from adapter_devcluster.access.users import User
from adapter_devcluster.api.call import Call, ListOptions
from adapter_devcluster.apiextensions import FieldError, FieldValidation
from adapter_devcluster.apiextensions import errors as field_errors
from adapter_devcluster.presentation.negotiation import Endpoint, Presentation, negotiate
from adapter_devcluster.serving.paths import Target
from adapter_devcluster.statuses import bad_request, invalid, status_error

_LONGEST_MANAGER: Final = 128
_OPTIONS: Final = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}
_MATCHES: Final = ("Exact", "NotOlderThan", "")


def is_true(text: str | None) -> bool:
    """Read a parameter of a query that is true or false: it is false where it is absent, ``false`` or ``0``."""
    return text is not None and text != "0" and text.lower() != "false"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request with its target, its verb and its user. ``note_stream``: called when a watch is about to begin."""

    request: web.BaseRequest
    target: Target
    verb: str
    user: User
    note_stream: Callable[[], None]

    def query(self, name: str) -> str:
        """Return a parameter of the query, "" where there is none."""
        return str(self.request.rel_url.query.get(name, ""))

    def flag(self, name: str) -> bool:
        """Return a parameter that is true or false: anything but ``false`` and ``0`` is true."""
        return is_true(self.request.rel_url.query.get(name))

    def number(self, name: str) -> int | None:
        """Return a whole number of the query. Raises StatusError (400)."""
        text = self.query(name)
        if not text:
            return None
        try:
            return int(text)
        except ValueError as error:
            raise bad_request(f'{name}: strconv.ParseInt: parsing "{text}": invalid syntax') from error

    @property
    def media(self) -> str:
        """The body's content type, without parameters."""
        return self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def form(self, endpoint: Endpoint = "objects") -> Presentation:
        """Return the form of the answer. Raises StatusError (406)."""
        found = negotiate(self.request.headers.get("Accept", ""), endpoint)
        if found is None:
            message = "only the following media types are accepted: application/json, application/yaml"
            raise status_error(406, "NotAcceptable", message)
        return found

    def call(self, *, applying: bool = False) -> Call:
        """Read the options of a write. Raises StatusError (422)."""
        kind = _OPTIONS.get(self.verb, "DeleteOptions")
        problems = []
        validation = self.query("fieldValidation") or "Warn"
        if validation not in ("Ignore", "Warn", "Strict"):
            problems.append(field_errors.not_supported("fieldValidation", validation, ("Ignore", "Strict", "Warn")))
        dry_run = self.query("dryRun")
        if dry_run not in ("", "All"):
            problems.append(field_errors.not_supported("dryRun", dry_run, ("All",)))
        manager, force = self.query("fieldManager"), self.query("force")
        if len(manager) > _LONGEST_MANAGER:
            problems.append(field_errors.too_long("fieldManager", _LONGEST_MANAGER))
        if applying and not manager:
            problems.append(field_errors.required("fieldManager", "is required for apply patch"))
        if force and not applying:
            problems.append(field_errors.forbidden("force", "may not be specified for non-apply patch"))
        if problems:
            raise invalid("meta.k8s.io", kind, "", problems)
        return Call(
            user=self.user,
            manager=manager or self._user_agent(),
            field_validation=cast("FieldValidation", validation),
            dry_run=dry_run == "All",
            force=is_true(force or None),
        )

    def _user_agent(self) -> str:
        """Who owns the fields where the request names no manager: the program, without its version."""
        agent = self.request.headers.get("User-Agent", "").partition("/")[0].strip()
        return agent[:_LONGEST_MANAGER] or "unknown"

    def list_options(self) -> ListOptions:
        """Read the options of a list, a watch or a deletion of many. Raises StatusError (400, 422)."""
        limit = self.number("limit") or 0
        self.number("timeoutSeconds")
        check = self._watch_problems if self.verb == "watch" else self._list_problems
        problems = list(check(self.query("resourceVersionMatch")))
        if problems:
            raise invalid("meta.k8s.io", "ListOptions", "", problems)
        return ListOptions(
            label_selector=self.query("labelSelector"),
            field_selector=self.query("fieldSelector"),
            limit=max(limit, 0),
            continue_token=self.query("continue"),
            resource_version=self.query("resourceVersion"),
            resource_version_match=self.query("resourceVersionMatch"),
        )

    def _list_problems(self, match: str) -> Iterator[FieldError]:
        """Check what a list asks for (``apimachinery/pkg/apis/meta/internalversion/validation``, v0.36)."""
        field = "resourceVersionMatch"
        if match and not self.query("resourceVersion"):
            yield field_errors.forbidden(field, f"{field} is forbidden unless resourceVersion is provided")
        if match and self.query("continue"):
            yield field_errors.forbidden(field, f"{field} is forbidden when continue is provided")
        if match not in _MATCHES:
            yield field_errors.not_supported(field, match, _MATCHES)
        if match == "Exact" and self.query("resourceVersion") == "0":
            yield field_errors.forbidden(field, f'{field} "exact" is forbidden for resourceVersion "0"')
        if "sendInitialEvents" in self.request.rel_url.query:
            yield field_errors.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")

    def _watch_problems(self, match: str) -> Iterator[FieldError]:
        """Check what a watch asks for."""
        field, initial = "resourceVersionMatch", "sendInitialEvents" in self.request.rel_url.query
        if initial and match != "NotOlderThan":
            yield field_errors.forbidden(field, f"sendInitialEvents requires setting {field} to NotOlderThan")
        if match and not initial:
            yield field_errors.forbidden(field, f"{field} is forbidden for watch unless sendInitialEvents is provided")
        if match and match != "NotOlderThan":
            yield field_errors.not_supported(field, match, ("NotOlderThan",))
        if match and self.query("continue"):
            yield field_errors.forbidden(field, f"{field} is forbidden when continue is provided")
