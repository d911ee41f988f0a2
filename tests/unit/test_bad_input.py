"""Errors of ours: what was given, what is known, nothing left behind, and they survive pickling. Design: §10."""

import inspect
import pickle
import threading
from typing import Any

import pytest

from routilux import (
    ErrorHandler,
    Finding,
    Flow,
    FlowRegistry,
    JobFinishedError,
    JobState,
    JobStateError,
    ResourceNotFoundError,
    RoutiluxError,
    Routine,
    Runtime,
    RuntimeClosedError,
    Severity,
    Slot,
    batch_size_policy,
    custom_policy,
    errors,
    time_interval_policy,
)
from routilux.testing import SimRuntime

CLASSES = sorted(
    (kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, RoutiluxError)),
    key=lambda kind: kind.__name__,
)
SAMPLES = {"known": ["a", "b"], "routine_ids": ["a"], "timeout": 1.5, "seq": 3, "max_queue_length": 5}
FINDING = Finding("R001", Severity.ERROR, "a", "has no logic", "set_logic")


def sample(kind: Any) -> Any:
    """Make an error of a class from plain facts."""
    if "__init__" not in {name for base in kind.__mro__[: kind.__mro__.index(RoutiluxError)] for name in vars(base)}:
        return kind("a message")
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    facts = SAMPLES | {"findings": [FINDING], "unconsumed_count": 5, "total_count": 5}
    return kind(*(facts.get(parameter.name, f"the {parameter.name}") for parameter in parameters))


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_survives_pickling_with_its_facts_and_message(kind: Any) -> None:
    error = sample(kind)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (kind, str(error), vars(error))


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_prints_its_facts_as_one_sentence(kind: Any) -> None:
    text = str(sample(kind))
    assert text
    assert "object at" not in text
    assert not text.startswith("(")


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        ("DefinitionError", ValueError),
        ("RoutineNotFoundError", ValueError),
        ("SlotNotFoundError", ValueError),
        ("UnknownEventError", ValueError),
        ("DuplicateNameError", ValueError),
        ("FlowNotFoundError", LookupError),
        ("JobNotFoundError", LookupError),
        ("ResourceNotFoundError", LookupError),
        ("JobStateError", ValueError),
        ("PolicyError", TypeError),
        ("LogicError", TypeError),
        ("NoActivationError", RuntimeError),
        ("ActivationTimeoutError", TimeoutError),
        ("JobTimeoutError", TimeoutError),
    ],
)
def test_errors_can_be_caught_as_what_python_calls_them(kind: Any, builtin: Any) -> None:
    assert issubclass(getattr(errors, kind), builtin)


def fine_flow() -> Any:
    return Flow("f").add_routine(Routine("t").set_logic(lambda items: None))


def open_job() -> Any:
    sim = SimRuntime()
    return sim, sim.exec(fine_flow(), keep_open=True)


WRONG_CALLS = {
    "slot length": lambda: Slot("in", 0),
    "slot length type": lambda: Slot("in", "many"),  # type: ignore[arg-type]
    "slot watermark": lambda: Slot("in", watermark=2),
    "slot on_full": lambda: Slot("in", on_full="maybe"),
    "slot name": lambda: Slot(""),
    "routine name": lambda: Routine(""),
    "routine concurrency": lambda: Routine("r", max_concurrency=0),
    "routine timeout": lambda: Routine("r", timeout=-1),
    "routine slot": lambda: Routine("r").add_slot("s", -1),
    "routine event": lambda: Routine("r").add_event(None),  # type: ignore[arg-type]
    "routine logic": lambda: Routine("r").set_logic(None),  # type: ignore[arg-type]
    "routine policy": lambda: Routine("r").set_activation_policy(None),  # type: ignore[arg-type]
    "routine handler": lambda: Routine("r").set_error_handler(None),  # type: ignore[arg-type]
    "routine without logic": Routine("r"),
    "handler strategy": lambda: ErrorHandler("maybe"),  # type: ignore[arg-type]
    "handler retries": lambda: ErrorHandler(max_retries=-1),
    "handler exceptions": lambda: ErrorHandler(retryable_exceptions=3),  # type: ignore[arg-type]
    "flow id": lambda: Flow(""),
    "flow leftover": lambda: Flow("f", on_leftover="maybe"),
    "flow routine": lambda: Flow("f").add_routine(3),  # type: ignore[arg-type]
    "flow routine id": lambda: Flow("f").add_routine(Routine("r"), ""),
    "flow event": lambda: Flow("f").add_routine(Routine("r")).connect("r", "", "r", "x"),
    "flow unhashable": lambda: Flow("f").add_routine(Routine("r")).connect(["r"], "e", "r", "x"),  # type: ignore[arg-type]
    "policy size": lambda: batch_size_policy(0),
    "policy size type": lambda: batch_size_policy("2"),  # type: ignore[arg-type]
    "policy seconds": lambda: time_interval_policy(-1),
    "policy check": lambda: custom_policy(None),  # type: ignore[arg-type]
    "registry flow": lambda: FlowRegistry().register("f", None),  # type: ignore[arg-type]
    "registry name": lambda: FlowRegistry().register("", fine_flow()),
    "runtime size": lambda: Runtime(0),
    "runtime size type": lambda: Runtime("many"),  # type: ignore[arg-type]
    "runtime limit": lambda: Runtime(1, limits={"x": 0}),
    "exec flow": lambda: SimRuntime().exec(3),  # type: ignore[arg-type]
    "exec unknown": lambda: SimRuntime().exec("unknown flow"),
    "exec inputs": lambda: SimRuntime().exec(fine_flow(), inputs=3),  # type: ignore[arg-type]
    "exec inputs of one": lambda: SimRuntime().exec(fine_flow(), inputs={"t": 3}),  # type: ignore[dict-item]
    "exec params": lambda: SimRuntime().exec(fine_flow(), params=3),  # type: ignore[arg-type]
    "exec job": lambda: SimRuntime().exec(fine_flow(), "job"),  # type: ignore[arg-type]
    "exec timeout": lambda: SimRuntime().exec(fine_flow(), timeout=-1),
    "exec timeout type": lambda: SimRuntime().exec(fine_flow(), timeout="soon"),  # type: ignore[arg-type]
    "exec priority": lambda: SimRuntime().exec(fine_flow(), priority="high"),  # type: ignore[arg-type]
    "exec foreign job": lambda: SimRuntime().exec(fine_flow(), JobState("other")),
    "list status": lambda: SimRuntime().list_jobs("maybe"),
    "get nothing": lambda: SimRuntime().cancel_job("nope"),
    "post type": lambda: open_job()[0].post("nope", "t", "items", 1),
    "wake": lambda: JobState("f").wake_after(-1),
    "emit": lambda: Routine("r").emit("e"),
    "slots": lambda: JobState("f").slots("nope"),
}


@pytest.mark.parametrize("call", WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_a_wrong_call_raises_a_python_error_at_the_call_that_tells_something(call: Any) -> None:
    with pytest.raises((ValueError, TypeError, LookupError, RuntimeError)) as caught:
        call()
    assert len(str(caught.value)) > 10


@pytest.mark.parametrize("call", WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_everything_raised_is_an_error_of_ours(call: Any) -> None:
    with pytest.raises(RoutiluxError):
        call()


@pytest.mark.parametrize(
    "options",
    [
        {"inputs": {"nope": {"x": [1]}}},
        {"inputs": {"t": {"nope": [1]}}},
        {"inputs": {"t": {"items": 3}}},
        {"inputs": 3},
        {"params": 3},
        {"timeout": -1},
        {"priority": "high"},
        {"job_state": JobState("other")},
        {"job_state": 3},
    ],
    ids=str,
)
def test_a_failed_exec_leaves_no_job_and_no_thread_behind(options: Any) -> None:  # B26
    before = set(threading.enumerate())
    with Runtime(2) as runtime:
        with pytest.raises((ValueError, TypeError)):
            runtime.exec(fine_flow(), **options)
        assert runtime.list_jobs() == []
        assert runtime.wait_until_all_jobs_finished(1)
    assert set(threading.enumerate()) <= before


def test_a_failed_exec_leaves_the_job_state_as_it_was() -> None:  # B26
    job = JobState("other", params={"a": 1})
    before = {**job.serialize(), "now": 0}
    with pytest.raises(JobStateError, match="other"):
        SimRuntime().exec(fine_flow(), job)
    assert ({**job.serialize(), "now": 0}, job.status, job.run) == (before, "pending", 1)


def test_a_runtime_with_a_wrong_argument_starts_no_thread() -> None:
    before = set(threading.enumerate())
    for options in ({"thread_pool_size": 0}, {"limits": {"x": 0}}, {"store": "jobs.db"}):
        with pytest.raises((ValueError, TypeError)):
            Runtime(**options)
    assert set(threading.enumerate()) <= before


def test_a_closed_runtime_takes_nothing(sim: Any) -> None:
    job = sim.exec(fine_flow())
    sim.run_until_idle()
    sim.shutdown()
    for call in (lambda: sim.exec(fine_flow()), lambda: sim.post(job.job_id, "t", "items", 1)):
        with pytest.raises(RuntimeClosedError, match="new Runtime"):
            call()  # type: ignore[no-untyped-call]


def test_a_running_or_completed_job_state_is_refused(sim: Any) -> None:
    flow = fine_flow()
    job = sim.exec(flow, keep_open=True)
    with pytest.raises(JobStateError, match=job.job_id):
        sim.exec(flow, job)
    sim.close_job(job.job_id)
    sim.run_until_idle()
    with pytest.raises(JobStateError, match="completed"):
        sim.exec(flow, job)
    with pytest.raises(JobFinishedError):
        sim.post(job.job_id, "t", "items", 1)


def test_a_missing_resource_names_the_known_ones() -> None:
    sim = SimRuntime(resources={"db": object()})
    job = sim.exec(fine_flow(), keep_open=True)
    with pytest.raises(ResourceNotFoundError, match=r"queue.*db"):
        job.resource("queue")


def test_an_enormous_item_goes_through_by_reference(sim: Any) -> None:
    item = bytearray(50_000_000)
    flow = Flow("f").add_routine(
        Routine("t").set_logic(lambda items, job_state: job_state.set_result(items[0] is item))
    )
    job = sim.exec(flow, inputs={"t": {"items": [item]}})
    sim.run_until_idle()
    assert job.result is True


def test_an_error_that_cannot_print_itself_still_fails_the_job(sim: Any) -> None:
    class UnprintableError(Exception):
        def __str__(self) -> None:  # type: ignore[override]
            raise OSError("no words")

    def fail() -> None:
        raise UnprintableError

    job = sim.exec(Flow("f").add_routine(Routine("s").set_logic(fail)))
    sim.run_until_idle()
    assert (job.status, job.error.type, job.error.routine_id) == ("failed", "UnprintableError", "s")
