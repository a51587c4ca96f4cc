"""An apply is read as YAML by the API server: every text of an object arrives as it is, whatever YAML makes of its characters."""

from __future__ import annotations

import orjson
import pytest
import yaml

from kro_es.cluster.client import encoded

SPECIAL = [*range(0x7F, 0xA1), 0x2027, 0x2028, 0x2029, 0x202A, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF, 0x1F600]


@pytest.mark.parametrize("number", SPECIAL, ids=hex)
def test_a_text_is_the_same_to_json_and_to_yaml(number: int) -> None:
    odd = chr(number)
    body = {"data": {odd: f"{odd} a {odd}  b{odd}{odd} \n c", "list": [f" {odd} ", "\\u2028", '"']}}
    assert orjson.loads(encoded(body)) == body
    assert yaml.safe_load(encoded(body)) == body


def test_what_yaml_has_no_trouble_with_is_sent_as_it_is() -> None:
    body = {"data": {"a": 'ü "q" \\ \t 😀 \u2027'}}
    assert encoded(body) == orjson.dumps(body)
