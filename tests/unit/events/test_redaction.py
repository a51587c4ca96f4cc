"""Secret leaves become digests, everywhere they may be."""

from __future__ import annotations

from kro_es.events.redaction import MARK, SECRET_PATHS, Redactor, paths_of, scrub, secret_texts

REDACTOR = Redactor.of(b"a key of thirty-two bytes or more")
SECRET = {"kind": "Secret", "data": {"password": "cEBzcw=="}, "type": "Opaque"}


def test_equal_values_have_equal_digests_and_the_value_is_gone() -> None:
    once, twice = (REDACTOR.redact(SECRET, SECRET_PATHS) for _ in range(2))
    assert once == twice
    assert "cEBzcw==" not in str(once)
    assert once["type"] == "Opaque"


def test_a_changed_value_changes_the_digest() -> None:
    other = {**SECRET, "data": {"password": "b3RoZXI="}}
    assert REDACTOR.redact(SECRET, SECRET_PATHS) != REDACTOR.redact(other, SECRET_PATHS)


def test_who_has_not_the_key_cannot_try_values_out() -> None:
    other = Redactor.of(b"another key, as long as it has to be")
    assert other.leaf("hunter2")[MARK] != REDACTOR.leaf("hunter2")[MARK]
    assert other.key_id != REDACTOR.key_id


def test_redacting_twice_changes_nothing() -> None:
    once = REDACTOR.redact(SECRET, SECRET_PATHS)
    assert REDACTOR.redact(once, SECRET_PATHS) == once


def test_every_item_of_a_list_is_taken_for_the_tainted_one() -> None:
    obj = {"env": [{"value": "a"}, {"value": "b"}]}
    found = REDACTOR.redact(obj, [("env", 0, "value")])
    assert all(MARK in item["value"] for item in found["env"])


def test_the_copy_kubectl_keeps_is_redacted_too() -> None:
    obj = {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{secret}"}}}
    assert "{secret}" not in str(REDACTOR.redact(obj, paths_of("Secret", "")))
    assert paths_of("ConfigMap", "") == ()


def test_free_text_is_scrubbed_longest_first() -> None:
    texts = secret_texts({"data": {"a": "hunter2", "b": "hunter2-and-more", "c": "x"}}, SECRET_PATHS)
    assert scrub("tried hunter2-and-more, then hunter2, then x", texts) == "tried [redacted], then [redacted], then x"


def test_the_value_of_a_secret_is_scrubbed_as_it_is_stored_decoded_and_quoted() -> None:
    """An error may show any of them: of a Secret, of what it was put into, of a line of JSON."""
    obj = {"kind": "Secret", "data": {"password": 'cEBz"cw==', "token": "c2F5ICJoaSI="}}
    texts = secret_texts(obj, SECRET_PATHS)
    text = 'c2F5ICJoaSI= then say "hi" then say \\"hi\\" then cEBz\\"cw=='
    assert scrub(text, texts) == "[redacted] then [redacted] then [redacted] then [redacted]"
