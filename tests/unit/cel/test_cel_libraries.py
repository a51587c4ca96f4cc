"""The libraries of cel-go, Kubernetes and kro, where the reference vectors do not reach."""

from __future__ import annotations

from typing import Any

import pytest
from cel_site import same, value_of

from kro_es.cel.errors import BadRegex, EvaluationError, Overflow
from kro_es.cel.types import STRING


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # time zones
        ('timestamp("2025-07-01T12:00:00Z").getHours("Europe/Paris")', 14),
        ('timestamp("2025-01-01T12:00:00Z").getHours("Europe/Paris")', 13),
        ('timestamp("2024-12-31T23:30:00Z").getFullYear("Asia/Kolkata")', 2025),
        ('timestamp("2024-12-31T23:30:00Z").getMinutes("America/St_Johns")', 0),
        ('timestamp("1890-01-01T00:00:00Z").getMinutes("Europe/Paris")', 9),
        ('timestamp("2025-01-01T00:00:00Z").getDate("-05:30")', 31),
        # formatting
        ('"%s".format([[optional.of("a").value(), {1: b"x"}, duration("-1.5s")]])', "[a, {1: x}, -1.5s]"),
        ('"%x %X %o %b".format([-255, "é", 8u, -5])', "-ff C3A9 10 -101"),
        ('"%s".format([double("-0.0")])', "-0"),
        # quantities
        ('quantity("1.0").isInteger()', False),
        ('quantity("1000m") == quantity("1")', True),
        ('quantity("0.5").add(quantity("500m")).compareTo(quantity("1"))', 0),
        ('quantity("1E3").compareTo(quantity("1k"))', 0),
        ('quantity("1E").compareTo(quantity("1000P"))', 0),
        ('quantity("-1.5Gi").asApproximateFloat()', -1610612736.0),
        ('quantity("0.0000000001").asApproximateFloat()', 1e-9),
        ('quantity("16Ei").compareTo(quantity("9223372036854775807"))', 0),
        ('quantity("9223372036854775807").add(1).isInteger()', False),
        ('isQuantity("1e9999999999")', False),
        ('isQuantity("")', False),
        ('isQuantity(".")', True),
        # networks
        ('ip("2001:0DB8:0:0:0:0:0:1") == ip("2001:db8::1")', True),
        ('string(ip("1:0:0:2:0:0:0:3"))', "1:0:0:2::3"),
        ('cidr("10.1.2.3/16") == cidr("10.1.0.0/16")', False),
        ('cidr("0.0.0.0/0").containsIP("255.255.255.255")', True),
        ('isCIDR("10.0.0.0/08") || isCIDR("10.0.0.0") || isCIDR("10.0.0.0/33") || isCIDR("::1%eth0/64")', False),
        ('ip("255.255.255.255").isGlobalUnicast()', False),
        ('ip("ff12::1").isLinkLocalMulticast() && ip("febf::1").isLinkLocalUnicast()', True),
        # URLs
        ('url("HTTPS://user:pw@h.example/%7Ea?x=1&x=%zz&y=a+b").getScheme()', "https"),
        ('url("https://user:pw@h.example/%7Ea").getHost()', "h.example"),
        ('url("https://h/%7Ea").getEscapedPath()', "/%7Ea"),
        ('url("https://h/%7Ea/ü").getEscapedPath()', "/~a/%C3%BC"),
        ('url("https://h/?x=1&x=%zz&y=a+b&&=e").getQuery()', {"x": ["1"], "y": ["a b"], "": ["e"]}),
        ('url("mailto:a@b").getHost()', ""),
        ('isURL("https://h:80x/") || isURL(":x") || isURL("https://[::1/") || isURL("/%2")', False),
        ('isURL("https://h/ a") && isURL("*")', True),
        # versions
        ('semver("1.0.0-rc.2").isLessThan(semver("1.0.0-rc.10"))', True),
        ('semver("1.0.0-1").isLessThan(semver("1.0.0-a"))', True),
        ('semver("1.0.0+a") == semver("1.0.0+b")', True),
        ('semver("v01.2", true).compareTo(semver("1.2.0"))', 0),
        ('isSemver("1.2.3-") || isSemver("1.2.3+") || isSemver("1.2.3-01") || isSemver("1.2.3.4")', False),
        # mathematics and sets
        ("math.greatest([1, 3, 2]) + math.least(4, 2)", 5),
        ("math.round(-2.5) == -3.0 && math.round(0.49999999999999994) == 0.0 && math.trunc(-1.9) == -1.0", True),
        ("math.bitShiftRight(-1, 60)", 15),
        ("math.bitShiftLeft(1, 64)", 0),
        ("math.sqrt(2) > 1.41421 && math.isNaN(math.sqrt(-1.0))", True),
        ("sets.equivalent([1, 1, 2], [2, 1]) && !sets.intersects([1], [2]) && sets.contains([1, [2]], [[2]])", True),
        # regular expressions
        (r'regex.replace("2025-01-02", r"(\d+)-(\d+)", r"\2/\1")', "01/2025-02"),
        ('regex.replace("aaa", "a", "b", 2)', "bba"),
        ('regex.extract("v1.2", "v([0-9]+)").orValue("") + regex.extract("x", "[0-9]").orValue("none")', "1none"),
        ('regex.extractAll("a=1,b=2", "([a-z])=")', ["a", "b"]),
        # named forms
        ('format.named("dns1123Label").value().validate("Not-a-label").hasValue()', True),
        ('format.dns1123Label().validate("a-label").hasValue()', False),
        ('format.qualifiedName().validate("example.com/My_name").hasValue()', False),
        ('format.named("nope").hasValue()', False),
        ('format.date().validate("2025-02-30").hasValue() && format.uuid().validate("0").hasValue()', True),
        # JSON of protobuf
        ('json.encode({"t": timestamp("2025-01-02T03:04:05.5Z"), "d": duration("-1.5s")})',
         '{"d":"-1.500s","t":"2025-01-02T03:04:05.500Z"}'),
        ('json.encode([double("NaN"), double("-Infinity")])', '["NaN","-Infinity"]'),
    ],
)  # fmt: skip
def test_value(text: str, value: Any) -> None:
    assert same(value_of(text), value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('timestamp("2025-01-01T00:00:00Z").getHours("Mars/Olympus")', "unknown time zone Mars/Olympus"),
        ('timestamp("2025-01-01T00:00:00Z").getHours("../etc/passwd")', "unknown time zone"),
        ('timestamp("2025-01-01T00:00:00Z").getHours("25:00")', "invalid time zone offset 25:00"),
        ('quantity("1").add(quantity("x"))', "quantities must match the regular expression"),
        ('ip("fe80::1%eth0")', "with zone value is not allowed"),
        ('cidr("::ffff:1.2.3.4/24")', "IPv4-mapped IPv6 address"),
        ('url("https://h:80x/")', "URL parse error during conversion from string: .*invalid port"),
        ('semver("1.2")', "No Major.Minor.Patch elements found"),
        ("math.greatest([].map(x, 1))", "must not be empty"),
        ("math.bitShiftLeft(1, -1)", "negative offset"),
        ("math.abs(-9223372036854775807 - 1)", "integer overflow"),
        (r'regex.replace("a", "a", r"\1")', "references group 1"),
        ('"%s".format(dyn([quantity("1")]))', "can only be used on strings"),
    ],
)
def test_error(text: str, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        value_of(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('timestamp("0001-01-01T00:00:00Z").getHours("-03:30")', 20),
        ('timestamp("0001-01-01T00:00:00Z").getFullYear("-03:30")', 0),
        ('timestamp("0001-01-01T00:00:00Z").getDayOfYear("-03:30")', 365),
        ('timestamp("9999-12-31T23:59:59Z").getFullYear("+03:30")', 10_000),
        ('timestamp("9999-12-31T23:59:59Z").getDate("Asia/Kolkata")', 1),
    ],
)
def test_a_zone_may_show_a_year_no_timestamp_has(text: str, value: int) -> None:
    assert value_of(text) == value


def test_the_remainder_overflows_where_the_quotient_does() -> None:
    with pytest.raises(Overflow):
        value_of("-9223372036854775808 % -1")


@pytest.mark.parametrize("pattern", [r"a(?=b)", r"(?<!a)b", r"(a)\1", r"(?>a)", r"a\Z", r"a++", "[", "a{1001}"])
def test_patterns_re2_does_not_know_are_refused(pattern: str) -> None:
    with pytest.raises(BadRegex, match="error parsing regexp"):
        value_of("t.matches(p)", {"t": STRING, "p": STRING}, {"t": "ab", "p": pattern})


def test_a_pattern_that_backtracking_cannot_end_takes_linear_time() -> None:
    types = {"t": STRING, "p": STRING}
    for pattern in ("(a+)+$", "(a|a)*b", "(a*)*c"):
        assert value_of("t.matches(p)", types, {"t": "a" * 50_000 + "!", "p": pattern}) is False


def test_a_match_prefers_the_first_alternative_as_in_perl() -> None:
    assert value_of(r"'abc'.find('a|ab') + 'aXbX'.findAll('(?i)[a-z]x')[1]") == "abX"
