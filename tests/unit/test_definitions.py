"""Routines, flows, findings and the registry. Design: §2; BEHAVIOURS 21, 37."""

import threading
from typing import Any

import pytest

from routilux import (
    DuplicateNameError,
    ErrorHandler,
    ErrorStrategy,
    Flow,
    FlowNotFoundError,
    FlowRegistry,
    FrozenFlowError,
    InvalidFlowError,
    Routine,
    RoutineNotFoundError,
    SlotNotFoundError,
    UnknownEventError,
    batch_size_policy,
    flow_registry,
    immediate_policy,
    routine,
)


def slots_of(logic: Any, *connected: Any, added: Any = ()) -> Any:
    """Give the slots that a flow settles for a logic with these connections."""
    target = Routine("target").set_logic(logic)
    for slot in added:
        target.add_slot(slot)
    flow = Flow("f").add_routine(Routine("s").set_logic(lambda: None)).add_routine(target)
    for number, slot in enumerate(connected):
        flow.connect("s", f"e{number}", "target", slot)
    findings = [finding.code for finding in flow.validate() if finding.is_error]
    return [slot.name for slot in flow.definition.routines["target"].slots], findings


def keyword_only(calls: Any, boss: Any, *, job_state: Any, routine: Any) -> None:
    pass


def as_in_the_report(calls: Any, boss: Any, policy_message: Any, job_state: Any, routine: Any) -> None:
    pass


def with_default(calls: Any, boss: Any = None) -> None:
    pass


def positional_only(calls: Any, boss: Any, /) -> None:
    pass


def named_and_any(calls: Any, boss: Any, *more: Any) -> None:
    pass


def anything(*lists: Any, policy_message: Any = None, job_state: Any = None) -> None:
    pass


def everything(*lists: Any, **facts: Any) -> None:
    pass


def only_keywords(*, job_state: Any) -> None:
    pass


async def asynchronous(calls: Any, boss: Any, *, routine: Any) -> None:
    pass


def generator(calls: Any, boss: Any, *, routine: Any) -> Any:
    yield


async def async_generator(calls: Any, boss: Any) -> Any:
    yield


@pytest.mark.parametrize(
    "logic",
    [keyword_only, as_in_the_report, positional_only, named_and_any, asynchronous, generator, async_generator],
    ids=lambda logic: logic.__name__,
)
@pytest.mark.parametrize("connected", [(), ("calls",), ("boss", "calls"), ("boss", "boss")], ids=str)
def test_parameters_name_the_slots_in_their_order_if_they_name_every_connection(logic: Any, connected: Any) -> None:
    assert slots_of(logic, *connected) == (["calls", "boss"], [])


def test_other_connected_names_are_the_slots_in_order_of_their_first_connect() -> None:
    assert slots_of(keyword_only, "zulu", "alpha", "zulu") == (["zulu", "alpha"], [])


def test_one_foreign_name_among_the_connections_makes_them_all_the_slots() -> None:
    assert slots_of(keyword_only, "boss", "zulu") == (["boss", "zulu"], [])


def test_connected_names_must_fit_the_number_of_parameters() -> None:
    assert slots_of(keyword_only, "zulu") == (["zulu"], ["R002"])
    assert slots_of(keyword_only, "x", "y", "z") == (["x", "y", "z"], ["R002"])


@pytest.mark.parametrize("logic", [anything, everything])
def test_a_logic_of_any_lists_takes_the_connected_names(logic: Any) -> None:
    assert slots_of(logic, "zulu", "alpha") == (["zulu", "alpha"], [])
    assert slots_of(logic) == ([], [])


def test_parameters_with_a_default_are_left_alone() -> None:
    assert slots_of(with_default, "calls") == (["calls"], [])


def test_added_slots_go_first_in_definition_order_not_sorted() -> None:
    assert slots_of(keyword_only, "alpha", added=("zulu", "alpha")) == (["zulu", "alpha"], [])


def test_added_slots_that_do_not_fit_the_logic_are_an_error() -> None:
    assert slots_of(keyword_only, added=("one",)) == (["one"], ["R002"])
    assert slots_of(only_keywords, added=("one",)) == (["one"], ["R002"])


def test_a_builtin_without_signature_fits_any_slots() -> None:
    assert slots_of(dict.fromkeys, "x")[1] == []


def test_a_bound_method_does_not_count_self() -> None:
    class Service:
        def handle(self, calls: Any, boss: Any) -> None:
            pass

    assert slots_of(Service().handle, "boss") == (["calls", "boss"], [])


def test_a_logic_is_told_by_keyword_only_what_it_accepts(sim: Any, wire: Any, source: Any) -> None:
    told = {}  # type: ignore[var-annotated]
    first = Routine("first", atomic=False).set_logic(lambda items, **facts: told.update(first=sorted(facts)))
    second = Routine("second").set_logic(lambda items, job_state=None: told.update(second=job_state))
    third = Routine("third").set_logic(lambda items, other=7: told.update(third=other))
    flow = wire({"s": source(1), "a": first, "b": second, "c": third}, *(f"s.out > {name}.items" for name in "abc"))
    job = sim.exec(flow)
    sim.run_until_idle()
    assert told == {"first": ["job_state", "policy_message", "routine"], "second": job, "third": 7}


def test_a_policy_message_reaches_the_logic_that_asks_for_it(run: Any, wire: Any, source: Any) -> None:
    def logic(items: Any, policy_message: Any, job_state: Any) -> None:
        job_state.set_result(policy_message)

    target = Routine("t").set_logic(logic).set_activation_policy(batch_size_policy(2))
    job = run(wire({"s": source(1, 2), "t": target}, "s.out > t.items"))
    assert job.result == {"reason": "batch_ready", "batch_size": 2}


def test_one_list_per_slot_in_definition_order(run: Any, wire: Any, source: Any, sink: Any) -> None:  # B19
    flow = wire(
        {"a": source("A"), "b": source("B"), "t": sink("zulu", "alpha", policy=batch_size_policy(1))},
        "a.out > t.alpha",
        "b.out > t.zulu",
    )
    assert run(flow).get_shared_data("seen") == [[["B"], ["A"]]]


def test_a_slot_that_got_nothing_is_an_empty_list(run: Any, wire: Any, source: Any, sink: Any) -> None:  # B19
    flow = wire({"a": source("A"), "t": sink("zulu", "alpha")}, "a.out > t.alpha")
    assert run(flow).get_shared_data("seen") == [[[], ["A"]]]


# --- routines -----------------------------------------------------------------------------------------------


def test_builder_methods_return_the_routine() -> None:
    made = Routine("r")
    assert made.add_slot("a").add_event("e").set_activation_policy(immediate_policy()).config("k", 1) is made
    assert made.set_logic(lambda a: None).set_error_handler(ErrorHandler()) is made


def test_config_reads_what_it_set_and_none_otherwise() -> None:
    made = Routine("r").config("key", None).config("n", 2)
    assert (made.config("key"), made.config("n"), made.config("unknown")) == (None, 2, None)


def test_flow_configures_a_routine_by_id() -> None:
    flow = Flow("f").add_routine(Routine("r"), "id")
    assert flow.routine("id").config("key", "val").config("key") == "val"


def test_slots_and_events_are_read_only_mappings_in_order() -> None:
    made = Routine("r").add_slot("z").add_slot("a").add_event("y").add_event("b")
    assert (list(made.slots), list(made.events)) == (["z", "a"], ["y", "b"])
    with pytest.raises(TypeError):
        made.slots["x"] = None  # type: ignore[index]


def test_create_makes_a_routine_from_its_three_parts() -> None:
    policy = immediate_policy()
    made = Routine.create("r", policy, keyword_only)
    assert (made.name, made.activation_policy, made.logic_function) == ("r", policy, keyword_only)


def test_create_makes_an_instance_of_the_subclass() -> None:
    class Special(Routine):
        pass

    assert isinstance(Special.create("r", immediate_policy(), keyword_only), Special)


def test_a_subclass_brings_its_logic_as_a_method(run: Any, wire: Any, source: Any) -> None:
    class Doubler(Routine):
        def logic(self, numbers: Any, *, job_state: Any) -> None:
            job_state.set_result([2 * number for number in numbers])
            assert isinstance(self, Doubler)

    assert run(wire({"s": source(1, 2), "d": Doubler("d")}, "s.out > d.numbers")).result == [2, 4]


def test_a_logic_that_was_set_goes_before_the_method() -> None:
    class Special(Routine):
        def logic(self) -> None:
            raise AssertionError

    assert Special("s").set_logic(keyword_only).logic_function is keyword_only


def test_the_decorator_makes_a_routine_with_all_its_parts() -> None:
    handler = ErrorHandler(ErrorStrategy.SKIP)

    @routine("named", policy=immediate_policy(), slots=["b", "a"], events=["e"], error_handler=handler, ordered=False)  # type: ignore[untyped-decorator]
    def logic(b: Any, a: Any) -> None:
        pass

    assert isinstance(logic, Routine)
    assert (logic.name, list(logic.slots), list(logic.events), logic.ordered) == ("named", ["b", "a"], ["e"], False)
    assert (logic.activation_policy, logic.get_error_handler()) == (immediate_policy(), handler)


def test_the_decorator_works_without_brackets_and_with_empty_ones() -> None:
    @routine
    def first() -> None:
        pass

    @routine()  # type: ignore[untyped-decorator]
    def second() -> None:
        pass

    assert (first.name, second.name) == ("first", "second")


def test_a_decorated_function_can_still_be_called() -> None:
    @routine
    def double(numbers: Any) -> Any:
        return [2 * number for number in numbers]

    assert double([1, 2]) == [2, 4]


def test_the_decorator_refuses_a_string_as_list_of_slots() -> None:
    with pytest.raises((TypeError, ValueError), match="ab"):
        routine(slots="ab")(lambda a, b: None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("build", "kind"),
    [
        (lambda: Routine(""), ValueError),
        (lambda: Routine(None), ValueError),  # type: ignore[arg-type]
        (lambda: Routine("r", max_concurrency=0), ValueError),
        (lambda: Routine("r", max_concurrency=True), TypeError),
        (lambda: Routine("r", timeout=0), ValueError),
        (lambda: Routine("r", timeout=float("nan")), ValueError),
        (lambda: Routine("r", timeout="1"), TypeError),  # type: ignore[arg-type]
        (lambda: Routine("r", limit=3), TypeError),  # type: ignore[arg-type]
        (lambda: Routine("r", atomic="yes"), TypeError),  # type: ignore[arg-type]
        (lambda: Routine("r").add_slot(""), ValueError),
        (lambda: Routine("r").add_slot(None), ValueError),  # type: ignore[arg-type]
        (lambda: Routine("r").add_slot("s", 0), ValueError),
        (lambda: Routine("r").add_slot("s", 1.5), TypeError),  # type: ignore[arg-type]
        (lambda: Routine("r").add_slot("s", watermark=0), ValueError),
        (lambda: Routine("r").add_slot("s", on_full="maybe"), ValueError),
        (lambda: Routine("r").add_slot("s").add_slot("s"), ValueError),
        (lambda: Routine("r").add_event("e").add_event("e"), ValueError),
        (lambda: Routine("r").add_event(""), ValueError),
        (lambda: Routine("r").set_logic(3), TypeError),  # type: ignore[arg-type]
        (lambda: Routine("r").set_activation_policy("now"), TypeError),  # type: ignore[arg-type]
        (lambda: Routine("r").set_error_handler("stop"), TypeError),  # type: ignore[arg-type]
        (lambda: Flow(""), ValueError),
        (lambda: Flow("f", max_running_jobs=0), ValueError),
        (lambda: Flow("f", max_workers=-1), ValueError),
        (lambda: Flow("f", timeout=-1), ValueError),
        (lambda: Flow("f", on_leftover="maybe"), ValueError),
        (lambda: Flow("f").add_routine("r"), TypeError),  # type: ignore[arg-type]
        (lambda: Flow("f").add_routine(Routine("r"), ""), ValueError),
        (lambda: Flow("f").add_routine(Routine("r"), 3), ValueError),  # type: ignore[arg-type]
        (lambda: Flow("f").set_error_handler(None), TypeError),  # type: ignore[arg-type]
        (lambda: batch_size_policy(0), ValueError),
        (lambda: batch_size_policy(2.5), TypeError),  # type: ignore[arg-type]
        (lambda: batch_size_policy(2, at_end="maybe"), ValueError),
    ],
)
def test_a_bad_part_is_refused_when_built(build: Any, kind: Any) -> None:
    with pytest.raises(kind):
        build()


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"strategy": "maybe"}, ValueError),
        ({"strategy": None}, ValueError),
        ({"max_retries": -1}, ValueError),
        ({"max_retries": 1.5}, TypeError),
        ({"max_retries": True}, TypeError),
        ({"retry_delay": -1}, ValueError),
        ({"retry_delay": float("nan")}, ValueError),
        ({"retry_delay": "1"}, TypeError),
        ({"retry_backoff": -0.5}, ValueError),
        ({"retry_backoff": float("inf")}, ValueError),
        ({"max_retry_delay": float("nan")}, ValueError),
        ({"jitter": 1.1}, ValueError),
        ({"retryable_exceptions": ("ValueError",)}, TypeError),
        ({"retryable_exceptions": int}, TypeError),
        ({"then": "retry"}, ValueError),
        ({"then": "maybe"}, ValueError),
    ],
    ids=str,
)
def test_an_invalid_handler_is_refused_when_built(options: Any, kind: Any) -> None:  # B37
    with pytest.raises(kind, match=next(iter(options))):
        ErrorHandler(**options)


def test_a_handler_takes_its_strategy_by_name() -> None:
    assert ErrorHandler("retry").strategy is ErrorStrategy.RETRY  # type: ignore[arg-type]


# --- flows --------------------------------------------------------------------------------------------------


@pytest.fixture
def flow() -> Any:
    """A flow of an open source, a declaring source and a target with a slot."""
    return (
        Flow("f")
        .add_routine(Routine("open").set_logic(lambda: None))
        .add_routine(Routine("declaring").add_event("known").set_logic(lambda: None))
        .add_routine(Routine("target").add_slot("calls").set_logic(lambda calls: None))
        .connect("open", "out", "target", "calls")
    )


@pytest.mark.parametrize(
    ("change", "kind", "names"),
    [
        (lambda flow: flow.connect("nobody", "out", "target", "calls"), RoutineNotFoundError, ["nobody", "declaring"]),
        (lambda flow: flow.connect("open", "out", "nobody", "calls"), RoutineNotFoundError, ["nobody", "target"]),
        (lambda flow: flow.connect("open", "out", "target", "none"), SlotNotFoundError, ["none", "calls"]),
        (lambda flow: flow.connect("declaring", "none", "target", "calls"), UnknownEventError, ["none", "known"]),
        (lambda flow: flow.connect("open", "out", "target", "calls"), DuplicateNameError, ["open.out", "target.calls"]),
        (lambda flow: flow.connect("open", "", "target", "calls"), ValueError, ["event"]),
        (lambda flow: flow.connect("open", 3, "target", "calls"), ValueError, ["event", "3"]),
        (lambda flow: flow.connect("open", "out", "declaring", None), ValueError, ["slot", "None"]),
        (lambda flow: flow.add_routine(Routine("target")), DuplicateNameError, ["target"]),
        (lambda flow: flow.add_routine(Routine("x"), "open"), DuplicateNameError, ["open"]),
        (lambda flow: flow.add_routine(lambda: None, "x"), TypeError, ["Routine"]),
        (lambda flow: flow.routine("nobody"), RoutineNotFoundError, ["nobody", "open"]),
        (lambda flow: flow.get_connections_for_event("nobody", "out"), RoutineNotFoundError, ["nobody", "open"]),
        (lambda flow: flow.set_error_handler("stop"), TypeError, ["stop"]),
    ],
)
def test_a_refused_change_names_what_is_known_and_leaves_the_flow_unchanged(
    flow: Any, change: Any, kind: Any, names: Any
) -> None:  # B21
    before = (flow.routines, flow.connections, flow.validate(), flow.get_error_handler())
    with pytest.raises(kind) as caught:
        change(flow)
    assert all(name in str(caught.value) for name in names), str(caught.value)
    assert (flow.routines, flow.connections, flow.validate(), flow.get_error_handler()) == before


def test_connections_of_an_event_come_in_order(flow: Any) -> None:
    flow.connect("open", "out", "declaring", "x")
    assert [str(link) for link in flow.get_connections_for_event("open", "out")] == [
        "open.out -> target.calls",
        "open.out -> declaring.x",
    ]
    assert flow.get_connections_for_event("open", "other") == []


def test_one_routine_may_stand_under_two_ids(run: Any, wire: Any, source: Any, sink: Any) -> None:
    twice = sink()
    job = run(wire({"s": source(1), "a": twice, "b": twice}, "s.out > a.items", "s.out > b.items"))
    assert job.get_shared_data("seen") == [[[1]], [[1]]]


def test_validation_finds_all_problems_at_once_errors_first() -> None:
    flow = Flow("f").add_routine(Routine("none")).add_routine(Routine("bad").add_slot("a").set_logic(lambda: None))
    flow.add_routine(Routine("small").add_slot("a", 5).set_activation_policy(batch_size_policy(9)).set_logic(list))
    flow.add_routine(Routine("loop").set_logic(lambda x: None)).connect("loop", "e", "loop", "x")
    findings = flow.validate()
    assert [finding.code for finding in findings] == ["R001", "R002", "R101", "R101", "R102", "R103"]
    assert [finding.is_error for finding in findings] == [True] * 2 + [False] * 4
    assert all(finding.place and finding.problem and finding.fix for finding in findings)


def test_slots_and_events_that_were_added_after_a_connect_are_found() -> None:
    late = Routine("late").set_logic(lambda a: None)
    flow = Flow("f").add_routine(late).connect("late", "e", "late", "a")
    late.add_slot("b").add_event("other")
    assert {finding.code for finding in flow.validate() if finding.is_error} == {"R004", "R005"}


def test_errors_refuse_registration_and_leave_the_flow_open() -> None:
    registry = FlowRegistry()
    flow = Flow("f").add_routine(Routine("a")).add_routine(Routine("b"))
    with pytest.raises(InvalidFlowError) as caught:
        registry.register("f", flow)
    assert [finding.place for finding in caught.value.findings] == ["a", "b"]  # type: ignore[attr-defined]
    assert registry.list_all() == []
    flow.routine("a").set_logic(lambda: None)
    flow.routine("b").set_logic(lambda: None)
    registry.register("f", flow)


def test_warnings_are_logged_and_do_not_refuse(caplog: Any) -> None:
    FlowRegistry().register("f", Flow("f").add_routine(Routine("lonely").add_slot("x").set_logic(lambda x: None)))
    assert "lonely.x" in caplog.text


def test_an_empty_flow_is_a_warning_and_its_job_ends(run: Any) -> None:
    assert [finding.is_error for finding in Flow("f").validate()] == [False]
    assert run(Flow("f")).status == "completed"


def test_a_cycle_without_a_start_is_a_finding_and_the_job_ends(run: Any, wire: Any, sink: Any) -> None:
    flow = wire({"a": sink(), "b": sink()}, "a.out > b.items", "b.out > a.items")
    assert [finding.code for finding in flow.validate()] == ["R103"]
    assert run(flow).status == "completed"


@pytest.mark.parametrize(
    "change",
    [
        lambda flow: flow.add_routine(Routine("new")),
        lambda flow: flow.connect("open", "new", "target", "calls"),
        lambda flow: flow.set_error_handler(ErrorHandler()),
        lambda flow: flow.routine("target").add_slot("new"),
        lambda flow: flow.routine("target").add_event("new"),
        lambda flow: flow.routine("target").set_logic(list),
        lambda flow: flow.routine("target").set_activation_policy(immediate_policy()),
        lambda flow: flow.routine("target").config("k", 1),
        lambda flow: flow.routine("target").set_error_handler(ErrorHandler()),
    ],
)
def test_a_registered_flow_cannot_be_changed(flow: Any, change: Any) -> None:
    FlowRegistry().register("f", flow)
    with pytest.raises(FrozenFlowError, match="'f'"):
        change(flow)


def test_a_refused_exec_leaves_the_flow_open(sim: Any, flow: Any) -> None:
    with pytest.raises(RoutineNotFoundError):
        sim.exec(flow, inputs={"nobody": {"x": [1]}})
    flow.add_routine(Routine("new").set_logic(lambda: None))


# --- registry -----------------------------------------------------------------------------------------------


def test_the_registry_keeps_finds_lists_and_forgets(flow: Any) -> None:
    registry = FlowRegistry()
    registry.register("name", flow)
    assert (registry.get("name"), registry.get("other"), registry.list_all()) == (flow, None, ["name"])
    assert (registry.unregister("name"), registry.unregister("name"), registry.list_all()) == (True, False, [])


def test_a_taken_name_is_a_value_error_and_keeps_the_first(flow: Any) -> None:
    registry = FlowRegistry()
    registry.register("name", flow)
    with pytest.raises(ValueError, match="name"):
        registry.register("name", Flow("other"))
    assert registry.get("name") is flow


@pytest.mark.parametrize(("name", "flow"), [("", Flow("f")), (None, Flow("f")), ("x", None), ("x", "f")])
def test_the_registry_refuses_what_is_no_name_or_no_flow(name: Any, flow: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        FlowRegistry().register(name, flow)


def test_there_is_one_registry_for_the_process() -> None:
    assert FlowRegistry.get_instance() is flow_registry is FlowRegistry.get_instance()


def test_exec_names_the_registered_flows_when_it_finds_none(sim: Any, flow: Any) -> None:
    sim.registry = FlowRegistry()
    sim.registry.register("known", flow)
    with pytest.raises(FlowNotFoundError, match=r"unknown.*known"):
        sim.exec("unknown")


def test_of_many_threads_that_register_one_name_one_wins() -> None:
    registry, won, barrier = FlowRegistry(), [], threading.Barrier(8)

    def register(number: Any) -> None:
        barrier.wait()
        try:
            registry.register("name", Flow(f"f{number}"))
            won.append(number)
        except DuplicateNameError:
            pass

    threads = [threading.Thread(target=register, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [registry.get("name").flow_id] == [f"f{number}" for number in won]  # type: ignore[union-attr]
