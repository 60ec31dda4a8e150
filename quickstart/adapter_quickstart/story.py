"""The story that the quickstart tells: train, serve, compare, swap under load, roll back."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapter_contract import Progress
from adapter_quickstart import chat, deployment_view, platform, training_view
from adapter_quickstart.kubectl import JSON
from adapter_quickstart.platform import BASE_MODEL, Platform
from adapter_quickstart.questions import Question, is_right, read_questions
from adapter_quickstart.swap import Swaps

TRAINING = "support-bot"
DEPLOYMENT = "support"
ADAPTER = "support-bot"
_HELD_DIGEST = "/spec/adapters/0/source/training/digest"

Show = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """What the quickstart measured. A training's seconds are from the start of its run to its end."""

    base_correct: int
    adapter_correct: int
    second_version_correct: int
    questions: int
    swap_requests: int
    swap_failed_requests: int
    train_seconds: float
    second_train_seconds: float
    total_seconds: float

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(vars(self))


class Story:
    """One telling. `show` prints a line, `title` a heading."""

    def __init__(self, where: Platform, show: Show, title: Show) -> None:
        self._where = where
        self._kubectl = where.kubectl
        self._show = show
        self._title = title

    def tell(self, endpoint: str, *, started: float) -> Result:
        """Tell it, on an installed platform.

        Args:
            endpoint: the object store's URL.
            started: when the quickstart began, as `time.monotonic` gave it.

        Raises:
            TrainingFailed, DeploymentFailed, SwapFailed, CommandFailed, StorageError, openai.OpenAIError: what went
                wrong.
        """
        platform.upload_data(self._where, endpoint, self._show)
        questions = read_questions(self._where.example / "data" / "questions.jsonl")

        self._title("Two files are applied: a training on the support questions, and a deployment that follows it")
        first = self._train("training.yaml", "deployment.yaml")
        first_digest = _digest(first)
        self._await_served(first_digest)
        api = f"http://{self._where.address(DEPLOYMENT)}/v1"

        self._title("Held-out questions, to the base and to the adapter")
        right = self._compare(api, questions, [BASE_MODEL, ADAPTER])

        with Swaps(api, ADAPTER, [question.question for question in questions]) as swaps:
            second = self._swap(swaps, first, first_digest)
            traffic = swaps.finish(self._show)

        self._title("The second version's answers")
        changed = read_questions(self._where.example / "data" / "questions-v2.jsonl")
        second_right = self._compare(api, changed, [ADAPTER])
        return Result(
            base_correct=right[BASE_MODEL],
            adapter_correct=right[ADAPTER],
            second_version_correct=second_right[ADAPTER],
            questions=len(questions),
            swap_requests=sum(traffic.answered.values()) + len(traffic.failed),
            swap_failed_requests=len(traffic.failed),
            train_seconds=_run_seconds(first),
            second_train_seconds=_run_seconds(second),
            total_seconds=round(time.monotonic() - started, 1),
        )

    def _train(
        self, *manifests: str, after_version: int = 0, on_progress: Callable[[Progress], None] = lambda _: None
    ) -> JSON:
        self._apply(*manifests)
        status = training_view.follow(
            self._kubectl, TRAINING, self._show, after_version=after_version, on_progress=on_progress
        )
        adapter = status["adapter"]
        measured = ", ".join(f"{one['name']} {one['value']}" for one in adapter.get("metrics", []))
        self._show(f"version {adapter['version']} is published: {adapter['digest']} ({measured or 'nothing measured'})")
        return status

    def _swap(self, swaps: Swaps, first: JSON, first_digest: str) -> JSON:
        self._title("A second version goes on from the first; it is swapped in while clients ask")
        second = self._train(
            "training-v2.yaml", after_version=first["adapter"]["version"], on_progress=swaps.on_progress
        )
        swaps.await_answers(_digest(second), self._show)
        self._await_served(_digest(second))

        self._title("The first version is held by its digest: rolled back, with the clients still asking")
        self._patch({"op": "add", "path": _HELD_DIGEST, "value": first_digest})
        swaps.await_answers(first_digest, self._show)
        self._await_served(first_digest)

        self._title("The hold is lifted: the deployment follows the training again")
        self._patch({"op": "remove", "path": _HELD_DIGEST})
        swaps.await_answers(_digest(second), self._show)
        return second

    def _apply(self, *manifests: str) -> None:
        self._show(f"$ kubectl apply {' '.join(f'-f examples/quickstart/{manifest}' for manifest in manifests)}")
        files = [word for manifest in manifests for word in ("-f", self._where.example / manifest)]
        self._show(self._kubectl("apply", *files).strip())

    def _patch(self, change: JSON) -> None:
        words = json.dumps([change])
        self._show(f"$ kubectl patch adapterdeployment {DEPLOYMENT} --type=json -p '{words}'")
        self._show(self._kubectl("patch", "adapterdeployment", DEPLOYMENT, "--type=json", "-p", words).strip())

    def _await_served(self, digest: str) -> None:
        reached = deployment_view.serves(ADAPTER, digest)
        deployment_view.follow(self._kubectl, DEPLOYMENT, self._show, reached)

    def _compare(self, api: str, questions: Sequence[Question], models: Sequence[str]) -> dict[str, int]:
        """Ask each model every question, show the answers side by side, and count the right ones."""
        answers = {model: chat.ask_all(api, model, [one.question for one in questions]) for model in models}
        right = dict.fromkeys(models, 0)
        for number, question in enumerate(questions):
            self._show(f"Q  {question.question}")
            for model in models:
                answer = answers[model][number]
                correct = is_right(question, answer)
                right[model] += correct
                label = "adapter" if model == ADAPTER else "base"
                self._show(f"   {label:<8}{'right' if correct else 'wrong':<6}{' '.join(answer.split())}")
        self._show(", ".join(f"{model}: {count} of {len(questions)} right" for model, count in right.items()))
        return right


def _digest(status: JSON) -> str:
    digest: str = status["adapter"]["digest"]
    return digest


def _run_seconds(status: JSON) -> float:
    start, end = (datetime.fromisoformat(status["run"][name]) for name in ("startTime", "completionTime"))
    return (end - start).total_seconds()
