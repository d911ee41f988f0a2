"""The places of a routine's limit that its activations hold.

Design: §5.8. A place is held while the logic runs, and given back exactly once.
"""

from typing import Any

from routilux.runtime.activation import Activation
from routilux.runtime.station import Station


def give_place_back(cell: Any, activation: Activation) -> None:
    """Give back the place in its limit that an activation holds, if it holds one."""
    if activation.holds_place:
        activation.holds_place = False
        cell.limiter.release()


def has_place(cell: Station, activation: Activation) -> bool:
    """Have a place in the limit before an attempt begins; one that goes on has it."""
    if cell.limiter is None or activation.holds_place:
        return True
    if activation.generator is not None and cell.limiter.counts_starts:
        return True
    if cell.in_line or not cell.limiter.acquire(cell):
        return False
    activation.holds_place = cell.limiter.began()
    return True
