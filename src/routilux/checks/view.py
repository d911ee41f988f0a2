"""A flow as checks look at it: who feeds what, and what each policy needs; each looked up once."""

from collections.abc import Iterable

from routilux.definition import Connection, FlowDefinition, OnFull, RoutineDefinition, SlotDefinition
from routilux.demand import Demand, demand_of


class FlowView:
    """A flow, indexed. Connections of unknown routines or slots are left out: they are errors of their own."""

    def __init__(self, flow: FlowDefinition) -> None:
        self.flow = flow
        self.routines = flow.routines
        self.slots = {(key, slot.name): slot for key, routine in flow.routines.items() for slot in routine.slots}
        self.demands = {key: _demand(routine) for key, routine in flow.routines.items()}
        self.links = [
            link for link in flow.connections if link.source_id in self.routines and _slot(link) in self.slots
        ]
        self.feeds: dict[tuple[str, str], list[Connection]] = {}
        for link in self.links:
            self.feeds.setdefault(_slot(link), []).append(link)

    def edges(self, links: Iterable[Connection] | None = None) -> dict[str, list[str]]:
        """Give whom each routine feeds, by all connections or by these."""
        found: dict[str, dict[str, None]] = {routine_id: {} for routine_id in self.routines}
        for link in self.links if links is None else links:
            found[link.source_id][link.target_id] = None
        return {routine_id: list(targets) for routine_id, targets in found.items()}

    def fed(self, routine: RoutineDefinition) -> list[str]:
        """Give the slots of a routine that something in the flow feeds."""
        return [slot.name for slot in routine.slots if (routine.routine_id, slot.name) in self.feeds]

    def is_blocking(self, link: Connection) -> bool:
        """Whether a full slot at its end makes the emitter wait."""
        return blocks(self.slots[_slot(link)])


def blocks(slot: SlotDefinition) -> bool:
    """Whether producers wait when the slot is full, and nothing makes it longer."""
    return slot.max_queue_length is not None and slot.on_full is OnFull.WAIT


def _slot(link: Connection) -> tuple[str, str]:
    return link.target_id, link.slot


def _demand(routine: RoutineDefinition) -> Demand:
    return demand_of(routine.policy, [slot.name for slot in routine.slots])
