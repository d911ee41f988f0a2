"""A breakpoint before the next activation of one routine.

Design: §5.8 (hold, step, release).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger(__name__)
Condition = Callable[[dict[str, list[Any]]], Any]


@dataclass(slots=True)
class Hold:
    """Stops a routine before an activation whose items meet ``when`` (all do, if it is None)."""

    when: Condition | None = None
    steps: int = 0
    is_standing: bool = False

    def stops(self, data: dict[str, list[Any]]) -> bool:
        """Tell whether this activation must wait; a step that was granted is used up."""
        if not self._meets(data):
            return False
        if self.steps:
            self.steps -= 1
            return False
        self.is_standing = True
        return True

    def _meets(self, data: dict[str, list[Any]]) -> bool:
        if self.when is None:
            return True
        try:
            return bool(self.when(data))
        except Exception:
            logger.exception("the condition of a breakpoint failed: it holds")
            return True

    def step(self) -> None:
        """Grant one activation."""
        self.steps += 1
        self.is_standing = False
