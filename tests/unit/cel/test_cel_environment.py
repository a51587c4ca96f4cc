"""The full environment is kro's and more; kro's own has nothing beyond; both say clearly what they lack."""

from __future__ import annotations

import pytest
from cel_site import value_of, variables

from kro_es.cel.checker import CheckedExpression, check
from kro_es.cel.declarations import FULL, KRO
from kro_es.cel.errors import CelCheckError
from kro_es.cel.parser import parse

BEYOND = [
    "math.greatest(1, 2, 3)",
    "math.abs(-1)",
    "sets.contains([1], [1])",
    'regex.replace("a", "a", "b")',
    'regex.extract("a1", "[0-9]")',
    "[1].includes(1)",
    'semver("v1", true)',
    'isSemver("v1", true)',
    "format.dns1123Label()",
    "1 < 2.0",
]


def checked(text: str) -> CheckedExpression:
    return check(parse(text), variables())


def test_the_full_environment_has_all_of_kros() -> None:
    assert all(set(overloads) <= set(FULL.functions[name]) for name, overloads in KRO.functions.items())


@pytest.mark.parametrize("text", BEYOND)
def test_what_kro_lacks_is_known_by_default_and_refused_by_its_environment(text: str) -> None:
    assert checked(text).beyond_kro
    with pytest.raises(CelCheckError):
        check(parse(text, KRO), variables())


@pytest.mark.parametrize(
    "text", ["schema.spec.tags.map(t, t + string(size(t)))", "1 < 2 && quantity('1') == quantity('1')"]
)
def test_nothing_is_beyond_kro_in_what_kro_takes(text: str) -> None:
    assert checked(text).beyond_kro == ()
    assert check(parse(text, KRO), variables()).result_type == checked(text).result_type


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('authorizer.path("/healthz").check("get").allowed()', "authorizer.path' is not supported: the authorizer"),
        ("proto.hasExt(schema, a.b)", "proto.hasExt' is not supported: there are no protobuf messages"),
    ],
)
def test_libraries_left_out_are_refused_with_their_reason(text: str, reason: str) -> None:
    with pytest.raises(CelCheckError, match=reason.replace(".", r"\.")):
        checked(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("schema.spec.replica", "did you mean 'replicas'?"),
        ("shema.spec", "did you mean 'schema'?"),
        ("schema.spec.name.startWith('a')", "did you mean 'startsWith'?"),
        ("base64.encoded(b'a')", ""),
        ("quantiti('1')", "did you mean 'quantity' or 'isQuantity'?"),
        ("schema.spec.zzz", ""),
        ("'a'.charAt()", "there is string.charAt(int) -> string"),
        ("base64.encode('a')", "there is base64.encode(bytes) -> string"),
        ("1 + 'a'", ""),
    ],
)
def test_the_nearest_names_are_shown(text: str, hint: str) -> None:
    with pytest.raises(CelCheckError) as caught:
        checked(text)
    first = caught.value.issues[0]
    assert first.hint.removeprefix(" | ") == hint
    assert str(caught.value).endswith(hint)


def test_names_of_types_are_values_that_variables_hide() -> None:
    assert value_of("type(1) == int && type(int) == type && type([]) == list && type(null) == null_type")
    assert value_of("type(timestamp(0)) == google.protobuf.Timestamp && type(duration('1s')) != string")
    assert value_of("[1].map(int, int + 1)") == [2]


def test_a_leading_dot_reaches_past_the_variables_of_macros() -> None:
    assert value_of("[1].map(schema, .schema.spec.name)", variables(), {"schema": {"spec": {"name": "web"}}}) == ["web"]
