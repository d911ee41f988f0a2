"""Draws a random plan from a seed: a flow, how its routines decide and behave, and what happens to its jobs.

A plan is plain data. The same seed draws the same plan, for ever: draw new features at the end of a function.
"""

import random
from dataclasses import dataclass, field

from routilux import ErrorHandler, ErrorStrategy

EVENTS = ("a", "b")
MAX_EMISSIONS = 90  # per job: beyond it logics emit nothing more


@dataclass(frozen=True)
class SlotPlan:
    name: str
    length: int | None
    on_full: str
    watermark: float


@dataclass(frozen=True)
class PolicyPlan:
    kind: str
    number: int = 1
    seconds: float = 1.0
    at_end: str = "hold"


@dataclass(frozen=True)
class FailPlan:
    """Fails for items whose hash divides, in the first so many attempts; ``first_run`` only in the job's first run."""

    divisor: int = 0
    attempts: int = 99
    place: str = "before"
    first_run: bool = False


@dataclass(frozen=True)
class StepPlan:
    routine_id: str
    slots: tuple[SlotPlan, ...]
    policy: PolicyPlan
    logic: str
    emits: dict[str, int]
    fails: FailPlan
    handler: ErrorHandler | None
    atomic: bool | None
    max_concurrency: int
    ordered: bool
    limit: str | None
    timeout: float | None
    source_items: int
    yield_every: int
    sleep_seconds: float
    declares: bool

    @property
    def is_source(self) -> bool:
        return not self.slots and self.policy.kind == "none"


@dataclass(frozen=True)
class Move:
    """One thing that happens to a job from outside; ``pick`` settles what the kind leaves open."""

    kind: str
    pick: int
    seconds: float = 0.0


@dataclass(frozen=True)
class Plan:
    seed: int
    steps: tuple[StepPlan, ...]
    links: tuple[tuple[str, str, str, str], ...]
    hops: int
    handler: ErrorHandler | None
    max_running_jobs: int | None
    max_workers: int | None
    timeout: float | None
    on_leftover: str
    observed: bool
    limits: dict[str, tuple[int, float | None]]
    jobs: int
    keep_open: bool
    inputs: dict[str, dict[str, int]]
    moves: tuple[Move, ...] = field(default=())

    def step(self, routine_id: str) -> StepPlan:
        return next(step for step in self.steps if step.routine_id == routine_id)

    def targets(self, routine_id: str, event: str) -> list[tuple[str, str]]:
        return [(target, slot) for source, name, target, slot in self.links if (source, name) == (routine_id, event)]


def draw(seed: int) -> Plan:
    """Draw a whole plan."""
    rng = random.Random(f"plan {seed}")
    count = rng.choice((2, 3, 3, 4, 4, 5, 6))
    calm = rng.random() < 0.25  # plain flows, so that simple faults show in simple plans
    sources = rng.choice((1, 1, 2)) if count > 2 else 1
    steps = tuple(_draw_step(rng, f"r{number}", number < sources, calm) for number in range(count))
    keep_open = rng.random() < 0.5
    return Plan(
        seed=seed,
        steps=steps,
        links=_draw_links(rng, steps, sources),
        hops=rng.choice((2, 3, 4, 5)),
        handler=_draw_handler(rng) if rng.random() < 0.2 else None,
        max_running_jobs=rng.choice((None, None, None, 1, 2)),
        max_workers=rng.choice((None, None, None, 1, 2)),
        timeout=rng.choice((None,) * 9 + (25.0,)),
        on_leftover=rng.choice(("ok", "warn", "ok", "fail")),
        observed=rng.random() < 0.7,
        limits={"few": (rng.choice((1, 2)), rng.choice((None, None, 2.0)))},
        jobs=rng.choice((1, 1, 1, 2, 3)),
        keep_open=keep_open,
        inputs=_draw_inputs(rng, steps),
        moves=tuple(_draw_move(rng, calm) for _ in range(rng.randrange(3, 22))),
    )


def _draw_step(rng: random.Random, routine_id: str, is_source: bool, calm: bool) -> StepPlan:
    slots = (
        () if is_source else tuple(_draw_slot(rng, name) for name in ("x", "y", "z")[: rng.choice((1, 1, 1, 2, 2, 3))])
    )
    rough = not calm
    return StepPlan(
        routine_id=routine_id,
        slots=slots,
        policy=PolicyPlan("none") if is_source else _draw_policy(rng, rough),
        logic=rng.choice(("plain", "plain", "plain", "generator", "coroutine", "async_generator")),
        emits={event: rng.choice((0, 1, 1, 1, 2, 3)) for event in EVENTS},
        fails=_draw_fails(rng) if rough and rng.random() < 0.3 else FailPlan(),
        handler=_draw_handler(rng) if rough and rng.random() < 0.5 else None,
        atomic=rng.choice((None, None, True, False)),
        max_concurrency=rng.choice((1, 1, 1, 2, 3)),
        ordered=rng.random() < 0.7,
        limit="few" if rough and rng.random() < 0.1 else None,
        timeout=1.0 if rough and rng.random() < 0.08 else None,
        source_items=rng.choice((1, 3, 6, 10)),
        yield_every=rng.choice((1, 2, 4)),
        sleep_seconds=rng.choice((0.0, 0.1, 0.7)),
        declares=rng.random() < 0.5,
    )


def _draw_slot(rng: random.Random, name: str) -> SlotPlan:
    length = rng.choice((1, 1, 2, 3, 5, 5, 1000, None))
    on_full = rng.choice(("wait", "wait", "wait", "wait", "stretch", "drop", "drop_oldest", "fail"))
    return SlotPlan(name, length, on_full, rng.choice((0.2, 0.8, 1.0)))


def _draw_policy(rng: random.Random, rough: bool) -> PolicyPlan:
    builtin = ("none", "none", "none", "immediate", "batch", "all_slots_ready", "interval")
    written = ("custom", "one", "fickle", "latest", "dropper", "delayed", "picky", "raises", "always")
    kind = rng.choice(builtin if not rough or rng.random() < 0.6 else written)
    return PolicyPlan(kind, rng.choice((1, 2, 3)), rng.choice((0.5, 2.0, 10.0)), rng.choice(("hold", "fire")))


def _draw_fails(rng: random.Random) -> FailPlan:
    return FailPlan(
        divisor=rng.choice((1, 2, 3, 5)),
        attempts=rng.choice((1, 2, 99)),
        place=rng.choice(("before", "between", "after")),
        first_run=rng.random() < 0.5,
    )


def _draw_handler(rng: random.Random) -> ErrorHandler:
    strategy = rng.choice(("stop", "continue", "continue", "retry", "retry", "retry", "skip"))
    return ErrorHandler(
        ErrorStrategy(strategy),
        max_retries=rng.choice((0, 1, 2, 3)),
        retry_delay=rng.choice((0.0, 0.5, 3.0)),
        retry_backoff=rng.choice((1.0, 2.0)),
        then=ErrorStrategy(rng.choice(("stop", "continue", "skip"))),
        jitter=rng.choice((0.0, 0.0, 0.5)),
    )


def _draw_links(rng: random.Random, steps: tuple[StepPlan, ...], sources: int) -> tuple[tuple[str, str, str, str], ...]:
    links: dict[tuple[str, str, str, str], None] = {}
    for number, step in enumerate(steps[sources:], start=sources):
        for slot in step.slots:
            for _ in range(rng.choice((0, 1, 1, 1, 2))):
                feeder = steps[rng.randrange(number)].routine_id
                links[feeder, rng.choice(EVENTS), step.routine_id, slot.name] = None
    if rng.random() < 0.35:
        for _ in range(rng.choice((1, 1, 2))):
            number = rng.randrange(sources, len(steps))
            back = steps[rng.randrange(sources, number + 1)]
            links[steps[number].routine_id, rng.choice(EVENTS), back.routine_id, rng.choice(back.slots).name] = None
    return tuple(links)


def _draw_inputs(rng: random.Random, steps: tuple[StepPlan, ...]) -> dict[str, dict[str, int]]:
    inputs: dict[str, dict[str, int]] = {}
    for step in steps:
        for slot in step.slots:
            if rng.random() < 0.2:
                inputs.setdefault(step.routine_id, {})[slot.name] = rng.choice((0, 1, 4, 8))
    return inputs


CALM_MOVES = ("steps",) * 5 + ("idle", "advance", "post", "post", "post")
MOVES = (
    *CALM_MOVES,
    "steps",
    "steps",
    "idle",
    "advance",
    "pause",
    "pause",
    "resume",
    "cancel",
    "hold",
    "step_routine",
    "release",
    "close",
    "suspend",
    "suspend",
    "copy",
    "picture",
    "repost",
    "activate",
    "replace",
    "explain",
    "restart",
    "restart",
)


def _draw_move(rng: random.Random, calm: bool) -> Move:
    kind = rng.choice(CALM_MOVES if calm else MOVES)
    return Move(kind, rng.randrange(1_000_000), rng.choice((0.05, 0.3, 1.0, 4.0)))
