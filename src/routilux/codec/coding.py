"""Encode and decode: the walk over containers.

Encoders are found by exact type in one dict; no path is kept on the way down, a refusal gathers it on its way up.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, overload

from routilux.codec.refusal import MAX_DEPTH, Encoders, RefusedError, refuse, too_deep
from routilux.codec.scalars import MAX_PLAIN_INT, SCALAR_ENCODERS, SCALAR_TAGS, decode_scalar, survives_json
from routilux.codec.stored_types import TypeRegistry

Kind = TypeVar("Kind", bound=type)

_NO_STACK = "nested too deep for what is left of the stack"


def encode(value: Any, path: str = "$", *, registry: TypeRegistry | None = None) -> Any:
    """Give plain data for a value; it shares no container with the value. Errors call the value ``path``.

    Raises:
        CodecError: something in it cannot be stored; it names the place, as in `$.orders[3].connection: Socket`.
    """
    encoders = (registry or stored_types).encoders
    try:
        return encoders.get(type(value), refuse)(value, 0, encoders)
    except RefusedError as refusal:
        raise refusal.error(path) from refusal.__cause__
    except RecursionError:
        raise RefusedError(_NO_STACK).error(path) from None


def decode(plain: Any, path: str = "$", *, registry: TypeRegistry | None = None) -> Any:
    """Give back the value of plain data that `encode` made.

    Raises:
        CodecError: this is not such data, or it holds a type that is not registered here.
    """
    try:
        return _decode(plain, 0, registry or stored_types)
    except RefusedError as refusal:
        raise refusal.error(path) from refusal.__cause__
    except RecursionError:
        raise RefusedError(_NO_STACK).error(path) from None


@overload
def register_type(kind: Kind, name: str | None = None, *, registry: TypeRegistry | None = None) -> Kind: ...


@overload
def register_type(
    kind: None = None, name: str | None = None, *, registry: TypeRegistry | None = None
) -> Callable[[Kind], Kind]: ...


def register_type(kind: Any = None, name: str | None = None, *, registry: TypeRegistry | None = None) -> Any:
    """Let values of this dataclass or enum be stored, under a name that outlives renames of the class.

    A function or a decorator: `@register_type`, `@register_type(name="order")` or `register_type(Order, "order")`.
    Register at import, in each process that loads stored jobs. Exactly this class is meant, not its subclasses.

    Raises:
        DuplicateNameError: the name belongs to another class, or the class has another name.
        CodecError: this is neither a dataclass nor an enum.
    """
    if kind is None:
        return partial(register_type, name=name, registry=registry)
    (registry or stored_types).register(kind, name)
    return kind


def _encode_list(value: Any, depth: int, encoders: Encoders) -> list[Any]:
    if depth >= MAX_DEPTH:
        raise too_deep()
    plain: list[Any] = []
    try:
        for item in value:
            kind = type(item)
            if (kind is str and item.isascii()) or (kind is int and -MAX_PLAIN_INT <= item < MAX_PLAIN_INT):
                plain.append(item)  # the most frequent ones without a call
            else:
                plain.append(encoders.get(kind, refuse)(item, depth + 1, encoders))
    except RefusedError as refusal:
        refusal.inside(f"[{len(plain)}]", value)
        raise
    return plain


def _encode_dict(value: dict[Any, Any], depth: int, encoders: Encoders) -> dict[str, Any]:
    if depth >= MAX_DEPTH:
        raise too_deep()
    plain: dict[str, Any] = {}
    key: Any = None
    try:
        for key, item in value.copy().items():  # another thread may still change the value
            if type(key) is not str or not (key.isascii() or survives_json(key)):
                break
            kind = type(item)
            if (kind is str and item.isascii()) or (kind is int and -MAX_PLAIN_INT <= item < MAX_PLAIN_INT):
                plain[key] = item
            else:
                plain[key] = encoders.get(kind, refuse)(item, depth + 1, encoders)
        else:
            return plain if len(plain) != 1 or key[:1] != "$" else {"$dict": [[key, plain[key]]]}
    except RefusedError as refusal:
        refusal.inside(_piece(key), value)
        raise
    return {"$dict": _encode_pairs(value, depth + 1, encoders)}


def _encode_pairs(value: dict[Any, Any], depth: int, encoders: Encoders) -> list[Any]:
    pairs: list[Any] = []
    for key, item in value.copy().items():
        piece = f".keys()[{len(pairs)}]"
        try:
            plain_key = encoders.get(type(key), refuse)(key, depth, encoders)
            piece = _piece(key)
            pairs.append([plain_key, encoders.get(type(item), refuse)(item, depth, encoders)])
        except RefusedError as refusal:
            refusal.inside(piece, value)
            raise
    return pairs


def _piece(key: Any) -> str:
    """Write a key as a step of a path."""
    if type(key) is str and len(key) <= 40 and key.isidentifier():
        return f".{key}"
    try:
        text = repr(key)
    except Exception:  # noqa: BLE001 - code of a user's type
        text = type(key).__name__
    return f"[{text}]" if len(text) <= 40 else f"[{text[:37]}...]"


def _encode_tuple(value: tuple[Any, ...], depth: int, encoders: Encoders) -> Any:
    return {"$tuple": _encode_list(value, depth, encoders)}


def _encode_set(value: Any, depth: int, encoders: Encoders) -> Any:
    if depth >= MAX_DEPTH:
        raise too_deep()
    try:
        plain = [encoders.get(type(item), refuse)(item, depth + 1, encoders) for item in list(value)]
    except RefusedError as refusal:
        refusal.inside("[*]", value)
        raise
    # Sorted, so that one set gives the same text in every process.
    return {f"${type(value).__name__}": sorted(plain, key=repr)}


def _decode(plain: Any, depth: int, registry: TypeRegistry) -> Any:
    kind = type(plain)
    if kind is str or kind is int or kind is float or kind is bool or plain is None:
        return plain
    if depth >= MAX_DEPTH:
        raise too_deep()
    if kind is list:
        return _decode_list(plain, depth, registry)
    if kind is not dict:
        raise RefusedError(f"{kind.__name__} is not plain data")
    if len(plain) == 1:
        [(key, payload)] = plain.items()
        if type(key) is str and key[:1] == "$":
            return _decode_tag(key, payload, depth, registry)
    value: dict[str, Any] = {}
    key = None
    try:
        for key, item in plain.items():
            if type(key) is not str:
                raise RefusedError("a key of plain data is no text")
            value[key] = _decode(item, depth + 1, registry)
    except RefusedError as refusal:
        refusal.inside(_piece(key), plain)
        raise
    return value


def _decode_list(plain: list[Any], depth: int, registry: TypeRegistry) -> list[Any]:
    value: list[Any] = []
    try:
        for item in plain:
            value.append(_decode(item, depth + 1, registry))
    except RefusedError as refusal:
        refusal.inside(f"[{len(value)}]", plain)
        raise
    return value


def _decode_tag(tag: str, payload: Any, depth: int, registry: TypeRegistry) -> Any:
    try:
        if tag in SCALAR_TAGS:
            return decode_scalar(tag, payload)
        decode_payload = _CONTAINERS.get(tag)
        if decode_payload is not None and type(payload) is list:
            return decode_payload(payload, depth, registry)
    except (RefusedError, RecursionError):
        raise
    except Exception as error:  # rubbish, or code of a user's type
        raise RefusedError(f"the data of {tag} does not fit: {type(error).__name__}: {error}") from error
    raise RefusedError(f"{tag} with this data is nothing that encode writes")


def _decode_tuple(payload: list[Any], depth: int, registry: TypeRegistry) -> tuple[Any, ...]:
    return tuple(_decode_list(payload, depth, registry))


def _decode_set(payload: list[Any], depth: int, registry: TypeRegistry) -> set[Any]:
    value = set(_decode_list(payload, depth, registry))
    _check_distinct(len(value), len(payload))
    return value


def _decode_frozenset(payload: list[Any], depth: int, registry: TypeRegistry) -> frozenset[Any]:
    return frozenset(_decode_set(payload, depth, registry))


def _decode_pairs(payload: list[Any], depth: int, registry: TypeRegistry) -> dict[Any, Any]:
    value: dict[Any, Any] = {}
    piece = ""
    for index, pair in enumerate(payload):
        if type(pair) is not list or len(pair) != 2:
            raise RefusedError(f"item {index} of a dict is no pair")
        piece = f".keys()[{index}]"
        try:
            key = _decode(pair[0], depth + 1, registry)
            piece = _piece(key)
            value[key] = _decode(pair[1], depth + 1, registry)
        except RefusedError as refusal:
            refusal.inside(piece, payload)
            raise
    _check_distinct(len(value), len(payload))
    return value


def _decode_type(payload: list[Any], depth: int, registry: TypeRegistry) -> Any:
    name, fields = payload
    stored = registry.by_name.get(name)
    if stored is None:
        raise RefusedError(f"a value of type {name!r}, which is not registered here", "call register_type at import")
    return stored.decode(fields, depth, _decode, registry)


def _check_distinct(found: int, written: int) -> None:
    if found != written:
        raise RefusedError("the same element or key stands there twice")


_CONTAINERS: dict[str, Callable[[list[Any], int, TypeRegistry], Any]] = {
    "$tuple": _decode_tuple,
    "$set": _decode_set,
    "$frozenset": _decode_frozenset,
    "$dict": _decode_pairs,
    "$type": _decode_type,
}

stored_types = TypeRegistry(
    {
        **SCALAR_ENCODERS,
        list: _encode_list,
        dict: _encode_dict,
        tuple: _encode_tuple,
        set: _encode_set,
        frozenset: _encode_set,
    }
)
