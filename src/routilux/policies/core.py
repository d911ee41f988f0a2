"""What an activation policy is: the protocol, the base class of policies that are values, and composition's ground.

Design: §4.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field
from typing import Any, NamedTuple

from routilux import rings
from routilux.demand import Demand
from routilux.explanation import Condition
from routilux.job import JobState
from routilux.slot import Slot

Slots = Mapping[str, Slot]
DataSlice = dict[str, list[Any]]
PolicyFunction = Callable[[Slots, JobState], tuple[bool, DataSlice, Any]]
Answer = tuple[bool, DataSlice, Any, Any]
"""What `Policy.ask` gives: should_activate, data_slice, policy_message, and the facts behind it."""


class Decision(NamedTuple):
    """What a policy decides: whether to activate, with which data per slot, and a message for the logic."""

    should_activate: bool
    data_slice: DataSlice
    policy_message: Any


class Policy:
    """A policy that is a value: its parameters are fields, its memory is in the job.

    Subclass it as a frozen dataclass and write `ask`; it then compares, prints and goes to plain data. `facts` (any
    small value) are what the decision saw, and `conditions` turns them into an explanation when somebody asks.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class EvenCount(Policy):
    ...     slot: str
    ...     def ask(self, slots, job_state):
    ...         count = slots[self.slot].get_unconsumed_count()
    ...         if count == 0 or count % 2:
    ...             return self.no(count)
    ...         return self.yes({self.slot: slots[self.slot].consume_all_new()}, {"reason": "even"}, count)
    ...     def conditions(self, facts):
    ...         return (Condition(f"even count({self.slot})", facts, is_met=facts > 0 and facts % 2 == 0),)
    >>> EvenCount("in")
    even_count('in')
    """

    __slots__ = ()

    gathers = False
    """Whether it waits for what descends from one activation of a fan-out: then its flow carries lineage."""

    stretches = False
    """Whether a full slot of it grows, where the job could otherwise go on only by dropping an item."""

    is_several = False
    """Whether it is shown in brackets as a part of another."""

    @property
    def asks_when_empty(self) -> bool:
        """Whether a yes is possible while no slot holds anything; `False`, also of a class, saves asking in vain."""
        return True

    @property
    def absorbs(self) -> bool:
        """Whether it takes items into its memory while it says no, see `Slot.absorb`."""
        return False

    def __init_subclass__(cls, **options: Any) -> None:
        """Keep the way policies print where a dataclass would bring its own."""
        super().__init_subclass__(**options)
        if "__repr__" not in vars(cls):
            type.__setattr__(cls, "__repr__", cls.__repr__)

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Decide, consume what is to be delivered, and tell the facts."""
        raise NotImplementedError(f"{type(self).__name__} must define ask(slots, job_state)")

    def __call__(self, slots: Slots, job_state: JobState) -> Decision:
        """Decide: ``(should_activate, data_slice, policy_message)``."""
        answer = self.ask(slots, job_state)
        return Decision(answer[0], answer[1], answer[2])

    def conditions(self, facts: Any) -> tuple[Condition, ...]:
        """Turn the facts of a decision into conditions. Called only when somebody looks.

        By default there are none: then the policy itself is the condition, and its facts are shown as they are.
        """
        return ()

    def explained(self, verdict: bool, facts: Any) -> tuple[Condition, ...]:
        """Give the conditions of a decision; the policy itself where it names none."""
        return self.conditions(facts) or (Condition(repr(self), facts, is_met=verdict),)

    def cause(self, facts: Any) -> Any:
        """Say what kind of no this is: noes of one cause are counted in one record."""
        return None

    def demand(self, slots: Sequence[str]) -> Demand:
        """Say what it needs, for the checks of a flow; ``slots`` are the names of the routine's slots.

        By default nothing is said, and so nothing is found. See `Demand` for what can be said.
        """
        return Demand()

    @staticmethod
    def yes(data_slice: DataSlice, message: Any = None, facts: Any = None) -> Answer:
        """Answer yes."""
        return True, data_slice, message, facts

    @staticmethod
    def no(facts: Any = None) -> Answer:
        """Answer no."""
        return False, {}, None, facts

    def parameters(self) -> dict[str, Any]:
        """Give the parameters by name."""
        fields: Mapping[str, Any] = getattr(type(self), "__dataclass_fields__", {})
        return {name: getattr(self, name) for name in fields}

    def to_dict(self) -> dict[str, Any]:
        """Give the policy as plain data: its name and parameters; functions by name (see `policy_from_dict`)."""
        plain = {name: as_plain(value) for name, value in self.parameters().items()}
        return {"policy": policy_name(type(self)), **plain}

    # --- composition: each gives a new policy --------------------------------------------------------------

    def __and__(self, other: "Policy") -> "Policy":
        """Activate when both are ready; what they take is united.

        The message of the logic is ``{"reason": "all", "messages": [of each]}``.

        batch_size_policy(2) & time_interval_policy(4)
        picture     in  -abcdefg--|
                    out --[ab]---[cde]---([fg]|)
        """
        return _composed("AllOf", (self, other))

    def __or__(self, other: "Policy") -> "Policy":
        """Activate as the first one that is ready.

        batch_size_policy(3) | debounce_policy(2)
        picture     in  -abc-d---|
                    out ---[abc]---[d]-|
        """
        return _composed("FirstOf", (self, other))

    def unless(self, other: "Policy") -> "Policy":
        """Activate as this one, but not while the other is ready; the other takes nothing.

        immediate_policy().unless(custom_policy(lambda slots, job_state: job_state.now().second < 4))
        picture     in  -a-b-c-|
                    out -----[abc]-|
        """
        return _composed("Unless", self, other)

    def within(self, seconds: float, on_timeout: str = "fire") -> "Policy":
        """Activate as this one; what waited longer than ``seconds`` is delivered ("fire") or dropped ("drop").

        The message of the logic is then ``{"reason": "timeout"}``, or "end" at the end of input.

        all_slots_ready_policy().within(3)
        picture     x   -a-b-----|
                    y   --1------|
                    out --[a1]---[b]--|
        """
        return _composed("Within", self, seconds, on_timeout)

    def times(self, n: int) -> "Policy":
        """Activate as this one, but only so often; what comes then is dropped as "enough".

        each_item_policy().times(2)
        picture     in   -a-b-c-|
                    out  -[a]-[b]---|
                    drop -----c
        """
        return _composed("Times", self, n)

    def once(self) -> "Policy":
        """Activate as this one, but only once; what comes then is dropped as "enough".

        batch_size_policy(2).once()
        picture     in   -ab-cd-|
                    out  --[ab]----|
                    drop ----cd
        """
        return self.times(1)

    def labelled(self, label: str) -> "Policy":
        """Name this one in explanations.

        batch_size_policy(2).labelled("a pair")
        picture     in  -a-b-|
                    out ---[ab]-|
        """
        return _composed("Labelled", self, label)

    def by_key(
        self, key: Callable[[Any], Any] | str, max_keys: int = 10_000, idle_seconds: float | None = None
    ) -> "Policy":
        """Apply this one to the items of each key by themselves; ``key`` is a function, or the name of a field.

        The message of the logic is ``{"key": …, "message": …}``, with what this one said. Beyond ``max_keys`` the key that
        was idle longest is forgotten, its items dropped as "too many keys"; after ``idle_seconds`` as "idle key".

        batch_size_policy(2).by_key(str.lower)
        picture     in   -abA--B-|
                    out  ---[aA]--[bB]-|
        """
        return _composed("ByKey", self, key, max_keys, idle_seconds)

    def __repr__(self) -> str:
        fields: Mapping[str, Field[Any]] = getattr(type(self), "__dataclass_fields__", {})
        given = self.parameters()
        inside = [
            shown(given[name]) if field.default is MISSING else f"{name}={shown(given[name])}"
            for name, field in fields.items()
            if field.default is MISSING or given[name] != field.default
        ]
        return f"{policy_name(type(self))}({', '.join(inside)})"


def _composed(kind: str, *parameters: Any) -> Policy:
    composed: Policy = getattr(rings.load("routilux.policies.composing"), kind)(*parameters)
    return composed


def as_plain(value: Any) -> Any:
    """Give a parameter as plain data."""
    if isinstance(value, Policy):
        return value.to_dict()
    if isinstance(value, tuple | list):
        return [as_plain(part) for part in value]
    if isinstance(value, Mapping):
        return {name: as_plain(part) for name, part in value.items()}
    if callable(value):
        return {"function": shown(value)}
    return value


def shown(value: Any) -> str:
    """Show a parameter: functions by name."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name!r}: {shown(part)}' for name, part in value.items())}}}"
    if isinstance(value, tuple):
        return f"({', '.join(map(shown, value))}{',' if len(value) == 1 else ''})"
    return getattr(value, "__name__", None) or repr(value) if callable(value) else repr(value)


def policy_name(kind: type) -> str:
    """Give the public name of a policy class: BatchSizePolicy is batch_size_policy."""
    name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in kind.__name__)
    return name.lstrip("_")


def counts_of(slots: Slots) -> tuple[tuple[str, int], ...]:
    """Give what waits, by slot: the facts of most policies."""
    return tuple((name, slot.queue.waiting) for name, slot in slots.items())


def take_all(slot: Slot) -> list[Any]:
    """Take everything new; while the engine asks, without a lock."""
    queue = slot.queue
    if queue.taken is None:
        return slot.consume_all_new()
    return [item[0] for item in queue.take()]


def take_new(slot: Slot, count: int) -> list[Any]:
    """Take the oldest so many; while the engine asks, without a lock."""
    queue = slot.queue
    if queue.taken is None:
        return slot.consume_new(count)
    if count == 1 and queue.cursor < len(queue.items):
        return [queue.take_one()]
    return [item[0] for item in queue.take(count)]


def take_seqs(slot: Slot, seqs: Sequence[int]) -> list[Any]:
    """Take waiting items by number, in rising order, wherever they stand."""
    queue = slot.queue
    if queue.taken is None:
        return [point.data for point in slot.consume_points(seqs)]
    if len(seqs) == 1 and queue.is_next(seqs[0]):
        return [queue.take_one()]
    with queue.lock:
        return [item[0] for item in queue.take_seqs(seqs)]


def new_data(slots: Slots) -> DataSlice:
    """Take everything new of every slot."""
    return {name: take_all(slot) for name, slot in slots.items()}
