"""What an import did, in figures that add up."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Rows by what became of them, and events by what they were to the lake.

    Attributes:
        n_read: rows in the files, malformed lines included.
        n_rows: rows that the mapping saw: those read, or those that its query made of them; malformed lines included.
        n_used: rows that became events or part of one.
        n_left_out: rows that the mapping's conditions left out.
        quarantined: rows by the reason for which they are in `lake/quarantine/`.
        n_new: events that the lake did not have.
        n_unchanged: events that it had already, the same.
        n_corrected: events whose standing version was replaced by another.
        n_repeated: events whose key came more than once in this import; the last one counts.
        n_customers: distinct customers of these events.
        quarantine_file: where the quarantined rows are, if there are any.
        warnings: what in the mapping fits none of the rows.
    """

    n_read: int
    n_rows: int
    n_used: int
    n_left_out: int
    quarantined: dict[str, int] = field(default_factory=dict)
    n_new: int = 0
    n_unchanged: int = 0
    n_corrected: int = 0
    n_repeated: int = 0
    n_customers: int = 0
    events: dict[str, int] = field(default_factory=dict)
    quarantine_file: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def n_quarantined(self) -> int:
        """Rows in quarantine."""
        return sum(self.quarantined.values())

    @property
    def adds_up(self) -> bool:
        """Whether every row is accounted for exactly once."""
        return self.n_rows == self.n_used + self.n_left_out + self.n_quarantined

    def as_dict(self) -> dict[str, object]:
        """The figures as JSON-ready keys and values."""
        return asdict(self) | {"n_quarantined": self.n_quarantined}
