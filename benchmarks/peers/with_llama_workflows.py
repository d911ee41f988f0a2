"""llama-index-workflows: steps on an asyncio loop, events between them; a source sends all events of W1 to W3."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from workflows import Context, Workflow, step
from workflows.events import Event, StartEvent, StopEvent

from benchmarks.peers.reporting import Work, after_chain, after_fan, check, report

MANY = 16


class First(Event):
    value: int


class Second(Event):
    value: int


class Third(Event):
    value: int


class Last(Event):
    value: int


class Left(Event):
    value: int


class Right(Event):
    value: int


class Chain(Workflow):
    """W1."""

    @step
    async def source(self, ctx: Context, start: StartEvent) -> First | None:
        self.left, self.total = start.count, 0
        for number in range(start.count):
            ctx.send_event(First(value=number))
        return None

    @step(num_workers=MANY)
    async def one(self, event: First) -> Second:
        return Second(value=event.value + 1)

    @step(num_workers=MANY)
    async def two(self, event: Second) -> Third:
        return Third(value=event.value + 1)

    @step(num_workers=MANY)
    async def three(self, event: Third) -> Last:
        return Last(value=event.value + 1)

    @step(num_workers=MANY)
    async def sink(self, event: Last) -> StopEvent | None:
        self.total += event.value
        self.left -= 1
        return None if self.left else StopEvent(result=self.total)


class Fan(Workflow):
    """W2: ten events an item, handled by one step; ten steps of one event type cost more."""

    @step
    async def source(self, ctx: Context, start: StartEvent) -> First | None:
        self.left, self.total = start.count * 10, 0
        for number in range(start.count):
            for _ in range(10):
                ctx.send_event(First(value=number))
        return None

    @step(num_workers=MANY)
    async def middle(self, event: First) -> Last:
        return Last(value=event.value + 1)

    @step(num_workers=MANY)
    async def sink(self, event: Last) -> StopEvent | None:
        self.total += event.value
        self.left -= 1
        return None if self.left else StopEvent(result=self.total)


class Join(Workflow):
    """W3."""

    @step
    async def source(self, ctx: Context, start: StartEvent) -> Left | Right | None:
        self.left = start.count
        for number in range(start.count // 2):
            ctx.send_event(Left(value=number))
            ctx.send_event(Right(value=number))
        return None

    @step(num_workers=1)
    async def join(self, ctx: Context, event: Left | Right) -> StopEvent | None:
        both = ctx.collect_events(event, [Left] * 10 + [Right] * 10)
        if both is None:
            return None
        self.left -= len(both)
        return None if self.left else StopEvent(result=0)


class ThreeSteps(Workflow):
    """W4."""

    @step
    async def source(self, start: StartEvent) -> First:
        return First(value=0)

    @step
    async def one(self, event: First) -> Last:
        return Last(value=event.value + 1)

    @step
    async def sink(self, event: Last) -> StopEvent:
        return StopEvent(result=event.value + 1)


def whole(kind: Callable[..., Any], count: int, expected: int) -> float:
    async def run() -> float:
        workflow = kind(timeout=None)
        begin = time.perf_counter()
        found = await workflow.run(count=count)
        seconds = time.perf_counter() - begin
        check(found, expected)
        return seconds

    return asyncio.run(run())


def w1(count: int) -> float:
    return whole(Chain, count, after_chain(count))


def w2(count: int) -> float:
    return whole(Fan, count, after_fan(count))


def w3(count: int) -> float:
    return whole(Join, count, 0)


def w4(count: int) -> float:
    async def run() -> float:
        workflow = ThreeSteps(timeout=None)
        begin = time.perf_counter()
        found = await asyncio.gather(*[workflow.run() for _ in range(count)])
        seconds = time.perf_counter() - begin
        check(sum(found), 2 * count)
        return seconds

    return asyncio.run(run())


if __name__ == "__main__":
    report(
        "llama-index-workflows",
        {"W1": Work(w1, 200), "W2": Work(w2, 40), "W3": Work(w3, 400), "W4": Work(w4, 400)},
    )
