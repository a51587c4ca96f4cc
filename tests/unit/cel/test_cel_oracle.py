"""celpy, an independent engine, gives the same values for the language both have."""

from __future__ import annotations

import json

import celpy
import pytest
from cel_site import same, value_of

ENVIRONMENT = celpy.Environment()


@pytest.mark.parametrize(
    "text",
    [
        "1 + 2 * 3 - 4",
        "-7 / 2",
        "-7 % 2",
        '"a" + "b" + string(3u)',
        "[1, 2, 3].filter(x, x > 1).map(x, x * x)",
        '{"a": 1}["a"] == 1',
        'size("é") + size([1, 2]) + size({"a": 1})',
        '"web-01".startsWith("web") && "web-01".endsWith("01") && "web-01".contains("-")',
        "[1, 2].all(x, x > 0) && [1, 2].exists(x, x == 2)",
        "[1, 2, 3].exists_one(x, x > 2)",
        '1 in [1, 2] && "a" in {"a": 1}',
        'has({"a": 1}.a) ? "yes" : "no"',
        'duration("1h") > duration("59m")',
        'timestamp("2025-03-01T10:20:30Z").getFullYear()',
        'timestamp("2025-03-01T10:20:30Z") + duration("1h") == timestamp("2025-03-01T11:20:30Z")',
        'int("12") + int(2.9)',
        '"a1".matches("[a-z][0-9]")',
        "false && 1 / 0 > 0",
        "1 / 0 > 0 || true",
        '{"x": [1, "y", 2.5, null, true]}',
        '"""triple "quoted" text"""',
        r"r'raw\n' == '\x72aw\\n'",
    ],
)
def test_celpy_agrees(text: str) -> None:
    found = ENVIRONMENT.program(ENVIRONMENT.compile(text)).evaluate({})
    assert same(value_of(text), json.loads(json.dumps(found, cls=celpy.CELJSONEncoder)))
