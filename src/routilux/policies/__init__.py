"""Activation policies: when a routine runs, and with which items."""

from routilux.policies.core import Decision, Policy
from routilux.policies.counting import all_slots_ready_policy, batch_size_policy, custom_policy, immediate_policy
from routilux.policies.timing import time_interval_policy

__all__ = [
    "Decision",
    "Policy",
    "all_slots_ready_policy",
    "batch_size_policy",
    "custom_policy",
    "immediate_policy",
    "time_interval_policy",
]
