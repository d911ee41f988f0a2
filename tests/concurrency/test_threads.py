"""Real threads at once. BEHAVIOURS 8, 22, 40."""

import threading
import time
from collections import Counter
from typing import Any

import pytest

from routilux import (
    DuplicateNameError,
    Flow,
    FlowRegistry,
    JobFinishedError,
    Routine,
    Runtime,
    Slot,
    SlotClosedError,
    SlotQueueFullError,
    all_slots_ready_policy,
)

LIMIT = 60


@pytest.fixture
def together() -> Any:
    """Run functions on threads that start at one moment; re-raise what they raise."""

    def start(*functions: Any) -> None:
        barrier, problems = threading.Barrier(len(functions)), []

        def guarded(function: Any) -> None:
            barrier.wait(LIMIT)
            try:
                function()
            except BaseException as error:  # noqa: BLE001 - told to the test's own thread
                problems.append(error)

        threads = [threading.Thread(target=guarded, args=(function,), daemon=True) for function in functions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
        assert not any(thread.is_alive() for thread in threads), "deadlock"
        if problems:
            raise problems[0]

    return start


@pytest.mark.parametrize("way", ["one", "all", "points", "middle"])
@pytest.mark.parametrize("length", [10, 1000, None])
def test_twenty_threads_enqueue_while_twenty_consume_and_each_item_is_taken_once(
    together: Any, way: Any, length: Any
) -> None:  # B8
    slot, taken, left = Slot("in", length), [], threading.Event()
    per_thread = 500

    def produce(number: Any) -> None:
        for index in range(per_thread):
            while True:
                try:
                    slot.enqueue((number, index))
                    break
                except SlotQueueFullError:
                    time.sleep(0)

    def consume() -> None:
        mine = []
        while not left.is_set():
            match way:
                case "one":
                    item = slot.consume_one_new()
                    found = [] if item is None else [item]
                case "all":
                    found = slot.consume_all_new()
                case "points":
                    found = [point.data for point in slot.consume_points(3)]
                case _:
                    found = [point.data for point in slot.consume_points(slot.peek_points(1, 2))]
                    found += [point.data for point in slot.consume_points(1)]
            mine.extend(found)
            taken.extend(found)
            if len(taken) >= 20 * per_thread:
                left.set()

    began = time.monotonic()
    stop = threading.Timer(20, left.set)
    stop.daemon = True
    stop.start()
    together(*(lambda n=n: produce(n) for n in range(20)), *([consume] * 20))
    stop.cancel()
    counts = Counter(taken)
    assert set(counts) == {(n, index) for n in range(20) for index in range(per_thread)}, time.monotonic() - began
    assert set(counts.values()) == {1}
    assert slot.get_unconsumed_count() == 0


def test_items_of_one_thread_keep_their_order(together: Any) -> None:  # B8
    slot = Slot("in", None)
    together(*(lambda n=n: [slot.enqueue((n, index)) for index in range(500)] for n in range(20)))  # type: ignore[func-returns-value]
    for number in range(20):
        assert [index for n, index in slot.peek_all_new() if n == number] == list(range(500))


def relay(items: Any, routine: Any) -> None:
    for item in items:
        routine.emit("out", item)


@pytest.mark.parametrize("threads", [1, 10])
def test_a_chain_of_a_thousand_routines_runs_with_any_number_of_threads(threads: Any) -> None:  # B22
    flow = Flow("chain").add_routine(
        Routine("r0").set_logic(lambda routine: [routine.emit("out", n) for n in range(5)] and None)
    )
    for number in range(1, 1001):
        flow.add_routine(Routine(f"r{number}").add_slot("items", 2).set_logic(relay))
        flow.connect(f"r{number - 1}", "out", f"r{number}", "items")
    flow.add_routine(
        Routine("end").set_logic(
            lambda items, job_state: [job_state.append_shared_data("seen", i) for i in items] and None
        )
    )
    flow.connect("r1000", "out", "end", "items")
    with Runtime(threads) as runtime:
        job = runtime.exec(flow)
        assert runtime.wait_for_job(job.job_id, LIMIT)
    assert (job.status, job.get_shared_data("seen"), job.drops) == ("completed", [0, 1, 2, 3, 4], {})


@pytest.mark.parametrize("threads", [1, 10])
def test_a_cycle_of_many_rounds_ends_with_any_number_of_threads(threads: Any) -> None:  # B22
    def count_down(items: Any, routine: Any) -> None:
        for item in items:
            if item:
                routine.emit("out", item - 1)

    flow = Flow("cycle")
    for name in "abc":
        flow.add_routine(Routine(name).add_slot("items", 3).set_logic(count_down))
    for source, target in ("ab", "bc", "ca"):
        flow.connect(source, "out", target, "items")
    with Runtime(threads) as runtime:
        job = runtime.exec(flow, inputs={"a": {"items": [3000, 2999, 10]}})
        assert runtime.wait_for_job(job.job_id, LIMIT)
    assert (job.status, bool(job.leftovers), job.drops) == ("completed", False, {})


def summing_flow(registry: Any, name: Any) -> None:
    total = Routine("total").set_logic(
        lambda items, job_state: job_state.mutate_shared_data("sum", lambda old: old + sum(items), 0)
    )
    registry.register(name, Flow(name, on_leftover="ok").add_routine(total))


def test_many_threads_exec_post_register_and_cancel_at_once(together: Any) -> None:  # B40
    registry, before = FlowRegistry(), threading.active_count()
    with Runtime(8, registry=registry) as runtime:
        done, cancelled, refused = [], [], []

        def work(number: Any) -> None:
            for index in range(20):
                name = f"flow-{number}-{index}"
                summing_flow(registry, name)
                with pytest.raises(DuplicateNameError):
                    summing_flow(registry, name)
                job = runtime.exec(name, keep_open=True)
                for item in range(10):
                    runtime.post(job.job_id, "total", "items", item)
                if index % 4 == 3:
                    runtime.cancel_job(job.job_id)
                    try:
                        runtime.post(job.job_id, "total", "items", 1)
                    except (JobFinishedError, SlotClosedError) as error:
                        refused.append(error)
                    cancelled.append(job)
                else:
                    runtime.close_job(job.job_id)
                    done.append(job)
                registry.unregister(name)

        together(*(lambda n=n: work(n) for n in range(16)))
        assert runtime.wait_until_all_jobs_finished(LIMIT)
        assert len({job.job_id for job in done + cancelled}) == len(runtime.list_jobs()) == 320
    assert {str(job.status) for job in done} == {"completed"}
    assert {job.get_shared_data("sum") for job in done} == {45}
    assert {str(job.status) for job in cancelled} == {"cancelled"}
    assert len(refused) == len(cancelled)
    assert registry.list_all() == []
    assert threading.active_count() <= before


def test_many_threads_post_to_one_small_slot_while_a_source_fills_it(together: Any) -> None:  # B40
    def emit(routine: Any) -> None:
        for number in range(2000):
            routine.emit("out", ("source", number))

    target = Routine("t").add_slot("items", 5).set_activation_policy(all_slots_ready_policy())
    target.set_logic(lambda items, job_state: job_state.append_shared_data("seen", items[0]))
    flow = Flow("f").add_routine(Routine("s").set_logic(emit)).add_routine(target).connect("s", "out", "t", "items")
    with Runtime(4) as runtime:
        job = runtime.exec(flow, keep_open=True)
        together(
            *(
                lambda n=n: [runtime.post(job.job_id, "t", "items", (n, i), timeout=LIMIT) for i in range(50)]  # type: ignore[func-returns-value]
                for n in range(10)
            )
        )
        runtime.close_job(job.job_id)
        assert runtime.wait_for_job(job.job_id, LIMIT)
    seen = job.get_shared_data("seen")
    assert job.drops == {}
    for producer, count in [("source", 2000), *((n, 50) for n in range(10))]:
        assert [number for name, number in seen if name == producer] == list(range(count))


def test_a_sync_logic_that_returns_its_emission_starts_no_loop_thread() -> None:
    flow = Flow("f").add_routine(Routine("s").set_logic(lambda routine: routine.emit("out", 1)))
    flow.add_routine(Routine("t").set_logic(lambda items: None)).connect("s", "out", "t", "items")
    before = threading.active_count()
    with Runtime(2) as runtime:
        assert runtime.wait_for_job(runtime.exec(flow).job_id, LIMIT)
        assert threading.active_count() - before <= 3  # two workers and the timer
        assert runtime._executor is None
