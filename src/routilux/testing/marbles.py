"""Marbles: text pictures of what a policy does, run under the manual clock.

One character is one second: ``-`` nothing, a letter or digit an item, ``|`` the end of input, ``(…)`` several things at
one instant, ``[ab]`` one activation with these items (slot by slot). Every row but the reserved ones is an input slot:

- ``out``: the activations, and ``|`` when the job ends. Always compared.
- ``drop``, ``left``: what was dropped and when, and (letters only) what was left over. Compared where they are drawn.
- ``call``: ``!`` is a call of `runtime.activate`.

For a policy that gathers, what a row shows at one instant is what one activation of a fan-out emits, ``()`` nothing.

At one instant timers that are due go first, then the input rows in their order, then calls.

>>> from routilux import batch_size_policy
>>> check_picture(batch_size_policy(2), '''
...     in  -a-b-c--|
...     out ---[ab]----|
... ''')

Design: §9, and the catalogue of policies.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from routilux.errors import BadValueError
from routilux.flow import Flow
from routilux.routine import Routine
from routilux.runtime.scopes import fan_outs
from routilux.testing.sim import SimRuntime

RESERVED = ("out", "drop", "left", "call")
Columns = dict[int, list[str]]
"""What happens, by second: items, activations such as ``[ab]``, and ``|``."""

_TOKEN = re.compile(r"\[[^\[\]()|]*\]|[^\s\[\]()]")
_COLUMN = re.compile(r"\(((?:\[[^\[\]()|]*\]|[^\s\[\]()-])*)\)|(\[[^\[\]()|]*\]|[^\s\[\]()])")
_POLICY = re.compile(r"^\S*_policy\(.*\)\S*$")


class PictureError(AssertionError):
    """What a policy did differs from its picture; the message shows both, one under the other."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture: rows by name, as they are drawn."""

    rows: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> "Picture":
        """Read rows of a name and a drawing; what follows the drawing is a comment.

        Raises:
            ValueError: a row cannot be read, is drawn twice, or there is no row ``out``.
        """
        rows: dict[str, str] = {}
        for line in filter(None, map(str.strip, text.splitlines())):
            name, _, rest = line.partition(" ")
            drawing = rest.split(maxsplit=1)[0] if rest.strip() else ""
            if name in rows:
                raise BadValueError(f"the picture draws row {name!r} twice")
            columns_of(name, drawing)
            rows[name] = drawing
        if "out" not in rows:
            raise BadValueError("a picture needs a row 'out'")
        return cls(rows)

    @property
    def slots(self) -> list[str]:
        """The input slots, in order."""
        return [name for name in self.rows if name not in RESERVED]

    @property
    def seconds(self) -> int:
        """How many seconds it shows."""
        return max(len(list(_COLUMN.finditer(drawing))) for name, drawing in self.rows.items() if name != "left")


def columns_of(name: str, drawing: str) -> Columns:
    """Read one row: what it shows at which second.

    Raises:
        ValueError: it holds what no picture can show.
    """
    columns: Columns = {}
    at = 0
    for second, match in enumerate(_COLUMN.finditer(drawing)):
        if match.start() != at:
            break
        at = match.end()
        tokens = [match[2]] if match[2] else _TOKEN.findall(match[1])
        if tokens != ["-"]:
            columns[second] = tokens
    if at != len(drawing):
        raise BadValueError(f"row {name!r} cannot be read from {drawing[at:]!r} on: {drawing}")
    return columns


def draw(columns: Columns) -> str:
    """Draw one row; gives what `columns_of` reads."""
    drawn = []
    for second in range(max(columns, default=-1) + 1):
        tokens = columns.get(second, ["-"])
        drawn.append(tokens[0] if len(tokens) == 1 else f"({''.join(tokens)})")
    return "".join(drawn)


def run_picture(
    policy: Any, picture: "str | Picture", *, items: Mapping[str, Any] | None = None, seed: int = 0
) -> Picture:
    """Run a policy on the input rows of a picture and draw what it did.

    ``items`` says what a letter stands for; without it the letter itself is the item.

    Raises:
        ValueError: the picture cannot be read.
    """
    wanted = picture if isinstance(picture, Picture) else Picture.parse(picture)
    return _Stage(policy, wanted, items or {}, seed).play()


def check_picture(policy: Any, picture: str, *, items: Mapping[str, Any] | None = None, seed: int = 0) -> None:
    """Run a policy on the input rows of a picture and compare what it does with the other rows.

    Raises:
        PictureError: it does something else; the message shows expected and actual under each other.
        ValueError: the picture cannot be read.
    """
    wanted = Picture.parse(picture)
    found = run_picture(policy, wanted, items=items, seed=seed)
    compared = [name for name in ("out", "drop", "left") if name in wanted.rows]
    if all(_same(name, wanted.rows[name], found.rows[name]) for name in compared):
        return
    lines = [f"{policy} does not do what its picture shows (one character is one second)"]
    lines += [f"  {name:<13} {wanted.rows[name]}" for name in [*wanted.slots, "call"] if name in wanted.rows]
    for name in compared:
        differs = not _same(name, wanted.rows[name], found.rows[name])
        lines.append(f"  {name:<4} expected {wanted.rows[name]}")
        lines.append(f"  {name:<4} actual   {found.rows[name]}" + ("   <-- differs" if differs else ""))
    raise PictureError("\n".join(lines))


def pictures_in(docstring: str | None) -> Iterator[tuple[str, str]]:
    """Find the pictures of a docstring in the catalogue's form: the policy as it is written, and the picture."""
    policy = ""
    rows: list[str] | None = None
    for line in [*(docstring or "").splitlines(), ""]:
        text = line.strip()
        if rows is not None and text:
            rows.append(text)
        elif rows is not None:
            yield policy, "\n".join(rows)
            rows = None
        elif text.startswith("picture "):
            rows = [text.removeprefix("picture").strip()]
        elif _POLICY.match(text):
            policy = text


def _same(name: str, wanted: str, found: str) -> bool:
    if name == "left":
        return sorted(wanted.strip("-")) == sorted(found)
    return columns_of(name, wanted) == columns_of(name, found)


def _emit_each(columns: list[list[Any]], routine: Routine) -> None:
    for column in columns:
        for item in column:
            routine.emit("out", item)


def _pass_on(items: list[Any], routine: Routine) -> None:
    for item in items:
        routine.emit("out", item)


class _Stage:
    """One performance: a source per row that sends when it is told to, and the policy under test."""

    def __init__(self, policy: Any, picture: Picture, items: Mapping[str, Any], seed: int) -> None:
        self.picture = picture
        self.items = items
        self.sim = SimRuntime(seed)
        self.out: Columns = {}
        self.drop: Columns = {}
        self.sent: dict[str, list[str]] = {name: [] for name in picture.slots}
        self.missed: set[tuple[str, int]] = set()
        self.feeds: dict[str, asyncio.Queue[list[str]]] = {name: asyncio.Queue() for name in picture.slots}
        target = Routine("target").set_activation_policy(policy).set_logic(self._note)
        flow = Flow("picture", on_leftover="ok")
        for name in picture.slots:
            target.add_slot(name, max_queue_length=None)
        flow.add_routine(target, "target")
        self.fans_out = any(True for _ in fan_outs(policy))
        for name in picture.slots:
            before = f"row {name}"
            flow.add_routine(Routine(before).set_logic(self._feeder(name)), before)
            if self.fans_out:
                fan, work = f"fan {name}", f"work {name}"
                flow.add_routine(Routine(fan).set_logic(_emit_each), fan).connect(before, "out", fan, "columns")
                flow.add_routine(Routine(work).set_logic(_pass_on), work).connect(fan, "out", work, "items")
                before = work
            flow.connect(before, "out", "target", name)
        self.job = self.sim.exec(flow, keep_open=not picture.slots)

    def _feeder(self, name: str) -> Any:
        async def logic(routine: Routine) -> None:
            while True:
                tokens = await self.feeds[name].get()
                found = [self.items.get(token, token) for token in tokens if token != "|"]
                if self.fans_out and found == tokens:
                    routine.emit("out", found)
                elif not self.fans_out:
                    for item in found:
                        routine.emit("out", item)
                if len(found) < len(tokens):
                    return

        return logic

    def _note(self, *lists: Any) -> None:
        shown = "".join(self._letter(item) for found in lists for item in found)
        self._add(self.out, f"[{shown}]")

    def _letter(self, item: Any) -> str:
        for letter, value in self.items.items():
            if value is item or value == item:
                return letter
        return str(item)

    def _add(self, columns: Columns, token: str) -> None:
        ticks = self.sim.manual_clock.ticks()
        second, rest = divmod(ticks, 1_000_000_000)
        columns.setdefault(second, []).append(token + (f"@{ticks / 1e9:g}s" if rest else ""))

    def play(self) -> Picture:
        """Play the rows second by second."""
        rows = {name: columns_of(name, self.picture.rows[name]) for name in self.picture.slots}
        calls = columns_of("call", self.picture.rows.get("call", ""))
        ended = False
        for second in range(self.picture.seconds + 1):
            if second:
                self.sim.advance(1)
            self.sim.run_until_idle()
            for name, columns in rows.items():
                if second in columns:
                    self._send(name, columns[second])
            for _ in calls.get(second, []):
                self.sim.activate(self.job.job_id, "target")
                self.sim.run_until_idle()
            self._see_drops()
            if self.job.status.is_final and not ended:
                ended = True
                self._add(self.out, "|")
        left = "".join(self._letter(item) for slot in self._slots() for item in slot.peek_all_new())
        self._end()
        return Picture({**self.picture.rows, "out": draw(self.out), "drop": draw(self.drop), "left": left})

    def _end(self) -> None:
        """Let every source return, so that nothing hangs on the loop."""
        for feed in self.feeds.values():
            feed.put_nowait(["|"])
        self.sim.run_until_idle()
        if not self.job.status.is_final:
            self.sim.cancel_job(self.job.job_id)
            self.sim.run_until_idle()
        self.sim.shutdown(wait=False)

    def _send(self, name: str, tokens: list[str]) -> None:
        self.sent[name] += [token for token in tokens if token != "|"]
        self.feeds[name].put_nowait(tokens)
        self.sim.run_until_idle()

    def _slots(self) -> list[Any]:
        return list(self.job.slots("target").values())

    def _see_drops(self) -> None:
        """Note which items are gone without having been consumed."""
        for name, sent in self.sent.items():
            slot = self.job.slots("target")[name]
            kept = {point.seq for point in [*slot.consumed_points(), *slot.peek_points()]}
            for seq, letter in enumerate(sent):
                if seq not in kept and (name, seq) not in self.missed:
                    self.missed.add((name, seq))
                    self._add(self.drop, letter)
