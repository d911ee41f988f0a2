"""The activation that this thread or task works on."""

from contextvars import ContextVar
from typing import Any, Protocol


class Frame(Protocol):
    """What code of the user may ask about the activation around it."""

    job_state: Any
    routine: Any
    routine_id: str
    attempt: int
    boundary: int

    @property
    def activation_id(self) -> str:
        """The id that stays the same over retries and recovery."""


current: ContextVar[Any] = ContextVar("routilux_activation", default=None)
