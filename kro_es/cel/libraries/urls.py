"""URLs as Go's net/url reads a request URI: absolute, or an absolute path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kro_es.cel.errors import EvaluationError
from kro_es.cel.overloads import Overload, function, member
from kro_es.cel.types import BOOL, STRING, ListType, MapType, OpaqueType
from kro_es.cel.values import CelValue, Opaque
from kro_es.schema.gotext import quote

URL = OpaqueType("kubernetes.URL")

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_ALNUM = _LETTERS | frozenset("0123456789")
_UNRESERVED = _ALNUM | frozenset("-_.~")
_IN_PATH = _UNRESERVED | frozenset("$&+,/:;=@")
_ACCEPTED_IN_PATH = _IN_PATH | frozenset("!'()*[]%")
_IN_HOST = _UNRESERVED | frozenset("!$&'()*+,;=:[]<>\"")
_IN_USER = _ALNUM | frozenset("-._:~!$&'()*+,;=%@")
_HEX = frozenset("0123456789abcdefABCDEF")


@dataclass(frozen=True, slots=True)
class Url(Opaque):
    """The parts of one URL; ``path`` is decoded, ``raw_path`` as it was written."""

    cel_type: ClassVar[str] = URL.name
    scheme: str
    user: str
    host: str
    path: str
    raw_path: str
    query: str

    def host_and_port(self) -> tuple[str, str]:
        """``Hostname`` and ``Port``."""
        host, colon, port = self.host.rpartition(":")
        if not colon or not _is_digits(port):
            host, port = self.host, ""
        return (host[1:-1] if host.startswith("[") and host.endswith("]") else host), port

    def escaped_path(self) -> str:
        if self.raw_path and set(self.raw_path) <= _ACCEPTED_IN_PATH:
            return self.raw_path
        return "*" if self.path == "*" else _escaped(self.path)

    def values(self) -> dict[CelValue, CelValue]:
        """The query; what cannot be decoded is left out."""
        found: dict[CelValue, CelValue] = {}
        for part in self.query.split("&"):
            name, _, value = part.partition("=")
            if not part or ";" in part:
                continue
            try:
                key, decoded = (_unescaped(text.replace("+", " ")) for text in (name, value))
            except EvaluationError:
                continue
            found.setdefault(key, []).append(decoded)
        return found


def _is_digits(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit())


def _escaped(path: str) -> str:
    return "".join(char if char in _IN_PATH else "".join(f"%{octet:02X}" for octet in char.encode()) for char in path)


def _unescaped(text: str) -> str:
    if "%" not in text:
        return text
    octets, at = bytearray(), 0
    while at < len(text):
        if text[at] != "%":
            octets += text[at].encode()
            at += 1
            continue
        digits = text[at + 1 : at + 3]
        if len(digits) < 2 or not set(digits) <= _HEX:
            raise EvaluationError(f"invalid URL escape {quote(text[at : at + 3])}")
        octets.append(int(digits, 16))
        at += 3
    return octets.decode(errors="replace")


def parse_url(text: str) -> Url:
    """Raises EvaluationError when ``text`` is neither an absolute URI nor an absolute path."""
    try:
        return _parsed(text)
    except EvaluationError as error:
        raise EvaluationError(f"URL parse error during conversion from string: parse {quote(text)}: {error}") from None


def _parsed(text: str) -> Url:
    if any(ord(char) < 0x20 or ord(char) == 0x7F for char in text):
        raise EvaluationError("net/url: invalid control character in URL")
    if not text:
        raise EvaluationError("empty url")
    if text == "*":
        return Url("", "", "", "*", "", "")
    scheme, rest = _scheme(text)
    rest, _, query = rest.partition("?")
    if not rest.startswith("/"):
        if scheme:
            return Url(scheme, "", "", "", "", query)
        raise EvaluationError("invalid URI for request")
    user = host = ""
    if scheme and rest.startswith("//"):
        authority, slash, path = rest[2:].partition("/")
        user, host = _authority(authority)
        rest = slash + path
    path = _unescaped(rest)
    return Url(scheme, user, host, path, "" if _escaped(path) == rest else rest, query)


def _scheme(text: str) -> tuple[str, str]:
    for place, char in enumerate(text):
        if char == ":":
            if place == 0:
                raise EvaluationError("missing protocol scheme")
            return text[:place].lower(), text[place + 1 :]
        if char not in _LETTERS and (place == 0 or char not in "0123456789+-."):
            break
    return "", text


def _authority(text: str) -> tuple[str, str]:
    user, at, host = text.rpartition("@")
    if at and not set(user) <= _IN_USER:
        raise EvaluationError("net/url: invalid userinfo")
    return _unescaped(user), _host(host)


def _host(text: str) -> str:
    if "[" in text and not text.startswith("["):
        raise EvaluationError("invalid IP-literal")
    inside, bracket, after = text.rpartition("]") if text.startswith("[") else ("", "]", text)
    if not bracket:
        raise EvaluationError("missing ']' in host")
    port = after[len(after.partition(":")[0]) :]
    if inside and after != port:
        raise EvaluationError(f"invalid port {quote(after)} after host")
    if port and not _is_digits(port[1:]):
        raise EvaluationError(f"invalid port {quote(port)} after host")
    for char in text:
        if char.isascii() and char != "%" and char not in _IN_HOST:
            raise EvaluationError(f"invalid character {quote(char)} in host name")
    return _unescaped(text)


def _is_url(text: str) -> bool:
    try:
        parse_url(text)
    except EvaluationError:
        return False
    return True


OVERLOADS: tuple[Overload, ...] = (
    function("url", (STRING,), URL, parse_url),
    function("isURL", (STRING,), BOOL, _is_url),
    member("getScheme", (URL,), STRING, lambda url: url.scheme),
    member("getHost", (URL,), STRING, lambda url: url.host),
    member("getHostname", (URL,), STRING, lambda url: url.host_and_port()[0]),
    member("getPort", (URL,), STRING, lambda url: url.host_and_port()[1]),
    member("getEscapedPath", (URL,), STRING, Url.escaped_path),
    member("getQuery", (URL,), MapType(STRING, ListType(STRING)), Url.values),
)
