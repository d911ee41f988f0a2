"""Ordered patterns: steps, contiguity, overlap, expiry, keys, bounds. Design: the catalogue."""

from typing import Any

import pytest

from routilux import Flow, JobState, Routine, Slot
from routilux.errors import BadTypeError, BadValueError
from routilux.policies import batch_size_policy, sequence_policy
from routilux.testing import ManualClock, SimRuntime, check_picture


def is_a(item: str) -> bool:
    return item == "a"


def is_b(item: str) -> bool:
    return item == "b"


LOWER_UPPER = [str.islower, str.isupper]


@pytest.mark.parametrize(
    ("policy", "picture"),
    [
        # unfinished matches overlap: each item goes to the oldest one that it continues
        (sequence_policy(LOWER_UPPER), "in   abAB|\nout  --[aA][bB]|\ndrop -"),
        # so an expired one takes no later match with it
        (sequence_policy(LOWER_UPPER, within_seconds=4), "in   a--b--B-|\nout  ------[bB]-|\ndrop ----a"),
        (sequence_policy(LOWER_UPPER, within_seconds=4), "in   a---B|\nout  -----|\ndrop ----(aB)"),
        (sequence_policy(LOWER_UPPER), "in   1A2a3A4|\nout  -----[aA]-|\ndrop 1A2-3-4"),
        # slots as steps, in any mixture
        (sequence_policy(["x", "y", "x"]), "x    a--c-|\ny    --1--|\nout  ---[ac1]-|\ndrop -"),
        (sequence_policy(["y", str.isalpha]), "x    a-c-|\ny    -1--|\nout  --[c1]-|\ndrop a"),
        # at one instant slots go in their order
        (sequence_policy(["x", "y"]), "x    a|\ny    1|\nout  [a1]|"),
        (sequence_policy(["y", "x"]), "x    a|\ny    1|\nout  -|\ndrop a\nleft 1"),
        # strict: nothing may come between, and the search goes on with the second item of what was broken
        (sequence_policy([is_a, is_a, is_b], contiguity="strict"), "in   aaab|\nout  ---[aab]|\ndrop --a"),
        (sequence_policy([is_a, is_b], contiguity="strict"), "in   axab|\nout  ---[ab]|\ndrop -(ax)"),
        (sequence_policy(LOWER_UPPER, contiguity="strict", key=str.lower), "in   abAcB|\nout  --[aA]-[bB]|\nleft c"),
        (sequence_policy(LOWER_UPPER, key=str.lower), "in   abBA|\nout  --[bB][aA]|\ndrop -"),
        # bounded: the oldest go
        (sequence_policy(LOWER_UPPER, max_unfinished=2), "in   abcABC|\nout  ---[bA][cB]-|\ndrop --a--C"),
        # at the end nothing can complete a match: no waiting for its expiry
        (sequence_policy(LOWER_UPPER, within_seconds=9), "in   a-|\nout  --|\nleft a"),
        # another policy takes its items
        (sequence_policy(LOWER_UPPER) | batch_size_policy(2), "in   abA|\nout  -[ab]-|\ndrop --A"),
    ],
)
def test_sequences_do_what_their_picture_shows(policy: Any, picture: str) -> None:
    check_picture(policy, picture)


def test_the_message_tells_steps_and_key() -> None:
    messages = []
    target = (
        Routine("t").add_slot("x").add_slot("y").set_logic(lambda x, y, policy_message: messages.append(policy_message))
    )
    target.set_activation_policy(sequence_policy({"asked": "x", "answered": "y"}, key=len))
    sim = SimRuntime()
    job = sim.exec(Flow("f").add_routine(target, "t"), inputs={"t": {"x": ["a"], "y": ["b"]}})
    assert sim.wait_for_job(job.job_id)
    assert messages == [{"reason": "sequence", "steps": [("asked", "x"), ("answered", "y")], "key": 1}]
    sim.shutdown(wait=False)


def test_a_backlog_of_unwanted_items_is_dropped_at_once() -> None:
    sim = SimRuntime()
    target = Routine("t").add_slot("items", max_queue_length=None).set_logic(lambda items: None)
    target.set_activation_policy(sequence_policy(LOWER_UPPER))
    job = sim.exec(Flow("f").add_routine(target, "t"), inputs={"t": {"items": list("123" * 100)}})
    assert sim.wait_for_job(job.job_id)
    assert job.drops == {("t", "items"): {"no step": 300}}
    assert sum(record.event_name == "dropped" for record in job.execution_history) == 1
    sim.shutdown(wait=False)


def test_an_item_that_a_step_cannot_read_is_looked_at_again() -> None:
    job = JobState("f", clock=ManualClock())
    job.current_routine_id = "t"
    slots = {"in": Slot("in")}
    readable: list[str] = []
    policy = sequence_policy([lambda item: readable.index(item) == 0, lambda item: readable.index(item) == 1])
    slots["in"].enqueue("a")
    with pytest.raises(ValueError, match="not in list"):
        policy(slots, job)
    readable += "ab"
    slots["in"].enqueue("b")
    assert policy(slots, job).data_slice == {"in": ["a", "b"]}


def test_keys_are_fields_or_functions() -> None:
    sim = SimRuntime()
    seen: list[Any] = []
    policy = sequence_policy({"in": lambda item: item["way"] == 1, "out": lambda item: item["way"] == 2}, key="who")

    def keep(items: list[Any]) -> None:
        seen.append(items)

    target = Routine("t").add_slot("items").set_activation_policy(policy).set_logic(keep)
    items = [{"who": who, "way": way} for way in (1, 2) for who in "ab"]
    sim.exec(Flow("f").add_routine(target, "t"), inputs={"t": {"items": items}})
    sim.run_until_idle()
    assert seen == [[items[0], items[2]], [items[1], items[3]]]
    sim.shutdown(wait=False)


def test_memory_is_empty_when_nothing_is_unfinished() -> None:
    clock = ManualClock()
    job = JobState("f", clock=clock)
    job.current_routine_id = "t"
    slots = {"in": Slot("in", clock=clock, max_queue_length=None)}
    policy = sequence_policy(LOWER_UPPER, key=str.lower)
    for letter in "abcdefghij" * 3:
        slots["in"].enqueue(letter)
        slots["in"].enqueue(letter.upper())
    count = 0
    while policy(slots, job).should_activate:
        count += 1
    state = job.memory()["state"]
    assert (count, state["open"], state["keys"], state["ready"]) == (30, {}, {}, [])


def test_an_explanation_tells_how_far_the_oldest_match_is() -> None:
    sim = SimRuntime()
    target = Routine("t").add_slot("items").set_logic(lambda items: None)
    target.set_activation_policy(sequence_policy({"a": is_a, "b": is_b, "end": str.isupper}, within_seconds=60))
    job = sim.exec(Flow("f").add_routine(target, "t"), keep_open=True)
    for letter in "ab":
        sim.post(job.job_id, "t", "items", letter)
    sim.run_until_idle()
    text = str(job.explain("t"))
    assert "steps matched 2 of 3 no, next step end no" in text
    assert "wakes 12:01:00" in text
    sim.cancel_job(job.job_id)
    sim.shutdown(wait=False)


@pytest.mark.parametrize(
    ("build", "kind"),
    [
        (lambda: sequence_policy("xy"), BadTypeError),
        (lambda: sequence_policy(3), BadTypeError),  # type: ignore[arg-type]
        (lambda: sequence_policy(["x"]), BadValueError),
        (lambda: sequence_policy(["x", 3]), BadTypeError),  # type: ignore[list-item]
        (lambda: sequence_policy(["x", "y"], 0), BadValueError),
        (lambda: sequence_policy(["x", "y"], key=3), BadTypeError),  # type: ignore[arg-type]
        (lambda: sequence_policy(["x", "y"], contiguity="loose"), BadValueError),
        (lambda: sequence_policy(["x", "y"], max_unfinished=0), BadValueError),
    ],
)
def test_a_bad_sequence_is_refused_when_built(build: Any, kind: Any) -> None:
    with pytest.raises(kind):
        build()
