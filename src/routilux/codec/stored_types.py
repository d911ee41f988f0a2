"""Users' own types that can be stored: dataclasses and enums, registered by name."""

import dataclasses
import threading
from collections.abc import Callable, Mapping
from enum import Enum, Flag
from functools import cached_property
from typing import Any, Protocol

from routilux.codec.refusal import MAX_DEPTH, Encoders, RefusedError, refuse, too_deep
from routilux.errors import CodecError, DuplicateNameError

Decode = Callable[[Any, int, Any], Any]


class StoredType(Protocol):
    """How the values of one registered type are written and read."""

    kind: type
    name: str

    def encode(self, value: Any, depth: int, encoders: Encoders) -> Any:
        """Give plain data, tagged with the name of the type."""

    def decode(self, payload: Any, depth: int, decode: Decode, registry: "TypeRegistry") -> Any:
        """Give back the value of what stands behind the name."""


class StoredEnum:
    """An enum: members by name, combinations of flags by number."""

    def __init__(self, kind: type[Enum], name: str) -> None:
        self.kind: type = kind
        self.name = name
        self._members = {} if issubclass(kind, Flag) else dict(kind.__members__)
        self._bits = 0
        for member in kind.__members__.values() if issubclass(kind, Flag) else ():
            self._bits |= int(member.value)

    def encode(self, value: Any, depth: int, encoders: Encoders) -> Any:
        """Give the member's name, or the number of a flag."""
        return {"$type": [self.name, value.name if self._members else int(value.value)]}

    def decode(self, payload: Any, depth: int, decode: Decode, registry: "TypeRegistry") -> Any:
        """Give the member back; an unknown one is refused."""
        if type(payload) is str and payload in self._members:
            return self._members[payload]
        if type(payload) is int and not self._members:
            value = self.kind(payload)
            if not payload & ~self._bits:  # some Pythons make a member of any bits
                return value
        raise RefusedError(f"no member {payload!r} of {self.name}")


class StoredDataclass:
    """A dataclass: its fields, set without calling `__init__` or `__post_init__` again."""

    def __init__(self, kind: type, name: str) -> None:
        self.kind = kind
        self.name = name
        self._fields = {field.name: field for field in dataclasses.fields(kind)}
        caches = {key for base in kind.__mro__ for key, x in vars(base).items() if isinstance(x, cached_property)}
        self._allowed = self._fields.keys() | caches

    def encode(self, value: Any, depth: int, encoders: Encoders) -> Any:
        """Give the fields; an attribute that is no field would be lost, so it is refused."""
        if depth >= MAX_DEPTH:
            raise too_deep()
        extra = getattr(value, "__dict__", {}).keys() - self._allowed
        if extra:
            found = f"{self.kind.__name__} with {', '.join(sorted(extra))}"
            raise RefusedError(found, "attributes that are no fields would be lost")
        plain: dict[str, Any] = {}
        field = ""
        try:
            for field in self._fields:
                item = _read(value, field)
                plain[field] = encoders.get(type(item), refuse)(item, depth + 1, encoders)
        except RefusedError as refusal:
            refusal.inside(f".{field}", value)
            raise
        return {"$type": [self.name, plain]}

    def decode(self, payload: Any, depth: int, decode: Decode, registry: "TypeRegistry") -> Any:
        """Give an instance with these fields; a field added since takes its default."""
        if type(payload) is not dict or not payload.keys() <= self._fields.keys():
            raise RefusedError(f"these are not fields of {self.name}", f"it has {', '.join(self._fields)}")
        value: Any = object.__new__(self.kind)
        for name, field in self._fields.items():
            try:
                item = decode(payload[name], depth + 1, registry) if name in payload else _default(field)
            except RefusedError as refusal:
                refusal.inside(f".{name}", payload)
                raise
            object.__setattr__(value, name, item)
        return value


def _read(value: Any, field: str) -> Any:
    try:
        return getattr(value, field)
    except Exception as error:  # not set, or code of a user's type
        raise RefusedError(f"a field that cannot be read: {error}") from error


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    raise RefusedError("missing")


class TypeRegistry:
    """Which types can be stored, and under which names. Safe from any thread."""

    def __init__(self, builtin: Encoders) -> None:
        self._lock = threading.Lock()  # guards the replacing of the two mappings; readers need none
        self.encoders: Encoders = dict(builtin)
        self.by_name: Mapping[str, StoredType] = {}

    def register(self, kind: type, name: str | None = None) -> None:
        """Let values of exactly this class be stored; doing the same twice changes nothing.

        Raises:
            DuplicateNameError: the name belongs to another class, or the class has another name.
            CodecError: this is neither an enum nor a dataclass, or an instance cannot be made again.
        """
        stored = _stored_type(kind, name)
        with self._lock:
            holder = self.by_name.get(stored.name)
            if holder is not None and holder.kind is kind:
                return
            if holder is not None:
                taken_by = f"{holder.kind.__module__}.{holder.kind.__qualname__}"
                raise DuplicateNameError("stored type", stored.name, f"it is {taken_by}; choose another name")
            if kind in self.encoders:
                raise DuplicateNameError("stored type", kind.__name__, "a type has one name for all its stored values")
            self.by_name = {**self.by_name, stored.name: stored}
            self.encoders = {**self.encoders, kind: stored.encode}


def _stored_type(kind: type, name: str | None) -> StoredType:
    if not isinstance(kind, type):
        raise CodecError("register_type", f"{kind!r} is not a class")
    place = f"register_type({kind.__name__})"
    chosen = kind.__name__ if name is None else name
    if type(chosen) is not str or not chosen:
        raise CodecError(place, f"the name {chosen!r}", "give a name that is a text and not empty")
    if issubclass(kind, Enum):
        return StoredEnum(kind, chosen)
    if not dataclasses.is_dataclass(kind):
        raise CodecError(place, "neither a dataclass nor an Enum", "convert its values to plain ones before storing")
    try:
        object.__new__(kind)
    except TypeError as error:
        raise CodecError(place, f"no instance of it can be made: {error}") from error
    return StoredDataclass(kind, chosen)
