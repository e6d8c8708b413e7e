"""A shop's files as one DuckDB table or view of rows; lines that are no rows are set aside with their reason.

CSV and JSON columns arrive as text, so that a value that does not parse is one bad row and not a failed import; Parquet
columns have their types. Each row has `__rapport_id` (unique, in the order of the files), `__rapport_unit` (the export
that it is of), `__rapport_file` and `__rapport_row` (counted from 1): names that no shop's column has.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from features.faults import CallersMistake
from features.importing.files import Export, as_pattern
from features.importing.mapping import Read
from features.importing.recoding import RECODED, recoded
from features.lake import quoted

OWN_COLUMNS = ("__rapport_id", "__rapport_unit", "__rapport_file", "__rapport_row")
MALFORMED = "malformed"

_LONGEST_LINE = 32_000_000
_HOLDS_NOTHING = {
    "csv": "it is empty: a line with the columns' names is expected, then one line a row",
    "jsonl": "it holds no JSON object: one a line is expected",
}
_NO_CHARACTER = "\x01"
_REASONS = (
    "CASE error_type WHEN 'INVALID ENCODING' THEN 'invalid_encoding' WHEN 'MISSING COLUMNS' THEN 'too_few_columns' "
    "WHEN 'TOO MANY COLUMNS' THEN 'too_many_columns' ELSE 'malformed_line' END"
)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads exports into a connection.

    Attributes:
        connection: into which.
        read: how.
        folder: where a file is written anew whose encoding DuckDB does not read.
    """

    connection: duckdb.DuckDBPyConnection
    read: Read
    folder: Path

    def prepare(self) -> None:
        """Makes the table of lines that are no rows."""
        self.connection.execute(
            f"CREATE TABLE {MALFORMED} (__rapport_file VARCHAR, __rapport_row BIGINT, reason VARCHAR, detail VARCHAR, "
            "original VARCHAR)"
        )

    def rows(self, exports: Sequence[Export], *, name: str, progress: Callable[[float], None]) -> None:
        """Makes `name`: every row of the exports, OWN_COLUMNS included.

        Raises:
            CallersMistake: a file cannot be read as what it is said to be.
        """
        formats = {export.format for export in exports}
        if formats == {"parquet"}:
            self._parquet(exports, name=name)
            return
        if "parquet" in formats:
            raise CallersMistake(
                f"Asked to import {' and '.join(sorted(formats))} at once, but their columns have different types. "
                "Import them one format at a time."
            )
        files = [(unit, export, file) for unit, export in enumerate(exports) for file in export.files]
        is_first = True
        for done, (unit, export, path) in enumerate(files):
            progress(done / len(files))
            single = Export(export.path, (path,), export.format, export.is_folder)
            is_first = not self._text(single, name=name, unit=unit, is_first=is_first) and is_first
        if is_first:
            raise CallersMistake(f"Asked to import '{exports[0].path}', but {_HOLDS_NOTHING[exports[0].format]}.")

    def _parquet(self, exports: Sequence[Export], *, name: str) -> None:
        selects = []
        for unit, export in enumerate(exports):
            own = f"* EXCLUDE (file_row_number), file_row_number + 1 AS __rapport_row, {unit} AS __rapport_unit"
            hive = (
                "hive_partitioning = true, hive_types_autocast = false"
                if export.is_folder
                else "hive_partitioning = false"
            )
            options = f"union_by_name = true, filename = '__rapport_file', file_row_number = true, {hive}"
            scan = f"read_parquet({export.scan_list()}, {options})"
            selects.append(
                f"SELECT {own}, "
                f"({unit}::BIGINT << 52) + (__rapport_index << 36) + file_row_number AS __rapport_id FROM "
                f"(SELECT *, {_position(export)} AS __rapport_index FROM {scan})"
                if len(export.files) > 1
                else f"SELECT {own}, "
                f"({unit}::BIGINT << 52) + file_row_number AS __rapport_id, 0::BIGINT AS __rapport_index FROM {scan}"
            )
        query = " UNION ALL BY NAME ".join(f"({select})" for select in selects)
        try:
            self.connection.execute(f"CREATE VIEW {name} AS SELECT * EXCLUDE (__rapport_index) FROM ({query})")
            self.connection.execute(f"SELECT * FROM {name} LIMIT 1").fetchall()
        except duckdb.Error as error:
            raise _unreadable(exports[0], error) from error

    def _text(self, export: Export, *, name: str, unit: int, is_first: bool) -> bool:
        """Adds one file's rows; gives whether it has columns: a part without a line has none, and is passed over."""
        self._require_its_encoding(export)
        if export.format == "csv" and not _beginning(export).strip():
            return False
        path = self._readable(export)
        try:
            return self._added(export, path, name=name, unit=unit, is_first=is_first)
        finally:
            if path != export.files[0]:
                path.unlink()

    def _readable(self, export: Export) -> Path:
        """The file in an encoding that DuckDB reads."""
        path, encoding = export.files[0], self.read.encoding
        if encoding not in RECODED:
            return path
        return recoded(path, encoding=encoding, folder=self.folder, compression=_compression(path))

    def _added(self, export: Export, path: Path, *, name: str, unit: int, is_first: bool) -> bool:
        source = self._csv(path) if export.format == "csv" else self._json(export, path)
        if source is None:
            self._set_aside_no_objects(export)
            return False
        own = f"{quoted(export.files[0])} AS __rapport_file, {unit} AS __rapport_unit"
        try:
            self.connection.execute(f"CREATE OR REPLACE TABLE one_file AS SELECT *, {own} FROM {source}")
        except duckdb.Error as error:
            raise _unreadable(export, error) from error
        if export.format == "csv":
            self._set_aside_rejects(export)
        else:
            self._set_aside_no_objects(export)
        numbered = "SELECT *, rowid + 1 AS __rapport_row FROM one_file"
        if is_first:
            self.connection.execute(f"CREATE TABLE {name} AS SELECT *, rowid AS __rapport_id FROM one_file LIMIT 0")
            self.connection.execute(f"ALTER TABLE {name} ADD COLUMN __rapport_row BIGINT")
        known = {column.lower() for column in columns_of(self.connection, name)}
        for column in columns_of(self.connection, "one_file"):
            if column.lower() not in known:
                self.connection.execute(f"ALTER TABLE {name} ADD COLUMN {identifier(column)} VARCHAR")
        start = self._start(name)
        self.connection.execute(
            f"INSERT INTO {name} BY NAME SELECT *, __rapport_row - 1 + {start} AS __rapport_id FROM ({numbered})"
        )
        self.connection.execute("DROP TABLE one_file")
        return True

    def _require_its_encoding(self, export: Export) -> None:
        if self.read.encoding != "utf-8" or not _beginning(export).startswith((b"\xff\xfe", b"\xfe\xff")):
            return
        raise CallersMistake(
            f"Asked to import '{export.path}' as UTF-8, but it begins as UTF-16 does. Say 'read: {{encoding: utf-16}}' "
            "in the mapping, or save it as UTF-8."
        )

    def _start(self, name: str) -> int:
        row = self.connection.execute(f"SELECT coalesce(max(__rapport_id), -1) + 1 FROM {name}").fetchone()
        return int(row[0]) if row else 0

    @property
    def _encoding(self) -> str:
        return "utf-8" if self.read.encoding in RECODED else self.read.encoding

    def _csv(self, path: Path) -> str:
        nulls = ", ".join(quoted(text) for text in self.read.null_values)
        options = {
            "all_varchar": "true",
            "header": str(self.read.header).lower(),
            "skip": "0",
            "nullstr": f"[{nulls}]",
            "store_rejects": "true",
            "rejects_limit": "0",
            "max_line_size": str(_LONGEST_LINE),
            "hive_partitioning": "false",
            "encoding": quoted(self._encoding),
        }
        for option, given in (("delim", self.read.delimiter), ("quote", self.read.quote), ("escape", self.read.escape)):
            if given is not None:
                options[option] = quoted(given)
        if self.read.columns:
            options["names"] = "[" + ", ".join(quoted(column) for column in self.read.columns) + "]"
        said = ", ".join(f"{option} = {value}" for option, value in options.items())
        return f"read_csv({quoted(as_pattern(path))}, {said})"

    def _set_aside_rejects(self, export: Export) -> None:
        self.connection.execute(
            f"INSERT INTO {MALFORMED} SELECT {quoted(export.files[0])}, line, min({_REASONS}), min(error_message), "
            "min(csv_line) FROM reject_errors GROUP BY scan_id, file_id, line"
        )
        self.connection.execute("DROP TABLE reject_errors; DROP TABLE reject_scans")

    def _json(self, export: Export, path: Path) -> str | None:
        if _is_array(export):
            options = f"format = 'array', maximum_object_size = {_LONGEST_LINE}"
            lines = f"SELECT json::VARCHAR AS line FROM read_json_objects({quoted(as_pattern(path))}, {options})"
        else:
            lines = (
                f"SELECT line FROM read_csv({quoted(as_pattern(path))}, columns = {{'line': 'VARCHAR'}}, "
                f"delim = '{_NO_CHARACTER}', quote = '', escape = '', header = false, auto_detect = false, "
                f"store_rejects = true, rejects_limit = 0, max_line_size = {_LONGEST_LINE}, hive_partitioning = false, "
                f"encoding = {quoted(self._encoding)}) WHERE line IS NOT NULL AND trim(line) <> ''"
            )
        try:
            self.connection.execute(f"CREATE OR REPLACE TABLE json_lines AS {lines}")
        except duckdb.Error as error:
            raise _unreadable(export, error) from error
        if not _is_array(export):
            self._set_aside_rejects(export)
        is_object = "json_valid(line) AND json_type(CASE WHEN json_valid(line) THEN line END) = 'OBJECT'"
        self.connection.execute("ALTER TABLE json_lines ADD COLUMN is_object BOOLEAN")
        self.connection.execute(f"UPDATE json_lines SET is_object = coalesce({is_object}, false)")
        keys = [
            row[0]
            for row in self.connection.execute(
                "SELECT DISTINCT unnest(json_keys(line)) AS key FROM json_lines WHERE is_object ORDER BY key"
            ).fetchall()
        ]
        if not keys:
            return None
        shape = "{" + ", ".join(_json_text(key) + ': "VARCHAR"' for key in keys) + "}"
        return f"(SELECT unnest(json_transform(line, {quoted(shape)})) FROM json_lines WHERE is_object)"

    def _set_aside_no_objects(self, export: Export) -> None:
        self.connection.execute(
            f"INSERT INTO {MALFORMED} SELECT {quoted(export.files[0])}, rowid + 1, 'malformed_json', "
            "'A line is one JSON object.', line FROM json_lines WHERE NOT is_object"
        )
        self.connection.execute("DROP TABLE json_lines")


def columns_of(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    """Columns of a table, view or query, with their DuckDB types."""
    source = relation if relation.lstrip().upper().startswith("SELECT") else f"SELECT * FROM {relation}"
    return {row[0]: row[1] for row in connection.execute(f"DESCRIBE {source}").fetchall()}


def identifier(name: str) -> str:
    """A column's name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def _json_text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _is_array(export: Export) -> bool:
    return _beginning(export).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["


def _beginning(export: Export) -> bytes:
    path = export.files[0]
    try:
        with pa.input_stream(str(path), compression=_compression(path)) as file:
            return bytes(file.read(4096))
    except (OSError, EOFError) as error:
        raise CallersMistake(f"Asked to import '{export.path}', but it cannot be read: {error}.") from error


def _compression(path: Path) -> str | None:
    return {".gz": "gzip", ".zst": "zstd"}.get(path.suffix.lower())


def _unreadable(export: Export, error: duckdb.Error) -> CallersMistake:
    said = str(error).strip().splitlines()[0]
    if "is not latin-1 encoded" in said:
        return CallersMistake(
            f"Asked to import '{export.path}' as latin-1, but it has bytes that latin-1 does not. Excel and Windows "
            "write windows-1252: say 'read: {encoding: windows-1252}' in the mapping."
        )
    return CallersMistake(
        f"Asked to import '{export.path}' as {export.format}, but it cannot be read so: {said}. If it is something "
        "else, say so under 'read' in the mapping (format, delimiter, quote, encoding)."
    )


def _position(export: Export) -> str:
    """SQL of a row's file's place in its export: names as they are read, since patterns would not be found."""
    names = "[" + ", ".join(quoted(file) for file in export.files) + "]"
    lost = "error('a row comes from a file that was not asked for: ' || coalesce(__rapport_file, 'none'))"
    return f"coalesce(list_position({names}, __rapport_file)::BIGINT, CAST({lost} AS BIGINT))"


def number_of(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    """The one number that a query gives."""
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
