"""Findings: each on a flow that has it, and on one that nearly has it. Design: §2.5."""

import json
import math
import random
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from routilux import Connection, Finding, Flow, Policy, Routine, Runtime, checks
from routilux.definition import FlowDefinition
from routilux.demand import Demand, demand_of
from routilux.errors import BadValueError
from routilux.findings import KINDS, Severity
from routilux.graph import DominatorTree, cycles
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
    gather_policy,
    immediate_policy,
    join_policy,
    latest_policy,
    manual_policy,
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
    window_policy,
    with_latest_policy,
)

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "findings.md"


def step(*slots: str, policy: Any = None, **options: Any) -> Routine:
    made = Routine("step").set_logic(lambda *lists: None)
    for slot in slots:
        made.add_slot(slot, **options)
    return made.set_activation_policy(policy) if policy is not None else made


def flow_of(*arrows: str, on_leftover: Any = "warn", **routines: Any) -> Flow:
    """Wire routines by id with arrows such as ``a.out > b.x``; routines that are not given are sources."""
    flow = Flow("flow", on_leftover=on_leftover)
    ends = [[side.strip().split(".") for side in arrow.split(">")] for arrow in arrows]
    sources = {left[0]: step() for left, _ in ends if left[0] not in routines}
    for routine_id, routine in {**sources, **routines}.items():
        flow.add_routine(routine, routine_id)
    for (source, event), (target, slot) in ends:
        flow.connect(source, event, target, slot)
    return flow


def fed(policy: Any, **options: Any) -> Flow:
    """A routine with this policy, whose one slot a source feeds."""
    return flow_of("s.out > t.x", t=step("x", policy=policy, **options))


def joined(policy: Any, **options: Any) -> Flow:
    """A routine with this policy, whose two slots two sources feed."""
    return flow_of("s.out > t.x", "r.out > t.y", t=step("x", "y", policy=policy, **options))


def codes(flow: Flow) -> list[str]:
    return [finding.code for finding in flow.validate()]


@dataclass(frozen=True)
class Says(Policy):
    """A policy of a user, that says this about itself."""

    said: Any

    def demand(self, slots: Any) -> Any:
        return self.said


def late_slot() -> Flow:
    late = Routine("t").set_logic(lambda *lists: None)
    flow = Flow("flow").add_routine(step(), "s").add_routine(late, "t").connect("s", "out", "t", "x")
    late.add_slot("y")
    return flow


def late_event(event: str) -> Flow:
    source = Routine("s").set_logic(lambda: None)
    flow = Flow("flow").add_routine(source).add_routine(step("x"), "t").connect("s", "out", "t", "x")
    source.add_event(event)
    return flow


def branches(policy: Any, one: str = "left", other: str = "right", **options: Any) -> Flow:
    """A router whose branches meet in a join."""
    return flow_of(
        "s.out > router.x",
        f"router.{one} > a.x",
        f"router.{other} > b.x",
        "a.out > join.l",
        "b.out > join.r",
        router=step("x"),
        a=step("x"),
        b=step("x"),
        join=step("l", "r", policy=policy, **options),
    )


def doubling(policy: Any = None, **options: Any) -> Flow:
    """A cycle in which each item becomes two."""
    return flow_of(
        "s.out > a.x",
        "a.out > b.x",
        "a.out > c.x",
        "b.out > a.x",
        "c.out > a.x",
        a=step("x", policy=policy, **options),
        b=step("x"),
        c=step("x"),
    )


def feedback(policy: Any) -> Flow:
    """A join that gets back what it emits."""
    return flow_of("s.out > j.x", "j.out > back.x", "back.out > j.y", j=step("x", "y", policy=policy), back=step("x"))


def same_events(policy: Any, **options: Any) -> Flow:
    return flow_of("s.out > t.x", "s.out > t.y", t=step("x", "y", policy=policy, **options))


def unfed(policy: Any) -> Flow:
    return flow_of("s.out > t.x", t=step("x", "y", policy=policy))


def three(policy: Any) -> Flow:
    return flow_of("s.out > t.x", "s.out > t.y", "s.out > t.z", t=step("x", "y", "z", policy=policy))


def collect(policy: Any = None) -> Routine:
    return step("x", policy=policy or gather_policy())


def gathering(policy: Any, *arrows: str) -> Flow:
    """A gather behind a row of routines; another comes later."""
    row = ("s.out > split.x", "split.out > work.x", "work.out > t.x", "t.out > later.x")
    return flow_of(*row, *arrows, split=step("x"), work=step("x"), t=collect(policy), later=step("x"))


def keyed(keys: float) -> Any:
    return Says(Demand(total=1, has_timeout=False, fires_at_end=False, keys=keys))


HAS_AND_NEARLY: list[tuple[str, Flow, Flow]] = [
    ("R001", Flow("f").add_routine(Routine("a")), flow_of(a=step())),
    ("R002", Flow("f").add_routine(Routine("a").add_slot("x").set_logic(lambda: None)), flow_of(a=step("x"))),
    ("R004", late_slot(), unfed(None)),
    ("R005", late_event("other"), late_event("out")),
    ("R006", joined(rates_policy({"x": 1, "z": 1})), joined(rates_policy({"x": 1, "y": 1}))),
    ("R006", joined(with_latest_policy("z")), joined(with_latest_policy("y"))),
    ("R006", joined(combine_latest_policy(emit_on=("x", "z"))), joined(combine_latest_policy(emit_on=("x",)))),
    ("R006", joined(combine_latest_policy(("z",)).within(3)), joined(combine_latest_policy(("y",)).within(3))),
    ("R007", joined(quorum_policy(3)), joined(quorum_policy(2))),
    ("R007", joined(quorum_policy(3)), joined(quorum_policy(3, within_seconds=5))),
    ("R007", fed(debounce_policy(2).unless(debounce_policy(2))), fed(debounce_policy(2).unless(debounce_policy(3)))),
    (
        "R007",
        fed(batch_size_policy(5).unless(each_item_policy())),
        fed(schedule_policy(every_seconds=5).unless(each_item_policy())),
    ),
    (
        "R007",
        fed(batch_size_policy(5).unless(batch_size_policy(3))),
        fed(batch_size_policy(3).unless(batch_size_policy(5))),
    ),
    (
        "R007",
        fed(batch_size_policy(5).unless(batch_size_policy(3)) & each_item_policy()),
        fed(batch_size_policy(5, at_end="fire").unless(batch_size_policy(3)) & each_item_policy()),
    ),
    ("R007", three(as_of_policy("x", "y")), joined(as_of_policy("x", "y"))),
    ("R006", joined(as_of_policy("x", "z")), joined(as_of_policy("y", "x"))),
    ("R006", joined(join_policy("id", build="z")), joined(join_policy("id", build="y"))),
    ("R006", joined(sequence_policy(["x", "z"])), joined(sequence_policy(["x", "y"]))),
    ("R007", joined(join_policy("id", need=3)), joined(join_policy("id", need=2))),
    ("R008", gathering(gather_policy("ghost")), gathering(gather_policy("split"))),
    ("R008", gathering(gather_policy("later") | debounce_policy(3)), gathering(gather_policy("work"))),
    ("R008", gathering(gather_policy(), "t.out > t.x"), gathering(gather_policy("split"), "t.out > t.x")),
    ("R008", joined(gather_policy()), same_events(gather_policy())),
    ("R008", flow_of(t=step("x", policy=gather_policy())), fed(gather_policy())),
    ("R114", gathering(gather_policy()), gathering(gather_policy("split"))),
    ("R114", gathering(gather_policy().within(3)), flow_of("s.out > w.x", "w.out > t.x", w=step("x"), t=collect())),
    ("R100", Flow("f"), flow_of(a=step())),
    ("R101", flow_of(a=step("x")), fed(None)),
    ("R102", fed(batch_size_policy(5), max_queue_length=4), fed(batch_size_policy(4), max_queue_length=4)),
    ("R102", fed(batch_size_policy(5), max_queue_length=4), fed(batch_size_policy(5), max_queue_length=None)),
    (
        "R102",
        fed(batch_size_policy(5), max_queue_length=4),
        fed(batch_size_policy(5), max_queue_length=4, on_full="stretch"),
    ),
    ("R102", fed(sliding_policy(5), max_queue_length=4), fed(sliding_policy(4), max_queue_length=4)),
    (
        "R102",
        joined(count_or_timeout_policy(9, 5), max_queue_length=4),
        joined(count_or_timeout_policy(8, 5), max_queue_length=4),
    ),
    (
        "R102",
        fed(batch_size_policy(5) | time_interval_policy(3), max_queue_length=4),
        fed(batch_size_policy(4) | time_interval_policy(3), max_queue_length=4),
    ),
    (
        "R102",
        fed(batch_size_policy(5).by_key("k"), max_queue_length=4),
        fed(batch_size_policy(4).by_key("k"), max_queue_length=4),
    ),
    (
        "R102",
        fed(sequence_policy([bool] * 5), max_queue_length=4),
        fed(sequence_policy([bool] * 4), max_queue_length=4),
    ),
    ("R103", flow_of("a.out > a.x", a=step("x")), flow_of("a.out > a.x", "s.out > a.x", a=step("x"))),
    (
        "R103",
        flow_of("a.out > a.x", a=step("x")),
        flow_of("a.out > a.x", a=step("x", policy=schedule_policy(every_seconds=3))),
    ),
    (
        "R103",
        flow_of("a.out > a.x", a=step("x")),
        flow_of("a.out > a.x", a=step("x", policy=custom_policy(lambda slots, job_state: True))),
    ),
    ("R104", feedback(all_slots_ready_policy()), feedback(immediate_policy())),
    ("R104", feedback(all_slots_ready_policy()), feedback(all_slots_ready_policy().within(5))),
    ("R104", feedback(combine_latest_policy()), feedback(batch_size_policy(1, at_end="fire"))),
    ("R105", unfed(all_slots_ready_policy()), unfed(immediate_policy())),
    ("R105", unfed(all_slots_ready_policy()), unfed(all_slots_ready_policy().within(5))),
    ("R105", unfed(join_policy("id")), unfed(join_policy("id", within_seconds=5))),
    ("R105", unfed(sync_time_policy(1)), unfed(sync_time_policy(1, max_wait_seconds=5))),
    ("R105", unfed(as_of_policy("y", "x")), unfed(as_of_policy("x", "y"))),
    ("R105", unfed(rates_policy({"x": 1, "y": 1})), unfed(rates_policy({"x": 1}))),
    ("R106", branches(all_slots_ready_policy(), on_full="stretch"), branches(immediate_policy(), on_full="stretch")),
    (
        "R106",
        branches(all_slots_ready_policy(), max_queue_length=None),
        branches(all_slots_ready_policy(), "out", "out"),
    ),
    (
        "R106",
        branches(all_slots_ready_policy(), max_queue_length=None),
        branches(all_slots_ready_policy().within(5), max_queue_length=None),
    ),
    (
        "R106",
        branches(batch_size_policy(1), max_queue_length=None),
        branches(batch_size_policy(1, at_end="fire"), max_queue_length=None),
    ),
    (
        "R106",
        branches(join_policy("id"), on_full="stretch"),
        branches(join_policy("id", at_end="drop"), on_full="stretch"),
    ),
    ("R107", branches(all_slots_ready_policy()), branches(all_slots_ready_policy(), "out", "out")),
    ("R107", branches(all_slots_ready_policy()), branches(all_slots_ready_policy(), on_full="drop")),
    ("R107", branches(batch_size_policy(2, at_end="fire")), branches(with_latest_policy("l"))),
    ("R107", branches(all_slots_ready_policy().by_key("k")), branches(all_slots_ready_policy().within(5))),
    ("R108", doubling(), doubling(max_queue_length=None)),
    ("R108", doubling(each_item_policy()), doubling(batch_size_policy(2))),
    ("R108", doubling(), doubling(on_full="stretch")),
    ("R109", same_events(rates_policy({"x": 2, "y": 1})), joined(rates_policy({"x": 2, "y": 1}))),
    ("R109", same_events(rates_policy({"x": 2, "y": 1})), same_events(rates_policy({"x": 2, "y": 2}))),
    ("R109", same_events(rates_policy({"x": 2, "y": 1})), same_events(rates_policy({"x": 2, "y": 1}), on_full="drop")),
    ("R110", joined(rates_policy({"x": 1})), joined(rates_policy({"x": 1, "y": 1}))),
    ("R110", joined(rates_policy({"x": 1})), unfed(rates_policy({"x": 1}))),
    ("R111", fed(keyed(math.inf)), fed(keyed(10))),
    (
        "R112",
        flow_of("s.out > t.x", on_leftover="fail", t=step("x", policy=batch_size_policy(2))),
        fed(batch_size_policy(2)),
    ),
    (
        "R112",
        flow_of("s.out > t.x", on_leftover="fail", t=step("x", policy=until_policy(bool))),
        flow_of("s.out > t.x", on_leftover="fail", t=step("x", policy=until_policy(bool, at_end="fire"))),
    ),
    (
        "R112",
        flow_of("s.out > t.x", on_leftover="fail", t=step("x", policy=batch_size_policy(2))),
        flow_of("s.out > t.x", "r.out > t.y", on_leftover="fail", t=step("x", "y", policy=all_slots_ready_policy())),
    ),
    (
        "R113",
        flow_of(a=step(policy=immediate_policy().once())),
        flow_of(a=step(policy=schedule_policy(every_seconds=3).once())),
    ),
    ("R113", flow_of(a=step(policy=all_slots_ready_policy())), flow_of(a=step(policy=manual_policy()))),
    (
        "R201",
        fed(first_of(immediate_policy(), batch_size_policy(3))),
        fed(first_of(batch_size_policy(3), immediate_policy())),
    ),
    ("R201", fed(batch_size_policy(2) | batch_size_policy(3)), fed(batch_size_policy(3) | batch_size_policy(2))),
    (
        "R201",
        fed(batch_size_policy(2) | batch_size_policy(3)),
        fed(batch_size_policy(2) | batch_size_policy(3, at_end="fire")),
    ),
    ("R201", fed(latest_policy() | debounce_policy(3)), fed(throttle_policy(1, 5) | debounce_policy(3))),
    ("R201", fed(each_item_policy() | each_item_policy()), fed(each_item_policy() | absence_policy(5))),
    ("R202", fed(manual_policy() & batch_size_policy(2)), fed(schedule_policy(every_seconds=2) & batch_size_policy(2))),
    ("R202", fed(manual_policy() | batch_size_policy(2)), fed(schedule_policy(every_seconds=2) | batch_size_policy(2))),
    ("R202", fed(batch_size_policy(2).unless(manual_policy())), fed(manual_policy())),
    ("R203", fed(time_interval_policy(10).within(5)), fed(time_interval_policy(5).within(10))),
    ("R203", fed(window_policy(10).within(5)), fed(window_policy(5).within(10))),
    ("R203", fed(session_policy(10).within(5, "drop")), fed(session_policy(5).within(10, "drop"))),
    ("R203", fed(immediate_policy().within(5)), fed(batch_size_policy(2).within(5))),
    ("R203", fed(debounce_policy(5, max_wait_seconds=3)), fed(debounce_policy(3, max_wait_seconds=5))),
    ("R203", fed(session_policy(5, max_seconds=3).by_key("k")), fed(session_policy(3, max_seconds=5).by_key("k"))),
    ("R204", fed(schedule_policy(every_seconds=5).by_key("k")), fed(debounce_policy(5).by_key("k"))),
    ("R205", fed(batch_size_policy(3) | absence_policy(5)), fed(immediate_policy() | absence_policy(5))),
    (
        "R205",
        fed(batch_size_policy(3) & absence_policy(5)),
        fed(batch_size_policy(3) & schedule_policy(every_seconds=5)),
    ),
    ("R205", fed(latest_policy() & batch_size_policy(2)), fed(latest_policy() & batch_size_policy(1))),
    ("R205", joined(combine_latest_policy() | batch_size_policy(2)), fed(batch_size_policy(2) | latest_policy())),
    (
        "R205",
        fed(throttle_policy(1, 5, excess="drop") | batch_size_policy(2)),
        fed(throttle_policy(1, 5) | batch_size_policy(2)),
    ),
    (
        "R205",
        fed(batch_size_policy(2).unless(absence_policy(5))),
        fed(batch_size_policy(2).unless(schedule_policy(every_seconds=5))),
    ),
    ("R206", fed(Says("two of each")), fed(Says(Demand()))),
]


@pytest.mark.parametrize(("code", "has", "nearly"), HAS_AND_NEARLY, ids=[case[0] for case in HAS_AND_NEARLY])
def test_a_finding_is_made_where_it_holds_and_not_where_it_nearly_does(code: str, has: Flow, nearly: Flow) -> None:
    made = [finding for finding in has.validate() if finding.code == code]
    assert len(made) == 1
    assert made[0].is_error == code.startswith("R0")
    assert all((made[0].place, made[0].problem, made[0].fix))
    assert code not in codes(nearly)


def test_a_connection_of_an_unknown_routine_is_found_in_a_definition() -> None:
    definition = flow_of(a=step("x")).definition
    broken = FlowDefinition("f", definition.routines, (Connection("ghost", "out", "a", "x"),))
    assert [finding.code for finding in checks.check(broken)] == ["R003", "R101"]


def test_every_finding_has_a_flow_that_has_it() -> None:
    assert {case[0] for case in HAS_AND_NEARLY} | {"R003"} == set(KINDS)


def test_the_page_lists_every_finding_and_no_other() -> None:
    rows = re.findall(r"^\| (R\d+) \| (\w+) \| ([^|]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    severities = {True: "error", False: "warning"}
    assert rows == [(code, severities[code.startswith("R0")], kind) for code, kind in KINDS.items()]


def test_a_finding_prints_as_one_line_and_goes_to_plain_data() -> None:
    finding = Finding("R101", Severity.WARNING, "a.x", "nothing in the flow feeds this slot", "connect an event to it")
    assert str(finding) == "R101 warning at a.x: nothing in the flow feeds this slot; connect an event to it"
    assert Finding(**json.loads(json.dumps(finding.to_dict()))) == finding
    assert all("\n" not in str(found) for _, has, _ in HAS_AND_NEARLY for found in has.validate())


@pytest.mark.parametrize(
    "flow",
    [
        joined(all_slots_ready_policy()),
        joined(batch_size_policy(10)),
        fed(batch_size_policy(10) | debounce_policy(2)),
        fed(batch_size_policy(10).within(5)),
        fed(time_interval_policy(5)),
        fed(throttle_policy(5, 1)),
        fed(latest_policy()),
        fed(batch_size_policy(3).by_key("k", max_keys=100, idle_seconds=60)),
        fed(first_of(until_policy(bool), debounce_policy(3))),
        joined(combine_latest_policy()),
        joined(with_latest_policy("x")),
        flow_of("tick.out > t.x", tick=step(policy=schedule_policy(every_seconds=5, keep_alive=True)), t=step("x")),
        flow_of("s.out > t.x", "t.retry > t.x", "t.out > u.x", t=step("x"), u=step("x")),
        joined(join_policy("id", within_seconds=60)),
        joined(join_policy("id", build="y")),
        joined(as_of_policy("x", "y")),
        joined(sync_time_policy(0.1, max_wait_seconds=5)),
        fed(window_policy(60)),
        fed(sequence_policy([bool, bool], within_seconds=5)),
        gathering(gather_policy("split")),
        branches(None),
        branches(all_slots_ready_policy(), "out", "out"),
    ],
    ids=range(22),
)
def test_flows_as_people_write_them_have_no_findings(flow: Flow) -> None:
    assert [str(finding) for finding in flow.validate()] == []


def test_a_plain_function_as_policy_claims_nothing() -> None:
    assert codes(joined(lambda slots, job_state: (False, {}, None))) == []


def test_a_policy_of_ones_own_is_understood_without_being_known() -> None:
    demand = Demand(items={"x": 5}, is_enough=True, has_timeout=False, fires_at_end=False)
    assert codes(fed(Says(demand), max_queue_length=4)) == ["R102"]
    assert codes(fed(batch_size_policy(3) | Says(demand))) == ["R201"]


def test_a_demand_that_raises_is_a_finding_and_does_not_break_validation() -> None:
    class Broken(Policy):
        def demand(self, slots: Any) -> Demand:
            raise RuntimeError("no idea")

    (finding,) = fed(Broken()).validate()
    assert finding.code == "R206"
    assert "no idea" in finding.problem


@pytest.mark.parametrize(
    "wrong", [{"items": {"x": "two"}}, {"items": {"x": -1}}, {"takes": {"x": True}}, {"total": -1}]
)
def test_a_demand_of_nonsense_is_refused_where_it_is_made(wrong: Any) -> None:
    with pytest.raises(BadValueError, match="a number of items"):
        Demand(**wrong)


def test_only_the_cause_of_a_chain_of_waiting_cycles_is_told() -> None:
    flow = flow_of(
        "a.out > a.x", "a.out > b.x", "b.out > b.y", a=step("x"), b=step("x", "y", policy=all_slots_ready_policy())
    )
    assert codes(flow) == ["R103"]


def test_a_head_that_is_fed_from_outside_starts_the_cycle_behind_it() -> None:
    flow = flow_of("head.out > a.x", "a.out > a.x", head=step("x"), a=step("x"))
    assert codes(flow) == ["R101"]


def test_a_long_cycle_is_told_in_short() -> None:
    ids = [f"r{number}" for number in range(100)]
    arrows = [f"{one}.out > {other}.x" for one, other in zip(ids, [*ids[1:], ids[0]], strict=True)]
    (finding,) = flow_of(*arrows, **dict.fromkeys(ids, step("x"))).validate()
    assert len(finding.place) < 100
    assert "92 more" in finding.place


def test_branches_that_pass_an_unbounded_slot_cannot_block_each_other() -> None:
    flow = branches(all_slots_ready_policy())
    assert codes(flow) == ["R107"]
    flow = flow_of(
        "router.left > a.x",
        "router.right > b.x",
        "a.out > join.l",
        "b.out > join.r",
        a=step("x", max_queue_length=None),
        b=step("x", max_queue_length=None),
        join=step("l", "r", policy=all_slots_ready_policy()),
    )
    assert codes(flow) == ["R106"]


def test_a_branch_that_others_feed_too_is_no_branch() -> None:
    flow = flow_of(
        "router.left > j.l", "router.right > j.r", "other.out > j.r", j=step("l", "r", policy=all_slots_ready_policy())
    )
    assert codes(flow) == []


def test_the_router_behind_another_is_named_not_the_first() -> None:
    flow = flow_of(
        "first.a > second.x",
        "first.b > other.x",
        "second.left > j.l",
        "second.right > j.r",
        second=step("x"),
        other=step("x"),
        j=step("l", "r", policy=all_slots_ready_policy()),
    )
    (finding,) = flow.validate()
    assert "'second'" in finding.problem


@pytest.mark.parametrize("policy", [batch_size_policy(5).unless(batch_size_policy(3)), quorum_policy(3)])
def test_a_flow_whose_policy_can_never_activate_is_refused(policy: Any) -> None:
    with Runtime() as runtime, pytest.raises(Exception, match="R007"):
        runtime.exec(joined(policy))


# --- what policies say about themselves -------------------------------------------------------------------------


def test_both_need_the_numbers_of_both() -> None:
    demand = demand_of(batch_size_policy(5) & all_slots_ready_policy(), ["x", "y"])
    assert (demand.items, demand.takes, demand.is_enough, demand.is_strict) == (
        {"x": 5, "y": 5},
        {"x": 5, "y": 5},
        True,
        True,
    )


def test_both_do_not_promise_the_number_of_the_one_that_time_lets_go() -> None:
    demand = demand_of(count_or_timeout_policy(9, 5) & batch_size_policy(3), ["x"])
    assert (demand.items, demand.is_enough, demand.is_strict) == ({"x": 3}, False, True)


def test_the_first_of_several_needs_as_little_as_the_least() -> None:
    demand = demand_of(batch_size_policy(5) | rates_policy({"x": 2}), ["x", "y"])
    assert (demand.least_items, demand.least_total, demand.is_strict) == ({"x": 2}, 2, True)
    assert demand_of(batch_size_policy(5) | immediate_policy(), ["x"]).is_eager


def test_labels_and_wrappers_pass_on_what_is_inside() -> None:
    inside = batch_size_policy(5)
    for policy in (inside.labelled("five"), inside.times(3), inside.by_key("k"), inside.unless(manual_policy())):
        assert demand_of(policy, ["x"]).items == {"x": 5}, policy


def brute_dominators(edges: Any, node: str, top: str) -> bool:
    """Whether every way from a root to ``node`` passes ``top``."""
    targets = {target for found in edges.values() for target in found}
    work = [root for root in edges if root not in targets and root != top]
    seen = set(work)
    while work:
        fresh = [target for target in edges[work.pop()] if target not in seen and target != top]
        seen.update(fresh)
        work += fresh
    return node not in seen


@pytest.mark.parametrize("seed", range(30))
def test_the_dominator_tree_agrees_with_walking_all_ways(seed: int) -> None:
    draw = random.Random(seed)
    names = [str(number) for number in range(12)]
    edges: dict[str, list[str]] = {name: [] for name in names}
    for number, name in enumerate(names[1:], 1):
        for feeder in draw.sample(names[:number], min(number, draw.randint(0, 3))):
            edges[feeder].append(name)
    tree = DominatorTree(names, edges)
    for one in names:
        for other in names:
            both = [top for top in names if all(brute_dominators(edges, node, top) for node in (one, other))]
            nearest = tree.nearest(one, other)
            assert (nearest is None) == (not both)
            if nearest is not None:
                assert nearest in both
                assert all(brute_dominators(edges, nearest, top) for top in both)


def test_a_node_that_feeds_itself_is_a_cycle() -> None:
    assert cycles("abc", {"a": ["a"], "b": ["c"], "c": []}) == [["a"]]


def test_findings_of_ten_thousand_routines_need_steps_in_proportion() -> None:
    """Counts looks at edges, not time: a chain twice as long costs twice as much."""

    class Counting(dict[str, list[str]]):
        looks = 0

        def get(self, *args: Any) -> Any:
            Counting.looks += 1
            return super().get(*args)

    costs = []
    for length in (1_000, 2_000):
        Counting.looks = 0
        ids = [str(number) for number in range(length)]
        DominatorTree(ids, Counting({one: [other] for one, other in pairwise(ids)}))
        costs.append(Counting.looks)
    assert costs[1] <= 2 * costs[0]


def test_a_flow_that_runs_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[object] = []

    def look(view: object) -> list[Finding]:
        looked.append(view)
        return []

    monkeypatch.setattr(checks, "CHECKS", (look,))
    with Runtime() as runtime:
        runtime.exec(fed(None))
    assert len(looked) == 1
