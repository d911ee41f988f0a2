"""langgraph: a compiled graph, invoked once per item. It has no join of two streams, so no W3."""

import time
from operator import add
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph

from benchmarks.peers.reporting import Work, after_chain, after_fan, check, report


class Value(TypedDict):
    """The state of a chain."""

    value: int


class Values(TypedDict):
    """The state of a fan."""

    value: int
    found: Annotated[list[int], add]
    total: int


def add_one(state: Value) -> dict[str, int]:
    return {"value": state["value"] + 1}


def same(state: Value) -> dict[str, int]:
    return {"value": state["value"]}


def chain(steps: int) -> Any:
    graph = StateGraph(Value)
    names = [f"step_{number}" for number in range(steps)]
    for name in names:
        graph.add_node(name, add_one)
    graph.add_node("sink", same)
    for before, after in zip([START, *names], [*names, "sink"], strict=True):
        graph.add_edge(before, after)
    graph.add_edge("sink", END)
    return graph.compile()


def w1(count: int) -> float:
    graph = chain(3)
    begin = time.perf_counter()
    total = sum(graph.invoke({"value": number})["value"] for number in range(count))
    seconds = time.perf_counter() - begin
    check(total, after_chain(count))
    return seconds


def w2(count: int) -> float:
    graph = StateGraph(Values)
    graph.add_node("sink", lambda state: {"total": sum(state["found"])})
    for number in range(10):
        graph.add_node(f"middle_{number}", lambda state: {"found": [state["value"] + 1]})
        graph.add_edge(START, f"middle_{number}")
    graph.add_edge([f"middle_{number}" for number in range(10)], "sink")
    graph.add_edge("sink", END)
    compiled: Any = graph.compile()
    begin = time.perf_counter()
    total = sum(compiled.invoke({"value": number})["total"] for number in range(count))
    seconds = time.perf_counter() - begin
    check(total, after_fan(count))
    return seconds


def w4(count: int) -> float:
    graph = chain(2)
    begin = time.perf_counter()
    total = sum(graph.invoke({"value": 0})["value"] for _ in range(count))
    seconds = time.perf_counter() - begin
    check(total, 2 * count)
    return seconds


if __name__ == "__main__":
    report("langgraph", {"W1": Work(w1, 400), "W2": Work(w2, 100), "W4": Work(w4, 400)})
