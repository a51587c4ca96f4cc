"""A dyn value is looked at when it is used: what the checker let pass is still never taken for something else."""

from __future__ import annotations

import pytest
from cel_site import on_site

from kro_es.cel.errors import EvaluationError


@pytest.mark.parametrize(
    "text",
    [
        "dyn(1) + dyn(1.0)",
        "([1] + dyn([1.5]))[1] + 1",
        '([1] + dyn(["a"])).map(x, x + 1)',
        '(schema.spec.tags + dyn([1])).map(t, t + "x")',
        '(schema.spec.tags + dyn([1])).map(t, t.startsWith("a"))',
        "(schema.spec.ports + dyn([1])).map(p, p.name)",
        "optional.of(dyn('a')).or(optional.of(1)).value() + 1",
        "(true ? dyn('a') : 1) + 1",
        "[dyn('a'), 1].map(x, -x)",
        '{"a": dyn("b"), "c": 1}.a + 1',
        "cel.bind(x, dyn('a'), x < 1)",
        "!dyn(1)",
        "dyn(1) ? 1 : 2",
        "dyn(1) && true",
        "[1].filter(x, dyn(x))",
        "dyn(3).size()",
        'dyn("a").map(x, x)',
        "dyn([1]).contains('a')",
    ],
)
def test_a_value_of_another_type_has_no_overload(text: str) -> None:
    with pytest.raises(EvaluationError, match="no such overload"):
        on_site(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("dyn(schema.spec.replicas) + 1", 4),
        ("dyn(1) < 2.5", True),
        ("dyn(1) == 1u", True),
        ("([1] + dyn([2]))[1] + 1", 3),
        ('(schema.spec.ports + dyn([{"name": "x"}])).map(p, p.name)', ["http", "x"]),
        ("dyn(dep.metadata).creationTimestamp.getFullYear()", 2025),
        ("dyn(sec).data.p == b'p@ss'", True),
        ("[dep.metadata, 1][0].creationTimestamp.getFullYear()", 2025),
        ("(true ? dep.metadata : dyn(1)).creationTimestamp.getFullYear()", 2025),
        ("dyn([dep.metadata])[0].creationTimestamp.getFullYear()", 2025),
        ("dyn(pods)[0].status.podIP", "10.0.0.5"),
        ("dyn(schema.spec.labels).app", "web"),
        ("dyn(schema.spec.tags).map(t, t + '!')", ["a!", "b!"]),
        ("optional.of(dyn({'a': 1})).a.value() + 1", 2),
        ("dyn(optional.of(2)).orValue(1)", 2),
        ("{'a': [1, 'x']}.a[0] + 1", 2),
    ],
)
def test_a_value_of_the_right_type_is_used(text: str, value: object) -> None:
    assert on_site(text) == value
