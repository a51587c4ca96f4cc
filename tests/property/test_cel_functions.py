"""Every function, given any values of its types, gives a value or an expression error: never anything else."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kro_es.cel.declarations import FULL
from kro_es.cel.errors import CelError
from kro_es.cel.libraries import network, quantities, urls, versions
from kro_es.cel.libraries.names import Format
from kro_es.cel.libraries.runtime import VALUE
from kro_es.cel.omit import OMIT
from kro_es.cel.types import STRING, CelType, ListType, MapType, OpaqueType, OptionalType, Primitive, StructType
from kro_es.cel.values import INT_MAX, INT_MIN, NONE, UINT_MAX, Duration, Optional, Timestamp, TypeValue, Uint, map_key

_TEXTS = (
    "", "é😀", "2025-01-02T03:04:05Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "1h", "-1.5s", "1Gi",
    "1e9", "10.0.0.1", "::1", "10.0.0.0/8", "https://u@h:80/p?q=1%zz", "/x?y", "1.2.3-rc.1+b", "v1", "%d %s %.3f", "%.",
    "[a-z]+", "(", "\\", "\\1", "Europe/Paris", "+05:30", "../x", "9" * 400, "\0", '{"a": [1, 2.5, null]}', "1e-5000",
)  # fmt: skip
_FIRST, _LAST = Timestamp(-62_135_596_800 * 10**9), Timestamp(253_402_300_799 * 10**9)
_SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": st.one_of(st.sampled_from(_TEXTS), st.text(st.characters(exclude_categories=["Cs"]), max_size=20)),
    "int": st.one_of(st.sampled_from((0, 1, -1, 64, 100, INT_MAX, INT_MIN)), st.integers(INT_MIN, INT_MAX)),
    "uint": st.integers(0, UINT_MAX).map(Uint),
    "double": st.floats(),
    "bool": st.booleans(),
    "bytes": st.binary(max_size=20),
    "null_type": st.none(),
    "google.protobuf.Timestamp": st.one_of(
        st.just(_FIRST), st.integers(_FIRST.nanos, _LAST.nanos).map(Timestamp), st.just(_LAST)
    ),
    "google.protobuf.Duration": st.integers(INT_MIN, INT_MAX).map(Duration),
}
_OPAQUE: dict[str, st.SearchStrategy[Any]] = {
    "kubernetes.Quantity": st.sampled_from(("1", "1Gi", "-1.5", "1e1000", "1n", "1E-1000", "-16Ei")).map(
        quantities.parse_quantity
    ),
    "net.IP": st.ip_addresses().map(network.Ip),
    "net.CIDR": st.sampled_from(("10.1.2.3/8", "::/0", "1.1.1.1/32")).map(network.parse_cidr),
    "kubernetes.URL": st.sampled_from(("https://h/p%20?q=1&q=%zz", "*", "mailto:a")).map(urls.parse_url),
    "kubernetes.Semver": st.sampled_from(("1.2.3-a.1+b", "0.0.0")).map(versions.parse_semver),
    "kubernetes.NamedFormat": st.sampled_from(("uri", "uuid", "byte", "qualifiedName", "date")).map(Format),
}
_ANY_SCALAR = st.one_of(*_SCALARS.values(), *_OPAQUE.values(), st.sampled_from((OMIT, NONE, TypeValue("int"))))
_ANYTHING = st.recursive(
    _ANY_SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_SCALARS["string"], inner, max_size=2)
)


def values(of: CelType) -> st.SearchStrategy[Any]:
    match of:
        case ListType():
            return st.lists(values(of.element), max_size=3)
        case MapType():
            keys = values(of.key) if isinstance(of.key, Primitive) else values(STRING)
            return st.dictionaries(keys.map(map_key), values(of.value), max_size=2)
        case OptionalType():
            return st.one_of(st.just(NONE), values(of.inner).map(lambda value: Optional(value, True)))
        case OpaqueType():
            return _OPAQUE[of.name]
        case StructType():
            return st.just(VALUE)
        case _:
            return _SCALARS.get(of.name, _ANYTHING)


_LAZY = frozenset({"_&&_", "_||_", "_?_:_"})
"""The compiler never calls them: their operands are evaluated when they are needed."""


@pytest.mark.parametrize("name", sorted(FULL.functions.keys() - _LAZY))
@settings(max_examples=20)
@given(data=st.data())
def test_a_function_gives_a_value_or_an_expression_error(name: str, data: st.DataObject) -> None:
    overload = data.draw(st.sampled_from(FULL.functions[name]))
    arguments = data.draw(st.tuples(*map(values, overload.parameters)))
    with suppress(CelError):
        overload.implementation(*arguments)
