"""What to do when a logic or a policy fails: strategies, handlers, and the decision.

Design: §6.1.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from routilux.errors import BadTypeError, BadValueError


class ErrorStrategy(StrEnum):
    """The four answers to a failure."""

    STOP = "stop"
    CONTINUE = "continue"
    RETRY = "retry"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class ErrorHandler:
    """How a routine, or every routine of a flow, answers a failure.

    RETRY waits ``retry_delay * retry_backoff**k`` seconds before retry k (from 0), at most
    ``max_retry_delay``, changed at random by up to the share ``jitter``, and calls the logic at most
    ``1 + max_retries`` times. Errors that are not ``retryable_exceptions``, and the one after the last
    retry, are answered by ``then``.

    Raises:
        ValueError: a number is out of its range, or ``then`` is RETRY.
        TypeError: something is of the wrong kind.
    """

    strategy: ErrorStrategy = ErrorStrategy.STOP
    max_retries: int = 3
    retry_delay: float = 1.0
    retry_backoff: float = 2.0
    retryable_exceptions: tuple[type[BaseException], ...] = (Exception,)
    then: ErrorStrategy = ErrorStrategy.STOP
    max_retry_delay: float = 3600.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "strategy", _strategy(self.strategy, "strategy"))
        object.__setattr__(self, "then", _strategy(self.then, "then"))
        if self.then is ErrorStrategy.RETRY:
            raise BadValueError("then=RETRY would never end; choose STOP, CONTINUE or SKIP")
        if isinstance(self.max_retries, bool) or not isinstance(self.max_retries, int):
            raise BadTypeError(f"max_retries must be an int, not {self.max_retries!r}")
        for field, least in (
            ("max_retries", 0),
            ("retry_delay", 0),
            ("retry_backoff", 0),
            ("max_retry_delay", 0),
            ("jitter", 0),
        ):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise BadTypeError(f"{field} must be a number, not {value!r}")
            if not least <= value < float("inf"):
                raise BadValueError(f"{field} must be at least {least} and finite, not {value!r}")
        if self.jitter > 1:
            raise BadValueError(f"jitter is a share from 0 to 1, not {self.jitter!r}")
        object.__setattr__(self, "retryable_exceptions", _exceptions(self.retryable_exceptions))

    def to_dict(self) -> dict[str, Any]:
        """Give the handler as plain data; exceptions by their names."""
        return {
            "strategy": str(self.strategy),
            "max_retries": self.max_retries,
            "retry_delay": self.retry_delay,
            "retry_backoff": self.retry_backoff,
            "retryable_exceptions": [kind.__name__ for kind in self.retryable_exceptions],
            "then": str(self.then),
            "max_retry_delay": self.max_retry_delay,
            "jitter": self.jitter,
        }


def _strategy(value: str, field: str) -> ErrorStrategy:
    try:
        return ErrorStrategy(value)
    except ValueError:
        known = ", ".join(strategy.name for strategy in ErrorStrategy)
        raise BadValueError(f"{field}={value!r} is no error strategy; choose one of {known}") from None


def _exceptions(value: object) -> tuple[type[BaseException], ...]:
    kinds = value if isinstance(value, tuple | list | set | frozenset) else (value,)
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise BadTypeError(f"retryable_exceptions must be exception classes, not {kind!r}")
    return tuple(kinds)


@dataclass(frozen=True, slots=True)
class Stop:
    """Put the items back and fail the job."""


@dataclass(frozen=True, slots=True)
class Continue:
    """Make the items a dead letter and go on."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Take the routine out of service for the rest of the job."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Run the same items again after a while."""

    delay_seconds: float


Decision = Stop | Continue | Skip | Retry
DEFAULT_HANDLER = ErrorHandler()
_FINAL: Mapping[ErrorStrategy, Decision] = {
    ErrorStrategy.STOP: Stop(),
    ErrorStrategy.CONTINUE: Continue(),
    ErrorStrategy.SKIP: Skip(),
}


def decide(handler: ErrorHandler, attempt: int, error: BaseException, chance: float | None = None) -> Decision:
    """Decide what follows the failure of the given attempt, counted from 1.

    ``chance`` (0 to 1) settles the jitter; left out, it is drawn.
    """
    if not isinstance(error, Exception):
        return _FINAL[ErrorStrategy.STOP]  # SystemExit and its like are no business of a handler
    if handler.strategy is not ErrorStrategy.RETRY:
        return _FINAL[handler.strategy]
    if attempt > handler.max_retries or not isinstance(error, handler.retryable_exceptions):
        return _FINAL[handler.then]
    return Retry(delay_before(handler, attempt, chance))


def delay_before(handler: ErrorHandler, attempt: int, chance: float | None = None) -> float:
    """Give the seconds to wait after the given failed attempt, counted from 1."""
    try:
        delay = handler.retry_delay * handler.retry_backoff ** (attempt - 1)
    except OverflowError:
        delay = handler.max_retry_delay
    delay = min(delay, handler.max_retry_delay)
    if not handler.jitter:
        return delay
    drawn = random.random() if chance is None else chance
    return max(0.0, delay * (1 + handler.jitter * (2 * drawn - 1)))
