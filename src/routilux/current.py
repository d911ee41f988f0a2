"""The activation that this thread or task works on."""

from contextvars import ContextVar
from typing import Any

current: ContextVar[Any] = ContextVar("routilux_activation", default=None)
