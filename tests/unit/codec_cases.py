"""Values, types and rubbish for the tests of the codec."""

import dataclasses
import enum
import json
import math
from collections import Counter, OrderedDict, defaultdict, namedtuple
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import cached_property
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from routilux.codec import decode, encode, register_type


@register_type(name="test.Color")
class Color(enum.Enum):
    RED = 1
    GREEN = "g"
    CRIMSON = 1  # noqa: PIE796 - an alias


@register_type(name="test.Level")
class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@register_type(name="test.Rights")
class Rights(enum.Flag):
    READ = 1
    WRITE = 2


@register_type(name="test.Point")
@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: Any
    y: Any = 0


@register_type(name="test.Order")
@dataclasses.dataclass
class Order:
    id: Any
    items: list[Any] = dataclasses.field(default_factory=list)
    made: int = dataclasses.field(default=7, init=False)

    def __post_init__(self) -> None:
        self.made = 8

    @cached_property
    def size(self) -> int:
        return len(self.items)


class Socket:
    pass


class OtherZone(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(0)

    dst = utcoffset

    def tzname(self, moment: datetime | None) -> str:
        return "other"


Pair = namedtuple("Pair", "a b")
Unregistered = enum.Enum("Unregistered", "A B")


def through_json(value: Any) -> Any:
    text = json.dumps(encode(value), allow_nan=False)
    return decode(json.loads(text))


def is_same(left: Any, right: Any) -> bool:
    """Same value, same exact type, same order, all the way down; NaN is itself."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return bool(left.hex() == right.hex())
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(is_same, left, right))
    if isinstance(left, dict):
        return is_same(list(left.items()), list(right.items()))
    if isinstance(left, set | frozenset):
        return len(left) == len(right) and all(any(is_same(a, b) for b in right) for a in left)
    if dataclasses.is_dataclass(left):
        return all(is_same(getattr(left, f.name), getattr(right, f.name)) for f in dataclasses.fields(left))
    if isinstance(left, datetime | time):
        return bool(repr(left) == repr(right) and left.fold == right.fold)
    if isinstance(left, Decimal):
        return bool(left.as_tuple() == right.as_tuple())
    return bool(left == right)


BERLIN = ZoneInfo("Europe/Berlin")
VALUES = [
    None,
    True,
    False,
    0,
    -1,
    2**63 - 1,
    2**63,
    -(2**63),
    -(2**63) - 1,
    10**5000,
    0.0,
    -0.0,
    1e308,
    5e-324,
    math.nan,
    math.inf,
    -math.inf,
    "",
    "Grüße 🛫",
    "\x00\u2028",
    "\ud800",
    "\ud83d\ude00 two lone surrogates",
    b"",
    b"\x00\xff",
    [],
    [[], [1, [2]]],
    (),
    (1,),
    ((1, (2,)), [3]),
    {},
    {"a": 1, "b": {"c": [None]}},
    {"b": 1, "a": 2},
    {1: "int", "1": "str", 1.5: "float", (1, 2): "tuple", None: "none", b"x": "bytes"},
    {True: 1, "x": 2},
    {frozenset({1}): Point(1)},
    {"$tuple": [1, 2]},
    {"$": 1},
    {"$anything": {"$more": 1}},
    {"$tuple": [1], "b": 2},
    {"\ud800": 1},
    set(),
    {1, "a", (2, 3)},
    frozenset({frozenset({1}), 2}),
    {math.nan},
    datetime(2013, 1, 1, 10, 0, 0, 1),  # noqa: DTZ001 - naive ones are data too
    datetime(2013, 1, 1, tzinfo=UTC),
    datetime(2013, 1, 1, tzinfo=timezone(timedelta(hours=-5, seconds=1, microseconds=2))),
    datetime(2013, 1, 1, tzinfo=timezone(timedelta(hours=1), "CET")),
    datetime(2013, 10, 27, 2, 30, fold=1),  # noqa: DTZ001
    datetime(2013, 10, 27, 2, 30, fold=1, tzinfo=BERLIN),
    datetime(2013, 10, 27, 2, 30, tzinfo=BERLIN),
    datetime(2013, 10, 27, 2, 30, fold=1, tzinfo=timezone(timedelta(hours=1))),
    datetime(2013, 1, 1, tzinfo=ZoneInfo("UTC")),
    datetime.min,  # noqa: DTZ901
    datetime.max,  # noqa: DTZ901
    date(2013, 1, 1),
    time(10, 30, 0, 5),
    time(10, 30, tzinfo=UTC, fold=1),
    time(10, 30, tzinfo=BERLIN),
    time(10, 30, tzinfo=timezone(timedelta(microseconds=1))),
    timedelta(days=-1, microseconds=3),
    timedelta.max,
    Decimal("1.10"),
    Decimal("-0E+3"),
    Decimal("NaN123"),
    Decimal("-sNaN"),
    Decimal("Infinity"),
    UUID(int=5),
    Color.RED,
    Color.CRIMSON,
    Level.HIGH,
    Rights.READ,
    Rights.READ | Rights.WRITE,
    Rights(0),
    Point(1, Point((2,), {Color.RED: {Level.LOW}})),
    Order([Point(1)], [1, (2,)]),
]


class Str(str):
    __slots__ = ()


class Int(int):
    pass


@dataclasses.dataclass
class Child(Order):
    pass


UNSTORABLE = [
    Socket(),
    Str("x"),
    Int(1),
    Pair(1, 2),
    OrderedDict(a=1),
    defaultdict(int),
    Counter("aab"),
    bytearray(b"x"),
    memoryview(b"x"),
    1j,
    range(3),
    object,
    len,
    iter(()),
    Unregistered.A,
    Child(1),
    datetime(2013, 1, 1, tzinfo=OtherZone()),
]


def nest(depth: int, wrap: Callable[[Any], Any]) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = wrap(value)
    return value


RUBBISH = [
    (1, 2),
    {1: 2},
    {1: 2, "a": 3},
    Socket(),
    b"x",
    {"$": 1},
    {"$unknown": 1},
    {"$tuple": 1},
    {"$tuple": {"a": 1}},
    {"$set": [1, 1]},
    {"$set": [1, True]},
    {"$set": [[1]]},
    {"$frozenset": [{"a": 1}]},
    {"$dict": [[1, 2], [1, 3]]},
    {"$dict": [[1]]},
    {"$dict": ["ab"]},
    {"$dict": [[[], 2]]},
    {"$int": "12"},
    {"$int": 12},
    {"$int": None},
    {"$float": "NaN"},
    {"$bytes": "x"},
    {"$bytes": "eA"},
    {"$str": "zz"},
    {"$str": "ff"},
    {"$datetime": "2013-13-01"},
    {"$datetime": "2013-01-01"},
    {"$datetime": "20130101T000000"},
    {"$datetime": 5},
    {"$datetime": ["2013-01-01T00:00:00", 0, None]},
    {"$datetime": ["2013-01-01T00:00:00", 0, "No/Where"]},
    {"$datetime": ["2013-01-01T00:00:00", 0, "../../etc/passwd"]},
    {"$datetime": ["2013-01-01T00:00:00", 0, ""]},
    {"$datetime": ["2013-01-01T00:00:00", 2, None]},
    {"$datetime": ["2013-01-01T00:00:00", 0, [10**30, "x"]]},
    {"$time": "25:00"},
    {"$date": "2013-02-30"},
    {"$timedelta": [10**12, 0, 0]},
    {"$timedelta": [0, 86400, 0]},
    {"$timedelta": [0]},
    {"$decimal": "abc"},
    {"$decimal": " 1"},
    {"$decimal": 1},
    {"$uuid": "abc"},
    {"$uuid": "{00000000-0000-0000-0000-000000000005}"},
    {"$type": ["test.Color", "BLUE"]},
    {"$type": ["test.Color", 1]},
    {"$type": ["test.Color", [1]]},
    {"$type": ["test.Rights", "READ"]},
    {"$type": ["test.Rights", 99]},
    {"$type": ["test.Point", {"x": 1, "y": 2, "z": 3}]},
    {"$type": ["test.Point", [1, 2]]},
    {"$type": ["test.Nothing", {}]},
    {"$type": [["test.Point"], {}]},
    {"$type": ["test.Point"]},
    {"$type": []},
    nest(10_000, lambda x: [x]),
    nest(10_000, lambda x: {"$tuple": [x]}),
    nest(10_000, lambda x: {"$datetime": x}),
]
