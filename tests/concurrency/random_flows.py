"""Random flows with tiny slots, and a ledger that accounts for each item they ever sent."""

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable

from routilux import (
    Flow,
    JobState,
    Policy,
    Routine,
    Runtime,
    all_slots_ready_policy,
    batch_size_policy,
    immediate_policy,
)

Token = tuple[str, int, int]  # who sent it, its number, how many more hops it may cause


class Ledger:
    """Who sent what to whom, and who got it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: Counter[str] = Counter()
        self.sent: dict[tuple[str, str], list[Token]] = {}
        self.got: dict[tuple[str, str], list[Token]] = {}
        self.overlapping: set[str] = set()
        self._inside: Counter[str] = Counter()

    def token(self, sender: str, targets: list[tuple[str, str]], hops: int) -> Token:
        with self._lock:
            self._numbers[sender] += 1
            token = (sender, self._numbers[sender], hops)
            for target in targets:
                self.sent.setdefault(target, []).append(token)
            return token

    def receive(self, routine_id: str, slot: str, tokens: list[Token]) -> None:
        with self._lock:
            self.got.setdefault((routine_id, slot), []).extend(tokens)

    def enter(self, routine_id: str) -> None:
        with self._lock:
            self._inside[routine_id] += 1
            if self._inside[routine_id] > 1:
                self.overlapping.add(routine_id)

    def leave(self, routine_id: str) -> None:
        with self._lock:
            self._inside[routine_id] -= 1


def slot_policy(rng: random.Random) -> Policy:
    """Draw a policy that always empties what it can."""
    return rng.choice([immediate_policy(), all_slots_ready_policy(), batch_size_policy(2)])


class RandomFlow:
    """Layers of routines, joins, and (where wanted) feedback edges whose items carry a bounded number of hops."""

    def __init__(self, seed: int, cycles: bool, pause: Callable[[], object] = lambda: None) -> None:
        self.rng = rng = random.Random(seed)
        self.ledger = Ledger()
        self.pause = pause
        self.flow = Flow(f"random-{seed}", on_leftover="ok")
        self.links: dict[str, list[tuple[str, str]]] = {}
        layers = [[f"s{n}" for n in range(rng.randint(1, 2))]]
        for depth in range(rng.randint(1, 4)):
            layers.append([f"r{depth}-{n}" for n in range(rng.randint(1, 3))])
        self.slots = {name: [f"in{k}" for k in range(rng.choice([1, 1, 2]))] for name in itertools.chain(*layers[1:])}
        self._link(layers)
        if cycles:
            self._link_back(list(self.slots))
        for name in self.links:
            self.flow.add_routine(self._routine(name, self.slots.get(name, [])), name)
        for source, targets in self.links.items():
            for target, slot in targets:
                self.flow.connect(source, "out", target, slot)

    def _link(self, layers: list[list[str]]) -> None:
        earlier: list[str] = []
        for layer in layers:
            for name in layer:
                self.links[name] = []
                for slot in self.slots.get(name, []):
                    for source in self.rng.sample(earlier, min(len(earlier), self.rng.randint(1, 2))):
                        self.links[source].append((name, slot))
            earlier += layer

    def _link_back(self, ids: list[str]) -> None:
        for _ in range(self.rng.randint(1, 2)):
            source, target = self.rng.choice(ids), self.rng.choice(ids)
            link = (target, self.rng.choice(self.slots[target]))
            if link not in self.links[source]:
                self.links[source].append(link)

    def _routine(self, name: str, slots: list[str]) -> Routine:
        rng = self.rng
        made = Routine(name, atomic=rng.random() < 0.2)
        for slot in slots:
            made.add_slot(slot, max_queue_length=rng.choice([1, 1, 2, 3, 7]))
        if not slots:
            count = rng.randint(5, 60)
            return made.set_logic(lambda routine: self.send(routine, name, count, 4))
        if len(slots) > 1 or rng.random() < 0.5:
            made.set_activation_policy(slot_policy(rng))

        def logic(*lists: list[Token], routine: Routine) -> None:
            self.ledger.enter(name)
            for slot, tokens in zip(slots, lists, strict=True):
                self.ledger.receive(name, slot, tokens)
            self.pause()
            for tokens in lists:
                for token in tokens:
                    if token[2]:
                        self.send(routine, name, 1, token[2] - 1)
            self.ledger.leave(name)

        return made.set_logic(logic)

    def send(self, routine: Routine, name: str, count: int, hops: int) -> None:
        for _ in range(count):
            routine.emit("out", self.ledger.token(name, self.links[name], hops))

    def check(self, job: JobState) -> None:
        """Each item was consumed once, or is listed as dropped or left over; nothing came from nowhere."""
        assert job.status == "completed", (job.status, job.error)
        left: Counter[tuple[str, str]] = Counter()
        for leftover in job.leftovers:
            left[leftover.routine_id, leftover.slot] += leftover.count
        for target, sent in self.ledger.sent.items():
            got = self.ledger.got.get(target, [])
            assert len(got) == len(set(got)), f"{target} got an item twice"
            assert set(got) <= set(sent), f"{target} got an item that nobody sent"
            dropped = sum(job.drops.get(target, {}).values())
            assert len(got) + dropped + left[target] == len(sent), (target, len(got), dropped, left[target], len(sent))
            self.check_order(got)
        assert not self.ledger.overlapping

    def check_order(self, got: list[Token]) -> None:
        latest: dict[str, int] = {}
        for sender, number, _ in got:
            assert latest.get(sender, 0) < number, f"items of {sender} came out of order"
            latest[sender] = number


def run_and_check(runtime: Runtime, random_flow: RandomFlow, seconds: float = 20) -> JobState:
    """Run a random flow to its end, and account for each item."""
    job = runtime.exec(random_flow.flow)
    ended = runtime.wait_for_job(job.job_id, timeout=seconds)
    assert ended, [str(explanation) for explanation in runtime.explain_all(job.job_id)]
    random_flow.check(job)
    return job
