"""Source text to tokens; every literal is decoded here, and nothing else is accepted as one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kro_es.cel.errors import CelSyntaxError
from kro_es.cel.source import Source
from kro_es.cel.values import INT_MAX, UINT_MAX, CelValue, Uint

OPERATORS = ("==", "!=", "<=", ">=", "&&", "||", *"<>+-*/%!?:.,()[]{}")
RESERVED = frozenset(
    {
        "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
        "namespace", "return", "var", "void", "while",
    }
)  # fmt: skip
"""Words that are no variables, though they may follow a dot."""
_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "?": "?", '"': '"', "'": "'", "`": "`",
}  # fmt: skip
_HEX_DIGITS = {"x": 2, "X": 2, "u": 4, "U": 8}
_HEX = frozenset("0123456789abcdefABCDEF")
_DIGITS = frozenset("0123456789")
_NAME_START = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_NAME = _NAME_START | _DIGITS
_QUOTED_NAME = _NAME | frozenset(".-/ ")


@dataclass(frozen=True, slots=True)
class Token:
    """``kind`` is the operator itself, or one of name, quoted, literal, int, end, invalid (the value is the error)."""

    kind: str
    offset: int
    text: str = ""
    value: CelValue = None


class Lexer:
    """Reads one source once, left to right."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._text = source.text
        self._at = 0

    def tokens(self) -> list[Token]:
        """Ends with the end of the text or with what is no token, which the parser may never come to."""
        found = []
        while True:
            self._skip_blank()
            start = self._at
            try:
                token = self._token()
            except CelSyntaxError as error:
                token = Token("invalid", start, value=error)
            found.append(token)
            if token.kind in ("end", "invalid"):
                return found

    def _peek(self, distance: int = 0) -> str:
        at = self._at + distance
        return self._text[at] if at < len(self._text) else ""

    def _skip_blank(self) -> None:
        while True:
            while self._peek() and self._peek() in " \t\r\n\f":
                self._at += 1
            if not self._text.startswith("//", self._at):
                return
            end = self._text.find("\n", self._at)
            self._at = end if end >= 0 else len(self._text)

    def _token(self) -> Token:
        start, char = self._at, self._peek()
        if not char:
            return Token("end", start)
        prefix = self._string_prefix()
        if prefix is not None:
            return self._string(prefix)
        if char in _NAME_START:
            return Token("name", start, self._run(_NAME))
        if char in _DIGITS or (char == "." and self._peek(1) in _DIGITS and self._peek(1) != ""):
            return self._number()
        if char == "`":
            return self._quoted_name()
        for operator in OPERATORS:
            if self._text.startswith(operator, start):
                self._at += len(operator)
                return Token(operator, start, operator)
        raise self._source.syntax_error(start, f"Syntax error: token recognition error at: '{char}'")

    def _run(self, allowed: frozenset[str]) -> str:
        start = self._at
        while self._peek() and self._peek() in allowed:
            self._at += 1
        return self._text[start : self._at]

    def _quoted_name(self) -> Token:
        start = self._at
        self._at += 1
        name = self._run(_QUOTED_NAME)
        if not name or self._peek() != "`":
            seen = self._text[start : self._at + 1]
            raise self._source.syntax_error(start, f"Syntax error: token recognition error at: '{seen}'")
        self._at += 1
        return Token("quoted", start, name)

    def _number(self) -> Token:
        start = self._at
        if self._peek() == "0" and self._peek(1) in ("x", "X"):
            self._at += 2
            return self._integer(start, self._run(_HEX), 16)
        digits = self._run(_DIGITS)
        fraction = exponent = ""
        if self._peek() == "." and self._peek(1) in _DIGITS and self._peek(1):
            self._at += 1
            fraction = "." + self._run(_DIGITS)
        if self._peek() in ("e", "E"):
            exponent = self._exponent()
        if fraction or exponent:
            value = float(digits + fraction + exponent)
            if value == math.inf:
                raise self._source.syntax_error(start, "invalid double literal")
            return Token("literal", start, value=value)
        return self._integer(start, digits, 10)

    def _exponent(self) -> str:
        sign = self._peek(1) if self._peek(1) in ("+", "-") else ""
        after = self._peek(1 + len(sign))
        if not after or after not in _DIGITS:
            return ""
        self._at += 1 + len(sign)
        return "e" + sign + self._run(_DIGITS)

    def _integer(self, start: int, digits: str, base: int) -> Token:
        if not digits:
            raise self._source.syntax_error(start, "Syntax error: invalid number")
        # Python limits the digits int() takes; no 64-bit number has that many
        value = int(digits, base) if len(digits.lstrip("0")) <= 20 else UINT_MAX + 1
        if self._peek() in ("u", "U"):
            self._at += 1
            if value > UINT_MAX:
                raise self._source.syntax_error(start, "invalid uint literal")
            return Token("literal", start, value=Uint(value))
        if value > INT_MAX + 1:
            raise self._source.syntax_error(start, "invalid int literal")
        return Token("int", start, value=value)

    def _string_prefix(self) -> str | None:
        for length in range(3):
            prefix = self._text[self._at : self._at + length]
            if self._peek(length) in ("'", '"') and prefix.lower() in ("", "r", "b", "br"):
                return prefix.lower()
        return None

    def _string(self, prefix: str) -> Token:
        start = self._at
        self._at += len(prefix)
        quote = self._peek() * 3 if self._text.startswith(self._peek() * 3, self._at) else self._peek()
        self._at += len(quote)
        chunks: list[str | bytes] = []
        while not self._text.startswith(quote, self._at):
            char = self._peek()
            if not char or (len(quote) == 1 and char in "\n\r"):
                raise self._source.syntax_error(start, f"Syntax error: token recognition error at: '{quote}'")
            self._at += 1
            chunks.append(self._escape("b" in prefix) if char == "\\" and "r" not in prefix else char)
        self._at += len(quote)
        if "b" in prefix:
            octets = b"".join(part if isinstance(part, bytes) else part.encode() for part in chunks)
            return Token("literal", start, value=octets)
        return Token("literal", start, value="".join(part for part in chunks if isinstance(part, str)))

    def _escape(self, in_bytes: bool) -> str | bytes:
        start, char = self._at - 1, self._peek()
        self._at += 1
        if char in _ESCAPES:
            return _ESCAPES[char]
        if char in _HEX_DIGITS and not (in_bytes and char in "uU"):
            return self._code(start, self._take(_HEX_DIGITS[char]), 16, in_bytes)
        if char and char in "0123":
            return self._code(start, char + self._take(2), 8, in_bytes)
        raise self._source.syntax_error(start, "Syntax error: invalid escape sequence")

    def _take(self, count: int) -> str:
        taken = self._text[self._at : self._at + count]
        self._at += count
        return taken if len(taken) == count else ""

    def _code(self, start: int, digits: str, base: int, in_bytes: bool) -> str | bytes:
        allowed = _HEX if base == 16 else frozenset("01234567")
        code = int(digits, base) if digits and set(digits) <= allowed else -1
        if in_bytes and 0 <= code <= 255:
            return bytes([code])
        if not in_bytes and (0 <= code < 0xD800 or 0xDFFF < code <= 0x10FFFF):
            return chr(code)
        raise self._source.syntax_error(start, "Syntax error: invalid escape sequence")
