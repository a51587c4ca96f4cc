"""Conversions between the basic types: exact, or a type conversion error."""

from __future__ import annotations

import math

from kro_es.cel.errors import ConversionError, Overflow
from kro_es.cel.overloads import Overload, T, function
from kro_es.cel.text import (
    conversion_error,
    double_text,
    parse_double,
    parse_duration,
    parse_int,
    parse_timestamp,
    parse_uint,
    seconds_text,
)
from kro_es.cel.types import BOOL, BYTES, DOUBLE, DURATION, DYN, INT, STRING, TIMESTAMP, UINT
from kro_es.cel.values import INT_MAX, NANOS, UINT_MAX, CelValue, Timestamp, Uint

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


def _same(value: CelValue) -> CelValue:
    return value


def _bool(text: str) -> bool:
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise conversion_error("string", "bool")


def _int_from_double(value: float) -> int:
    if math.isfinite(value) and -(2.0**63) < value < 2.0**63:
        return int(value)
    raise Overflow("integer overflow")


def _int_from_uint(value: Uint) -> int:
    if value <= INT_MAX:
        return int(value)
    raise Overflow("integer overflow")


def _uint_from_int(value: int) -> Uint:
    if value >= 0:
        return Uint(value)
    raise Overflow("unsigned integer overflow")


def _uint_from_double(value: float) -> Uint:
    if math.isfinite(value) and 0 <= value <= UINT_MAX and value < 2.0**64:
        return Uint(value)
    raise Overflow("unsigned integer overflow")


def _decode(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ConversionError("invalid UTF-8 in bytes, cannot convert to string") from None


OVERLOADS: tuple[Overload, ...] = (
    function("bool", (BOOL,), BOOL, _same),
    function("bool", (STRING,), BOOL, _bool),
    function("bytes", (BYTES,), BYTES, _same),
    function("bytes", (STRING,), BYTES, str.encode),
    function("double", (DOUBLE,), DOUBLE, _same),
    function("double", (INT,), DOUBLE, float),
    function("double", (UINT,), DOUBLE, float),
    function("double", (STRING,), DOUBLE, parse_double),
    function("duration", (DURATION,), DURATION, _same),
    function("duration", (STRING,), DURATION, parse_duration),
    function("dyn", (T,), DYN, _same),
    function("int", (INT,), INT, _same),
    function("int", (UINT,), INT, _int_from_uint),
    function("int", (DOUBLE,), INT, _int_from_double),
    function("int", (STRING,), INT, parse_int),
    function("int", (TIMESTAMP,), INT, lambda value: value.nanos // NANOS),
    function("int", (DURATION,), INT, lambda value: value.nanos),
    function("string", (STRING,), STRING, _same),
    function("string", (BOOL,), STRING, lambda value: "true" if value else "false"),
    function("string", (INT,), STRING, str),
    function("string", (UINT,), STRING, lambda value: str(int(value))),
    function("string", (DOUBLE,), STRING, double_text),
    function("string", (BYTES,), STRING, _decode),
    function("string", (TIMESTAMP,), STRING, Timestamp.text),
    function("string", (DURATION,), STRING, seconds_text),
    function("timestamp", (TIMESTAMP,), TIMESTAMP, _same),
    function("timestamp", (INT,), TIMESTAMP, lambda seconds: Timestamp.checked(seconds * NANOS)),
    function("timestamp", (STRING,), TIMESTAMP, parse_timestamp),
    function("uint", (UINT,), UINT, _same),
    function("uint", (INT,), UINT, _uint_from_int),
    function("uint", (DOUBLE,), UINT, _uint_from_double),
    function("uint", (STRING,), UINT, parse_uint),
)
