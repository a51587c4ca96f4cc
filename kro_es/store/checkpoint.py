"""A signed word on where the log was, to be kept where whoever can change the log cannot reach."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from sqlalchemy import Engine

from kro_es.errors import UserError
from kro_es.store.sql import run

_FORM = "kro-es checkpoint 1"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The log of a cluster had this chain at this position."""

    cluster: str
    position: int
    chain: str
    """Hex."""
    at: int
    """When it was signed, microseconds since the epoch."""

    @property
    def signed_text(self) -> bytes:
        return orjson.dumps({"form": _FORM, **asdict(self)}, option=orjson.OPT_SORT_KEYS)


def taken(engine: Engine, key: bytes, now: int) -> bytes:
    """A checkpoint of the head as a document, signed with a private key (PEM, Ed25519); raises UserError."""
    with engine.connect() as connection:
        position, chain, cluster = run(connection, "SELECT position, chain, cluster FROM log_head").one()
    checkpoint = Checkpoint(cluster, position, bytes(chain).hex(), now)
    signature = _private(key).sign(checkpoint.signed_text).hex()
    document = {"form": _FORM, **asdict(checkpoint), "signature": signature}
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS) + b"\n"


def checked(engine: Engine, document: bytes, key: bytes) -> tuple[Checkpoint, list[str]]:
    """What the document says, and how the log differs from it; raises UserError for one the key did not sign.

    ``key`` is the public key (PEM), or the private one. The chain itself is verified elsewhere.
    """
    checkpoint, signature = _read(document)
    try:
        _public(key).verify(signature, checkpoint.signed_text)
    except InvalidSignature as error:
        raise UserError("the checkpoint was not signed with this key, or was changed since") from error
    with engine.connect() as connection:
        cluster = run(connection, "SELECT cluster FROM log_head").scalar_one()
        sql = "SELECT chain FROM commits WHERE last_position = ?"
        found = run(connection, sql, (checkpoint.position,)).scalar()
    faults = []
    if cluster != checkpoint.cluster:
        faults.append(f"the checkpoint is of cluster {checkpoint.cluster}, the log of {cluster}")
    if checkpoint.position and (found is None or bytes(found).hex() != checkpoint.chain):
        faults.append(
            f"the log is not the one the checkpoint was taken of: it differs at or before {checkpoint.position}"
        )
    return checkpoint, faults


def _read(document: bytes) -> tuple[Checkpoint, bytes]:
    try:
        found = orjson.loads(document)
        if found.pop("form") != _FORM:
            raise UserError("the file is no checkpoint of this form")
        signature = bytes.fromhex(found.pop("signature"))
        return Checkpoint(**found), signature
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise UserError("the file is no checkpoint") from error


def _private(key: bytes) -> Ed25519PrivateKey:
    try:
        found = load_pem_private_key(key, password=None)
    except (ValueError, TypeError) as error:
        raise UserError("the key is no private key in PEM without a password") from error
    if not isinstance(found, Ed25519PrivateKey):
        raise UserError("the key is no Ed25519 key: openssl genpkey -algorithm ed25519 makes one")
    return found


def _public(key: bytes) -> Ed25519PublicKey:
    if b"PRIVATE KEY" in key:
        return _private(key).public_key()
    try:
        found = load_pem_public_key(key)
    except ValueError as error:
        raise UserError("the key is no public key in PEM") from error
    if not isinstance(found, Ed25519PublicKey):
        raise UserError("the key is no Ed25519 key: openssl genpkey -algorithm ed25519 makes one")
    return found
