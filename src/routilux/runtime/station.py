"""What the functions beside the cell need of it.

A small Protocol, so that they stand below the cell and neither imports the other.
"""

from typing import Any, Protocol

from routilux.item_queue import ItemQueue
from routilux.runtime.activation import Activation
from routilux.runtime.host import Host


class Station(Protocol):
    """A cell, as those see it who launch, end and explain its activations."""

    run: Host
    plan: Any
    record: Any
    job: Any
    routine_id: str
    queues: list[ItemQueue]
    flights: list[Activation]
    width: int
    nested: bool
    ask_due: bool
    policy_attempt: int
    policy_pauses: bool
    special: bool
    limiter: Any
    in_line: bool
    started: bool
    ticks: Any
    history: Any
    lineage: Any
    history_numbers: Any

    def look_at_bars(self) -> None: ...
    def tell(self, event: Any) -> None: ...
    def nudge(self) -> None: ...
    def report_drops(self, queue: ItemQueue) -> None: ...
    def unrouted(self, event: str) -> None: ...
    def make_activation(self, cell: Any, /) -> Activation: ...
