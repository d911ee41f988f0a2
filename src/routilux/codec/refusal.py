"""The no of the codec, and how it becomes an error with a path."""

import dataclasses
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from routilux.errors import CodecError

Encoder = Callable[[Any, int, Any], Any]
Encoders = Mapping[type, Encoder]

MAX_DEPTH = 100  # of values in values: plain data is up to three times as deep, decoding takes five calls for each

_LONGEST_TRAIL = 24


class RefusedError(Exception):
    """A value that cannot be stored, on its way up to the one who asked; gathers the path as it goes."""

    def __init__(self, found: str, advice: str = "", *, is_depth: bool = False) -> None:
        super().__init__(found)
        self.found = found
        self.advice = advice
        self.is_depth = is_depth
        self.trail: list[tuple[str, Any]] = []

    def inside(self, piece: str, container: Any) -> None:
        """Note that it happened in this place of this container."""
        self.trail.append((piece, container))

    def error(self, path: str) -> CodecError:
        """Give the error for the user, with the whole path."""
        pieces = [piece for piece, _ in reversed(self.trail)]
        if self.is_depth:
            return self._depth_error(path, pieces)
        if len(pieces) > _LONGEST_TRAIL:
            pieces = [*pieces[: _LONGEST_TRAIL // 2], "...", *pieces[-_LONGEST_TRAIL // 2 :]]
        return CodecError(path + "".join(pieces), self.found, self.advice)

    def _depth_error(self, path: str, pieces: list[str]) -> CodecError:
        seen: dict[int, int] = {}
        for index, (_, container) in enumerate(reversed(self.trail)):
            first = seen.setdefault(id(container), index)
            if first != index:
                outer = path + "".join(pieces[:first])
                found = f"the {type(container).__name__} {outer} again, a cycle"
                return CodecError(path + "".join(pieces[:index]), found, "store an id in place of the reference")
        return CodecError(path, self.found, self.advice)


def _refuse(value: Any, depth: int, encoders: Encoders) -> Any:
    """Refuse a value whose exact type nobody knows, with what to do about it."""
    kind = type(value)
    name = kind.__name__
    if isinstance(value, Enum) or dataclasses.is_dataclass(kind):
        raise RefusedError(name, f"register it once by name: register_type({name})")
    base = next((base for base in kind.__mro__[1:] if base in encoders), None)
    if base is not None:
        raise RefusedError(name, f"it would come back as {base.__name__}: convert it with {base.__name__}(...)")
    raise RefusedError(name, "store plain values; live objects belong in Runtime(resources=...)")


refuse: Encoder = _refuse


def too_deep() -> RefusedError:
    """Give the refusal of a value that is nested too deep, or contains itself."""
    return RefusedError(f"more than {MAX_DEPTH} values within values", "store it flat", is_depth=True)
