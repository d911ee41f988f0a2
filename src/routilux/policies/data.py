"""Policies from plain data: what `Policy.to_dict` gave, back.

Design: §4.8.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from routilux.errors import BadValueError
from routilux.policies.as_of import AsOfPolicy
from routilux.policies.clocked import AbsencePolicy, ManualPolicy, SchedulePolicy
from routilux.policies.composing import AllOf, ByKey, FirstOf, Labelled, Times, Unless, Within
from routilux.policies.core import Policy, policy_name
from routilux.policies.counting import AllSlotsReadyPolicy, BatchSizePolicy, CustomPolicy, ImmediatePolicy
from routilux.policies.enough import QuorumPolicy, UntilPolicy, WeightPolicy
from routilux.policies.gathering import CountOrTimeoutPolicy, EachItemPolicy, RatesPolicy, SlidingPolicy
from routilux.policies.joining import JoinPolicy
from routilux.policies.latest import CombineLatestPolicy, LatestPolicy, WithLatestPolicy
from routilux.policies.pacing import DebouncePolicy, SessionPolicy, ThrottlePolicy
from routilux.policies.sequence import SequencePolicy
from routilux.policies.synchronizing import SyncTimePolicy
from routilux.policies.timing import TimeIntervalPolicy
from routilux.policies.windows import WindowPolicy

BUILT_IN: tuple[type[Policy], ...] = (
    AbsencePolicy,
    AllOf,
    AllSlotsReadyPolicy,
    AsOfPolicy,
    BatchSizePolicy,
    ByKey,
    CombineLatestPolicy,
    CountOrTimeoutPolicy,
    CustomPolicy,
    DebouncePolicy,
    EachItemPolicy,
    FirstOf,
    ImmediatePolicy,
    JoinPolicy,
    Labelled,
    LatestPolicy,
    ManualPolicy,
    QuorumPolicy,
    RatesPolicy,
    SchedulePolicy,
    SequencePolicy,
    SessionPolicy,
    SlidingPolicy,
    SyncTimePolicy,
    ThrottlePolicy,
    TimeIntervalPolicy,
    Times,
    Unless,
    UntilPolicy,
    WeightPolicy,
    WindowPolicy,
    WithLatestPolicy,
    Within,
)


def policy_from_dict(
    data: Mapping[str, Any],
    functions: Mapping[str, Callable[..., Any]] | None = None,
    policies: Iterable[type[Policy]] = (),
) -> Policy:
    """Give the policy that `Policy.to_dict` described.

    ``functions`` gives the functions it uses, by name, ``policies`` the classes of your own; nothing is imported.

    >>> from routilux.policies import batch_size_policy
    >>> policy_from_dict(batch_size_policy(10).to_dict())
    batch_size_policy(10)

    Raises:
        ValueError: an unknown policy or function, or parameters that do not fit.
    """
    kinds = {policy_name(kind): kind for kind in (*BUILT_IN, *policies)}
    return _policy(data, kinds, functions or {})


def _policy(
    data: Mapping[str, Any], kinds: Mapping[str, type[Policy]], functions: Mapping[str, Callable[..., Any]]
) -> Policy:
    name = data.get("policy")
    if not isinstance(name, str) or name not in kinds:
        raise BadValueError(f"no policy {name!r}; known are {', '.join(sorted(kinds))}")
    given = {field: _value(value, kinds, functions) for field, value in data.items() if field != "policy"}
    try:
        return kinds[name](**given)
    except TypeError as error:
        raise BadValueError(f"{name} cannot be made of {given}: {error}") from error


def _value(value: Any, kinds: Mapping[str, type[Policy]], functions: Mapping[str, Callable[..., Any]]) -> Any:
    if isinstance(value, Mapping) and "policy" in value:
        return _policy(value, kinds, functions)
    if isinstance(value, Mapping) and set(value) == {"function"}:
        name = value["function"]
        if name not in functions:
            raise BadValueError(f"the policy uses the function {name!r}: give it as functions={{{name!r}: …}}")
        return functions[name]
    if isinstance(value, Mapping):
        return {name: _value(part, kinds, functions) for name, part in value.items()}
    if isinstance(value, list):
        return tuple(_value(part, kinds, functions) for part in value)
    return value
