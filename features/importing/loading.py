"""From staged events to the lake: customers get keys, events are compared with what is there, and written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from features.database import connect
from features.identity import IdentityTable, Kind
from features.importing.reading import number_of
from features.importing.report import ImportReport
from features.lake import instant_us, quoted
from features.lake_writer import LakeWriter, limited_connection
from features.merges import survivors

_KINDS: tuple[Kind, ...] = ("user", "anonymous")
_CONTENT = (
    "hash({customer}, event, occurred_at, order_id, total, currency, products, trait, answer, channel, campaign, "
    "source, conversation_id, step, action_id, arm, action_probability, outcome, value, window_days, properties)"
)
_OURS = _CONTENT.format(customer="customer_key")
_THEIRS = _CONTENT.format(customer="coalesce(survivor, customer_key)")  # who was joined since is still the same person


@dataclass(frozen=True, slots=True)
class Loading:
    """From staged events to the lake."""

    connection: duckdb.DuckDBPyConnection
    database: Path
    writer: LakeWriter
    now: datetime
    progress: Callable[[str, float], None]

    def load(self, report: ImportReport) -> ImportReport:
        """Commits what is staged; the report with its events counted."""
        self.progress("customers", 0.0)
        self._give_keys()
        self.progress("comparing", 0.0)
        n_repeated = self._choose_last()
        counts = self._compare()
        self.progress("writing", 0.0)
        self._write(n_corrected=counts.get("corrected", 0))
        by_event = self.connection.execute(
            "SELECT event, count(*) FROM chosen GROUP BY event ORDER BY 2 DESC, 1"
        ).fetchall()
        n_customers = number_of(self.connection, "SELECT count(DISTINCT customer_key) FROM chosen")
        self.writer.commit(progress=lambda share: self.progress("writing", share))
        return replace(
            report,
            n_new=counts.get("new", 0),
            n_unchanged=counts.get("unchanged", 0),
            n_corrected=counts.get("corrected", 0),
            n_repeated=n_repeated,
            n_customers=n_customers,
            events=dict(by_event),
        )

    def _give_keys(self) -> None:
        """Keys in the order in which customers were first seen, so that the same import gives the same keys."""
        seen = self.connection.execute(
            "SELECT customer_id, kind, epoch_us(min(occurred_at)) FROM staged GROUP BY ALL ORDER BY 3, 1"
        ).fetchall()
        database = connect(self.database)
        try:
            identity = IdentityTable(database)
            for kind in _KINDS:
                first_seen_at = {row[0]: row[2] for row in seen if row[1] == kind}
                identity.keys_for(first_seen_at, kind, first_seen_at=first_seen_at)
            known = identity.as_arrow()
        finally:
            database.close()
        self.connection.register("known_arrow", known)
        self.connection.execute("CREATE TABLE known AS SELECT customer_id, kind, customer_key FROM known_arrow")
        self.connection.unregister("known_arrow")

    def _choose_last(self) -> int:
        """Makes the view `chosen`: each event once, the last of those that share an id; gives how many were not."""
        keyed = "SELECT staged.*, known.customer_key FROM staged JOIN known USING (kind, customer_id)"
        # Numbers first: to group tens of millions of ids themselves takes gigabytes, and most imports repeat none.
        suspected = "SELECT hash(event_id) AS id_hash FROM staged GROUP BY id_hash HAVING count(*) > 1"
        self.connection.execute(f"CREATE TABLE suspected AS {suspected}")
        if number_of(self.connection, "SELECT count(*) FROM suspected") == 0:
            self.connection.execute(f"CREATE VIEW chosen AS {keyed}")
            return 0
        self.connection.execute(
            "CREATE TABLE repeated AS SELECT event_id, max(__rapport_id) AS last_id FROM staged "
            "WHERE hash(event_id) IN (SELECT id_hash FROM suspected) GROUP BY event_id HAVING count(*) > 1"
        )
        once = (
            f"SELECT keyed.* FROM ({keyed}) AS keyed LEFT JOIN repeated USING (event_id) "
            "WHERE last_id IS NULL OR last_id = __rapport_id "
            "QUALIFY last_id IS NULL OR row_number() OVER (PARTITION BY event_id ORDER BY record) = 1"
        )
        self.connection.execute(f"CREATE TABLE chosen AS {once}")
        return number_of(self.connection, "SELECT (SELECT count(*) FROM staged) - (SELECT count(*) FROM chosen)")

    def _compare(self) -> dict[str, int]:
        """Makes the table `verdicts` of events that the lake knows; gives counts of new, unchanged and corrected."""
        n_chosen = number_of(self.connection, "SELECT count(*) FROM chosen")
        if not self.writer.lake.n_events():
            self.connection.execute(
                "CREATE TABLE verdicts (event_id VARCHAR, is_unchanged BOOLEAN, received_at TIMESTAMP)"
            )
            return {"new": n_chosen}
        ours, verdicts = (quoted(self.writer.staging / name) for name in ("ours.parquet", "verdicts.parquet"))
        self.connection.execute(
            f"COPY (SELECT event_id, {_OURS} AS content FROM chosen) TO {ours} (FORMAT parquet, COMPRESSION snappy)"
        )
        with limited_connection(None, spill=self.writer.staging / "spill") as connection:
            self.writer.lake.register_versions(connection, name="versions")
            connection.register("joined", self._survivors())
            connection.execute(
                f"COPY (SELECT event_id, {_THEIRS} = ours.content AS is_unchanged, received_at FROM versions "
                f"JOIN read_parquet({ours}) AS ours USING (event_id) "
                "LEFT JOIN joined ON from_key = customer_key WHERE superseded_at IS NULL) "
                f"TO {verdicts} (FORMAT parquet)"
            )
        self.connection.execute(f"CREATE TABLE verdicts AS SELECT * FROM read_parquet({verdicts})")
        row = self.connection.execute(
            "SELECT count(*) FILTER (WHERE is_unchanged), count(*) FILTER (WHERE NOT is_unchanged) FROM verdicts"
        ).fetchone()
        unchanged, corrected = row or (0, 0)
        return {"new": n_chosen - unchanged - corrected, "unchanged": unchanged, "corrected": corrected}

    def _survivors(self) -> pa.Table:
        """Every key that was joined into another, and the key under which that person goes on."""
        database = connect(self.database)
        try:
            found = survivors(IdentityTable(database).merges())
        finally:
            database.close()
        columns = [pa.array(list(keys), pa.int64()) for keys in (found.keys(), found.values())]
        return pa.table(columns, names=["from_key", "survivor"])

    def _write(self, *, n_corrected: int) -> None:
        new = "SELECT * FROM chosen WHERE event_id NOT IN (SELECT event_id FROM verdicts)"
        if number_of(self.connection, "SELECT count(*) FROM verdicts") == 0:
            new = "SELECT * FROM chosen"
        if number_of(self.connection, f"SELECT count(*) FROM (SELECT 1 FROM ({new}) LIMIT 1)"):
            self.writer.write_query(self.connection, new)
        if not n_corrected:
            return
        # A new version became known when the mapping says it was received, if that can be; else now.
        can_be = "NOT backfilled AND chosen.received_at > verdicts.received_at"
        known_at = f"CASE WHEN {can_be} THEN chosen.received_at ELSE make_timestamp({instant_us(self.now)}) END"
        self.connection.execute(
            f"CREATE TABLE corrected AS SELECT event_id, {known_at} AS known_at FROM verdicts "
            "JOIN chosen USING (event_id) WHERE NOT is_unchanged"
        )
        self.writer.supersede(self.connection.execute("SELECT * FROM corrected").to_arrow_table())
        self.writer.write_query(
            self.connection,
            "SELECT chosen.* REPLACE (known_at AS received_at, false AS backfilled) FROM chosen "
            "JOIN corrected USING (event_id)",
        )
