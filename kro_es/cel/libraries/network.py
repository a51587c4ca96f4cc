"""IP addresses and networks as Go's netip reads and prints them, without zones and IPv4-mapped forms."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import ClassVar

from kro_es.cel.errors import EvaluationError
from kro_es.cel.overloads import Overload, function, member
from kro_es.cel.types import BOOL, INT, STRING, OpaqueType
from kro_es.cel.values import Opaque

IP = OpaqueType("net.IP")
CIDR = OpaqueType("net.CIDR")

_LAST_IPV4 = IPv4Address("255.255.255.255")


@dataclass(frozen=True, slots=True)
class Ip(Opaque):
    """An address."""

    cel_type: ClassVar[str] = IP.name
    address: IPv4Address | IPv6Address

    @property
    def bits(self) -> int:
        return self.address.max_prefixlen

    def masked(self, length: int) -> int:
        return int(self.address) >> (self.bits - length)

    def link_local_multicast(self) -> bool:
        number = int(self.address)
        # 224.0.0.0/24, and ff?2::/16 with any flags
        return number >> 8 == 0xE00000 if self.bits == 32 else (number >> 112) & 0xFF0F == 0xFF02

    def global_unicast(self) -> bool:
        of = self.address
        special = of.is_unspecified or of.is_loopback or of.is_multicast or _link_local(self)
        return not special and of != _LAST_IPV4


@dataclass(frozen=True, slots=True)
class Cidr(Opaque):
    """A network, with the host bits it was written with."""

    cel_type: ClassVar[str] = CIDR.name
    ip: Ip
    length: int

    def holds(self, ip: Ip) -> bool:
        return ip.bits == self.ip.bits and ip.masked(self.length) == self.ip.masked(self.length)

    def contains(self, other: Cidr) -> bool:
        return self.length <= other.length and self.holds(other.ip)

    def without_host_bits(self) -> Cidr:
        kept = self.ip.masked(self.length) << (self.ip.bits - self.length)
        return Cidr(Ip(type(self.ip.address)(kept)), self.length)

    def text(self) -> str:
        return f"{self.ip.address}/{self.length}"


def _link_local(ip: Ip) -> bool:
    number = int(ip.address)
    return number >> 16 == 0xA9FE if ip.bits == 32 else number >> 118 == 0xFE80 >> 6


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def parse_ip(text: str) -> Ip:
    """Raises EvaluationError when ``text`` is no address."""
    address = _address(text)
    if address is None:
        raise EvaluationError(
            f'IP Address "{text}" parse error during conversion from string: ParseAddr("{text}"): unable to parse IP'
        )
    if "%" in text:
        raise EvaluationError(f'IP address "{text}" with zone value is not allowed')
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        raise EvaluationError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    return Ip(address)


def parse_cidr(text: str) -> Cidr:
    """Raises EvaluationError when ``text`` is no network."""
    host, slash, length = text.rpartition("/")
    address = _address(host)
    digits = length.isascii() and length.isdigit() and (length == "0" or not length.startswith("0"))
    if not slash or address is None or not digits or len(length) > 3 or int(length) > address.max_prefixlen:
        raise EvaluationError(
            f'CIDR "{text}" network address parse error during conversion from string: '
            f'netip.ParsePrefix("{text}"): not an address and a prefix length'
        )
    if "%" in host:
        raise EvaluationError(f'CIDR "{text}" with zone value is not allowed')
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        raise EvaluationError(f'IPv4-mapped IPv6 address "{host}" is not allowed')
    return Cidr(Ip(address), int(length))


def _is_ip(text: str) -> bool:
    try:
        parse_ip(text)
    except EvaluationError:
        return False
    return True


def _is_cidr(text: str) -> bool:
    try:
        parse_cidr(text)
    except EvaluationError:
        return False
    return True


def ip_text(ip: Ip) -> str:
    return str(ip.address)


OVERLOADS: tuple[Overload, ...] = (
    function("ip", (STRING,), IP, parse_ip),
    function("isIP", (STRING,), BOOL, _is_ip),
    function("ip.isCanonical", (STRING,), BOOL, lambda text: ip_text(parse_ip(text)) == text),
    function("string", (IP,), STRING, ip_text),
    member("family", (IP,), INT, lambda ip: ip.address.version),
    member("isUnspecified", (IP,), BOOL, lambda ip: ip.address.is_unspecified),
    member("isLoopback", (IP,), BOOL, lambda ip: ip.address.is_loopback),
    member("isLinkLocalMulticast", (IP,), BOOL, Ip.link_local_multicast),
    member("isLinkLocalUnicast", (IP,), BOOL, _link_local),
    member("isGlobalUnicast", (IP,), BOOL, Ip.global_unicast),
    function("cidr", (STRING,), CIDR, parse_cidr),
    function("isCIDR", (STRING,), BOOL, _is_cidr),
    function("string", (CIDR,), STRING, Cidr.text),
    member("containsIP", (CIDR, IP), BOOL, Cidr.holds),
    member("containsIP", (CIDR, STRING), BOOL, lambda cidr, text: cidr.holds(parse_ip(text))),
    member("containsCIDR", (CIDR, CIDR), BOOL, Cidr.contains),
    member("containsCIDR", (CIDR, STRING), BOOL, lambda cidr, text: cidr.contains(parse_cidr(text))),
    member("ip", (CIDR,), IP, lambda cidr: cidr.ip),
    member("masked", (CIDR,), CIDR, Cidr.without_host_bits),
    member("prefixLength", (CIDR,), INT, lambda cidr: cidr.length),
)
