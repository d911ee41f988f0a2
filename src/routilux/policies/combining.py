"""What a composed policy needs, from what its parts need; and what is odd about putting them together.

Design: §2.5, §4.8.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from routilux.demand import Demand, Doubt


def needs_all(parts: Sequence[Demand]) -> Demand:
    """Give what ``a & b`` needs: the numbers of all; where one keeps its promise, no time lets go of it."""
    strict = [part for part in parts if part.is_strict] or parts
    others = [part for part in parts if part not in strict]
    drops = any(part.keeps is not None for part in parts)
    takes = [part.takes for part in parts if part.takes is not None]
    return Demand(
        items=_most(part.items for part in strict),
        total=max(part.total for part in strict),
        slot_count=max(part.slot_count for part in strict),
        is_enough=all(part.is_enough for part in strict) and all(part.is_eager for part in others) and not drops,
        takes=_most(takes) if len(takes) == len(parts) else None,
        has_timeout=any(part.has_timeout for part in strict),
        fires_at_end=any(part.fires_at_end for part in strict),
        seconds=_largest(part.seconds for part in parts),
        named=_named(parts),
        keys=_largest(part.keys for part in parts),
        keeps=min((part.keeps for part in parts if part.keeps is not None), default=None),
        by_items=any(part.by_items for part in parts),
        by_hand=any(part.by_hand for part in parts),
        gathers=_gathers(parts),
        never=next((f"its part {part.name} {part.never}" for part in parts if part.never), ""),
        doubts=(*_doubts(parts), *_by_hand(parts, "asks no part: the whole"), *_dropped(parts, parts)),
    )


def needs_first(parts: Sequence[Demand]) -> Demand:
    """Give what ``a | b`` needs: as little as the part that needs least."""
    ready = [part for part in parts if not (part.never or part.by_hand)]
    living = ready or parts
    common = set.intersection(*(set(part.least_items) for part in living))
    least = Demand(
        items={name: min(part.items[name] for part in living) for name in living[0].items if name in common},
        total=min(part.least_total for part in living),
        slot_count=min(part.slot_count for part in living),
    )
    return replace(
        least,
        is_enough=any(part.is_eager for part in living),
        has_timeout=any(part.has_timeout for part in living),
        fires_at_end=any(part.fires_at_end for part in living),
        seconds=min((part.seconds for part in parts if part.seconds is not None), default=None),
        named=_named(parts),
        keys=_largest(part.keys for part in parts),
        keeps=min((part.keeps for part in parts if part.keeps is not None), default=None),
        by_items=any(part.by_items for part in parts),
        by_hand=all(part.by_hand for part in parts),
        gathers=_gathers(parts),
        never=f"none of its parts can: {parts[0].name} {parts[0].never}" if all(part.never for part in parts) else "",
        doubts=(
            *_doubts(parts),
            *_by_hand(parts, "takes everything: this part"),
            *_unreached(parts),
            *_dropped([part for part in parts if not part.is_eager], parts),
        ),
        parts=tuple(parts),
    )


def needs_unless(inner: Demand, gate: Demand, is_same: bool) -> Demand:
    """Give what ``a.unless(b)`` needs: the same, but its numbers are not enough."""
    never = inner.never
    if is_same:
        never = "is the opposite of itself"
    elif gate.is_ready_whenever(inner):
        never = f"is ready only while {gate.name} is ready too, and then it may not activate"
    doubts = [*inner.doubts, *gate.doubts, *_dropped([gate], [inner])]
    if gate.never or gate.by_hand:
        doubts.append(Doubt("R202", f"{gate.name} is never ready, so unless() changes nothing", "leave it away"))
    named = _named((inner, gate))
    gathers = _gathers((inner, gate))
    return replace(inner, is_enough=False, named=named, gathers=gathers, never=never, doubts=tuple(doubts))


def needs_within(inner: Demand, seconds: float, drops: bool) -> Demand:
    """Give what ``a.within(seconds)`` needs: the same, until the time is over."""
    doubts = list(inner.doubts)
    if inner.is_eager:
        doubts.append(Doubt("R203", f"{inner.name} holds nothing back, so within() changes nothing", "leave it away"))
    elif inner.seconds is not None and seconds < inner.seconds:
        end = "dropped" if drops else "delivered"
        problem = f"within({seconds:g}) is shorter than the {inner.seconds:g} s of {inner.name}: all is {end} before"
        doubts.append(Doubt("R203", problem, "give a longer time, or leave one of them away"))
    return replace(
        inner,
        has_timeout=True,
        fires_at_end=inner.fires_at_end or not drops,
        by_items=True,
        by_hand=False,
        never=inner.never if drops else "",
        doubts=tuple(doubts),
    )


def needs_times(inner: Demand) -> Demand:
    """Give what ``a.times(n)`` needs: the same, but in the end its numbers are not enough."""
    return replace(inner, is_enough=False)


def needs_by_key(inner: Demand, most_keys: int, has_expiry: bool) -> Demand:
    """Give what ``a.by_key(key)`` needs: the numbers of one key, which other keys may hold instead."""
    doubts = list(inner.doubts)
    if not inner.by_items:
        problem = f"{inner.name} does not go by items, and keys are known from items only"
        doubts.append(Doubt("R204", problem, "leave by_key() away, or use a policy that takes items"))
    return replace(
        inner,
        is_enough=False,
        has_timeout=inner.has_timeout or has_expiry,
        keys=max(inner.keys or 0, most_keys),
        doubts=tuple(doubts),
    )


def _most(found: Iterable[Mapping[str, int]]) -> dict[str, int]:
    most: dict[str, int] = {}
    for items in found:
        for name, count in items.items():
            most[name] = max(count, most.get(name, 0))
    return most


def _named(parts: Iterable[Demand]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in parts for name in part.named))


def _gathers(parts: Iterable[Demand]) -> tuple[str | None, ...]:
    return tuple(dict.fromkeys(of for part in parts for of in part.gathers))


def _largest(found: Iterable[float | None]) -> float | None:
    return max((value for value in found if value is not None), default=None)


def _doubts(parts: Iterable[Demand]) -> list[Doubt]:
    return [doubt for part in parts for doubt in part.doubts]


def _by_hand(parts: Iterable[Demand], what: str) -> list[Doubt]:
    problem = f"runtime.activate() {what} has no say"
    return [Doubt("R202", f"{part.name} is never ready by itself; {problem}", _ALONE) for part in parts if part.by_hand]


_ALONE = "use manual_policy() alone, or leave it away"


def _unreached(parts: Sequence[Demand]) -> list[Doubt]:
    """Find the parts before which another is always ready."""
    doubts = []
    for place, part in enumerate(parts):
        earlier = next((other for other in parts[:place] if other.is_ready_whenever(part)), None)
        if earlier is not None:
            problem = f"{part.name} is never reached: {earlier.name} before it is ready whenever it is"
            doubts.append(Doubt("R201", problem, "put the one that needs more first, or leave it away"))
    return doubts


def _dropped(droppers: Iterable[Demand], parts: Sequence[Demand]) -> list[Doubt]:
    """Find a part that waits for items which another part drops as soon as it sees them."""
    for dropper in droppers:
        victim = next((part for part in parts if part is not dropper and _wants_more(part, dropper.keeps)), None)
        if victim is not None:
            what = "all but the newest item" if dropper.keeps else "every item"
            problem = f"{dropper.name} drops {what} that it sees, so {victim.name} hardly ever sees enough"
            return [Doubt("R205", problem, "use it in a routine of its own, connected to the same event")]
    return []


def _wants_more(part: Demand, kept: int | None) -> bool:
    """Whether a part waits for more items than are kept."""
    if kept is None or part.is_eager:
        return False
    return max(part.items.values(), default=0) > kept or (part.needs_items and not kept)
