"""One measured figure: name, value, unit, and the ratio where it was compared in the same run."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    value: float
    unit: str
    ratio: float | None = None
    """Of ``against``, measured in the same run."""
    against: str = ""

    def __str__(self) -> str:
        compared = f"   {self.ratio:.2f} of {self.against}" if self.ratio is not None else ""
        return f"{self.name:32} {self.value:12.3f} {self.unit}{compared}"

    def as_json(self) -> dict[str, object]:
        return asdict(self)
