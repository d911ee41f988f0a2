"""Policies compose, and every part keeps its memory and timer. Design: §4.8."""

from typing import Any

import pytest

from routilux import Flow, JobState, Routine, Slot
from routilux.policies import (
    absence_policy,
    all_slots_ready_policy,
    as_of_policy,
    batch_size_policy,
    combine_latest_policy,
    count_or_timeout_policy,
    custom_policy,
    debounce_policy,
    each_item_policy,
    first_of,
    immediate_policy,
    join_policy,
    latest_policy,
    manual_policy,
    policy_from_dict,
    quorum_policy,
    rates_policy,
    schedule_policy,
    sequence_policy,
    session_policy,
    sliding_policy,
    sync_time_policy,
    throttle_policy,
    time_interval_policy,
    until_policy,
    weight_policy,
    window_policy,
    with_latest_policy,
)
from routilux.testing import ManualClock, SimRuntime, check_picture

FUNCTIONS = {"isupper": str.isupper, "int": int, "bool": bool, "lower": str.lower, "ord": ord}
PLAIN = [
    absence_policy(3),
    all_slots_ready_policy(),
    as_of_policy("x", "y"),
    as_of_policy("y", "x", 3, ord, on_unmatched="drop"),
    as_of_policy("x", "y", time_of=ord),
    batch_size_policy(2),
    batch_size_policy(2, at_end="fire"),
    combine_latest_policy(),
    combine_latest_policy(["x"]),
    count_or_timeout_policy(3, 5),
    count_or_timeout_policy(3, 5, start="last_activation"),
    custom_policy(bool),  # type: ignore[arg-type]
    debounce_policy(2, 6),
    each_item_policy(),
    immediate_policy(),
    join_policy(str.lower),
    join_policy({"x": str.lower, "y": str.lower}, need=2, within_seconds=4, on_expire="fire", max_keys=3),
    join_policy(str.lower, build="y", at_end="drop"),
    join_policy(str.lower, within_seconds=2, build="x", max_keys=3),
    latest_policy(),
    manual_policy(),
    quorum_policy(2, 5),
    rates_policy({"x": 2, "y": 1}),
    schedule_policy(every_seconds=3),
    schedule_policy("0 6 * * *", misfire="all"),
    sequence_policy(["x", "y"]),
    sequence_policy({"digit": str.isdigit, "upper": str.isupper}, within_seconds=4, contiguity="strict"),
    sequence_policy([str.isalpha, "y", str.isdigit], 3, str.lower, max_unfinished=2),
    session_policy(2),
    sliding_policy(3, 2),
    sync_time_policy(1),
    sync_time_policy(0, ord),
    sync_time_policy(2, ord, max_wait_seconds=4),
    throttle_policy(2, 1, excess="drop"),
    time_interval_policy(3),
    until_policy(str.isupper, max_items=3),
    weight_policy(5, int),
    window_policy(4),
    window_policy(5, every_seconds=2),
    window_policy(10, time_of=ord, lateness_seconds=3, on_late="deliver", idle_seconds=4),
    window_policy(20, 8, ord),
    with_latest_policy("x"),
]
COMPOSED = [
    batch_size_policy(2) & time_interval_policy(3),
    batch_size_policy(2) | debounce_policy(3) | manual_policy(),
    (batch_size_policy(2) | debounce_policy(3)) & each_item_policy(),
    batch_size_policy(2).unless(batch_size_policy(4)),
    batch_size_policy(2).within(4, on_timeout="drop"),
    batch_size_policy(2).times(3),
    batch_size_policy(2).once().labelled("the first two"),
    batch_size_policy(2).by_key(str.lower, max_keys=5, idle_seconds=60),
    batch_size_policy(2).by_key("customer"),
]
ALL = PLAIN + COMPOSED
FUNCTIONS |= {"ord": ord, "isdigit": str.isdigit, "isalpha": str.isalpha}


@pytest.mark.parametrize("policy", ALL, ids=repr)
def test_a_policy_is_the_same_after_its_way_through_plain_data(policy: Any) -> None:
    again = policy_from_dict(policy.to_dict(), functions=FUNCTIONS)  # type: ignore[arg-type]
    assert (again, repr(again), hash(again), again.to_dict()) == (policy, repr(policy), hash(policy), policy.to_dict())


def test_policies_of_different_parameters_differ() -> None:
    assert len({repr(policy) for policy in ALL}) == len(ALL)
    assert all(a != b for i, a in enumerate(ALL) for b in ALL[i + 1 :])


@pytest.mark.parametrize("data", [{"policy": "nonsense"}, {"policy": "batch_size_policy", "size": 2}, {}])
def test_data_that_is_no_policy_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match=r"policy|made of"):
        policy_from_dict(data)


def test_a_function_of_a_policy_must_be_given() -> None:
    with pytest.raises(ValueError, match="functions="):
        policy_from_dict(weight_policy(5, int).to_dict())


@pytest.mark.parametrize("build", [lambda: batch_size_policy(2) & 3, first_of, lambda: first_of(len)])  # type: ignore[arg-type, operator]
def test_only_policies_compose(build: Any) -> None:
    with pytest.raises(TypeError):
        build()


def test_schedules_follow_the_calendar() -> None:
    # 12:00:00 is the start: ticks at each full minute
    check_picture(schedule_policy("* * * * *"), "in  -a" + "-" * 59 + "b|\nout " + "-" * 60 + "[a]-([b]|)")


@pytest.mark.parametrize(
    ("policy", "picture"),
    [
        (batch_size_policy(2) & time_interval_policy(4), "in  ab-cd-e---|\nout -[ab]---[cd]----|\nleft e"),
        (batch_size_policy(3) | debounce_policy(3), "in  ab---cdef-|\nout ----[ab]--[cde]--([f]|)"),
        (batch_size_policy(1).unless(batch_size_policy(2)), "in  a-(bc)-|\nout [a]---|\nleft bc"),
        (batch_size_policy(3).within(3), "in  -ab-----c|\nout ----[ab]----([c]|)"),
        (batch_size_policy(3).within(3, "drop"), "in   -a-b-----|\nout  ---------|\ndrop ----a-b"),
        (batch_size_policy(2).times(2), "in   ab-cd-ef|\nout  -[ab]--[cd]---|\ndrop ------ef"),
        (each_item_policy().once(), "in   ab|\nout  [a]-|\ndrop -b"),
        (batch_size_policy(2).by_key(str.lower), "in   abA-cB-|\nout  --[aA]--[bB]-|\nleft c"),
        (batch_size_policy(2).by_key(str.lower) & time_interval_policy(3), "in  aA-bBc|\nout -[aA]--[bB]--|\nleft c"),
        (debounce_policy(2).by_key(str.lower), "in  ab-A---|\nout --[a][b]-[A]-|"),
        (sliding_policy(2) & each_item_policy(), "in  abc|\nout -[ab][bc]|"),
        (schedule_policy(every_seconds=2) & batch_size_policy(2), "in  a--b---|\nout ---[ab]---|"),
        (schedule_policy(every_seconds=3) | batch_size_policy(2), "in  ab-c--|\nout -[ab]-[]--([c]|)"),
        (throttle_policy(1, 2).labelled("slowly"), "in  (ab)-|\nout [a]-([b]|)"),
        (combine_latest_policy(["x"]), "x   a-b-|\ny   -1-2|\nout -[a1][b1]-|\nleft 2"),
        (quorum_policy(2, within_seconds=2), "x   a---|\ny   ----|\nout --[a]-|"),
        (weight_policy(9, int, within_seconds=2), "in  12--3|\nout --[12]--([3]|)"),
        (until_policy(str.isupper, include=False, max_items=2), "in   abcX-X|\nout  -[ab]-[c]--|\ndrop ---X-X"),
        (count_or_timeout_policy(2, 3, start="last_activation"), "in  a---b--|\nout ---[a]--[b]|"),
    ],
)
def test_a_composed_policy_does_what_its_picture_shows(policy: Any, picture: Any) -> None:
    check_picture(policy, picture)


def test_composed_policies_can_be_called_by_hand() -> None:
    clock = ManualClock()
    job = JobState("f", clock=clock)
    job.current_routine_id = "t"
    slots = {"in": Slot("in", clock=clock)}
    policy = batch_size_policy(2) & each_item_policy()
    slots["in"].enqueue(1)
    assert not policy(slots, job).should_activate
    assert slots["in"].peek_all_new() == [1]
    slots["in"].enqueue(2)
    slots["in"].enqueue(3)
    assert policy(slots, job).data_slice == {"in": [1, 2]}
    assert slots["in"].peek_all_new() == [3]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (sliding_policy(3), ["abc", "bcd", "cde", "def"]),
        (combine_latest_policy(), list("abcdef")),
        (each_item_policy().times(3), list("abc")),
        (batch_size_policy(2).by_key(str.isalpha), ["ab", "cd", "ef"]),
        (batch_size_policy(2) | debounce_policy(9), ["ab", "cd", "ef"]),
        (sliding_policy(2, 2) & batch_size_policy(2), ["ab", "cd", "ef"]),
        (window_policy(4, 2, time_of=ord), ["a", "abc", "bcde", "def", "f"]),
        (window_policy(2, time_of=ord), ["a", "bc", "de", "f"]),
        (window_policy(4, 2, time_of=ord).labelled("w") | manual_policy(), ["a", "abc", "bcde", "def", "f"]),
        (sequence_policy([str.isalpha, str.isalpha]), ["ab", "cd", "ef"]),
        (sequence_policy([str.isalpha, "items"]).by_key(lambda item: item in "cd"), ["ab", "ef", "cd"]),
    ],
    ids=repr,
)
@pytest.mark.parametrize("failing", [0, 1, 2])
def test_what_a_failed_activation_put_back_is_delivered_again_the_same(
    policy: Any, expected: Any, failing: Any
) -> None:
    calls = []

    def logic(items: Any, job_state: Any) -> None:
        calls.append("".join(items))
        if len(calls) == failing + 1:
            raise ValueError("bad luck")
        job_state.append_shared_data("seen", "".join(items))

    flow = Flow("f", on_leftover="ok").add_routine(Routine("t").set_activation_policy(policy).set_logic(logic), "t")
    sim = SimRuntime()
    job = sim.exec(flow, inputs={"t": {"items": list("abcdef")}})
    assert sim.wait_for_job(job.job_id)
    assert (job.status, calls[failing]) == ("failed", expected[failing])
    clock = ManualClock()
    again = JobState.deserialize(job.serialize(), clock=clock)
    second = SimRuntime(clock=clock)
    second.exec(flow, again)
    assert second.wait_for_job(again.job_id)
    assert again.get_shared_data("seen") == expected
    for runtime in (sim, second):
        runtime.shutdown(wait=False)


def test_by_key_sees_an_item_that_comes_while_it_is_asked() -> None:
    slot, job = Slot("in"), JobState("by hand")
    job.current_routine_id = "t"

    def key(item: str) -> str:
        if item == "a":
            slot.enqueue("b")
        return item

    policy = immediate_policy().by_key(key)
    slot.enqueue("a")
    found = [policy({"in": slot}, job).data_slice for _ in range(3)]
    assert found == [{"in": ["a"]}, {"in": ["b"]}, {}]


def test_by_key_explains_what_the_key_asked_last_lacks() -> None:
    sim = SimRuntime()
    target = Routine("t").add_slot("in").set_logic(lambda items: None)
    target.set_activation_policy(batch_size_policy(3).by_key(str.lower))
    job = sim.exec(Flow("keys", on_leftover="ok").add_routine(target), inputs={"t": {"in": ["a", "b"]}}, keep_open=True)
    sim.run_until_idle()
    sim.post(job.job_id, "t", "in", "B")
    sim.run_until_idle()
    assert "unmet: keys that are ready 0 of 1 no, key 'b': count(in) 2 of 3 no" in str(job.explain("t"))
    sim.post(job.job_id, "t", "in", "b")
    sim.run_until_idle()
    assert "yes: key 'b' of (count(every slot) 3 of 3 yes)" in str(job.explain("t").decisions[-2])
    sim.shutdown()


def test_by_key_takes_no_end_for_granted_that_comes_while_it_is_asked() -> None:
    slot, job = Slot("in"), JobState("by hand")
    job.current_routine_id = "t"

    def key(item: str) -> str:
        if item == "a":
            slot.enqueue("A")
            slot.queue.is_closed = True
        return item.lower()

    policy = batch_size_policy(2, at_end="fire").by_key(key)
    slot.enqueue("a")
    assert [policy({"in": slot}, job).data_slice for _ in range(2)] == [{"in": ["a", "A"]}, {}]
