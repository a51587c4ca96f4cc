"""Random well-typed expressions: templates whose holes ``<type>`` are filled by expressions of that type."""

from __future__ import annotations

import re

from hypothesis import strategies as st

_VARIABLE = "VAR"
_TYPES = (
    "bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration", "ints", "strings", "counts", "dyn",
)  # fmt: skip

TEXTS = (
    "",
    "a",
    "b",
    "ab",
    "aba",
    "A b",
    " é ",
    "😀x",
    "1",
    "-7",
    "1.5",
    "true",
    "x,y,,z",
    "2025-03-01T10:20:30Z",
    "1h",
)
_PATTERNS = ("a", "^a+$", "[a-c]b?", "x|é", ".", "^$", "\\\\d+", "(a)(b)")
_TIMES = ("2025-03-01T10:20:30Z", "1969-12-31T23:59:59.5Z", "2024-02-29T00:00:00+02:00", "0001-01-01T00:00:00Z")
_DURATIONS = ("0s", "1h", "-90m", "1.5s", "1h2m3.004s", "100ms")
_ZONES = ("UTC", "-03:30", "America/New_York", "Asia/Kolkata")
_PARTS = (
    "getFullYear", "getMonth", "getDayOfMonth", "getDate", "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes",
    "getSeconds", "getMilliseconds",
)  # fmt: skip
_ORDERED = ("int", "uint", "double", "string", "bytes", "timestamp", "duration", "bool")


def _quoted(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f'"{text}"' for text in texts)


LEAVES: dict[str, tuple[str, ...]] = {
    "bool": ("true", "false", "b"),
    "int": ("0", "1", "2", "-1", "-7", "9223372036854775807", "-9223372036854775808", "4611686018427387904", "i", "j"),
    "uint": ("0u", "1u", "3u", "18446744073709551615u", "0xffu"),
    "double": ("0.0", "1.0", "-0.5", "2.5e3", "1e300", "1e-7", "9007199254740993.0", "x", "y"),
    "string": (*_quoted(TEXTS), "s", "t", "'\\u00e9\\n'", "r'\\d'"),
    "bytes": ("b''", "b'a'", "b'\\xff'", "b'é'", "o"),
    "timestamp": (*(f'timestamp("{text}")' for text in _TIMES), "timestamp(0)", "w"),
    "duration": (*(f'duration("{text}")' for text in _DURATIONS), "p"),
    "ints": ("[]", "[1]", "[3, 1, 2, 1]", "l"),
    "strings": ("[]", '["a"]', '["b", "a", "b"]', "k"),
    "counts": ("{}", '{"a": 1}', '{"a": 1, "b": -2}', "m"),
    "dyn": ("dyn(null)", "d", "e"),
}
NODES: dict[str, tuple[str, ...]] = {
    "bool": (
        *(f"(<{of}> {operator} <{of}>)" for of in _ORDERED for operator in ("<", "<=", ">", ">=")),
        *(f"(<{of}> {operator} <{of}>)" for of in _TYPES for operator in ("==", "!=")),
        *("!<bool>", "(<bool> && <bool>)", "(<bool> || <bool>)", "(<bool> && <bool> || <bool>)") * 4,
        *(f"<string>.{function}(<string>)" for function in ("contains", "startsWith", "endsWith")),
        *(f"<string>.matches('{pattern}')" for pattern in _PATTERNS),
        "(<int> in <ints>)", "(<string> in <strings>)", "(<string> in <counts>)", "(<dyn> in [<dyn>, <int>, <string>])",
        "has(<counts>.a)", "has(d.a)", "has({'a': <dyn>}.a)", "bool(<string>)", "bool(<bool>)",
        *(f"<ints>.{macro}(VAR:int, <bool>)" for macro in ("all", "exists", "exists_one")),
        *(f"<counts>.{macro}(VAR:string, <bool>)" for macro in ("all", "exists", "exists_one")),
        "m.?a.hasValue()", "<ints>[?<int>].hasValue()", "(<dyn> < <dyn>)",
    ),
    "int": (
        *(f"(<int> {operator} <int>)" for operator in "+-*/%" for _ in range(2)),
        "-(<int>)", "size(<string>)", "size(<bytes>)", "<ints>.size()", "size(<counts>)", "size(<strings>)",
        "int(<double>)", "int(<uint>)", "int(<string>)", "int(<timestamp>)", "int(<int>)",
        "<ints>[<int>]", "<ints>[0]", "<counts>[<string>]", "<counts>.a", "<counts>.?b.orValue(<int>)",
        "<ints>[?<int>].orValue(<int>)", "optional.of(<int>).value()", "optional.ofNonZeroValue(<int>).orValue(<int>)",
        "<string>.indexOf(<string>)", "<string>.lastIndexOf(<string>)", "<string>.indexOf(<string>, 0)",
        *(f"<timestamp>.{part}()" for part in _PARTS),
        *(f'<timestamp>.getHours("{zone}")' for zone in _ZONES), '<timestamp>.getDate("Asia/Kolkata")',
        *(f"<duration>.{part}()" for part in ("getHours", "getMinutes", "getSeconds")),
        "cel.bind(VAR:int, <int>, <int>)",
    ),
    "uint": (*(f"(<uint> {operator} <uint>)" for operator in "+-*/%"), "uint(<int>)", "uint(<double>)", "uint(<string>)"),
    "double": (*(f"(<double> {operator} <double>)" for operator in "+-*/"), "-(<double>)", "double(<int>)",
        "double(<uint>)", "double(<string>)"),
    "string": (
        *("(<string> + <string>)",) * 4, *(f"string(<{of}>)" for of in _TYPES[:8] if of in ("int", "uint", "string", "bytes")),
        "string(<bool>)", "<string>.charAt(<int>)", "<string>.substring(<int>)",
        "<string>.replace(<string>, <string>)", "<string>.replace(<string>, <string>, 1)", "<string>.lowerAscii()",
        "<string>.upperAscii()", "<string>.trim()", "<strings>.join()", "<strings>.join(<string>)", "<strings>[<int>]",
        "base64.encode(<bytes>)", "cel.bind(VAR:string, <string>, <string>)", "<string>.reverse()",
    ),
    "bytes": ("(<bytes> + <bytes>)", "bytes(<string>)", "bytes(<bytes>)", "base64.decode(base64.encode(<bytes>))"),
    "timestamp": ("(<timestamp> + <duration>)", "(<duration> + <timestamp>)", "(<timestamp> - <duration>)",
        "timestamp(string(<timestamp>))", "timestamp(<timestamp>)", "timestamp(size(<string>))"),
    "duration": ("(<duration> + <duration>)", "(<duration> - <duration>)", "(<timestamp> - <timestamp>)",
        "duration(<string>)", "duration(<duration>)"),
    "ints": (
        "[<int>, <int>]", "[<int>, ?m.?a]", "(<ints> + <ints>)", "<ints>.map(VAR:int, <int>)",
        "<ints>.filter(VAR:int, <bool>)", "<strings>.map(VAR:string, <int>)", "<ints>.map(VAR:int, <bool>, <int>)",
    ),
    "strings": (
        "[<string>, <string>]", "<string>.split(\",\")", "(\"z\" + <string>).split(<string>)", "<string>.split(\"a\", 2)",
        "<strings>.map(VAR:string, <string>)", "<strings>.filter(VAR:string, <bool>)", "(<strings> + <strings>)",
    ),
    "counts": ('{"a": <int>}', '{"b": <int>, "a": <int>}', "{<string>: <int>}", '{"a": <int>, ?"c": m.?c}'),
    "dyn": (*(f"dyn(<{of}>)" for of in _TYPES), "d.a", "d[0]", "dyn(<ints>)[<dyn>]"),
}  # fmt: skip
for _of in _TYPES:
    NODES[_of] = (*NODES[_of], *(f"(<bool> ? <{_of}> : <{_of}>)",) * 2)


@st.composite
def expressions(draw: st.DrawFn, depth: int = 4) -> str:
    """An expression of any type over the variables of :func:`inputs`."""
    return _filled(draw, f"<{draw(st.sampled_from(_TYPES))}>", depth, ())


def _filled(draw: st.DrawFn, template: str, depth: int, scope: tuple[tuple[str, str], ...]) -> str:
    """``template`` with its holes filled; a variable it binds is in scope in the holes right of it."""
    found, rest = "", template
    while match := re.search(rf"<(\w+)>|{_VARIABLE}:(\w+)", rest):
        found += rest[: match.start()]
        rest = rest[match.end() :]
        if match.group(2):
            name = f"v{len(scope)}"
            found, inner = found + name, (*scope, (name, match.group(2)))
            if not template.startswith("cel.bind"):
                scope = inner
                continue
            # the value of a binding does not see its name
            bound, rest = rest.split(",", 2)[1], rest.split(",", 2)[2]
            found += "," + _filled(draw, bound, depth, scope) + ","
            scope = inner
            continue
        found += _one(draw, match.group(1), depth, scope)
    return found + rest


def _one(draw: st.DrawFn, of: str, depth: int, scope: tuple[tuple[str, str], ...]) -> str:
    leaves = (*LEAVES[of], *(name for name, bound in scope if bound == of for _ in range(3)))
    if depth == 0 or draw(st.integers(0, 4)) == 0:
        return draw(st.sampled_from(leaves))
    return _filled(draw, draw(st.sampled_from(NODES[of])), depth - 1, scope)
