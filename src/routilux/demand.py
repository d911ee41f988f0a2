"""What a policy says about itself without being run: what it needs, and what it does with what it holds.

Design: §2.5. Checks know policies by this value only, so a policy of your own is understood as well as a built-in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from routilux.errors import BadTypeError, BadValueError


class Doubt(NamedTuple):
    """Something odd about a policy, wherever it is used: the code of the finding, the problem, and the fix."""

    code: str
    problem: str
    fix: str


@dataclass(frozen=True, slots=True)
class Demand:
    """What a policy needs. Say what you know: every default claims nothing.

    A policy of your own gives it from ``demand(slots)``, where ``slots`` are the names of its routine's slots:

    >>> def demand(self, slots):
    ...     return Demand(items={name: 2 for name in slots}, is_enough=True, fires_at_end=False, has_timeout=False)
    """

    items: Mapping[str, int] = field(default_factory=dict)
    """How many items each of these slots must hold before it activates by their number."""

    total: int = 0
    """How many items must wait over all slots together before it activates by their number."""

    slot_count: int = 0
    """How many distinct slots must hold an item."""

    is_enough: bool = False
    """Whether it always activates once these numbers are there."""

    takes: Mapping[str, int] | None = None
    """How many items such an activation takes from each slot, if that is fixed; slots left out are never taken from."""

    has_timeout: bool = True
    """Whether a time lets go of what it holds, though the numbers are not reached."""

    fires_at_end: bool = True
    """Whether the end of input lets go of what it holds; or it never holds anything for long."""

    seconds: float | None = None
    """The time that it waits for by itself: an interval, a silence, a longest wait."""

    named: tuple[str, ...] = ()
    """The slots that its parameters name: each must be there."""

    keys: float | None = None
    """How many keys it remembers at most, ``math.inf`` without bound; None: it has no keys."""

    by_items: bool = True
    """Whether items make it activate; False where only a clock or a call does."""

    by_hand: bool = False
    """Whether only `runtime.activate` activates it."""

    keeps: int | None = None
    """How many items of a slot it leaves waiting when it declines, if it drops the others; None: it drops none."""

    gathers: tuple[str | None, ...] = ()
    """The fan-outs whose activations it waits for, by id; None: the one that the flow tells."""

    never: str = ""
    """Why it can never activate, whatever comes."""

    doubts: tuple[Doubt, ...] = ()
    """What is odd about it, parts included."""

    parts: tuple["Demand", ...] = ()
    """Its parts, where each may activate it by itself."""

    name: str = ""
    """The policy as it prints; `demand_of` fills it in."""

    def __post_init__(self) -> None:
        numbers = [
            ("total", self.total),
            ("slot_count", self.slot_count),
            *self.items.items(),
            *(self.takes or {}).items(),
        ]
        for what, number in numbers:
            if isinstance(number, bool) or not isinstance(number, int) or number < 0:
                raise BadValueError(f"{what!r} needs a number of items from 0 up, not {number!r}")

    @property
    def needs_items(self) -> bool:
        """Whether it never activates while no slot holds anything."""
        return bool(self.items or self.total or self.slot_count)

    @property
    def is_strict(self) -> bool:
        """Whether nothing but its numbers makes it activate."""
        return not (self.has_timeout or self.fires_at_end)

    @property
    def is_eager(self) -> bool:
        """Whether any one item makes it activate, so that it holds nothing back."""
        return self.is_enough and not self.items and self.total <= 1 and self.slot_count <= 1

    @property
    def least_items(self) -> Mapping[str, int]:
        """What surely waits in each slot when it activates."""
        return self.items if self.is_strict else {}

    @property
    def least_total(self) -> int:
        """How many items surely wait, over all slots, when it activates."""
        if not self.is_strict:
            return int(self.needs_items)
        return max(self.total, sum(self.items.values()), self.slot_count)

    @property
    def least_slots(self) -> int:
        """In how many slots something surely waits when it activates."""
        strict = max(len(self.items), self.slot_count) if self.is_strict else 0
        return max(strict, int(self.needs_items))

    def is_ready_whenever(self, other: "Demand") -> bool:
        """Tell whether this one surely activates wherever the other would."""
        if not self.is_enough or not self.needs_items:
            return False
        items = other.least_items
        return (
            all(items.get(name, 0) >= count for name, count in self.items.items())
            and other.least_total >= self.total
            and other.least_slots >= self.slot_count
        )


ANY_ITEM = Demand(total=1, is_enough=True)
"""One item anywhere is enough, and nothing is held back: what a routine without policy needs."""


def demand_of(policy: Any, slots: Sequence[str]) -> Demand:
    """Ask a policy what it needs. None is at once with all new items; a plain function says nothing."""
    if policy is None:
        return ANY_ITEM
    ask = getattr(policy, "demand", None)
    if not callable(ask):
        return Demand(name=getattr(policy, "__name__", None) or repr(policy))
    try:
        said = ask(tuple(slots))
        if not isinstance(said, Demand):
            raise BadTypeError(f"it gave {said!r}, not a Demand")
        return replace(said, name=repr(policy))
    except Exception as error:  # noqa: BLE001  user code: what fails becomes a finding
        doubt = Doubt("R206", f"its demand() failed: {type(error).__name__}: {error}", "return a Demand")
        return Demand(doubts=(doubt,), name=repr(policy))


def each(slots: Sequence[str], count: int) -> dict[str, int]:
    """Give the same number for every slot."""
    return dict.fromkeys(slots, count)
