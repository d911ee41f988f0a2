"""Design §7.2: what users store comes back as the same value and type, and nothing else is taken."""

import inspect
import json
import sys
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from routilux.codec import decode, encode
from routilux.errors import CodecError, RoutiluxError
from tests.unit.codec_cases import (
    RUBBISH,
    UNSTORABLE,
    VALUES,
    Child,
    Color,
    Order,
    OtherZone,
    Point,
    Socket,
    is_same,
    nest,
    through_json,
)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__}")
def test_value_and_exact_type_survive_json_text(value: Any) -> None:
    assert is_same(through_json(value), value)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__}")
def test_encoding_what_was_decoded_gives_the_same_plain_data(value: Any) -> None:
    assert json.dumps(encode(through_json(value))) == json.dumps(encode(value))


def test_plain_values_stay_readable() -> None:
    assert encode({"a": [1, "x", None], "b": (1.5,)}) == {"a": [1, "x", None], "b": {"$tuple": [1.5]}}
    assert encode(datetime(2013, 1, 1, tzinfo=UTC)) == {"$datetime": "2013-01-01T00:00:00+00:00"}
    assert encode(Point(1, Color.RED)) == {"$type": ["test.Point", {"x": 1, "y": {"$type": ["test.Color", "RED"]}}]}


def test_picture_does_not_change_when_the_value_does() -> None:
    value: dict[str, Any] = {"list": [1], "dict": {"a": 1}, "set": {1}, "order": Order(1, [2])}
    plain = encode(value)
    before = json.dumps(plain)
    value["list"].append(2)
    value["dict"]["b"] = 2
    value["set"].add(2)
    value["order"].items.append(3)
    assert json.dumps(plain) == before


def test_value_does_not_change_when_the_plain_data_does() -> None:
    plain = {"list": [1], "dict": {"a": 1}}
    value = decode(plain)
    plain["list"].append(2)  # type: ignore[attr-defined]
    assert value == {"list": [1], "dict": {"a": 1}}


def test_one_set_gives_one_text() -> None:
    assert encode({"c", "a", "b"}) == {"$set": ["a", "b", "c"]}


@pytest.mark.parametrize("value", UNSTORABLE, ids=lambda value: type(value).__name__)
def test_every_other_type_is_refused_with_its_path(value: Any) -> None:
    with pytest.raises(CodecError) as caught:
        encode({"orders": [0, 1, 2, {"connection": value}]})
    assert caught.value.path.startswith("$.orders[3].connection")
    assert isinstance(caught.value, RoutiluxError)
    assert isinstance(caught.value, ValueError)


def test_refusal_reads_as_path_and_type() -> None:
    with pytest.raises(CodecError) as caught:
        encode({"orders": [1, 2, 3, {"connection": Socket()}]})
    assert str(caught.value).startswith("$.orders[3].connection: Socket;")


def test_refusal_says_what_to_do() -> None:
    with pytest.raises(CodecError, match=r"register_type\(Child\)"):
        encode(Child(1))
    with pytest.raises(CodecError, match=r"convert it with dict\(\.\.\.\)"):
        encode(OrderedDict())
    with pytest.raises(CodecError, match=r"\$\.tzinfo: OtherZone"):
        encode(datetime(2013, 1, 1, tzinfo=OtherZone()))


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (Socket(), "$"),
        ({"a b": Socket()}, "$['a b']"),
        ({"x" * 99: Socket()}, f"$['{'x' * 36}...]"),
        ({7: (1, Socket())}, "$[7][1]"),
        ({(1, 2): Socket()}, "$[(1, 2)]"),
        ({"a": 1, Socket(): 1}, "$.keys()[1]"),
        ({(1, Socket()): 1}, "$.keys()[0][1]"),
        ({Socket()}, "$[*]"),
        (Order(1, [Point(Socket())]), "$.items[0].x"),
    ],
    ids=range(9),
)
def test_paths_are_readable(value: Any, path: str) -> None:
    with pytest.raises(CodecError) as caught:
        encode(value)
    assert caught.value.path == path


def test_caller_names_the_root_of_the_path() -> None:
    with pytest.raises(CodecError, match=r"^slots\.orders\[0\]: Socket"):
        encode([Socket()], "slots.orders")


def test_cycles_are_refused_and_shown() -> None:
    value: dict[str, Any] = {"a": [{}]}
    value["a"][0]["b"] = (value["a"],)
    with pytest.raises(CodecError) as caught:
        encode(value)
    assert (caught.value.path, caught.value.found) == ("$.a[0].b[0]", "the list $.a again, a cycle")


def test_cycles_through_dataclasses_and_keys_are_refused() -> None:
    order = Order(1)
    order.items.append({1: order})
    with pytest.raises(CodecError, match="a cycle"):
        encode(order)


WRAPS: list[Callable[[Any], Any]] = [
    lambda x: [x],
    lambda x: (x,),
    lambda x: {"a": x},
    lambda x: {1: x},
    lambda x: frozenset([x]),
    Point,
]


@pytest.mark.parametrize("wrap", WRAPS, ids=range(len(WRAPS)))
def test_deep_values_survive_and_deeper_ones_are_refused(wrap: Callable[[Any], Any]) -> None:
    deep = nest(100, wrap)
    assert json.dumps(encode(through_json(deep))) == json.dumps(encode(deep))
    for depth in (101, 500, 20_000):
        if not (depth == 20_000 and isinstance(wrap(1), Point | frozenset)):  # hashing these needs the stack
            with pytest.raises(CodecError, match="more than 100 values within values"):
                encode(nest(depth, wrap))


def test_too_little_stack_is_a_codec_error() -> None:
    def dig(depth: int) -> None:
        if depth:
            dig(depth - 1)
        else:
            with pytest.raises(CodecError, match="stack"):
                encode(nest(90, lambda x: [x]))

    dig(sys.getrecursionlimit() - len(inspect.stack()) - 50)


@pytest.mark.parametrize("plain", RUBBISH, ids=range(len(RUBBISH)))
def test_rubbish_is_a_codec_error_with_its_path(plain: Any) -> None:
    with pytest.raises(CodecError, match=r"^job\.slots"):
        decode([plain], "job.slots")


def test_types_unknown_here_are_named() -> None:
    with pytest.raises(CodecError, match=r"'shop.Cart', which is not registered here; call register_type"):
        decode({"$type": ["shop.Cart", {}]})
