"""Numbers, times and durations as Go prints and reads them; Python's own forms differ."""

from __future__ import annotations

import base64
import math
from datetime import UTC, date, datetime

from kro_es.cel.errors import ConversionError, EvaluationError
from kro_es.cel.values import INT_MAX, INT_MIN, NANOS, UINT_MAX, Duration, Timestamp, Uint

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": NANOS,
    "m": 60 * NANOS,
    "h": 3600 * NANOS,
}
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_UNIX_DAY = date(1970, 1, 1).toordinal()


def conversion_error(source: str, target: str) -> ConversionError:
    return ConversionError(f"type conversion error from '{source}' to '{target}'")


RFC3339_LAYOUT = "2006-01-02T15:04:05Z07:00"


def is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


# -- numbers


def _shortest(value: float) -> tuple[str, str, int]:
    """Sign, shortest digits, and the exponent of the first digit."""
    sign = "-" if math.copysign(1, value) < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = whole + fraction
    first = len(digits) - len(digits.lstrip("0"))
    significant = digits.strip("0") or "0"
    return sign, significant, (len(whole) - 1 - first + int(exponent or 0)) if significant != "0" else 0


def _special(value: float) -> str | None:
    if math.isnan(value):
        return "NaN"
    return ("+Inf" if value > 0 else "-Inf") if math.isinf(value) else None


def double_fixed(value: float) -> str:
    """``strconv.FormatFloat(v, 'f', -1, 64)``."""
    if special := _special(value):
        return special
    sign, digits, exponent = _shortest(value)
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    fraction = digits[exponent + 1 :]
    return f"{sign}{whole}.{fraction}" if fraction else sign + whole


def _scientific(value: float, width: int) -> str:
    sign, digits, exponent = _shortest(value)
    fraction = f".{digits[1:]}" if digits[1:] else ""
    return f"{sign}{digits[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):0{width}d}"


def double_text(value: float) -> str:
    """``strconv.FormatFloat(v, 'g', -1, 64)``: what ``string(double)`` gives."""
    if special := _special(value):
        return special
    _, _, exponent = _shortest(value)
    return _scientific(value, 2) if exponent < -4 or exponent >= 6 else double_fixed(value)


def double_json(value: float) -> str:
    """As ``encoding/json`` writes it."""
    if special := _special(value):
        raise EvaluationError(f"json.marshal failed to encode value: json: unsupported value: {special}")
    size = abs(value)
    return _scientific(value, 1) if size and (size < 1e-6 or size >= 1e21) else double_fixed(value)


def parse_double(text: str) -> float:
    plain = text.lstrip("+-") if text[:1] in ("+", "-") and text[1:2] not in ("+", "-") else text
    if plain.lower() in ("inf", "infinity", "nan") or (plain and set(plain) <= set("0123456789.eE+-")):
        try:
            value = float(text)
        except ValueError:
            raise conversion_error("string", "double") from None
        if math.isfinite(value) or plain[0] in "iInN":
            return value
    raise conversion_error("string", "double")


def parse_int(text: str) -> int:
    digits = text[1:] if text[:1] in ("+", "-") else text
    if is_digits(digits) and len(digits.lstrip("0")) < 20 and INT_MIN <= (value := int(text)) <= INT_MAX:
        return value
    raise conversion_error("string", "int")


def parse_uint(text: str) -> Uint:
    if is_digits(text) and len(text.lstrip("0")) <= 20 and (value := int(text)) <= UINT_MAX:
        return Uint(value)
    raise conversion_error("string", "uint")


# -- times


def parse_timestamp(text: str) -> Timestamp:
    """RFC 3339 with a zone, nothing looser."""
    if "t" in text or "z" in text:
        raise conversion_error("string", "google.protobuf.Timestamp")
    moment = _rfc3339(text)
    if moment is None:
        raise ConversionError(f'invalid RFC 3339 timestamp "{text}"')
    return Timestamp.checked(moment)


def _rfc3339(text: str) -> int | None:
    shape = "".join("0" if char in "0123456789" else char for char in text)
    if not shape.startswith("0000-00-00T00:00:00") or text[11:13] > "23":
        return None
    rest = text[19:]
    fraction = ""
    if rest.startswith("."):
        fraction = rest[1:][: len(rest[1:]) - len(rest[1:].lstrip("0123456789"))]
        rest = rest[1 + len(fraction) :]
        if not fraction:
            return None
    offset = _zone_offset(rest)
    try:
        moment = datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
    except ValueError:
        return None
    if offset is None:
        return None
    days = moment.toordinal() - _UNIX_DAY
    seconds = days * 86_400 + moment.hour * 3600 + moment.minute * 60 + moment.second - offset
    return seconds * NANOS + int(fraction[:9].ljust(9, "0"))


def layout_fault(text: str) -> str:
    """Where ``text`` leaves the layout of RFC 3339, as Go's time package says it."""
    at = 0
    for part in ("2006", "-", "01", "-", "02", "T", "15", ":", "04", ":", "05"):
        found = text[at : at + len(part)]
        if found != part if not part.isdigit() else not (len(found) == len(part) and is_digits(found)):
            return f'cannot parse "{text[at:]}" as "{part}"'
        at += len(part)
    return f'cannot parse "{text[at:]}" as "Z07:00"'


def _zone_offset(text: str) -> int | None:
    if text == "Z":
        return 0
    if len(text) != 6 or text[0] not in "+-" or text[3] != ":" or not is_digits(text[1:3] + text[4:]):
        return None
    hours, minutes = int(text[1:3]), int(text[4:])
    if hours > 23 or minutes > 59:
        return None
    return (hours * 3600 + minutes * 60) * (-1 if text[0] == "-" else 1)


def parse_duration(text: str) -> Duration:
    """Go's ``time.ParseDuration``."""
    sign, rest = (-1 if text[:1] == "-" else 1), text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return Duration(0)
    total = 0
    if not rest or len(rest) > 200:
        raise conversion_error("string", "google.protobuf.Duration")
    while rest:
        number = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        unit = rest[len(number) :][: _unit_length(rest[len(number) :])]
        whole, _, fraction = number.partition(".")
        if unit not in _UNITS or not is_digits(whole + fraction):
            raise conversion_error("string", "google.protobuf.Duration")
        scale = _UNITS[unit]
        total += int(whole or 0) * scale + int(fraction or 0) * scale // 10 ** len(fraction)
        rest = rest[len(number) + len(unit) :]
    if not INT_MIN <= sign * total <= INT_MAX:
        raise conversion_error("string", "google.protobuf.Duration")
    return Duration(sign * total)


def _unit_length(text: str) -> int:
    for length, char in enumerate(text):
        if char in "0123456789.":
            return length
    return len(text)


def duration_text(duration: Duration) -> str:
    """Go's ``Duration.String``: ``1h30m0s``, ``1.5s``, ``2ms``."""
    size, sign = abs(duration.nanos), "-" if duration.nanos < 0 else ""
    if size == 0:
        return "0s"
    for unit, scale in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if size < scale * 1_000:
            return f"{sign}{_decimal(size, scale)}{unit}"
    minutes, rest = divmod(size, 60 * NANOS)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{head}{_decimal(rest, NANOS)}s"


def _decimal(value: int, scale: int) -> str:
    whole, rest = divmod(value, scale)
    fraction = str(rest).zfill(len(str(scale)) - 1).rstrip("0") if rest else ""
    return f"{whole}.{fraction}" if fraction else str(whole)


def seconds_text(duration: Duration) -> str:
    """What ``string(duration)`` gives: seconds."""
    return double_fixed(duration.nanos / NANOS) + "s"


# -- bytes


def decode_base64(text: str) -> bytes:
    """The standard alphabet; padding may be missing."""
    plain = text.replace("\r", "").replace("\n", "")
    body = plain.rstrip("=")
    bad = next((place for place, char in enumerate(body) if char not in _BASE64), None)
    padding = len(plain) - len(body)
    if bad is None and (len(body) % 4 == 1 or (padding and (len(plain) % 4 or padding > 2))):
        bad = len(body)
    if bad is not None:
        raise EvaluationError(f"illegal base64 data at input byte {bad}")
    return base64.b64decode(body + "=" * (-len(body) % 4))
