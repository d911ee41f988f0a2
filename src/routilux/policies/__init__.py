"""Activation policies: when a routine runs, and with which items."""

from routilux.demand import Demand, Doubt
from routilux.policies.as_of import as_of_policy
from routilux.policies.clocked import absence_policy, manual_policy, schedule_policy
from routilux.policies.composing import first_of
from routilux.policies.core import Answer, Decision, Policy, Slots
from routilux.policies.counting import all_slots_ready_policy, batch_size_policy, custom_policy, immediate_policy
from routilux.policies.data import policy_from_dict
from routilux.policies.enough import quorum_policy, until_policy, weight_policy
from routilux.policies.gather import gather_policy
from routilux.policies.gathering import (
    count_or_timeout_policy,
    each_item_policy,
    rates_policy,
    sliding_policy,
)
from routilux.policies.joining import join_policy
from routilux.policies.latest import (
    combine_latest_policy,
    latest_policy,
    with_latest_policy,
)
from routilux.policies.pacing import debounce_policy, session_policy, throttle_policy
from routilux.policies.sequence import sequence_policy
from routilux.policies.synchronizing import sync_time_policy
from routilux.policies.timing import time_interval_policy
from routilux.policies.windows import window_policy

__all__ = [
    "Answer",
    "Decision",
    "Demand",
    "Doubt",
    "Policy",
    "Slots",
    "absence_policy",
    "all_slots_ready_policy",
    "as_of_policy",
    "batch_size_policy",
    "combine_latest_policy",
    "count_or_timeout_policy",
    "custom_policy",
    "debounce_policy",
    "each_item_policy",
    "first_of",
    "gather_policy",
    "immediate_policy",
    "join_policy",
    "latest_policy",
    "manual_policy",
    "policy_from_dict",
    "quorum_policy",
    "rates_policy",
    "schedule_policy",
    "sequence_policy",
    "session_policy",
    "sliding_policy",
    "sync_time_policy",
    "throttle_policy",
    "time_interval_policy",
    "until_policy",
    "weight_policy",
    "window_policy",
    "with_latest_policy",
]
