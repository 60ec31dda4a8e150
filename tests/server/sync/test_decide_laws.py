"""Laws of the decision under any sequence of sets, outcomes and delays: a model plays the worker's part."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_contract import AdapterEntry, AdapterVersion
from adapter_server.sync.decide import MAX_LIVE, Delete, Load, Prepare, Retire, Serve, Withdraw, decide
from adapter_server.sync.versions import LIVE, Holding, Phase, VersionState

pytestmark = pytest.mark.unit

DIGESTS = [f"sha256:{letter * 64}" for letter in "abcd"]


def version(digest: str) -> AdapterVersion:
    return AdapterVersion(digest=digest, uri=f"s3://adapters/{digest[-1]}/")


@st.composite
def entries(draw: st.DrawFn) -> AdapterEntry | None:
    if draw(st.integers(0, 5)) == 0:
        return None
    desired = draw(st.sampled_from([None, *DIGESTS]))
    fallback = draw(st.sampled_from([None, *DIGESTS]))
    return AdapterEntry(
        name="bot",
        policy="Optional",
        digest=desired,
        uri=None if desired is None else version(desired).uri,
        fallback=None if fallback is None else version(fallback),
    )


@dataclass
class Model:
    """Plays the worker: carries out decisions, with tasks that end when told so, well or not."""

    entry: AdapterEntry | None = None
    serving: str | None = None
    versions: dict[str, VersionState] = field(default_factory=dict)
    tasks: dict[str, object] = field(default_factory=dict)
    now: float = 0.0
    refused: set[str] = field(default_factory=set)

    def step(self) -> int:
        decision = decide(self.entry, Holding(self.serving, dict(self.versions)), self.now)
        for action in decision.actions:
            self._begin(action)
        self.check()
        return len(decision.actions)

    def _begin(self, action: object) -> None:
        match action:
            case Serve(digest):
                assert self.versions[digest].phase is Phase.LOADED
                self.serving = digest
                self._set(digest, last_served=self.now)
            case Withdraw():
                assert self.entry is None
                self.serving = None
            case Prepare(wanted):
                assert wanted.digest not in self.refused
                self.versions.setdefault(wanted.digest, VersionState(Phase.QUEUED))
                self._task(wanted.digest, action)
            case Load(digest):
                self._set(digest, phase=Phase.LOADING)
                self._task(digest, action)
            case Retire(digest):
                assert digest != self.serving
                self._set(digest, phase=Phase.DRAINING)
                self._task(digest, action)
            case Delete(digest):
                assert self.versions[digest].phase not in LIVE
                self._task(digest, action)

    def _task(self, digest: str, action: object) -> None:
        assert digest not in self.tasks, "two tasks on one version"
        self.tasks[digest] = action
        self._set(digest, working=True, retry_at=None)

    def end_task(self, digest: str, outcome: str) -> None:
        action = self.tasks.pop(digest)
        self._set(digest, working=False)
        match action:
            case Delete():
                del self.versions[digest]
                self.refused.discard(digest)
            case Retire():
                self._set(digest, phase=Phase.STORED)
            case Prepare() | Load() if outcome == "refused":
                self.refused.add(digest)
                self._set(digest, phase=Phase.REFUSED)
            case Prepare() | Load() if outcome == "failed":
                self._set(digest, phase=Phase.FAILED, retry_at=self.now + 5, origin=version(digest).uri)
            case Prepare():
                self._set(digest, phase=Phase.VERIFIED)
            case Load():
                self._set(digest, phase=Phase.LOADED)

    def _set(self, digest: str, **changes: object) -> None:
        self.versions[digest] = replace(self.versions[digest], **changes)

    def check(self) -> None:
        assert sum(state.phase in LIVE for state in self.versions.values()) <= MAX_LIVE
        if self.serving is not None:
            assert self.versions[self.serving].phase is Phase.LOADED

    def settle(self) -> None:
        """Let everything end well, until there is nothing to do."""
        for _ in range(100):
            begun = self.step()
            if not self.tasks and not begun:
                wake = decide(self.entry, Holding(self.serving, dict(self.versions)), self.now).wake_at
                if wake is None:
                    return
                self.now = wake
            for digest in list(self.tasks):
                self.end_task(digest, "well")
        raise AssertionError(f"it never settles: {self}")


moves = st.lists(
    st.one_of(
        st.tuples(st.just("set"), entries()),
        st.tuples(st.just("end"), st.tuples(st.integers(0, 3), st.sampled_from(["well", "well", "refused", "failed"]))),
        st.tuples(st.just("time"), st.integers(1, 10)),
    ),
    max_size=40,
)


def play(model: Model, sequence: list[tuple[str, object]]) -> None:
    for kind, value in sequence:
        answered = model.serving
        if kind == "set":
            model.entry = value  # type: ignore[assignment]
        elif kind == "end" and model.tasks:
            number, outcome = value  # type: ignore[misc]
            digest = sorted(model.tasks)[number % len(model.tasks)]
            model.end_task(digest, outcome)
        elif kind == "time":
            model.now += value  # type: ignore[operator]
        model.step()
        if answered is not None and model.entry is not None:
            assert model.serving is not None, "an adapter that is wanted stopped answering"


@given(moves)
def test_no_sequence_breaks_a_rule(sequence: list[tuple[str, object]]) -> None:
    play(Model(), sequence)


@given(moves, entries())
def test_it_settles_on_what_is_wanted(sequence: list[tuple[str, object]], last: AdapterEntry | None) -> None:
    model = Model()
    play(model, sequence)
    model.entry = last
    model.settle()
    if last is None:
        assert model.serving is None
        assert model.versions == {}
        return
    usable = [
        wanted.digest for wanted in (last.desired, last.fallback) if wanted and wanted.digest not in model.refused
    ]
    if usable:
        assert model.serving == usable[0]
    live = [digest for digest, state in model.versions.items() if state.phase in LIVE]
    assert live == ([] if model.serving is None else [model.serving])


@given(moves, entries())
def test_an_equal_set_changes_nothing(sequence: list[tuple[str, object]], last: AdapterEntry | None) -> None:
    model = Model()
    play(model, sequence)
    model.entry = last
    model.settle()
    assert model.step() == 0
