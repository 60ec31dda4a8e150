"""What is known to have been served under an adapter's name: by status, AdapterSets and pods, the only memory there is.

The operator keeps nothing of its own, so that a restart forgets nothing.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from adapter_contract import AdapterEntry
from adapter_operator.api.v1alpha1.deployment import AdapterDeployment
from adapter_operator.observe.deployment import ObservedDeployment
from adapter_operator.observe.served_trainings import Version


@dataclass(frozen=True)
class Memory:
    """One adapter's past.

    Attributes:
        desired: what was to be served when the status was last written.
        served: digest that all ready pods served then.
        kept: fallback in the newest AdapterSet.
        history: what was served before, newest first.
        by_pods: digests that living pods serve now, the most common first.
        versions: every version whose location is known, by digest.
    """

    desired: Version | None = None
    served: str | None = None
    kept: Version | None = None
    history: tuple[Version, ...] = ()
    by_pods: tuple[str, ...] = ()
    versions: Mapping[str, Version] = field(default_factory=dict)

    def last_served(self) -> Version | None:
        """The newest version that was served anywhere, where its location is known."""
        newest = [self.desired.digest] if self.desired is not None and self.desired.digest in self.by_pods else []
        return self._first_known([*newest, *self._served_before()])

    def fallback_for(self, digest: str | None) -> Version | None:
        """What was served last: another version as long as a pod serves one, else maybe the very same.

        So the AdapterSet itself remembers what was served, also while no pod and no status can tell.
        """
        others = [one for one in self.by_pods if one != digest]
        return self._first_known([*others, *self._served_before()])

    def was_served(self, digest: str) -> bool:
        """Whether the version is known to be, or to have been, served."""
        return digest in self._served_before()

    def _served_before(self) -> list[str]:
        """Every digest that is known to have been served, the newest evidence first."""
        stored = [self.served] if self.served is not None else []
        before = [version.digest for version in (self.kept, *self.history) if version is not None]
        return [*self.by_pods, *stored, *before]

    def _first_known(self, digests: list[str]) -> Version | None:
        return next((self.versions[digest] for digest in digests if digest in self.versions), None)


class Archive:
    """What is known of every adapter, read once."""

    def __init__(self, deployment: AdapterDeployment, observed: ObservedDeployment) -> None:
        adapters = (deployment.status.adapters or ()) if deployment.status is not None else ()
        self._stored = {one.name: one for one in adapters}
        self._entries: dict[str, list[AdapterEntry]] = {}
        contents = [one.content for one in observed.sets if one.content is not None]
        for content in sorted(contents, key=lambda content: content.generation, reverse=True):
            for entry in content.adapters:
                self._entries.setdefault(entry.name, []).append(entry)
        self._by_pods: dict[str, Counter[str]] = {}
        for report in observed.reports():
            for state in report.adapters:
                if state.served_digest is not None:
                    self._by_pods.setdefault(state.name, Counter())[state.served_digest] += 1

    def recall(self, name: str) -> Memory:
        """What is known of one adapter."""
        stored, entries = self._stored.get(name), self._entries.get(name, [])
        desired = _version(stored.desired_digest, stored.uri, stored.version) if stored is not None else None
        listed = (stored.history or ()) if stored is not None else ()
        history = [version for one in listed if (version := _version(one.digest, one.uri, one.version)) is not None]
        named = [version for entry in entries for version in (_fallback(entry), _desired(entry))]
        versions: dict[str, Version] = {}
        for version in (desired, *history, *named):
            if version is not None:
                versions.setdefault(version.digest, version)
        counts = self._by_pods.get(name, Counter())
        return Memory(
            desired=desired,
            served=stored.served_digest if stored is not None else None,
            kept=_fallback(entries[0]) if entries else None,
            history=tuple(history),
            by_pods=tuple(digest for digest, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
            versions=versions,
        )


def _version(digest: str | None, uri: str | None, number: int | None) -> Version | None:
    return None if digest is None or uri is None else Version(digest, uri, number)


def _desired(entry: AdapterEntry) -> Version | None:
    return _version(entry.digest, entry.uri, None)


def _fallback(entry: AdapterEntry) -> Version | None:
    return None if entry.fallback is None else _version(entry.fallback.digest, entry.fallback.uri, None)
