"""Design §7.2, for any value: same value and type after JSON text; damaged data is only ever a CodecError."""

import contextlib
import json
from datetime import UTC, time, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routilux.codec import decode, encode
from routilux.codec.scalars import SCALAR_TAGS
from routilux.errors import CodecError
from tests.unit.codec_cases import BERLIN, Color, Level, Order, Point, Rights, is_same, through_json

ZONES = st.one_of(
    st.none(),
    st.just(UTC),
    st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone),
    st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)), st.text(max_size=5)),
    st.sampled_from([ZoneInfo("UTC"), BERLIN, ZoneInfo("America/New_York")]),
)
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
HASHABLE_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    ANY_TEXT,
    st.binary(max_size=8),
    st.datetimes(timezones=ZONES, allow_imaginary=True),
    st.dates(),
    st.builds(time.replace, st.times(), tzinfo=ZONES, fold=st.integers(0, 1)),
    st.timedeltas(),
    st.decimals().filter(lambda number: not number.is_snan()),
    st.uuids(),
    st.sampled_from([*Color, *Level, *Rights, Rights(3)]),
)
HASHABLE = st.recursive(
    HASHABLE_SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.frozensets(inner, max_size=3),
        st.builds(Point, inner, inner),
    ),
    max_leaves=5,
)
STORABLE = st.recursive(
    HASHABLE,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(ANY_TEXT | st.sampled_from(["$tuple", "$dict", "$"]), inner, max_size=3),
        st.dictionaries(HASHABLE, inner, max_size=3),
        st.sets(HASHABLE, max_size=3),
        st.builds(Order, inner, st.lists(inner, max_size=2)),
    ),
    max_leaves=12,
)
TAGS = [*SCALAR_TAGS, "$tuple", "$set", "$frozenset", "$dict", "$type"]
PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.builds(
            lambda tag, payload: {tag: payload},
            st.sampled_from(TAGS),
            inner,
        ),
        st.builds(
            lambda name, payload: {"$type": [name, payload]},
            st.sampled_from(["test.Color", "test.Rights", "test.Point", "test.Order"]),
            inner,
        ),
    ),
    max_leaves=10,
)
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@unhurried
@given(STORABLE)
def test_any_value_and_type_survives_json_text(value: Any) -> None:
    assert is_same(through_json(value), value)


@unhurried
@given(PLAIN)
def test_any_plain_data_decodes_or_is_a_codec_error(plain: Any) -> None:
    try:
        value = decode(plain)
    except CodecError:
        return
    encode(value)


@unhurried
@given(STORABLE, st.data())
def test_damaged_plain_data_decodes_or_is_a_codec_error(value: Any, data: st.DataObject) -> None:
    plain = _damage(json.loads(json.dumps(encode(value))), data)
    with contextlib.suppress(CodecError):
        decode(plain)


def _damage(plain: Any, data: st.DataObject) -> Any:
    """Replace, drop or double one thing somewhere inside."""
    parent: Any = None
    key: Any = None
    here = plain
    while isinstance(here, list | dict) and here and data.draw(st.booleans()):
        parent, key = here, data.draw(st.sampled_from(list(here) if isinstance(here, dict) else range(len(here))))
        here = here[key]
    if parent is None:
        return data.draw(PLAIN)
    match data.draw(st.sampled_from(["replace", "drop", "double"])):
        case "replace":
            parent[key] = data.draw(PLAIN)
        case "drop":
            del parent[key]
        case "double" if isinstance(parent, list):
            parent.append(here)
        case _:
            parent["copy"] = here
    return plain
