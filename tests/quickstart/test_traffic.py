"""Questions and traffic, against a small server that answers as the gateway does."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai
import pytest

from adapter_contract import Phase, Progress
from adapter_quickstart import chat
from adapter_quickstart.swap import SwapFailed, Swaps

pytestmark = pytest.mark.integration

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Answers:
    """What the server says: the digest in its header, or a failure."""

    digest: str = "one"
    status: int = 200
    asked: list[str] = field(default_factory=list)


@contextmanager
def serving(answers: Answers):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            question = body["messages"][-1]["content"]
            answers.asked.append(question)
            content = json.dumps(completion(f"{body['model']} heard {question}")).encode()
            self.send_response(answers.status)
            self.send_header("content-type", "application/json")
            self.send_header("x-adapter-digest", answers.digest)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def completion(text: str):
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


def test_answers_come_in_the_order_of_the_questions():
    questions = [f"q{number}" for number in range(20)]
    with serving(Answers()) as endpoint:
        assert chat.ask_all(endpoint, "base", questions) == [f"base heard {question}" for question in questions]


def test_a_question_that_fails_is_not_asked_again():
    answers = Answers(status=500)
    with serving(answers) as endpoint, pytest.raises(openai.InternalServerError):
        chat.ask_all(endpoint, "base", ["once"])
    assert answers.asked == ["once"]


def test_swaps_are_seen_by_the_digests_of_the_answers():
    answers = Answers()
    shown: list[str] = []
    with serving(answers) as endpoint, Swaps(endpoint, "bot", ["hello"]) as swaps:
        swaps.await_answers("one", shown.append)
        answers.digest = "two"
        swaps.await_answers("two", shown.append)
        traffic = swaps.finish(shown.append)
    assert traffic.failed == []
    assert set(traffic.answered) == {"one", "two"}
    assert "0 failed requests" in shown


def test_every_failed_request_is_counted():
    answers = Answers()
    shown: list[str] = []
    with serving(answers) as endpoint, Swaps(endpoint, "bot", ["hello"]) as swaps:
        swaps.await_answers("one", shown.append)
        answers.status = 503
        with pytest.raises(SwapFailed, match=r"not answered by two within 0 s; [1-9][0-9]* requests failed, such as: "):
            swaps.await_answers("two", shown.append, seconds=0.5)
        traffic = swaps.finish(shown.append)
    assert len(traffic.failed) >= 1
    assert f"{len(traffic.failed)} failed requests" in shown
    assert any(line.startswith("failed: Error code: 503") for line in shown)


def progress(**facts):
    return Progress(run=1, attempt=1, step=1, updated_time=NOW, **facts)


@pytest.mark.parametrize(
    "report", [progress(phase=Phase.TRAINING, percent=95), progress(phase=Phase.UPLOADING)], ids=["percent", "upload"]
)
def test_clients_start_when_a_training_is_nearly_done(report):
    answers = Answers()
    with serving(answers) as endpoint, Swaps(endpoint, "bot", ["hello"]) as swaps:
        swaps.on_progress(progress(phase=Phase.TRAINING, percent=94))
        swaps.on_progress(progress(phase=Phase.LOADING))
        assert answers.asked == []
        swaps.on_progress(report)
        assert swaps.traffic().wait_for("one", 10)
