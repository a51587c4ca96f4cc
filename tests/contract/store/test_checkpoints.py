"""What a chain alone does not prove, a signed checkpoint kept elsewhere does: that nobody wrote the whole log anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from kro_es.cli.history import app
from kro_es.errors import UserError
from kro_es.projections.registry import PROJECTIONS
from kro_es.store.checkpoint import checked, taken
from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from kro_es.store.migrate import migrate
from kro_es.store.prune import plan, prune
from tests.contract.store.support import ACTOR, NOW, seen
from tests.contract.store.test_prune import churn

_PEM = Encoding.PEM


def _key() -> tuple[bytes, bytes]:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(_PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, key.public_key().public_bytes(_PEM, PublicFormat.SubjectPublicKeyInfo)


def _log(engine: Engine) -> EventLog:
    migrate(engine)
    log = EventLog(engine, PROJECTIONS, cluster="cluster-1")
    log.issue_fence()
    return log


def _history(url: str, *words: str) -> Result:
    return CliRunner().invoke(app, ["--database", url, *words])


def test_a_log_that_goes_on_still_holds_what_was_signed(engine: Engine, url: str, tmp_path: Path) -> None:
    private, public = _key()
    (tmp_path / "private.pem").write_bytes(private)
    (tmp_path / "public.pem").write_bytes(public)
    log = _log(engine)
    log.append([churn(version, version) for version in range(1, 11)], now=NOW)
    paths = ["--checkpoint-key", str(tmp_path / "public.pem"), "--checkpoint", str(tmp_path / "head.json")]
    made = _history(url, "checkpoint", "--key", str(tmp_path / "private.pem"), "--out", str(tmp_path / "head.json"))
    assert made.exit_code == 0, made.output
    log.append([churn(11, 11)], now=NOW + 1)
    prune(engine, plan(engine, NOW + 1), actor=ACTOR, now=NOW)
    good = _history(url, "verify", *paths)
    assert good.exit_code == 0
    assert "the log up to 10 is the one that was signed" in good.output


def test_a_log_written_anew_is_whole_and_still_found_out(engine: Engine, url: str, tmp_path: Path) -> None:
    private, public = _key()
    (tmp_path / "public.pem").write_bytes(public)
    _log(engine).append([seen("a", 1, x="true")], now=NOW)
    (tmp_path / "head.json").write_bytes(taken(engine, private, NOW))
    other = f"sqlite:///{tmp_path}/forged.db"
    forged = open_engine(other)
    _log(forged).append([seen("a", 1, x="false")], now=NOW)
    forged.dispose()
    assert _history(other, "verify").exit_code == 0
    paths = ["--checkpoint-key", str(tmp_path / "public.pem"), "--checkpoint", str(tmp_path / "head.json")]
    found = _history(other, "verify", *paths)
    assert found.exit_code == 2
    assert "is not the one the checkpoint was taken of" in found.output


def test_a_changed_checkpoint_or_another_key_is_refused(engine: Engine) -> None:
    private, public = _key()
    _log(engine).append([seen("a", 1)], now=NOW)
    document = taken(engine, private, NOW)
    assert checked(engine, document, public)[1] == []
    assert checked(engine, document, private)[1] == []
    with pytest.raises(UserError, match="not signed with this key"):
        checked(engine, document, _key()[1])
    with pytest.raises(UserError, match="not signed with this key"):
        checked(engine, document.replace(b'"position":1', b'"position":2'), public)
    for bad in (b"", b"{}", b"[]", document.replace(b"checkpoint 1", b"checkpoint 2")):
        with pytest.raises(UserError, match="no checkpoint"):
            checked(engine, bad, public)


def test_a_key_of_another_kind_is_refused(engine: Engine) -> None:
    _log(engine)
    other = X25519PrivateKey.generate().private_bytes(_PEM, PrivateFormat.PKCS8, NoEncryption())
    for bad, text in ((other, "Ed25519"), (b"nonsense", "PEM")):
        with pytest.raises(UserError, match=text):
            taken(engine, bad, NOW)
