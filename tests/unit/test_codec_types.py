"""Design §7.2: dataclasses and enums are stored under registered names."""

import dataclasses
import enum
import threading
from typing import Any

import pytest

from routilux.codec import TypeRegistry, decode, encode, register_type
from routilux.codec.coding import stored_types
from routilux.errors import CodecError, DuplicateNameError
from tests.unit.codec_cases import Child, Order, Pair, Point, Socket, Str, Unregistered, through_json


@pytest.fixture
def registry() -> TypeRegistry:
    return TypeRegistry(stored_types.encoders)


def test_registered_name_outlives_the_class_that_bore_it(registry: TypeRegistry) -> None:
    @dataclasses.dataclass
    class Old:
        a: int

    @dataclasses.dataclass
    class New:
        a: int

    register_type(Old, "thing", registry=registry)
    plain = encode(Old(1), registry=registry)
    later = TypeRegistry(stored_types.encoders)
    register_type(New, "thing", registry=later)
    assert decode(plain, registry=later) == New(1)


def test_taken_names_are_refused(registry: TypeRegistry) -> None:
    register_type(Child, "child", registry=registry)
    register_type(Child, "child", registry=registry)
    with pytest.raises(DuplicateNameError, match="child"):
        register_type(Unregistered, "child", registry=registry)
    with pytest.raises(DuplicateNameError):
        register_type(Child, "another", registry=registry)


@pytest.mark.parametrize("kind", [Socket, int, dict, Pair, Str, 5, "Socket", None, Exception])
def test_only_dataclasses_and_enums_can_be_registered(kind: Any, registry: TypeRegistry) -> None:
    with pytest.raises(CodecError, match="register_type"):
        registry.register(kind)


@pytest.mark.parametrize("name", ["", 5, b"x"])
def test_names_must_be_texts(name: Any, registry: TypeRegistry) -> None:
    with pytest.raises(CodecError, match="name"):
        registry.register(Child, name)


def test_dataclasses_of_builtins_cannot_be_registered(registry: TypeRegistry) -> None:
    @dataclasses.dataclass
    class Listed(list):  # type: ignore[type-arg]
        a: int = 0

    with pytest.raises(CodecError, match="no instance"):
        register_type(Listed, registry=registry)


def test_many_threads_register_at_once(registry: TypeRegistry) -> None:
    kinds: list[Any] = [enum.Enum(f"E{number}", "A") for number in range(200)]
    barrier = threading.Barrier(8)

    def register(part: int) -> None:
        barrier.wait(10)
        for kind in kinds[part::4]:
            register_type(kind, registry=registry)

    threads = [threading.Thread(target=register, args=(part % 4,)) for part in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [decode(encode(kind.A, registry=registry), registry=registry) for kind in kinds] == [k.A for k in kinds]


def test_attributes_that_are_no_fields_are_refused() -> None:
    order = Order(1)
    order.connection = Socket()  # type: ignore[attr-defined]
    with pytest.raises(CodecError, match="connection"):
        encode(order)


def test_cached_properties_are_computed_again() -> None:
    order = Order(1, [1, 2])
    assert order.size == 2
    back = through_json(order)
    assert (back.size, vars(back)) == (2, vars(order))


def test_dataclasses_come_back_without_running_their_code() -> None:
    order = Order(1)
    order.made = 99
    assert through_json(order).made == 99


def test_fields_that_are_not_set_are_refused() -> None:
    order = Order(1)
    del order.id
    with pytest.raises(CodecError, match=r"\$\.id"):
        encode(order)


def test_fields_added_since_take_their_default() -> None:
    assert decode({"$type": ["test.Point", {"x": 1}]}) == Point(1, 0)
    assert decode({"$type": ["test.Order", {"id": 1}]}).items == []
    with pytest.raises(CodecError, match=r"\$\.x: missing"):
        decode({"$type": ["test.Point", {"y": 1}]})
