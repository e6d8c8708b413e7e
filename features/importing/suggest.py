"""A first draft of a mapping, from what columns are called and hold; a person reads it before it is used."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import yaml

from features.brand import Brand
from features.importing.files import Export, find_exports
from features.importing.mapping import ColumnType, Read
from features.importing.reading import MALFORMED, OWN_COLUMNS, Reader, columns_of, identifier, number_of

# What columns are called in exports of shops, each without spaces, case and punctuation; the first found is taken.
NAMES: dict[str, tuple[str, ...]] = {
    role: tuple(names.split())
    for role, names in {
        "customer": "customerid userid customerkey clientid memberid buyerid personid customerno customernumber "
        "customer person user member visitorid customeremail email",
        "time": "occurredat timestamp eventtime eventtimestamp invoicedate orderdate orderedat purchasedate createdat "
        "datetime date time eventdate senttimestamp sentat transactiondate becamememberon ts",
        "order_id": "orderid invoiceno invoice invoiceid ordernumber orderno transactionid receiptid basketid",
        "event": "event eventname eventtype action type",
        "message_id": "messageid eventid uuid",
        "product_id": "productid stockcode sku itemid articleid variantid productcode product item",
        "name": "productname itemname description title productdescription",
        "category": "category productcategory productcategoryname department",
        "quantity": "quantity qty units count",
        "price": "price unitprice itemprice priceeach saleprice",
        "total": "total amount ordertotal revenue totalprice grandtotal totalamount spend",
        "currency": "currency currencycode",
    }.items()
}
_CANCELLED = "C"
_SAMPLE = 200_000
_TYPES: tuple[ColumnType, ...] = ("integer", "number", "timestamp", "boolean")
_NUMERIC = ("BIGINT", "INTEGER", "SMALLINT", "TINYINT", "DOUBLE", "FLOAT", "DECIMAL", "HUGEINT", "UBIGINT", "UINTEGER")
_FORMATS = (
    "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y",
    "%d.%m.%Y %H:%M", "%Y%m%d", "%Y/%m/%d", "%Y/%m/%d %H:%M:%S", "%d-%m-%Y", "%d-%m-%Y %H:%M",
)  # fmt: skip


class _Plain(yaml.SafeDumper):
    """YAML without anchors: a list used twice is written twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def suggest_mapping(files: Sequence[str], brand: Brand) -> str:
    """A mapping as commented YAML, drafted from the first file's columns and contents.

    Raises:
        CallersMistake: the file is not there or cannot be read.
    """
    exports = find_exports(files, Read())
    with _sampled(exports[:1], Read()) as connection:
        if number_of(connection, f"SELECT count(*) FROM {MALFORMED} WHERE reason = 'invalid_encoding'") == 0:
            return _drafted(connection, brand, exports[0], Read())
    # No UTF-8: a byte is then a character, in Windows' way wherever a shop's export comes from Excel.
    read = Read(encoding="windows-1252")
    with _sampled(exports[:1], read) as connection:
        return _drafted(connection, brand, exports[0], read)


@contextmanager
def _sampled(exports: Sequence[Export], read: Read) -> Iterator[duckdb.DuckDBPyConnection]:
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        reader = Reader(connection, read, Path(folder))
        reader.prepare()
        reader.rows(exports, name="file_rows", progress=lambda share: None)
        connection.execute(f"CREATE TABLE sample AS SELECT * FROM file_rows LIMIT {_SAMPLE}")
        yield connection


def _drafted(connection: duckdb.DuckDBPyConnection, brand: Brand, export: Export, read: Read) -> str:
    seen = _Seen(connection, columns_of(connection, "sample"))
    return _Draft(seen, brand, export.path.name, read).text()


@dataclass(frozen=True, slots=True)
class _Seen:
    """Columns of a sample, and what their values look like."""

    connection: duckdb.DuckDBPyConnection
    types: dict[str, str]
    roles: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in self.types if name not in OWN_COLUMNS}
        for role, names in NAMES.items():
            found = next((plain[name] for name in names if name in plain), None)
            if found is not None and found not in self.roles.values():
                self.roles[role] = found
        said = self.roles.get("customer")
        if "id" in plain and (said is None or "email" in said.lower()):  # people change their address, not their id
            self.roles["customer"] = plain["id"]

    def others(self) -> list[str]:
        """Columns that play no part yet."""
        return [name for name in self.types if name not in OWN_COLUMNS and name not in self.roles.values()]

    def is_text(self, column: str) -> bool:
        return self.types[column] == "VARCHAR"

    def share(self, column: str, condition: str) -> float:
        """The share of filled values of which an SQL condition on `x` holds."""
        filled = f"SELECT nullif(trim(CAST({identifier(column)} AS VARCHAR)), '') AS x FROM sample"
        share = f"SELECT avg(CAST(coalesce({condition}, false) AS INTEGER)) FROM ({filled}) WHERE x IS NOT NULL"
        row = self.connection.execute(share).fetchone()
        return float(row[0]) if row and row[0] is not None else 0.0

    def n_rows(self) -> int:
        row = self.connection.execute("SELECT count(*) FROM sample").fetchone()
        return int(row[0]) if row else 0

    def type_of(self, column: str) -> ColumnType | None:
        """What a text column really holds; None for text."""
        tries = {"integer": "BIGINT", "number": "DOUBLE", "timestamp": "TIMESTAMP", "boolean": "BOOLEAN"}
        if (
            not self.is_text(column)
            or self.share(column, "starts_with(x, '0') AND length(x) > 1 AND x NOT LIKE '0.%'") > 0
        ):
            return None
        return next(
            (kind for kind in _TYPES if self.share(column, f"TRY_CAST(x AS {tries[kind]}) IS NOT NULL") > 0.98), None
        )


class _Draft:
    def __init__(self, seen: _Seen, brand: Brand, file: str, read: Read) -> None:
        self._seen = seen
        self._brand = brand
        self._file = file
        self._read = read
        self._notes: list[str] = []

    def text(self) -> str:
        roles = self._seen.roles
        mapping: dict[str, object] = {}
        if self._read.encoding != Read().encoding:
            mapping["read"] = {"encoding": self._read.encoding}
            self._notes.append("The file is not UTF-8, and was read as Windows writes it: look at its accents.")
        types = self._types()
        if types:
            mapping["types"] = types
        if "customer" not in roles:
            self._notes.append("No column looks like a customer's id: say which one is, under 'customer'.")
        mapping["customer"] = roles.get("customer", "WHICH COLUMN?")
        mapping["time"] = self._time()
        if "currency" in roles:
            mapping["currency"] = roles["currency"]
        mapping["events"] = self._events()
        body = yaml.dump(
            mapping, Dumper=_Plain, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110
        )
        head = [
            f"Drafted from {self._file}. Read it, mend it, then import with it. docs/importing.md explains each key."
        ]
        unused = self._seen.others()
        if unused:
            head.append(f"Columns that it does not use: {', '.join(unused)}.")
        return "".join(f"# {line}\n" for line in head + self._notes) + body

    def _types(self) -> dict[str, str]:
        needed = [self._seen.roles[role] for role in ("quantity", "price", "total") if role in self._seen.roles]
        return {column: "number" for column in needed if self._seen.is_text(column)}

    def _time(self) -> object:
        column = self._seen.roles.get("time")
        if column is None:
            self._notes.append("No column looks like a time: say which one is, under 'time'.")
            return "WHICH COLUMN?"
        kind = self._seen.types[column]
        if kind.startswith(_NUMERIC) or self._seen.type_of(column) in ("integer", "number"):
            return self._counted(column)
        if (
            kind == "TIMESTAMP WITH TIME ZONE"
            or self._seen.share(column, r"regexp_matches(x, '\d:\d.*(Z|[+-]\d\d:?\d\d)$')") > 0.98
        ):
            return {"column": column}
        self._notes.append(
            f"Times are taken for the brand's own zone, {self._brand.time_zone}: correct 'zone' if they are not."
        )
        time: dict[str, object] = {"column": column, "zone": self._brand.time_zone}
        if kind == "VARCHAR" and self._seen.share(column, "TRY_CAST(x AS TIMESTAMP) IS NOT NULL") < 0.98:
            shares = {one: self._seen.share(column, f"try_strptime(x, '{one}') IS NOT NULL") for one in _FORMATS}
            best = max(shares, key=lambda one: shares[one])
            time["format"] = best
            if shares[best] < 0.98:
                self._notes.append(f"Only {shares[best]:.0%} of '{column}' read as {best}: correct 'format'.")
            elif sum(share > 0.98 for share in shares.values()) > 1:
                self._notes.append(f"'{column}' also reads with day and month the other way round: look at 'format'.")
        return time

    def _counted(self, column: str) -> object:
        query = f"SELECT median(TRY_CAST({identifier(column)} AS DOUBLE)) FROM sample"
        row = self._seen.connection.execute(query).fetchone()
        middle = float(row[0]) if row and row[0] is not None else 0.0
        if 19_000_101 <= middle <= 21_001_231:
            return {"column": column, "format": "%Y%m%d", "zone": self._brand.time_zone}
        for unit, size in (("seconds", 1e9), ("milliseconds", 1e12), ("microseconds", 1e15)):
            if 0.3 * size <= middle <= 5 * size:
                return {"column": column, "unit": unit}
        self._notes.append(f"'{column}' counts something since some instant: correct 'unit' and 'epoch'.")
        return {"column": column, "unit": "hours", "epoch": "2024-01-01T00:00:00Z"}

    def _events(self) -> list[dict[str, object]]:
        roles = self._seen.roles
        if "order_id" in roles and "product_id" in roles and ("price" in roles or "quantity" in roles):
            return self._lines()
        if "event" in roles:
            record: dict[str, object] = {"event": {"column": roles["event"]}}
            if "message_id" in roles:
                record["event_id"] = roles["message_id"]
            self._notes.append(
                "Events keep their own names; where they are not Segment's, add map: {theirs: Order Completed}."
            )
            return [record | self._order_fields() | self._product()]
        if "order_id" in roles or "total" in roles:
            order: dict[str, object] = {"event": self._brand.events.order}
            if "order_id" in roles:
                order["key"] = roles["order_id"]
            return [order | self._order_fields()]
        return self._attributes()

    def _order_fields(self) -> dict[str, object]:
        return {field: self._seen.roles[field] for field in ("order_id", "total") if field in self._seen.roles}

    def _product(self) -> dict[str, object]:
        names = ("product_id", "name", "category", "quantity", "price")
        if "product_id" not in self._seen.roles:
            return {}
        return {"product": {field: self._seen.roles[field] for field in names if field in self._seen.roles}}

    def _lines(self) -> list[dict[str, object]]:
        """Order lines: one order from the lines of each id; where some are cancelled, refunds from those."""
        order_id = self._seen.roles["order_id"]
        sold = [f"{identifier(self._seen.roles[f])} > 0" for f in ("quantity", "price") if f in self._seen.roles]
        base: dict[str, object] = {"group_by": [order_id], "order_id": order_id} | self._product()
        marks = self._seen.share(order_id, f"regexp_matches(x, '^{_CANCELLED}[0-9]')")
        record: dict[str, object] = {"event": self._brand.events.order}
        if not 0 < marks < 0.5:
            return [record | {"where": " AND ".join(sold)} | base]
        self._notes.append(f"Ids that start with {_CANCELLED} are taken for cancellations.")
        is_cancelled = f"starts_with(CAST({identifier(order_id)} AS VARCHAR), '{_CANCELLED}')"
        refunded = [f"{identifier(self._seen.roles['quantity'])} < 0"] if "quantity" in self._seen.roles else []
        refunded += [f"{identifier(self._seen.roles['price'])} > 0"] if "price" in self._seen.roles else []
        refund: dict[str, object] = {"event": self._brand.events.refund}
        return [
            record | {"where": " AND ".join([f"NOT {is_cancelled}", *sold])} | base,
            refund | {"where": " AND ".join([is_cancelled, *refunded])} | base,
        ]

    def _attributes(self) -> list[dict[str, object]]:
        """One row a customer: columns that are called like the brand's traits are declared."""
        plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in self._seen.types if name not in OWN_COLUMNS}
        traits = {
            trait: plain[trait.replace("_", "")]
            for trait, said in self._brand.traits.items()
            if trait.replace("_", "") in plain and said.type != "text"
        }
        if not traits:
            self._notes.append(
                "No column is called like one of the brand's traits "
                f"({', '.join(self._brand.traits) or 'it has none'}): say which event a row is."
            )
            return [{"event": "WHICH EVENT?"}]
        key = {"key": self._seen.roles["customer"]} if "customer" in self._seen.roles else {}
        return [{"event": "identify", **key, "traits": traits}]
