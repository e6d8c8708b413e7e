"""The rows that events are made of: files as read, then query, names, types, second files, constants and CEL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb

from features.faults import CallersMistake, Fault, closest_name
from features.importing.files import Export, find_exports
from features.importing.mapping import SQL_OF_TYPE, ColumnType, Mapping, Table, TimeSpec
from features.importing.mapping_file import MappingFile, values_of
from features.importing.reading import OWN_COLUMNS, Reader, columns_of, identifier
from features.importing.values import Columns, literal
from features.lake import quoted

_OWN = ", ".join(OWN_COLUMNS)
_INTEGERS = ("BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UBIGINT", "UINTEGER", "USMALLINT", "UTINYINT")
# Casts that lose nothing that matters and cannot fail: no need to look at each row.
_EXACT = {(kind, "DOUBLE") for kind in (*_INTEGERS, "FLOAT")} | {(kind, "VARCHAR") for kind in _INTEGERS}
_EXACT |= {(kind, "TIMESTAMP") for kind in ("TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S")}


def table_exports(mapping: Mapping, *, given: dict[str, Path], near: Sequence[Path]) -> dict[str, list[Export]]:
    """The second files: as given, else by their path, beside the imported file or beside the mapping.

    Raises:
        CallersMistake: a table's file is nowhere, or one was given for a table that the mapping has not.
    """
    for name in given.keys() - mapping.tables.keys():
        raise CallersMistake(
            f"Asked to use '{given[name]}' as table '{name}', but the mapping's tables are "
            f"{', '.join(mapping.tables) or 'none'}."
        )
    found = {}
    for name, table in mapping.tables.items():
        places = [given[name]] if name in given else [folder / table.file for folder in near]
        path = next((place for place in places if place.exists()), None)
        if path is None:
            raise CallersMistake(
                f"Asked to import with the table '{name}', but '{table.file}' is neither beside the imported file nor "
                f"beside the mapping. Name it: --table {name}=PATH."
            )
        found[name] = find_exports([path], table.read)
    return found


class Rows:
    """Builds, step by step, the view `input`: one row of everything that the mapping's values can name."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, mapped: MappingFile, *, folder: Path) -> None:
        self._folder = folder  # for files that have to be written anew
        self._connection = connection
        self._mapped = mapped
        self._mapping = mapped.mapping
        self.n_read = 0
        self.n_malformed = 0
        self.n_source = 0
        self.source_columns: list[str] = []

    def read(
        self, exports: Sequence[Export], tables: dict[str, list[Export]], *, progress: Callable[[float], None]
    ) -> None:
        """Reads the files and the second files, into `source` and one table each."""
        for name, table in self._mapping.tables.items():
            reader = Reader(self._connection, table.read, self._folder)
            reader.prepare()
            reader.rows(tables[name], name=f"{name}_rows", progress=lambda share: None)
            self._refuse_malformed_table(name)
            self._typed(name, f"SELECT * EXCLUDE ({_OWN}) FROM {name}_rows", table.types, ("tables", name))
        reader = Reader(self._connection, self._mapping.read, self._folder)
        reader.prepare()
        reader.rows(exports, name="file_rows", progress=progress)
        self.n_read = self._count("file_rows") + self._count("malformed")
        self._rename()
        if self._mapping.query is None:
            self._connection.execute("CREATE VIEW source AS SELECT * FROM file_rows")
            self._connection.execute("CREATE VIEW typed AS SELECT * FROM typed_file")
        else:
            self._set_aside_untyped()
            self._make(self._mapping.query)
        self.n_malformed = self._count("malformed")
        self.n_source = self._count("source")
        self.source_columns = [name for name in columns_of(self._connection, "source") if name not in OWN_COLUMNS]

    def source_identifiers(self) -> list[tuple[str, str]]:
        """The source's columns: each name, and as SQL."""
        return [(name, identifier(name)) for name in self.source_columns]

    def shape(self) -> Columns:
        """Makes `input` from `source`; gives its columns.

        Raises:
            InvalidFile: the mapping names columns that are not there, or SQL that does not fit them.
        """
        self._join(
            [name for name in columns_of(self._connection, "typed") if name not in (*OWN_COLUMNS, "__rapport_bad")]
        )
        self._add_constants()
        columns = columns_of(self._connection, "joined")
        self._connection.execute("CREATE VIEW plain_input AS SELECT * FROM joined")
        self._check_columns(columns)
        cel = self._cel(columns)
        return Columns(columns, cel)

    def _rename(self) -> None:
        there = [name for name in columns_of(self._connection, "file_rows") if name not in OWN_COLUMNS]
        missing = [
            self._mapped.file.fault(
                ("rename", old), f"'{old}' is no column.", self._rule(there), closest_name(old, there)
            )
            for old in self._mapping.rename
            if old not in there
        ]
        if missing:
            raise self._mapped.invalid(missing)
        renames = ", ".join(f"{identifier(old)} AS {identifier(new)}" for old, new in self._mapping.rename.items())
        renamed = f"SELECT * RENAME ({renames}) FROM file_rows" if renames else "SELECT * FROM file_rows"
        self._typed("typed_file", renamed, self._mapping.types, ())

    def _set_aside_untyped(self) -> None:
        """A query sees only rows that have their types; the others are as good as malformed."""
        kept = [name for name in columns_of(self._connection, "file_rows") if name not in OWN_COLUMNS]
        fields = ", ".join(f"{quoted(name)}, file_rows.{identifier(name)}" for name in kept)
        self._connection.execute(
            "INSERT INTO malformed SELECT file_rows.__rapport_file, file_rows.__rapport_row, __rapport_bad, NULL, "
            f"CAST(json_object({fields}) AS VARCHAR) FROM typed_file "
            "JOIN file_rows USING (__rapport_id) WHERE __rapport_bad IS NOT NULL"
        )

    def _make(self, query: str) -> None:
        self._connection.execute(
            f"CREATE VIEW file AS SELECT * EXCLUDE ({_OWN}, __rapport_bad) FROM typed_file WHERE __rapport_bad IS NULL"
        )
        try:
            self._connection.execute(f"CREATE TABLE made AS {query.strip().rstrip(';')}")
        except duckdb.Error as error:
            raise self._mapped.invalid([self._sql_fault(("query",), error)]) from error
        own = "rowid AS __rapport_id, 0 AS __rapport_unit, NULL::VARCHAR AS __rapport_file, rowid + 1 AS __rapport_row"
        self._connection.execute(f"CREATE VIEW source AS SELECT *, {own} FROM made")
        self._connection.execute("CREATE VIEW typed AS SELECT *, NULL::VARCHAR AS __rapport_bad FROM source")

    def _typed(self, name: str, query: str, types: dict[str, ColumnType], at: tuple[str, ...]) -> None:
        """Makes a view with columns of the types said; what does not parse is null, and named in `__rapport_bad`."""
        found = columns_of(self._connection, query)
        columns = list(found)
        faults = [
            self._mapped.file.fault(
                (*at, "types", column), f"'{column}' is no column.", self._rule(columns), closest_name(column, columns)
            )
            for column in types
            if column not in columns
        ]
        if faults:
            raise self._mapped.invalid(faults)
        casts, bad = [], []
        for column, kind in types.items():
            wanted = SQL_OF_TYPE[kind]
            if found[column] == wanted:
                continue
            if (found[column], wanted) in _EXACT:
                casts.append(f"CAST({identifier(column)} AS {wanted}) AS {identifier(column)}")
                continue
            text = f"nullif(trim(CAST({identifier(column)} AS VARCHAR)), '')"
            cast = f"TRY_CAST({text} AS {wanted})"
            casts.append(f"{cast} AS {identifier(column)}")
            bad.append(f"WHEN {text} IS NOT NULL AND {cast} IS NULL THEN {quoted('unparsable_' + column)}")
        replace = f" REPLACE ({', '.join(casts)})" if casts else ""
        reason = f"CASE {' '.join(bad)} END" if bad else "NULL::VARCHAR"
        own = f", {reason} AS __rapport_bad" if not at else ""
        self._connection.execute(f"CREATE VIEW {name} AS SELECT *{replace}{own} FROM ({query})")

    def _join(self, columns: list[str]) -> None:
        joins, added = [], []
        for name, table in self._mapping.tables.items():
            if not table.on:
                continue
            there = columns_of(self._connection, name)
            faults = self._join_faults(name, table, columns, list(there))
            if faults:
                raise self._mapped.invalid(faults)
            keys = ", ".join(f"CAST({identifier(key)} AS VARCHAR)" for key in table.on.values())
            self._refuse_repeated_keys(name, keys)
            condition = " AND ".join(
                f"CAST(typed.{identifier(mine)} AS VARCHAR) = CAST({name}.{identifier(theirs)} AS VARCHAR)"
                for mine, theirs in table.on.items()
            )
            joins.append(f"LEFT JOIN {name} ON {condition}")
            added += [
                f"{name}.{identifier(column)} AS {identifier(f'{name}_{column}')}"
                for column in there
                if column not in table.on.values()
            ]
        selected = ", ".join(["typed.*", *added])
        self._connection.execute(f"CREATE VIEW with_tables AS SELECT {selected} FROM typed {' '.join(joins)}")

    def _add_constants(self) -> None:
        taken = set(columns_of(self._connection, "with_tables"))
        faults = [
            self._mapped.file.fault(
                ("constants", name), f"'{name}' is also a column.", "Call the constant something else."
            )
            for name in self._mapping.constants
            if name in taken
        ]
        if faults:
            raise self._mapped.invalid(faults)
        constants = "".join(
            f", {literal(value)} AS {identifier(name)}" for name, value in self._mapping.constants.items()
        )
        self._connection.execute(f"CREATE VIEW joined AS SELECT *{constants} FROM with_tables")

    def _check_columns(self, columns: dict[str, str]) -> None:
        names = [name for name in columns if name not in (*OWN_COLUMNS, "__rapport_bad")]
        faults: list[Fault] = []
        needed: list[tuple[tuple[str | int, ...], str]] = []
        for location, value in values_of(self._mapping):
            if value.column is not None:
                needed.append((location, value.column))
            elif value.sql is not None:
                faults += self._sql_faults((*location, "sql"), value.sql)
            if isinstance(value, TimeSpec) and value.column is not None and value.column in columns:
                faults += self._time_faults(location, value, columns[value.column])
        for n, record in enumerate(self._mapping.events):
            needed += [(("events", n, "group_by"), column) for column in record.group_by]
            needed += [(("events", n, "key"), column) for column in record.keys if column not in record.group_by]
            faults += self._sql_faults(("events", n, "where"), record.where)
        faults += self._sql_faults(("where",), self._mapping.where)
        faults += [
            self._mapped.file.fault(
                location, f"'{column}' is no column.", self._rule(names), closest_name(column, names)
            )
            for location, column in needed
            if column not in columns
        ]
        if faults:
            raise self._mapped.invalid(faults)

    def _sql_faults(self, location: tuple[str | int, ...], sql: str | None) -> list[Fault]:
        if sql is None:
            return []
        try:
            self._connection.execute(f"SELECT ({sql}\n) FROM joined LIMIT 0").fetchall()
        except duckdb.Error as error:
            return [self._sql_fault(location, error)]
        return []

    def _time_faults(self, location: tuple[str | int, ...], time: TimeSpec, kind: str) -> list[Fault]:
        is_number = kind in ("BIGINT", "INTEGER", "DOUBLE", "FLOAT", "UBIGINT", "HUGEINT", "SMALLINT")
        if is_number and time.unit is None and time.format is None:
            rule = "A number counts something: say 'unit' (such as seconds), or 'format' if it is like 20240131."
            return [self._mapped.file.fault(location, f"'{time.column}' is a number.", rule)]
        return []

    def _cel(self, columns: dict[str, str]) -> dict[str, str]:
        texts = list(dict.fromkeys(value.cel for _, value in values_of(self._mapping) if value.cel is not None))
        joins, added, names = [], [], {}
        for n, text in enumerate(texts):
            from features.importing.cel_columns import evaluate_distinct

            used, result = evaluate_distinct(self._connection, text, columns=columns, mapped=self._mapped)
            self._connection.register(f"cel_arrow_{n}", result)
            self._connection.execute(f"CREATE TABLE cel_{n} AS SELECT * FROM cel_arrow_{n}")
            self._connection.unregister(f"cel_arrow_{n}")
            names[text] = f"__rapport_cel_{n}"
            condition = " AND ".join(
                f"plain_input.{identifier(name)} IS NOT DISTINCT FROM cel_{n}.{identifier(name)}" for name in used
            )
            joins.append(f"LEFT JOIN cel_{n} ON {condition or 'true'}")
            added.append(f", cel_{n}.__rapport_result AS {names[text]}")
        self._connection.execute(
            f"CREATE VIEW input AS SELECT plain_input.*{''.join(added)} FROM plain_input {' '.join(joins)}"
        )
        return names

    def _join_faults(self, name: str, table: Table, mine: list[str], theirs: list[str]) -> list[Fault]:
        faults = []
        for here, there in table.on.items():
            at = ("tables", name, "on", here)
            if here not in mine:
                faults.append(
                    self._mapped.file.fault(at, f"'{here}' is no column.", self._rule(mine), closest_name(here, mine))
                )
            if there not in theirs:
                rule = self._rule(theirs)
                faults.append(
                    self._mapped.file.fault(
                        at, f"'{there}' is no column of '{name}'.", rule, closest_name(there, theirs)
                    )
                )
        return faults

    def _refuse_repeated_keys(self, name: str, keys: str) -> None:
        row = self._connection.execute(
            f"SELECT {keys}, count(*) FROM {name} GROUP BY ALL HAVING count(*) > 1 LIMIT 1"
        ).fetchone()
        if row is not None:
            raise CallersMistake(
                f"Asked to join the table '{name}', but it has {row[-1]} rows for {', '.join(map(str, row[:-1]))}. "
                "A joined table has one row a key, else rows would multiply."
            )

    def _refuse_malformed_table(self, name: str) -> None:
        row = self._connection.execute("SELECT __rapport_file, __rapport_row, reason FROM malformed LIMIT 1").fetchone()
        self._connection.execute("DROP TABLE malformed")
        if row is not None:
            raise CallersMistake(
                f"Asked to use '{row[0]}' as the table '{name}', but its line {row[1]} is no row ({row[2]}). "
                "A table is read whole or not at all: mend that line."
            )

    def _count(self, table: str) -> int:
        row = self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(row[0]) if row else 0

    def _rule(self, columns: Sequence[str]) -> str:
        shown = ", ".join(list(columns)[:30])
        return f"Columns are: {shown}{', …' if len(columns) > 30 else ''}."

    def _sql_fault(self, location: tuple[str | int, ...], error: duckdb.Error) -> Fault:
        said = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
        hints = [line for line in said[1:] if "Candidate" in line and "function" not in line.lower()][:1]
        problem = " ".join([said[0].rstrip("."), *hints])
        is_text = "VARCHAR" in str(error)
        rule = "Columns of CSV and JSON files are text: say what they are under 'types'." if is_text else ""
        return self._mapped.file.fault(location, f"does not run: {problem}.", rule)
