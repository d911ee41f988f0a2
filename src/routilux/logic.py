"""What the signature of a logic says: which slots it takes, and what else it wants to know.

Design: §2.2.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

RESERVED = ("policy_message", "job_state", "routine")
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True)
class LogicShape:
    """The facts about a logic that the engine needs to call it."""

    parameters: tuple[str, ...]
    takes_any: bool
    keywords: tuple[str, ...]
    signature: inspect.Signature | None

    def problem_with(self, slots: Sequence[str]) -> str | None:
        """Say why a logic cannot be called with these slots, or None if it can."""
        if self.signature is None:
            return None
        try:
            self.signature.bind(*slots, **dict.fromkeys(self.keywords))
        except TypeError as error:
            return f"takes {self.signature}, but the slots are {list(slots)}: {error}"
        return None

    def slots_for(self, added: Sequence[str], connected: Iterable[str]) -> tuple[str, ...]:
        """Name the slots of a routine, in definition order."""
        if added:
            return tuple(added)
        names = tuple(dict.fromkeys(connected))
        if set(names) <= set(self.parameters):
            return self.parameters
        return names


def shape_of(logic: Callable[..., Any]) -> LogicShape:
    """Read the signature of a logic; one that cannot be read fits any slots and is told nothing."""
    try:
        signature = inspect.signature(logic)
    except (TypeError, ValueError):
        return LogicShape((), True, (), None)
    parameters = signature.parameters.values()
    any_keyword = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
    by_name = {p.name for p in parameters if p.kind in (_POSITIONAL[1], inspect.Parameter.KEYWORD_ONLY)}
    return LogicShape(
        parameters=tuple(
            p.name
            for p in parameters
            if p.kind in _POSITIONAL and p.default is inspect.Parameter.empty and p.name not in RESERVED
        ),
        takes_any=any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters),
        keywords=tuple(name for name in RESERVED if any_keyword or name in by_name),
        signature=signature,
    )
