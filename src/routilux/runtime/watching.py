"""Activations of jobs that somebody observes: they count what they emit.

Design: §8. Where no observer is attached, none of this runs.
"""

from typing import Any

from routilux.runtime.activation import Activation, AtomicActivation, Emission


class ObservedActivation(Activation):
    """A live activation that counts its emissions."""

    def emit(self, event: str, data: Any) -> Emission:
        """Route data and count it."""
        count(self, event)
        return super().emit(event, data)


class ObservedAtomicActivation(AtomicActivation):
    """An atomic activation that counts its emissions."""

    def emit(self, event: str, data: Any) -> Emission:
        """Note an emission and count it."""
        count(self, event)
        return super().emit(event, data)


def count(activation: Activation, event: str) -> None:
    """Count one emission."""
    if activation.emitted is None:
        activation.emitted = {}
    activation.emitted[event] = activation.emitted.get(event, 0) + 1
