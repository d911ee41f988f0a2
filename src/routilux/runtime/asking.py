"""Asking a policy that is not ours, and checking what it says.

Design: §4.1, §10.
"""

from collections.abc import Callable, Sequence
from typing import Any

from routilux.errors import PolicyError
from routilux.policies.core import Policy


def claiming(ask: Callable[[Any, Any], Any], contested: Sequence[str]) -> Callable[[Any, Any], Any]:
    """Claim the queues in which producers may drop, before the policy is asked."""

    def claim_and_ask(slots: Any, job: Any) -> Any:
        for name in contested:
            slots[name].queue.claim()
        return ask(slots, job)

    return claim_and_ask


def checked_policy(routine_id: str, policy: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """Give what asks the policy of a routine like `Policy.ask`, and raises `PolicyError` for rubbish."""

    def ask_value(slots: Any, job: Any) -> Any:
        assert isinstance(policy, Policy)
        answer: Any = policy.ask(slots, job)
        if not isinstance(answer, tuple) or len(answer) != 4:
            raise PolicyError(routine_id, f"answered ask() with {answer!r:.80}, not self.yes(...) or self.no(...)")
        should_activate, data, message, facts = answer
        if not should_activate:
            policy.cause(facts)  # if it fails it does so here, where a failure is answered
            return False, {}, None, facts
        return True, _checked_data(routine_id, slots, data), message, facts

    def ask_function(slots: Any, job: Any) -> Any:
        counts = tuple((name, slot.queue.waiting) for name, slot in slots.items())
        answer = policy(slots, job)
        if not isinstance(answer, tuple) or len(answer) != 3:
            raise PolicyError(routine_id, f"returned {type(answer).__name__}: {answer!r:.80}")
        should_activate, data, message = answer
        facts = counts, message if isinstance(message, str) else ""
        if not should_activate:
            return False, {}, None, facts
        return True, _checked_data(routine_id, slots, data), message, facts

    return ask_value if isinstance(policy, Policy) else ask_function


def _checked_data(routine_id: str, slots: Any, data: Any) -> dict[str, list[Any]]:
    if not isinstance(data, dict):
        raise PolicyError(routine_id, f"gave {type(data).__name__} as data_slice")
    for name, items in data.items():
        if name not in slots:
            raise PolicyError(routine_id, f"gave items for the unknown slot {name!r}; it has {list(slots)}")
        if not isinstance(items, list | tuple):
            raise PolicyError(routine_id, f"gave {type(items).__name__} for slot {name!r}, not a list")
    return {name: list(items) for name, items in data.items()}
