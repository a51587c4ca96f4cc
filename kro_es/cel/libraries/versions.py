"""Semantic versions: three numbers, pre-release and build, compared by precedence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kro_es.cel.errors import EvaluationError
from kro_es.cel.overloads import Overload, function, member
from kro_es.cel.types import BOOL, INT, STRING, OpaqueType
from kro_es.cel.values import INT_MAX, Opaque
from kro_es.schema.gotext import quote

SEMVER = OpaqueType("kubernetes.Semver")

_IDENTIFIER = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")


@dataclass(frozen=True, slots=True, eq=False)
class Semver(Opaque):
    """A version; the build takes no part in comparisons."""

    cel_type: ClassVar[str] = SEMVER.name
    numbers: tuple[int, int, int]
    pre_release: tuple[tuple[int, int, str], ...]
    """Numbers come before words: (0, number, '') or (1, 0, word)."""

    def _key(self) -> tuple[object, ...]:
        return (self.numbers, not self.pre_release, self.pre_release)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Semver) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def compare(self, other: Semver) -> int:
        left, right = self._key(), other._key()
        return (left > right) - (left < right)


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise EvaluationError(f"Invalid character(s) found in {name.lower()} number {quote(text)}")
    if len(text) > 1 and text[0] == "0":
        raise EvaluationError(f"{name} number must not contain leading zeroes {quote(text)}")
    value = int(text) if len(text) < 20 else INT_MAX + 1
    if value > INT_MAX:
        raise EvaluationError(f"{name} number is out of range {quote(text)}")
    return value


def _pre_release(text: str) -> tuple[int, int, str]:
    if not text:
        raise EvaluationError("Prerelease is empty")
    if not set(text) <= _IDENTIFIER:
        raise EvaluationError(f"Invalid character(s) found in prerelease {quote(text)}")
    if not text.isdigit():
        return (1, 0, text)
    if len(text) > 1 and text[0] == "0":
        raise EvaluationError(f"Numeric PreRelease version must not contain leading zeroes {quote(text)}")
    if len(text) > 20:
        raise EvaluationError(f"Numeric PreRelease version is out of range {quote(text)}")
    return (0, int(text), "")


def parse_semver(text: str) -> Semver:
    """Raises EvaluationError when ``text`` is no semantic version."""
    if not text:
        raise EvaluationError("Version string empty")
    rest, plus, build = text.partition("+")
    rest, dash, pre_release = rest.partition("-")
    parts = rest.split(".")
    if len(parts) != 3:
        raise EvaluationError("No Major.Minor.Patch elements found")
    major, minor, patch = (_number(*part) for part in zip(("Major", "Minor", "Patch"), parts, strict=True))
    found = tuple(_pre_release(part) for part in pre_release.split(".")) if dash else ()
    for part in build.split(".") if plus else ():
        if not part:
            raise EvaluationError("Build meta data is empty")
        if not set(part) <= _IDENTIFIER:
            raise EvaluationError(f"Invalid character(s) found in build meta data {quote(part)}")
    return Semver((major, minor, patch), found)


def _normalized(text: str) -> str:
    """Without the ``v`` and leading zeroes, and with all three numbers."""
    tail = next((place for place, char in enumerate(text) if char in "-+"), len(text))
    parts = text[:tail].removeprefix("v").split(".")
    numbers = [part.lstrip("0") or part[-1:] for part in parts]
    return ".".join(numbers + ["0"] * (3 - len(numbers))) + text[tail:]


def _parse(text: str, normalize: bool) -> Semver:
    return parse_semver(_normalized(text) if normalize else text)


def _is_semver(text: str, normalize: bool = False) -> bool:
    try:
        _parse(text, normalize)
    except EvaluationError:
        return False
    return True


_TWO = (SEMVER, SEMVER)

OVERLOADS: tuple[Overload, ...] = (
    function("semver", (STRING,), SEMVER, parse_semver),
    function("isSemver", (STRING,), BOOL, _is_semver),
    member("major", (SEMVER,), INT, lambda version: version.numbers[0]),
    member("minor", (SEMVER,), INT, lambda version: version.numbers[1]),
    member("patch", (SEMVER,), INT, lambda version: version.numbers[2]),
    member("isGreaterThan", _TWO, BOOL, lambda left, right: left.compare(right) > 0),
    member("isLessThan", _TWO, BOOL, lambda left, right: left.compare(right) < 0),
    member("compareTo", _TWO, INT, Semver.compare),
)

NORMALIZING: tuple[Overload, ...] = (
    function("semver", (STRING, BOOL), SEMVER, _parse),
    function("isSemver", (STRING, BOOL), BOOL, _is_semver),
)
"""Kubernetes has them, kro leaves them out."""
