"""Write docs/reference/policies.md from the docstrings of the policies: `.venv/bin/python docs/make_policies.py`."""

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from routilux import policies
from routilux.policies import Policy

PAGE = Path(__file__).parent / "reference" / "policies.md"

WANTS = {  # what a newcomer wants, and what gives it; the order of the page
    "everything new, at once (what no policy means)": "immediate_policy()",
    "items one by one": "each_item_policy()",
    "one item of every slot, in order": "all_slots_ready_policy()",
    "groups of ten": "batch_size_policy(10)",
    "groups of ten, or what is there after 5 seconds": "count_or_timeout_policy(10, within_seconds=5)",
    "another number of each slot": 'rates_policy({"wheels": 4, "frames": 1})',
    "groups up to a size: bytes, tokens, money": "weight_policy(4096, len)",
    "everything up to a last item": "until_policy(str.isupper)",
    "the newest five, again with each item": "sliding_policy(5)",
    "something from any two of the slots": "quorum_policy(2)",
    "at most one activation a minute, with all that came": "time_interval_policy(60)",
    "at most ten items a second, as for a rate limit": "throttle_policy(10, per_seconds=1)",
    "one activation once nothing comes any more": "debounce_policy(3)",
    "visits: items without a long gap between them": "session_policy(1800)",
    "what belongs to one hour": "window_policy(3600)",
    "an activation every minute, or by a calendar": "schedule_policy(every_seconds=60)",
    "an alarm when nothing comes": "absence_policy(30)",
    "only the newest item, old ones do not matter": "latest_policy()",
    "the newest of every slot, again with each change": "combine_latest_policy()",
    "each order with the newest price": 'with_latest_policy("order")',
    "each order with the price of its own time": 'as_of_policy("order", "price", tolerance_seconds=60)',
    "an order and its payment: items of the same key": 'join_policy("order_id")',
    "readings that were taken at nearly the same time": "sync_time_policy(0.5)",
    "a pattern: this, then that": "sequence_policy([str.isupper, str.islower], within_seconds=10)",
    "all results of one list that was fanned out": "gather_policy()",
    "an activation when I call for it": "manual_policy()",
    "a condition of my own, with all new items": "custom_policy(lambda slots, job_state: True)",
}

WAYS = {  # what a newcomer wants, the method, and how it is written
    "one or the other, whichever is ready first": ("__or__", "a | b"),
    "several, tried in this order": ("first_of", "first_of(a, b, c)"),
    "both at once": ("__and__", "a & b"),
    "this, but not while that": ("unless", "a.unless(b)"),
    "this, but nobody waits longer than a minute": ("within", "a.within(60)"),
    "this for each customer": ("by_key", 'a.by_key("customer")'),
    "this, but only once": ("once", "a.once()"),
    "this, but three times at most": ("times", "a.times(3)"),
    "a name for it in explanations": ("labelled", 'a.labelled("…")'),
}

HEAD = """# Policies

A policy says when a routine runs, and with which items of its slots: `routine.set_activation_policy(debounce_policy(3))`. All of them come from `routilux.policies`. This page is made from their docstrings by `docs/make_policies.py`.

## I want ...

| I want ... | use |
|---|---|
{wants}

Two of them, or one of them with a limit:

| I want ... | use |
|---|---|
{ways}

What is not there you [write yourself](../how-to/write-your-own-policy.md), in a few lines. Why a policy said no, [it tells you](../explanation/explain.md).

## How to read a picture

Each policy shows what it does as a picture that the tests run. One character is one second: `-` nothing, a letter an item, `|` the end of input, `[ab]` one activation with these items, `(…)` several things at one instant. Rows are slots, `out` the activations and the end of the job, `drop` what was dropped, `left` what was left over. `routilux.testing.check_picture` runs such pictures for you.

## Putting policies together

Each way gives a new policy, which compares, prints and composes as its parts do.
"""


def page() -> str:
    """Give the whole page."""
    wants = "\n".join(f"| {want} | {_link(code)} |" for want, code in WANTS.items())
    ways = "\n".join(
        f"| {want} | [`{_cell(code)}`](#{_anchor(_title(name, code))}) |" for want, (name, code) in WAYS.items()
    )
    parts = [HEAD.format(wants=wants, ways=ways)]
    parts += [_section("###", _title(name, code), _way(name)) for name, code in WAYS.values()]
    for code in WANTS.values():
        name = code.partition("(")[0]
        parts.append(_section("##", name, getattr(policies, name), signature=name))
    return "\n".join(parts)


def _title(name: str, code: str) -> str:
    return {"__or__": "a or b", "__and__": "a and b"}.get(name, name)


def _anchor(title: str) -> str:
    return title.replace(" ", "-")


def _cell(code: str) -> str:
    return code.replace("|", "\\|")


def _link(code: str) -> str:
    name = code.partition("(")[0]
    return f"[`{_cell(code)}`](#{name})"


def _way(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(Policy, name, None) or getattr(policies, name)
    return found


def _section(level: str, title: str, described: Callable[..., Any], signature: str = "") -> str:
    """Turn a docstring into a section: words, the catalogue's form with its picture, errors."""
    lines = [f"{level} {title}", ""]
    if signature:
        lines += [f"`{signature}{_signature(described)}`", ""]
    text = inspect.cleandoc(described.__doc__ or "")
    for block in re.split(r"\n\n+", text):
        lines += [*_block(block), ""]
    return "\n".join(lines)


def _block(block: str) -> Iterator[str]:
    if re.search(r"^picture ", block, re.MULTILINE):
        yield from ("```text", *block.splitlines(), "```")
    elif block.startswith("Raises:"):
        entries = inspect.cleandoc(block.partition("\n")[2])
        yield from (f"- {_marked(error)}" for error in re.sub(r"\n +", " ", entries).splitlines())
    elif block.startswith(">>>"):
        yield from ("```pycon", *block.splitlines(), "```")
    else:
        yield re.sub(r"``(.+?)``", r"`\1`", " ".join(block.splitlines()))


def _marked(error: str) -> str:
    name, _, when = error.partition(": ")
    return f"`{name}`: " + re.sub(r"``(.+?)``", r"`\1`", when)


def _signature(described: Callable[..., Any]) -> str:
    """Show the parameters without their types."""
    found = inspect.signature(described)
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in found.parameters.values()]
    return str(found.replace(parameters=bare, return_annotation=inspect.Signature.empty))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
