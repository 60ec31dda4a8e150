"""Questions to the endpoint, by the `openai` client as any user's program would ask them."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import openai

_ANSWER_TOKENS = 48
_REQUEST_SECONDS = 120.0
_AT_ONCE = 8


def client(endpoint: str) -> openai.OpenAI:
    """Return a client that never repeats a request: one that fails must be seen."""
    return openai.OpenAI(base_url=endpoint, api_key="none", max_retries=0, timeout=_REQUEST_SECONDS)


def ask_all(endpoint: str, model: str, questions: Sequence[str]) -> list[str]:
    """Return a model's most likely answers, in the questions' order; several are asked at once.

    Raises:
        openai.OpenAIError: a request failed.
    """
    with client(endpoint) as api, ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda question: _ask(api, model, question), questions))


def _ask(api: openai.OpenAI, model: str, question: str) -> str:
    answer = api.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": question}],
        temperature=0,
        max_tokens=_ANSWER_TOKENS,
    )
    return answer.choices[0].message.content or ""


@dataclass
class Traffic:
    """What became of the requests of a time.

    Attributes:
        answered: number of answers by the digest that gave them.
        failed: what failed requests said.
    """

    answered: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    _newest: str = ""
    _in_a_row: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, digest: str, seconds: float, *, in_a_row: int = 1) -> bool:
        """Wait until the newest answers, so many in a row, came from this digest; tell whether they did in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._newest == digest and self._in_a_row >= in_a_row, seconds)

    def _note(self, digest: str) -> None:
        with self._changed:
            self.answered[digest] += 1
            self._in_a_row = self._in_a_row + 1 if digest == self._newest else 1
            self._newest = digest
            self._changed.notify_all()

    def _fail(self, why: str) -> None:
        with self._changed:
            self.failed.append(why)


@contextmanager
def traffic(endpoint: str, model: str, questions: Sequence[str], *, clients: int = 4) -> Iterator[Traffic]:
    """Ask without a pause, from several clients at once, as long as the block lasts."""
    seen = Traffic()
    ended = threading.Event()

    def run(offset: int) -> None:
        with client(endpoint) as api:
            turn = offset
            while not ended.is_set():
                _ask_once(api, model, questions[turn % len(questions)], seen)
                turn += 1

    threads = [threading.Thread(target=run, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _ask_once(api: openai.OpenAI, model: str, question: str, seen: Traffic) -> None:
    try:
        answer = api.chat.completions.with_raw_response.create(
            model=model, messages=[{"role": "user", "content": question}], temperature=0, max_tokens=16
        )
    except openai.OpenAIError as error:
        seen._fail(str(error))  # noqa: SLF001 - same module
        time.sleep(0.1)  # a server that refuses at once is not asked a thousand times
        return
    digest = answer.headers.get("x-adapter-digest")
    if digest is None:
        seen._fail("an answer does not say which version gave it (x-adapter-digest)")  # noqa: SLF001 - same module
    else:
        seen._note(digest)  # noqa: SLF001 - same module
