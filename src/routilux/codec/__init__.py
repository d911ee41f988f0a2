"""Values as plain JSON-compatible data and back: same value, same exact type.

Plain data is None, bool, int, float, str, list and dict with str keys. Everything else becomes a
dict with one key that begins with `$`: `{"$tuple": [1, 2]}`. A user's dict that looks like one is
written as `{"$dict": [[key, value], ...]}`, as is a dict with other keys. No pickle, no import by name.

Design: §7.2.
"""

from routilux.codec.coding import decode, encode, register_type
from routilux.codec.stored_types import TypeRegistry

__all__ = ["TypeRegistry", "decode", "encode", "register_type"]
