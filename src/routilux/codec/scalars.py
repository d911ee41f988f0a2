"""The scalars that JSON does not know: each as plain data, and back."""

from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from routilux.codec.refusal import Encoder, Encoders, RefusedError

_MICROSECOND = timedelta(microseconds=1)
MAX_PLAIN_INT = 2**63  # larger ones are hex text: json refuses to read or write very long decimals


def _show_str(value: str) -> str:
    return value.encode("utf-8", "surrogatepass").hex()


def _make_str(payload: str) -> str:
    return bytes.fromhex(payload).decode("utf-8", "surrogatepass")


def _show_bytes(value: bytes) -> str:
    return b2a_base64(value, newline=False).decode("ascii")


def _make_bytes(payload: str) -> bytes:
    return a2b_base64(payload, strict_mode=True)


def _make_int(payload: str) -> int:
    return int(payload, 16)


def _show_timedelta(value: timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _make_timedelta(payload: list[int]) -> timedelta:
    days, seconds, microseconds = payload
    return timedelta(days, seconds, microseconds)


def _show_moment(value: datetime | time) -> Any:
    """Give ISO text where that says all, else [local ISO text, fold, zone]."""
    zone = _show_zone(value.tzinfo)
    # An offset of less than a second is lost by fromisoformat.
    is_plain_offset = type(zone) is list and zone[1] is None and not zone[0] % 1_000_000
    if not value.fold and (zone is None or is_plain_offset):
        return value.isoformat()
    return [value.replace(tzinfo=None).isoformat(), value.fold, zone]


def _make_datetime(payload: Any) -> datetime:
    if type(payload) is str:
        return datetime.fromisoformat(payload)
    text, fold, zone = payload
    return datetime.fromisoformat(text).replace(fold=fold, tzinfo=_make_zone(zone))


def _make_time(payload: Any) -> time:
    if type(payload) is str:
        return time.fromisoformat(payload)
    text, fold, zone = payload
    return time.fromisoformat(text).replace(fold=fold, tzinfo=_make_zone(zone))


def _show_zone(zone: tzinfo | None) -> Any:
    """Give the key of a zone of the tz database, or [microseconds, name] of a fixed offset."""
    if zone is None:
        return None
    if type(zone) is ZoneInfo and zone.key is not None:
        return zone.key
    if type(zone) is timezone:
        offset, *names = zone.__getinitargs__()  # type: ignore[attr-defined]
        return [offset // _MICROSECOND, *(names or [None])]
    refusal = RefusedError(type(zone).__name__, "use datetime.timezone or a ZoneInfo with a key")
    refusal.inside(".tzinfo", zone)
    raise refusal


def _make_zone(plain: Any) -> tzinfo | None:
    if plain is None:
        return None
    if type(plain) is str:
        return ZoneInfo(plain)
    microseconds, name = plain
    offset = timedelta(microseconds=microseconds)
    return timezone(offset) if name is None else timezone(offset, name)


# How each scalar is shown as plain data, and made from it.
_SCALARS: tuple[tuple[type, Callable[[Any], Any], Callable[[Any], Any]], ...] = (
    (int, hex, _make_int),
    (float, repr, float),
    (str, _show_str, _make_str),
    (bytes, _show_bytes, _make_bytes),
    (datetime, _show_moment, _make_datetime),
    (date, date.isoformat, date.fromisoformat),
    (time, _show_moment, _make_time),
    (timedelta, _show_timedelta, _make_timedelta),
    (Decimal, str, Decimal),
    (UUID, str, UUID),
)
SCALAR_TAGS = {f"${kind.__name__.lower()}": (kind, show, make) for kind, show, make in _SCALARS}


def decode_scalar(tag: str, payload: Any) -> Any:
    """Make the scalar of this tag; only the one way of writing it is taken."""
    kind, show, make = SCALAR_TAGS[tag]
    value = make(payload)
    if type(value) is not kind or show(value) != payload:
        raise RefusedError(f"this is not how {tag} is written")
    return value


def _same(value: Any, depth: int, encoders: Encoders) -> Any:
    return value


def _encode_int(value: int, depth: int, encoders: Encoders) -> Any:
    return value if -MAX_PLAIN_INT <= value < MAX_PLAIN_INT else {"$int": hex(value)}


def _encode_float(value: float, depth: int, encoders: Encoders) -> Any:
    return value if isfinite(value) else {"$float": repr(value)}


def _encode_str(value: str, depth: int, encoders: Encoders) -> Any:
    return value if value.isascii() or survives_json(value) else {"$str": _show_str(value)}


def survives_json(text: str) -> bool:
    """Tell whether JSON keeps a text: two neighbouring lone surrogates would come back as one character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _tagged(tag: str, show: Callable[[Any], Any]) -> Encoder:
    return lambda value, depth, encoders: {tag: show(value)}


SCALAR_ENCODERS: dict[type, Encoder] = {
    **{kind: _tagged(tag, show) for tag, (kind, show, _) in SCALAR_TAGS.items()},
    type(None): _same,
    bool: _same,
    int: _encode_int,
    float: _encode_float,
    str: _encode_str,
}
