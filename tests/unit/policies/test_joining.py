"""The join by key: what goes together, what waits, what is dropped, and at which cost. Design: the catalogue."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from routilux import ErrorHandler, ErrorStrategy, Flow, InvalidFlowError, JobState, Routine, Slot
from routilux.policies import (
    all_slots_ready_policy,
    as_of_policy,
    batch_size_policy,
    debounce_policy,
    each_item_policy,
    join_policy,
    manual_policy,
    sync_time_policy,
    time_interval_policy,
)
from routilux.testing import ManualClock, SimRuntime, check_picture
from tests.unit.policies.scene import Scene, steps_of

AS_OF = as_of_policy("x", "y")
LOWER = {"x": str.lower, "y": str.lower}


@pytest.mark.parametrize(
    ("policy", "picture"),
    [
        (join_policy(str.lower), "x   abab-|\ny   BBAA-|\nout -[bB][aA]([bB][aA])-|"),
        (join_policy(str.lower), "x   a-|\ny   -A|\nz   --|\nout --|\nleft aA"),
        (join_policy(str.lower, need=2), "x   a---|\ny   -A--|\nz   --A-|\nout -[aA]--|\nleft A"),
        (join_policy(str.lower, 1), "x   a-|\ny   -A|\nout [a][A]|"),
        (join_policy(LOWER, within_seconds=2), "x    a--a-|\ny    --A-A|\nout  ---[aA]-|\ndrop --a--A"),
        (join_policy(str.lower, within_seconds=2, on_expire="fire"), "x   a--b-|\ny   ----B|\nout --[a]-[bB]|"),
        (join_policy(str.lower, within_seconds=9, on_expire="fire"), "x   a--|\ny   ---|\nout ---([a]|)"),
        (join_policy(str.lower, within_seconds=9), "x    a--|\ny    ---|\nout  ---|\ndrop ---a"),
        (
            join_policy(str.lower, within_seconds=9, at_end="hold"),
            "x    a-|\ny    --|\nout  ---------|\ndrop ---------a",
        ),
        (join_policy(str.lower, at_end="fire"), "x   ab---|\ny   -|\nout -([a][b])---|"),
        (join_policy(str.lower, at_end="drop"), "x    ab-c|\ny    -|\nout  ----|\ndrop -(ab)-c"),
        (join_policy(str.lower, build="y"), "x   ab--ab|\ny   -B-A-|\nout -[bB]-[aA][aA][bB]|"),
        (join_policy(str.lower, build="y"), "x   a--b|\ny   -B|\nout --[a][bB]|"),
        (join_policy(str.lower, build="y", at_end="drop"), "x    a--b|\ny    -B|\nout  ---[bB]|\ndrop --a"),
        (join_policy(str.lower, build="y", at_end="hold"), "x    a--b|\ny    -B|\nout  ---[bB]|\nleft a"),
        (join_policy(str.lower, build="y", within_seconds=2), "x    a--a-|\ny    -B-A-|\nout  ---[aA]-|\ndrop --a"),
        (join_policy(str.lower, build="z"), "x   -a--|\ny   ---A|\nz   a|\nout ---[aAa]|"),
        (join_policy(str.lower, need=2, build="z"), "x   a-b-|\ny   -A--|\nz   --B-|\nout -[aA][bB]-|"),
    ],
)
def test_a_join_does_what_its_picture_shows(policy: Any, picture: Any) -> None:
    check_picture(policy, picture)


def test_the_newest_reference_item_of_a_key_goes_with_each_item() -> None:
    policy = join_policy({"x": str.lower, "y": lambda pair: pair[0]}, build="y")
    items = {"1": ("a", 1), "2": ("a", 2)}
    check_picture(policy, "x   -a-aa|\ny   1-2--|\nout -[a1]-[a2][a2]|", items=items)


def test_what_waits_and_the_table_survive_storing() -> None:
    scene = Scene(join_policy(str.lower, build="y", within_seconds=10), "x", "y")
    scene.send(x="ab", y="BCD")
    scene.resume()
    scene.send(x="cd")
    scene.sim.advance(9)
    scene.send(y="A")
    assert scene.seen == [[["b"], ["B"]], [["c"], ["C"]], [["d"], ["D"]], [["a"], ["A"]]]
    assert scene.end().drops == {}


def test_a_long_reference_stream_never_fills_its_slot() -> None:
    scene = Scene(join_policy(abs, build="y"), "x", "y", length=3)
    scene.send(x=[-5, -900], y=range(1000))
    assert scene.seen == [[[-5], [5]], [[-900], [900]]]
    assert scene.job.slots("t")["y"].get_queue_state()["unconsumed_count"] == 0
    assert scene.end().drops == {}


@pytest.mark.parametrize("is_first", [True, False])
def test_an_emitter_that_waits_for_room_of_the_build_side_goes_on_at_once(is_first: bool) -> None:
    def emit(routine: Routine) -> None:
        for number in range(100):
            routine.emit("out", number)

    seen: list[Any] = []
    join = Routine("join").set_activation_policy(join_policy(str, build="table"))
    join.add_slot("items", max_queue_length=3).add_slot("table", max_queue_length=3)
    join.set_logic(lambda items, table: seen.append((items, table)))
    flow = Flow("table").add_routine(join).add_routine(Routine("source").set_logic(emit))
    flow.connect("source", "out", "join", "table")
    sim = SimRuntime()
    job = sim.exec(flow, inputs={"join": {"items": [7, 99, 100]}} if is_first else None, keep_open=not is_first)
    sim.run_until_idle()
    for item in () if is_first else (7, 99, 100):
        sim.post(job.job_id, "join", "items", item)
        sim.run_until_idle()
    sim.close_job(job.job_id) if not is_first else None
    sim.run_until_idle()
    assert (job.status, job.drops, bool(job.leftovers)) == ("completed", {}, False)
    assert sorted(seen) == [([7], [7]), ([99], [99]), ([100], [])]


@pytest.mark.parametrize("seed", range(5))
def test_items_that_newer_ones_pushed_out_are_no_partners(seed: int) -> None:
    def emit(routine: Routine) -> Iterator[None]:
        for event, item in (*zip("xxxx", "abcd", strict=True), *zip("yy", "AC", strict=True)):
            routine.emit(event, item)
            yield

    seen: list[Any] = []
    join = Routine("join").set_activation_policy(join_policy(str.lower)).set_logic(lambda x, y: seen.append((x, y)))
    join.add_slot("x", max_queue_length=2, on_full="drop_oldest").add_slot("y")
    flow = Flow("pushed", on_leftover="ok").add_routine(join).add_routine(Routine("source").set_logic(emit))
    sim = SimRuntime(seed)
    job = sim.exec(flow.connect("source", "x", "join", "x").connect("source", "y", "join", "y"))
    sim.run_until_idle()
    assert (job.status, seen) == ("completed", [(["c"], ["C"])])
    assert job.drops == {("join", "x"): {"superseded by newer items": 2}}
    assert [slot.peek_all_new() for slot in job.slots("join").values()] == [["d"], ["A"]]


def test_keys_beyond_the_bound_are_dropped_with_a_reason() -> None:
    scene = Scene(join_policy(str.lower, max_keys=2), "x", "y")
    scene.send(x="aabc", y="AC")
    assert scene.seen == [[["c"], ["C"]]]
    assert scene.end().drops == {("t", "x"): {"too many keys": 3}}
    assert [slot.peek_all_new() for slot in scene.job.slots("t").values()] == [[], ["A"]]


def test_reference_items_of_keys_beyond_the_bound_are_dropped_with_a_reason() -> None:
    scene = Scene(join_policy(str.lower, build="y", max_keys=2), "x", "y")
    scene.send(y="ABCB", x="abc")
    assert scene.seen == [[["a"], ["A"]], [["b"], ["B"]]]
    scene.end()
    assert scene.seen[2:] == [[["c"], []]]
    assert scene.job.drops == {("t", "y"): {"too many keys": 1}}


@pytest.mark.parametrize("policy", [join_policy(str.lower), join_policy(str.lower, build="y")], ids=repr)
def test_a_failed_activation_gets_its_items_again_and_keeps_the_order(policy: Any) -> None:
    scene = Scene(policy, "x", "y")
    scene.job.mutate_shared_data("failing", lambda _: "b", None)
    scene.send(y="AB", x="a")
    scene.sim.post(scene.job.job_id, "t", "x", "b")
    scene.sim.post(scene.job.job_id, "t", "x", "c")
    scene.sim.run_until_idle()
    assert scene.job.status == "failed"
    scene.job.mutate_shared_data("failing", lambda _: None, None)
    scene.resume()
    scene.send(y="C", x="b")
    assert scene.seen[2][0] == ["b"]
    assert [lists[0] for lists in scene.seen[3:]] in ([["c"]], [["c"], ["b"]])


def test_items_of_overlapping_activations_that_failed_are_joined_again() -> None:
    handler = ErrorHandler(ErrorStrategy.RETRY, max_retries=1, retry_delay=10)
    scene = Scene(join_policy(str.lower), "x", "y", handler=handler, width=2)
    scene.job.mutate_shared_data("failing", lambda _: "a", None)
    scene.send(x="a", y="A")
    scene.send(x="bc", y="B")
    scene.job.mutate_shared_data("always", lambda _: True, None)
    scene.sim.advance(10)
    assert scene.job.status == "failed"
    scene.job.mutate_shared_data("failing", lambda _: None, None)
    scene.resume()
    scene.send(y="C")
    assert scene.seen == [[[key], [key.upper()]] for key in "abaac"]


@pytest.mark.parametrize(("arrives", "expected"), [(4, [[["a"], ["A"]]]), (5, [])])
def test_a_partner_must_come_in_time_however_late_the_join_is_asked(arrives: float, expected: Any) -> None:
    handler = ErrorHandler(ErrorStrategy.RETRY, max_retries=1, retry_delay=100)
    scene = Scene(join_policy(str.lower, within_seconds=5), "x", "y", handler=handler)
    scene.job.mutate_shared_data("failing", lambda _: "b", None)
    scene.send(x="a")
    scene.send(x="b", y="B")  # busy with it for 100 seconds
    scene.sim.advance(arrives)
    scene.send(y="A")
    scene.sim.advance(200)
    assert scene.seen == [[["b"], ["B"]]] * 2 + expected
    assert sum(reasons["expired"] for reasons in scene.end().drops.values()) == (0 if expected else 2)


def test_retries_wait_a_day_without_any_waiting() -> None:  # M22
    handler = ErrorHandler(ErrorStrategy.RETRY, max_retries=2, retry_delay=3600)
    scene = Scene(join_policy(str.lower, within_seconds=86_400), "x", "y", handler=handler)
    scene.job.mutate_shared_data("failing", lambda _: "a", None)
    scene.send(x="ab")
    scene.sim.advance(86_399)
    scene.send(y="A")
    scene.sim.advance(3600)
    assert scene.job.drops == {("t", "x"): {"expired": 1}}
    assert scene.seen[-1] == [["a"], ["A"]]
    assert scene.end().status == "completed"


def test_what_another_part_takes_is_forgotten() -> None:
    scene = Scene(manual_policy() | join_policy(str.lower), "x", "y")
    scene.send(x="ab")
    scene.sim.activate(scene.job.job_id, "t")
    scene.sim.run_until_idle()
    scene.send(y="A", x="ca")
    assert scene.seen == [[["a", "b"], []], [["a"], ["A"]]]


def test_what_another_part_took_and_gave_back_is_joined() -> None:
    handler = ErrorHandler(ErrorStrategy.RETRY, max_retries=1, retry_delay=10)
    scene = Scene(manual_policy() | join_policy(str.lower), "x", "y", handler=handler, width=2)
    scene.job.mutate_shared_data("failing", lambda _: "activated by hand", None)
    scene.job.mutate_shared_data("always", lambda _: True, None)
    scene.send(x="a")
    scene.sim.activate(scene.job.job_id, "t")
    scene.sim.run_until_idle()
    scene.send(y="A")
    scene.sim.advance(10)
    assert (scene.job.status, scene.seen) == ("failed", [[["a"], []]] * 2)
    scene.resume()
    assert scene.seen[2:] == [[["a"], ["A"]]]


def test_a_yes_that_does_not_count_leaves_the_table_and_the_items() -> None:
    scene = Scene(join_policy(str.lower, build="y") & time_interval_policy(5), "x", "y")
    scene.send(y="ABC", x="abc")
    scene.sim.advance(5)
    scene.sim.advance(5)
    found = [lists[0] for lists in scene.seen]
    assert sorted(item for items in found for item in items) == ["a", "b", "c"]
    assert {items[1][0].lower() for items in scene.seen if items[1]} == {
        items[0][0] for items in scene.seen if items[1]
    }
    assert scene.end().drops == {}


@pytest.mark.parametrize(
    "policy",
    [
        join_policy(str.lower, build="y") & debounce_policy(5),
        (join_policy(str.lower, build="y") & debounce_policy(5)).times(9).labelled("slowly"),
        (join_policy(str.lower, build="y").times(9) & debounce_policy(5)) | manual_policy(),
    ],
    ids=repr,
)
def test_a_first_yes_that_does_not_count_keeps_what_it_absorbed(policy: Any) -> None:
    scene = Scene(policy, "x", "y", inputs={"x": ["a"], "y": ["A"]})
    assert scene.seen == []
    scene.sim.advance(5)
    scene.sim.run_until_idle()
    assert scene.seen == [[["a"], ["A"]]]


def test_the_explanation_names_the_key_that_waits_longest() -> None:
    scene = Scene(join_policy(str.lower, within_seconds=60), "x", "y")
    scene.send(x="ab")
    text = str(scene.job.explain("t"))
    assert "unmet: slots with key 'a' 1 (x) of 2 no" in text
    assert "wakes 12:01:00.000Z" in text


def test_the_explanation_tells_what_is_known_of_the_build_side() -> None:
    scene = Scene(join_policy(str.lower, build="y"), "x", "y")
    scene.send(y="AB", x="c")
    assert [str(condition) for condition in scene.job.explain("t").conditions] == [
        "slots with key 'c' 1 (x) of 2 no",
        "keys known of y 2 yes",
    ]


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"key": 3}, TypeError, "key is a function or the name of a field"),
        ({"key": {"x": 3}}, TypeError, "key is a function or the name of a field"),
        ({"key": "id", "need": 0}, ValueError, "at least 1"),
        ({"key": "id", "need": "most"}, TypeError, "need"),
        ({"key": "id", "need": True}, TypeError, "need"),
        ({"key": "id", "within_seconds": 0}, ValueError, "within_seconds"),
        ({"key": "id", "build": 1}, TypeError, "build"),
        ({"key": "id", "on_expire": "hold"}, ValueError, "on_expire"),
        ({"key": "id", "at_end": "expire"}, ValueError, "at_end"),
        ({"key": "id", "max_keys": 0}, ValueError, "max_keys"),
    ],
)
def test_bad_parameters_are_refused(arguments: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        join_policy(**arguments)


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (join_policy({"y": "id"}), "no key is given for slot 'x'"),
        (join_policy(lambda item: [item]), "must be hashable"),
    ],
)
def test_what_does_not_fit_the_slots_fails_the_job_with_the_reason(policy: Any, words: str) -> None:
    scene = Scene(policy, "x", "y")
    scene.sim.post(scene.job.job_id, "t", "x", {"id": 1})
    scene.sim.run_until_idle()
    assert (scene.job.status, words in str(scene.job.error)) == ("failed", True), scene.job.error


@pytest.mark.parametrize(
    ("policy", "refused", "by_hand"),
    [
        (join_policy("id", build="z"), "names the slot 'z'", "build 'z' is none of the slots"),
        (join_policy("id", need=3), "it needs 3 slots, and there are 2", "can never activate"),
    ],
)
def test_slots_that_a_join_lacks_are_refused_before_the_job_begins(policy: Any, refused: str, by_hand: str) -> None:
    with pytest.raises(InvalidFlowError, match=refused):
        Scene(policy, "x", "y")
    job = JobState("f")
    job.current_routine_id = "t"
    with pytest.raises(ValueError, match=by_hand):
        policy({"x": Slot("x"), "y": Slot("y")}, job)


def test_a_join_with_a_build_side_is_not_applied_by_key() -> None:
    with pytest.raises(TypeError, match="by key itself"):
        join_policy("id", build="x").within(3).by_key("id")


@pytest.mark.parametrize(
    "policy",
    [join_policy(str.lower), join_policy(str.lower, within_seconds=99), join_policy(str.lower, build="y")],
    ids=repr,
)
def test_the_cost_of_a_decision_does_not_grow_with_the_backlog(policy: Any) -> None:
    pairs = [(f"k{number}", f"K{number}") for number in range(50)]
    few, many = (steps_of(policy, [f"w{number}" for number in range(backlog)], pairs) for backlog in (10, 2000))
    assert many < few * 1.1, (few, many)


def test_the_cost_of_a_yes_that_does_not_count_does_not_grow_with_the_backlog() -> None:
    policy = join_policy(str.lower) & batch_size_policy(1_000_000)
    few, many = (steps_of(policy, ["w"] * backlog, [("a", "A")] + [("v", "V")] * 49, 0) for backlog in (10, 2000))
    assert many < few * 1.1, (few, many)


def test_one_key_with_a_long_backlog_costs_no_more() -> None:
    few, many = (steps_of(join_policy(str.lower), ["k"] * backlog, [("", "K")] * 10) for backlog in (10, 2000))
    assert many < few * 1.1, (few, many)


@pytest.mark.parametrize(
    "policy",
    [
        join_policy(str),
        join_policy(str, within_seconds=60),
        join_policy(str, build="y"),
        as_of_policy("x", "y"),
        sync_time_policy(0, int),
    ],
    ids=repr,
)
def test_a_pair_costs_at_most_twice_what_it_costs_where_all_slots_must_be_ready(policy: Any) -> None:
    pairs = [(str(number), str(number)) for number in range(50)]
    plain, joined = (steps_of(kind, [], pairs) for kind in (all_slots_ready_policy(), policy))
    assert joined < 2 * plain, (joined, plain)


def test_m6_a_thousand_interleaved_keys_with_shuffled_delays_are_never_mixed() -> None:
    rng = random.Random(6)
    scene = Scene(join_policy({"x": lambda item: item[0], "y": lambda item: item[1]}), "x", "y")
    sides: dict[str, list[Any]] = {"x": [], "y": []}
    for name in sides:
        order = [key for key in range(1000) for _ in range(3)]
        rng.shuffle(order)
        counts = [0] * 1000
        for key in order:
            sides[name].append((key, counts[key]) if name == "x" else (counts[key], key))
            counts[key] += 1
    while sides["x"] or sides["y"]:
        name = rng.choice([name for name, left in sides.items() if left])
        for _ in range(min(rng.randrange(1, 200), len(sides[name]))):
            scene.sim.post(scene.job.job_id, "t", name, sides[name].pop(0))
        scene.sim.advance(rng.random())
        scene.sim.run_until_idle()
    got: dict[int, list[int]] = {}
    for (left,), (right,) in scene.seen:
        assert left == (right[1], right[0])
        got.setdefault(left[0], []).append(left[1])
    assert got == {key: [0, 1, 2] for key in range(1000)}
    assert not scene.end().leftovers


@pytest.mark.parametrize(
    "policy", [join_policy(str), join_policy(str, build="y"), sync_time_policy(0), AS_OF], ids=repr
)
def test_pairing_policies_can_be_called_by_hand(policy: Any) -> None:
    clock = ManualClock()
    job = JobState("f", clock=clock)
    job.current_routine_id = "t"
    slots = {name: Slot(name, clock=clock) for name in ("x", "y")}
    slots["y"].enqueue("1")
    assert not policy(slots, job).should_activate
    slots["x"].enqueue("1")
    assert policy(slots, job).data_slice == {"x": ["1"], "y": ["1"]}
    assert not policy(slots, job).should_activate
    assert [slot.get_unconsumed_count() for slot in slots.values()] == [0, 0]


def test_a_join_composes() -> None:
    check_picture(join_policy(str.lower).times(1), "x    ab|\ny    AB|\nout  [aA]-|\ndrop -(bB)")
    check_picture(join_policy(str.lower).within(2), "x   a--|\ny   ---|\nout --[a]|")
    check_picture(join_policy(str.lower) | batch_size_policy(3), "x   abc|\ny   -B-|\nout -[bB]-|\nleft ac")
    check_picture(each_item_policy().unless(join_policy(str.lower)), "x   a-|\ny   -b|\nout [a][b]|")
