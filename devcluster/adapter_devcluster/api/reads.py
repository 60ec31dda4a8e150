"""Reading: lists with selectors and pages, and the events of a watch.

As ``apiserver/pkg/registry/generic/registry`` and ``.../storage/cacher`` (v1.36) answer them.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from adapter_devcluster.api.call import ListOptions
from adapter_devcluster.api.registry import Served, unchanged
from adapter_devcluster.apiextensions import errors as field_errors
from adapter_devcluster.builtin.selectable_fields import selectable_view
from adapter_devcluster.objects import Key, Object, key, labels_of
from adapter_devcluster.patching.failures import unexpected
from adapter_devcluster.selectors import (
    EVERYTHING,
    FieldRequirement,
    Selector,
    SelectorError,
    parse_field_selector,
    parse_label_selector,
)
from adapter_devcluster.statuses import bad_request, expired, not_found, status_error
from adapter_devcluster.storage import Event, Item, Store, TooOldError


class InvalidRevisionError(ValueError):
    """A resource version that is no number. A list and a watch answer it in different ways."""

    def __init__(self, text: str) -> None:
        detail = f'strconv.ParseUint: parsing "{text}": invalid syntax'
        self.field_error = field_errors.invalid("resourceVersion", text, detail)
        super().__init__(str(self.field_error))


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a resource a request is about."""

    namespace: str = ""
    labels: Selector = EVERYTHING
    fields: tuple[FieldRequirement, ...] = ()
    view: Callable[[Object], Object] = unchanged

    def matches(self, obj: Object) -> bool:
        """Whether an object is selected. Its namespace counts too."""
        if self.namespace and (obj["metadata"].get("namespace") or "") != self.namespace:
            return False
        if self.labels and not self.labels.matches(labels_of(obj)):
            return False
        if not self.fields:
            return True
        seen = self.view(obj)
        return all(one.matches(seen) for one in self.fields)


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list. ``remaining`` is how many items follow, None where that is not told."""

    items: list[Item]
    revision: int
    continue_token: str = ""
    remaining: int | None = None


def selection(served: Served, namespace: str, options: ListOptions) -> Selection:
    """Read the selectors of a request. Raises StatusError (400)."""
    supported = ("metadata.name", "metadata.namespace", *served.type.selectable_fields)
    try:
        found = parse_label_selector(options.label_selector)
        fields = parse_field_selector(options.field_selector, supported)
    except SelectorError as error:
        raise bad_request(str(error)) from error
    return Selection(namespace, found, fields, selectable_view(served.type))


class Reader:
    """Reads objects of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, served: Served, namespace: str, name: str) -> Item:
        """Return an object. Raises StatusError (404)."""
        item = self._store.table(served.resource).get((namespace, name))
        if item is None:
            raise not_found(served.type.resource, name)
        return item

    def page(self, served: Served, namespace: str, options: ListOptions) -> Page:
        """Return the selected objects, or a page of them. Raises StatusError."""
        chosen = selection(served, namespace, options)
        token = _read_token(options.continue_token) if options.continue_token else None
        if token and options.resource_version not in ("", "0"):
            raise bad_request("specifying resource version is not allowed when using continue")
        revision = token.revision if token else self._revision(options)
        try:
            items = self._items(served, chosen, revision)
        except TooOldError as error:
            if token:
                raise expired(
                    "The provided continue parameter is too old to display a consistent list result. You can start "
                    "a new list without the continue parameter."
                ) from error
            raise expired(str(error)) from error
        if chosen.labels or chosen.fields:
            items = [item for item in items if chosen.matches(item.object)]
        if token:
            items = [item for item in items if key(item.object) > token.after]
        # A list from any revision comes from the watch cache, which knows no pages.
        if not options.limit or (options.resource_version == "0" and not token) or len(items) < options.limit:
            return Page(items, revision)
        page, rest = items[: options.limit], len(items) - options.limit
        if not rest and not self._goes_on(served, chosen, revision, page):
            return Page(items, revision)
        # With a selector the real server does not count what it has not looked at.
        counted = None if chosen.labels or chosen.fields else rest
        return Page(page, revision, _write_token(revision, key(page[-1].object)), counted)

    def _goes_on(self, served: Served, chosen: Selection, revision: int, page: list[Item]) -> bool:
        """Whether objects follow a page, selected or not: a full page ends before they are looked at."""
        last = self._items(served, chosen, revision)[-1:]
        return bool(page) and bool(last) and key(last[0].object) > key(page[-1].object)

    def check_revision(self, text: str) -> int:
        """Read a revision that must have been reached. Raises StatusError."""
        try:
            revision = parse_revision(text)
        except InvalidRevisionError as error:
            raise unexpected(str(error)) from error
        if revision > self._store.revision:
            message = f"Too large resource version: {revision}, current: {self._store.revision}"
            cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
            raise status_error(504, "Timeout", message, causes=[cause], retry_after=1)
        return revision

    def _revision(self, options: ListOptions) -> int:
        revision, match = self.check_revision(options.resource_version), options.resource_version_match
        exact = match == "Exact" or (options.limit and not match)
        return revision if exact and revision else self._store.revision

    def _items(self, served: Served, chosen: Selection, revision: int) -> list[Item]:
        table = self._store.table(served.resource)
        if revision != self._store.revision:
            return table.items_at(revision, chosen.namespace)
        name = next((one.value for one in chosen.fields if one.path == "metadata.name" and one.equal), None)
        if name is not None and (chosen.namespace or not served.type.namespaced):
            item = table.get((chosen.namespace, name))
            return [] if item is None else [item]
        return table.items(chosen.namespace)

    def watch(
        self, served: Served, chosen: Selection, revision: int | None, receive: Callable[[Event], None]
    ) -> tuple[list[Event], Callable[[], None]]:
        """Begin a watch: returns the events up to now, and what ends it. Raises StatusError (410).

        ``receive`` gets each later event at once. With ``revision`` None the present state comes first, as ADDED
        events. Events are those of the selection: an object that leaves it is DELETED.
        """
        table = self._store.table(served.resource)
        try:
            if revision is None:
                items = self._items(served, chosen, self._store.revision)
                past: Iterator[Event] = (Event("ADDED", item, None) for item in items)
            else:
                past = table.since(revision)
        except TooOldError as error:
            raise expired(str(error)) from error
        events = [found for event in past if (found := select(event, chosen))]

        def on_event(event: Event) -> None:
            found = select(event, chosen)
            if found:
                receive(found)

        return events, table.watch(on_event)


def select(event: Event, chosen: Selection) -> Event | None:
    """Turn an event of all objects into the one that a selection sees."""
    now = event.type != "DELETED" and chosen.matches(event.item.object)
    before = event.old is not None and chosen.matches(event.old.object)
    if event.type == "DELETED":
        return event if before or chosen.matches(event.item.object) else None
    if now:
        return event if before == (event.type == "MODIFIED") else Event("ADDED", event.item, None)
    if event.old is None or not before:
        return None
    # The client sees what it knew, with the revision at which that was over.
    last = event.old.object
    left = {**last, "metadata": {**last["metadata"], "resourceVersion": str(event.revision)}}
    return Event("DELETED", Item(left, event.revision), event.old)


def parse_revision(text: str) -> int:
    """Read a ``resourceVersion`` parameter; "" and "0" mean any. Raises InvalidRevisionError."""
    if text in ("", "0"):
        return 0
    if not text.isascii() or not text.isdecimal() or len(text) > 19:
        raise InvalidRevisionError(text)
    return int(text)


@dataclass(frozen=True, slots=True)
class _Token:
    revision: int
    after: Key


def _write_token(revision: int, after: Key) -> str:
    raw = json.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": list(after)})
    return base64.urlsafe_b64encode(raw.encode()).decode().rstrip("=")


def _read_token(text: str) -> _Token:
    try:
        raw = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        namespace, name = raw["start"]
        return _Token(int(raw["rv"]), (str(namespace), str(name)))
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise bad_request(f"continue key is not valid: {error}") from error
