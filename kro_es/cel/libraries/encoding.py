"""Base64, JSON text and digests; JSON text is written as Go writes it, byte for byte."""

from __future__ import annotations

import base64
import hashlib
import json
import math

from kro_es.api.objects import JsonValue
from kro_es.cel.conversion import to_json
from kro_es.cel.errors import EvaluationError, KeyNotString
from kro_es.cel.omit import OMIT
from kro_es.cel.overloads import Overload, function
from kro_es.cel.text import decode_base64, double_json, double_text
from kro_es.cel.types import BYTES, DYN, STRING
from kro_es.cel.values import (
    NANOS,
    CelValue,
    DecodedMap,
    Duration,
    Optional,
    Timestamp,
    Uint,
    checked_size,
    key_value,
    type_of,
)

_HTML = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_HTML_TABLE = str.maketrans(_HTML)


def _encode_base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).translate(_HTML_TABLE)


def _marshal(value: CelValue) -> str:
    if value is None or type(value) is bool:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return double_json(value)
    if isinstance(value, bytes):
        return f'"{_encode_base64(value)}"'
    return _marshal_other(value)


def _marshal_other(value: CelValue) -> str:
    if isinstance(value, list):
        return f"[{','.join([_marshal(item) for item in value])}]"
    if isinstance(value, DecodedMap):
        return _marshal(value.raw)
    if isinstance(value, dict):
        for key in value:
            if type(key) is not str:
                kind = "int64" if type(key) is int else type_of(key)
                raise KeyNotString(f"json.marshal failed to convert value: map key must be string, got {kind}")
        return "{" + ",".join([f"{_quoted(key)}:{_marshal(value[key])}" for key in sorted(value)]) + "}"
    if isinstance(value, Optional):
        return _marshal(value.value)
    if value is OMIT:
        return "{}"
    try:
        return _marshal(to_json(value))
    except EvaluationError as error:
        raise EvaluationError(f"json.marshal failed to convert value: {error}") from None


def _to_text(value: CelValue) -> str:
    text = _marshal(value)
    checked_size(len(text))
    return text


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"cannot unmarshal number {text[:40]}")
    return value


def _constant(text: str) -> JsonValue:
    raise ValueError(f"invalid character '{text[0]}' looking for beginning of value")


def _from_text(text: str) -> JsonValue:
    try:
        value = json.loads(text, parse_int=_number, parse_float=_number, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        empty = isinstance(error, json.JSONDecodeError) and error.pos >= len(text.rstrip())
        # which character Go names depends on its scanner; only the class of the message is kept
        detail = "unexpected end of JSON input" if empty else str(error)
        raise EvaluationError(f"json.unmarshal failed to parse JSON: {detail}") from None
    return _replace_surrogates(value) if "\\u" in text else value


def _replace_surrogates(value: JsonValue) -> JsonValue:
    """Half a surrogate pair is no character: Go reads the replacement character."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_replace_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_replace_surrogates(key): _replace_surrogates(item) for key, item in value.items()}
    return value


_SAFE = 2**53 - 1
"""The largest integer every reader of JSON takes for itself and not for a neighbour."""


def _encodable(value: CelValue) -> CelValue:
    """The JSON of protobuf: far integers, bytes and times become strings."""
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    if isinstance(value, dict):
        for key in value:
            if type(key) is not str:
                raise KeyNotString(f"unsupported type conversion from '{type_of(key_value(key))}' to string")
        return {key: _encodable(item) for key, item in value.items()}
    if isinstance(value, Optional):
        return _encodable(value.value)
    if isinstance(value, float) and not math.isfinite(value):
        return {"+Inf": "Infinity", "-Inf": "-Infinity"}.get(double_text(value), "NaN")
    return _encodable_scalar(value)


def _encodable_scalar(value: CelValue) -> CelValue:
    if type(value) in (int, Uint):
        return value if -_SAFE <= value <= _SAFE else str(int(value))
    if isinstance(value, Timestamp):
        return f"{value.text(fraction=False)[:-1]}{_fraction(value.nanos % NANOS)}Z"
    if isinstance(value, Duration):
        size = abs(value.nanos)
        return f"{'-' if value.nanos < 0 else ''}{size // NANOS}{_fraction(size % NANOS)}s"
    if value is None or type(value) in (bool, float, str, bytes):
        return value
    raise EvaluationError(f"type conversion error from {type_of(value)} to '*structpb.Value'")


def _fraction(nanos: int) -> str:
    """In threes of digits, as protobuf writes it."""
    digits = f"{nanos:09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f".{digits}" if digits else ""


def _encode(value: CelValue) -> str:
    return _to_text(_encodable(value))


def _fnv64a(text: str) -> bytes:
    state = 0xCBF29CE484222325
    for octet in text.encode():
        state = ((state ^ octet) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return state.to_bytes(8, "big")


OVERLOADS: tuple[Overload, ...] = (
    function("base64.encode", (BYTES,), STRING, _encode_base64),
    function("base64.decode", (STRING,), BYTES, decode_base64),
    function("json.encode", (DYN,), STRING, _encode),
    function("json.marshal", (DYN,), STRING, _to_text),
    function("json.unmarshal", (STRING,), DYN, _from_text),
    function("hash.fnv64a", (STRING,), BYTES, _fnv64a),
    function("hash.sha256", (STRING,), BYTES, lambda text: hashlib.sha256(text.encode()).digest()),
    function("hash.md5", (STRING,), BYTES, lambda text: hashlib.md5(text.encode(), usedforsecurity=False).digest()),
)
