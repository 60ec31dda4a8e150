"""Starting runs and attempts.

The status names an attempt before its Job exists. So whatever happens in between, the same Job is found or created
again, and no other one beside it.
"""

from adapter_operator.api.v1alpha1.identity import HASH_VERSION, learning_rate, spec_hash
from adapter_operator.api.v1alpha1.names import attempt_job
from adapter_operator.api.v1alpha1.training_status import ResolvedStorage, ResolvedTraining, Run, TrainingStatus
from adapter_operator.build.base_model import UnknownBaseModelError
from adapter_operator.build.metadata import uid_selector
from adapter_operator.build.trainer_config import RunIdentity, config_map, trainer_config
from adapter_operator.build.trainer_inputs import NoOutputError, Parent, TrainerInputs, resolve_inputs
from adapter_operator.build.trainer_job import AttemptJob, trainer_job
from adapter_operator.plan.permitted import pod_problems
from adapter_operator.plan.plan import JSON, FencedCreate
from adapter_operator.plan.training_conflicts import name_conflict
from adapter_operator.plan.training_facts import Facts, Step, settings_hash, with_run
from adapter_operator.plan.training_parent import PARENT_CHECK_SECONDS, NoParent, resolve_parent
from adapter_operator.plan.training_versions import common_method_name
from adapter_operator.plan.unsupported import unsupported_inputs


def start_run(facts: Facts, status: TrainingStatus) -> Step:
    """Start the next run with its first attempt, or say why it can't start."""
    resolved = _resolve(facts, status, digest=None)
    if isinstance(resolved, Step):
        return resolved
    inputs, parent = resolved
    run = Run(
        number=_next_run(facts, status),
        spec_hash=spec_hash(facts.spec, HASH_VERSION),
        hash_version=HASH_VERSION,
        restart_token=facts.spec.restart_token,
        parent_digest=parent.digest if parent else None,
        start_time=facts.now,
    )
    begun = status.model_copy(update={"run": run, "checkpoint": None, "failure": None, "progress": None})
    return _attempt_with_new_settings(facts, begun, inputs, 1, otherwise=status)


def start_attempt(facts: Facts, status: TrainingStatus, attempt: int) -> Step:
    """Start an attempt of the present run, or say why it can't start.

    All attempts read the run's configuration byte for byte. Only after an edit of the settings is it written anew; then
    retries and deadline are counted from here.
    """
    run = status.run or Run()
    resolved = _resolve(facts, status, digest=run.parent_digest)
    if isinstance(resolved, Step):
        return resolved
    inputs, _ = resolved
    if run.settings_hash != settings_hash(facts.spec):
        renewed = with_run(status, completion_time=None).model_copy(update={"failure": None})
        return _attempt_with_new_settings(facts, renewed, inputs, attempt, otherwise=status)
    begun = with_run(status, attempt=attempt)
    if run.config_map in facts.observed.config_maps:
        return _post(facts, begun, inputs, (), otherwise=status)
    begun, create = _with_configuration(facts, begun, inputs)
    return _post(facts, begun, inputs, create, otherwise=status)


def starting_message(run: int, attempt: int) -> str:
    """What is going on between the creation of a Job and the first report of its pod."""
    return f"Attempt {attempt} of run {run} is starting: image, volumes, base model."


def _next_run(facts: Facts, status: TrainingStatus) -> int:
    """One more than any that was: where the status was lost, Jobs and versions still tell."""
    known = [run for run, _ in facts.observed.attempts]
    known += [version.run for version in facts.observed.versions]
    return 1 + max([*known, (status.run.number if status.run else None) or 0])


def _resolve(facts: Facts, status: TrainingStatus, *, digest: str | None) -> tuple[TrainerInputs, Parent | None] | Step:
    """Find everything that a run reads, or the conclusion that something is missing or not permitted."""
    refused = [str(problem) for problem in pod_problems(facts.spec.pod, facts.settings)]
    if refused:
        return Step("NotPermitted", "; ".join(refused), status)
    parent = resolve_parent(facts, status, digest=digest)
    if isinstance(parent, NoParent):
        return Step(parent.reason, parent.message, status, requeue_after=PARENT_CHECK_SECONDS)
    try:
        inputs = resolve_inputs(facts.training, parent, facts.settings)
    except UnknownBaseModelError as error:
        return Step("UnknownBaseModel", str(error), status)
    except NoOutputError as error:
        return Step("InvalidSpec", str(error), status)
    problems = [str(problem) for problem in unsupported_inputs(inputs)]
    return Step("InvalidSpec", "; ".join(problems), status) if problems else (inputs, parent)


def _attempt_with_new_settings(
    facts: Facts, status: TrainingStatus, inputs: TrainerInputs, attempt: int, *, otherwise: TrainingStatus
) -> Step:
    """Take the settings as they are now, the platform's too, and count from this attempt."""
    status = status.model_copy(update={"resolved": _defaults(facts, inputs)})
    status = with_run(
        status,
        attempt=attempt,
        settings_hash=settings_hash(facts.spec),
        counted_from=attempt,
        failures=0,
        running_seconds=0,
    )
    status, create = _with_configuration(facts, status, inputs)
    return _post(facts, status, inputs, create, otherwise=otherwise)


def _defaults(facts: Facts, inputs: TrainerInputs) -> ResolvedTraining:
    """The platform's defaults as they are now. The run keeps them, whatever becomes of them."""
    spec, output = facts.spec, inputs.output
    return ResolvedTraining(
        image=spec.pod.image or facts.settings.images.trainer,
        method=common_method_name(spec),
        learning_rate=learning_rate(spec),
        storage=ResolvedStorage(uri=output.uri, endpoint_url=output.endpoint_url, region=output.region),
        deadline_seconds=spec.deadline_seconds or facts.settings.deadline_seconds,
    )


def _with_configuration(
    facts: Facts, status: TrainingStatus, inputs: TrainerInputs
) -> tuple[TrainingStatus, tuple[JSON, ...]]:
    """Write the run's configuration: the status that names it, and the config map where it is not there yet."""
    run, resolved = status.run or Run(), status.resolved or ResolvedTraining()
    identity = RunIdentity(
        number=run.number or 1,
        spec_hash=run.spec_hash or "",
        hash_version=run.hash_version or HASH_VERSION,
        restart_token=run.restart_token,
        image=resolved.image or facts.settings.images.trainer,
    )
    manifest = config_map(facts.training, trainer_config(facts.training, identity, inputs, facts.settings))
    name = manifest["metadata"]["name"]
    return with_run(status, config_map=name), (() if name in facts.observed.config_maps else (manifest,))


def _post(
    facts: Facts, status: TrainingStatus, inputs: TrainerInputs, create: tuple[JSON, ...], *, otherwise: TrainingStatus
) -> Step:
    """Create the Job of the attempt that the status names, unless its name is taken."""
    run, resolved = status.run or Run(), status.resolved or ResolvedTraining()
    number, attempt = run.number or 1, run.attempt or 1
    job = AttemptJob(
        run=number,
        attempt=attempt,
        spec_hash=run.spec_hash or "",
        settings_hash=run.settings_hash or "",
        image=resolved.image or facts.settings.images.trainer,
        config_map=run.config_map or "",
        mounts=inputs.mounts,
    )
    manifest = trainer_job(facts.training, job, facts.settings)
    conflict = name_conflict(facts, (*create, manifest), otherwise)
    return conflict or Step(
        "Starting",
        starting_message(number, attempt),
        with_run(status, job=attempt_job(facts.name, number, attempt)),
        create=create,
        fenced=FencedCreate(manifest, uid_selector(facts.training)),
    )
