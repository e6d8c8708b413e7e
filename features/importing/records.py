"""One kind of event of a mapping as SQL: each row that it takes, with its fields or the reason why it is refused."""

from __future__ import annotations

from dataclasses import dataclass

from features.brand import Brand
from features.contract import EVENT_SCHEMA, IDENTIFY
from features.importing.mapping import NUMBER_FIELDS, TEXT_FIELDS, Mapping, Record, TimeSpec
from features.importing.reading import identifier
from features.importing.values import Columns, number_sql, raw_sql, text_sql, time_sql, value_sql
from features.lake import SQL_TYPES, quoted

PRODUCT_TEXTS = ("product_id", "name", "category")
PRODUCT_NUMBERS = ("quantity", "price")
IMPORT_CHANNEL = "import"

_PRODUCTS_JSON = '[{"product_id":"VARCHAR","name":"VARCHAR","category":"VARCHAR","quantity":"DOUBLE","price":"DOUBLE"}]'
_TOTAL = "round(list_aggregate(list_transform({products}, p -> coalesce(p.quantity, 1) * p.price), 'sum'), 6)"
_USER = "'user'"
_REASON_ONLY = ("has_time", "has_received", "has_products", "currency")


@dataclass(frozen=True, slots=True)
class RecordSql:
    """The SQL of one record of a mapping: `staged` are lines with a reason, `events` what good lines become."""

    mapping: Mapping
    brand: Brand
    columns: Columns
    source_columns: tuple[str, ...]
    number: int
    n_exports: int = 1

    @property
    def record(self) -> Record:
        """The record that this is the SQL of."""
        return self.mapping.events[self.number]

    @property
    def table(self) -> str:
        """The table of its lines."""
        return f"staged_{self.number}"

    def takes(self) -> str:
        """The condition on a row of `input` under which this record takes it."""
        whole, own = self.mapping.where or "true", self.record.where or "true"
        return f"(__rapport_bad IS NULL AND coalesce(({whole}\n), false) AND coalesce(({own}\n), false))"

    def stage(self) -> str:
        """Creates the table of its lines: `__rapport_id`, `reason` (null for a good one), the fields that differ."""
        where = f"WHERE {self.takes()}"
        fields = ", ".join(f"{sql} AS {identifier(name)}" for name, sql in self._fields().items())
        occurrence = ""
        source = f"SELECT __rapport_id, {fields} FROM input {where}"
        if self._needs_hash or self._may_overlap:
            hashed = ", ".join(f"coalesce(CAST({identifier(name)} AS VARCHAR), chr(1))" for name in self.source_columns)
            occurrence = f"SELECT __rapport_id, md5(concat_ws(chr(31), {hashed})) AS _hash, __rapport_unit FROM source"
            nth = "row_number() OVER (PARTITION BY __rapport_unit, _hash) AS _n"
            counted = f"SELECT __rapport_id, _hash, {nth} FROM ({occurrence})"
            source = f"SELECT * FROM ({source}) JOIN ({counted}) USING (__rapport_id)"
        dropped = ", ".join(name for name in self._fields() if name in self._constants() or name in _REASON_ONLY)
        return f"CREATE TABLE {self.table} AS SELECT * EXCLUDE ({dropped}), {self._reason()} AS reason FROM ({source})"

    def refuse_mixed_groups(self) -> str | None:
        """Marks the lines of groups that belong to more than one customer."""
        if not self.record.group_by:
            return None
        mixed = (
            f"SELECT _key FROM {self.table} WHERE reason IS NULL GROUP BY _key HAVING count(DISTINCT customer_id) > 1"
        )
        return (
            f"UPDATE {self.table} SET reason = 'several_customers_in_group' WHERE reason IS NULL AND _key IN ({mixed})"
        )

    def events(self, *, good: str) -> str:
        """A query of its events: EVENT_SCHEMA's columns with customer_id and kind in place of customer_key, and the id.

        Args:
            good: SQL condition on `__rapport_id` that holds for rows none of whose records was refused.
        """
        constants = "".join(f", {sql} AS {identifier(name)}" for name, sql in self._constants().items())
        lines = f"SELECT *{constants} FROM {self.table} WHERE reason IS NULL AND {good}"
        if self.record.is_identify:
            return self._identify_events(lines)
        return self._events(self._grouped(lines) if self.record.group_by else lines)

    def _constants(self) -> dict[str, str]:
        """Fields that are the same in every line: not worth the room that they would take in a table."""
        return {name: sql for name, sql in self._fields().items() if sql == _USER or sql.startswith("NULL::")}

    @property
    def _needs_hash(self) -> bool:
        return not self.record.keys and self.record.event_id is None

    @property
    def _may_overlap(self) -> bool:
        """Whether a group's line may stand in two exports of one import."""
        return bool(self.record.group_by) and self.n_exports > 1

    def _fields(self) -> dict[str, str]:
        record, columns = self.record, self.columns
        customer = record.customer or self.mapping.customer
        user = text_sql(customer, columns)
        anonymous = text_sql(self.mapping.anonymous, columns)
        time = record.time or self.mapping.time or TimeSpec()
        fields = {
            "customer_id": f"coalesce({user}, {anonymous})",
            "kind": f"CASE WHEN {user} IS NULL THEN 'anonymous' ELSE 'user' END" if self.mapping.anonymous else _USER,
            "event": text_sql(record.event, columns),
            "has_time": f"({raw_sql(time, columns)}) IS NOT NULL",
            "occurred_at": time_sql(time, columns, zone=self.brand.time_zone),
            "received_at": "NULL::TIMESTAMP",
            "has_received": "false",
            "currency": text_sql(self.mapping.currency, columns),
        }
        if self.mapping.received_at is not None:
            fields["has_received"] = f"({raw_sql(self.mapping.received_at, columns)}) IS NOT NULL"
            fields["received_at"] = time_sql(self.mapping.received_at, columns, zone=self.brand.time_zone)
        if record.event_id is not None:
            fields["_verbatim"] = text_sql(record.event_id, columns)
        if record.keys:
            parts = ", ".join(f"CAST({identifier(name)} AS VARCHAR)" for name in record.keys)
            complete = " AND ".join(f"{identifier(name)} IS NOT NULL" for name in record.keys)
            fields["_key"] = f"CASE WHEN {complete} THEN concat_ws('/', {parts}) END"
        fields |= {name: text_sql(getattr(record, name), columns) for name in TEXT_FIELDS}
        fields |= {name: number_sql(getattr(record, name), columns) for name in NUMBER_FIELDS}
        if record.product is not None:
            fields |= {f"p_{name}": text_sql(getattr(record.product, name), columns) for name in PRODUCT_TEXTS}
            fields |= {f"p_{name}": number_sql(getattr(record.product, name), columns) for name in PRODUCT_NUMBERS}
        if record.products is not None:
            given = f"CAST(to_json({value_sql(record.products, columns)}) AS VARCHAR)"
            if columns.type_of(record.products) in ("VARCHAR", ""):
                given = value_sql(record.products, columns)
            fields["given_products"] = f"TRY(json_transform({given}, {quoted(_PRODUCTS_JSON)}))"
            fields["has_products"] = f"({given}) IS NOT NULL"
        properties = [f"{quoted(name)}, {value_sql(value, columns)}" for name, value in record.properties.items()]
        fields["properties"] = (
            f"CAST(json_object({', '.join(properties)}) AS VARCHAR)" if properties else "NULL::VARCHAR"
        )
        fields |= {f"t_{name}": self._answer_sql(name) for name in record.traits}
        return fields

    def _answer_sql(self, trait: str) -> str:
        text = text_sql(self.record.traits[trait], self.columns)
        kind = self.brand.traits[trait].type
        if kind == "number":
            number = f"TRY_CAST({text} AS DOUBLE)"
            whole = f"WHEN {number} = floor({number}) AND abs({number}) < 9e15 THEN {number}::BIGINT::VARCHAR"
            return f"CASE WHEN {number} IS NULL THEN {text} {whole} ELSE CAST({number} AS VARCHAR) END"
        if kind == "date":
            return f"coalesce(CAST(TRY_CAST({text} AS DATE) AS VARCHAR), {text})"
        if kind == "boolean":
            return f"coalesce(CAST(TRY_CAST({text} AS BOOLEAN) AS VARCHAR), {text})"
        if kind == "choices":
            is_list = f"json_valid({text}) AND starts_with({text}, '[')"
            return f"CASE WHEN {text} IS NULL OR ({is_list}) THEN {text} ELSE CAST(to_json([{text}]) AS VARCHAR) END"
        return text

    def _reason(self) -> str:
        refund = f"event = {quoted(self.brand.events.refund)}"
        cases = [
            ("customer_id IS NULL", "no_customer"),
            ("event IS NULL", "no_event_name"),
            ("NOT has_time", "no_time"),
            ("occurred_at IS NULL", "unparsable_time"),
            ("occurred_at < TIMESTAMP '1970-01-01'", "time_before_1970"),
            ("occurred_at > (now() AT TIME ZONE 'UTC') + INTERVAL 1 DAY", "time_in_the_future"),
            ("has_received AND received_at IS NULL", "unparsable_received_at"),
            ("received_at < occurred_at", "received_before_it_occurred"),
        ]
        cases += [("_verbatim IS NULL", "no_key")] if self.record.event_id is not None else []
        cases += [("_key IS NULL", "no_key")] if self.record.keys else []
        cases += [(f"isinf({identifier(name)})", f"unparsable_{name}") for name in NUMBER_FIELDS]
        cases.append((f"total < 0 AND NOT ({refund})", "negative_price"))
        if self.record.product is not None:
            cases += [(f"isinf(p_{name})", f"unparsable_{name}") for name in PRODUCT_NUMBERS]
            cases.append((f"p_price < 0 AND NOT ({refund})", "negative_price"))
            cases.append((f"p_quantity < 0 AND NOT ({refund})", "negative_quantity"))
        if self.record.products is not None:
            negative = "len(list_filter(given_products, p -> p.{} < 0)) > 0 AND NOT ({})"
            cases.append(("has_products AND given_products IS NULL", "unparsable_products"))
            cases.append((negative.format("price", refund), "negative_price"))
            cases.append((negative.format("quantity", refund), "negative_quantity"))
        cases.append(("action_probability NOT BETWEEN 0 AND 1", "probability_out_of_range"))
        cases.append((f"currency <> {quoted(self.brand.currency)}", "unknown_currency"))
        for name in self.record.traits:
            cases += self._answer_cases(name, f"t_{name}", "true")
        if self.record.trait is not None:
            cases += self._asked_cases()
        return "CASE " + " ".join(f"WHEN {condition} THEN {quoted(reason)}" for condition, reason in cases) + " END"

    def _asked_cases(self) -> list[tuple[str, str]]:
        """Answers whose trait stands in a column: each trait of the brand by its own rule."""
        asked = f"event = {quoted(self.brand.events.question_answered)}"
        known = ", ".join(quoted(name) for name in self.brand.traits) or "''"
        cases = [(f"{asked} AND coalesce(trait, '') NOT IN ({known})", "unknown_trait")]
        for name in self.brand.traits:
            cases += self._answer_cases(name, "answer", f"{asked} AND trait = {quoted(name)}")
        return cases

    def _answer_cases(self, trait: str, column: str, when: str) -> list[tuple[str, str]]:
        kind, choices = self.brand.traits[trait].type, self.brand.traits[trait].choices
        listed = "[" + ", ".join(quoted(choice) for choice in choices) + "]"
        column = identifier(column)
        conditions = {
            "number": (
                f"TRY_CAST({column} AS DOUBLE) IS NULL OR NOT isfinite(TRY_CAST({column} AS DOUBLE))",
                "unparsable",
            ),
            "date": (f"TRY_CAST({column} AS DATE) IS NULL", "unparsable"),
            "boolean": (f"TRY_CAST({column} AS BOOLEAN) IS NULL", "unparsable"),
            "choice": (f"NOT list_contains({listed}, {column})", "unknown_choice"),
            "choices": (
                f"NOT coalesce(TRY(list_has_all({listed}, CAST(CAST({column} AS JSON) AS VARCHAR[]))), false)",
                "unknown_choice",
            ),
            "text": ("true", "free_text"),
        }
        condition, reason = conditions[kind]
        return [(f"{when} AND {column} IS NOT NULL AND ({condition})", f"{reason}_{trait}")]

    def _grouped(self, lines: str) -> str:
        """Lines of one group as one: the earliest time, and products in an order that does not hang on the file's."""
        kept = [
            name
            for name in self._fields()
            if not name.startswith("p_") and name not in (*_REASON_ONLY, "_key", "total", "occurred_at", "received_at")
        ]
        # min() picks the same value whatever the order of the lines: an import repeated yields the same event.
        merged = ", ".join(f"min({identifier(name)}) AS {identifier(name)}" for name in kept)
        if self._may_overlap:  # the n-th such line of one export is the n-th of another
            lines = f"SELECT * FROM ({lines}) QUALIFY row_number() OVER (PARTITION BY _key, _hash, _n) = 1"
        summed = "sum(total ORDER BY total) AS total, min(__rapport_id) AS __rapport_id"
        summed += ", min(occurred_at) AS occurred_at, max(received_at) AS received_at"
        products = ""
        if self.record.product is not None:
            fields = ", ".join(f"{name} := p_{name}" for name in (*PRODUCT_TEXTS, *PRODUCT_NUMBERS))
            products = f", list_sort(list(struct_pack({fields}))) AS line_products"
        return f"SELECT _key, {merged}, {summed}{products} FROM ({lines}) GROUP BY _key"

    def _events(self, lines: str) -> str:
        refund = f"event = {quoted(self.brand.events.refund)}"
        money = f"event IN ({quoted(self.brand.events.order)}, {quoted(self.brand.events.refund)})"
        listed = "NULL"
        if self.record.group_by and self.record.product is not None:
            listed = "line_products"
        elif self.record.product is not None:
            packed = ", ".join(f"{name} := p_{name}" for name in (*PRODUCT_TEXTS, *PRODUCT_NUMBERS))
            present = " OR ".join(f"p_{name} IS NOT NULL" for name in (*PRODUCT_TEXTS, *PRODUCT_NUMBERS))
            listed = f"CASE WHEN {present} THEN [struct_pack({packed})] END"
        elif self.record.products is not None:
            listed = "given_products"
        positive = (
            "list_transform(listed, p -> struct_pack("
            "product_id := p.product_id, name := p.name, category := p.category, "
            "quantity := abs(p.quantity), price := abs(p.price)))"
        )
        has_products = listed != "NULL"
        products = f"CASE WHEN {refund} THEN {positive} ELSE listed END" if has_products else "NULL"
        total = "round(abs(total), 6)"
        if has_products:
            total = f"coalesce(round(abs(total), 6), CASE WHEN {money} THEN {_TOTAL.format(products='made')} END)"
        fields = {name: identifier(name) for name in (*TEXT_FIELDS, *NUMBER_FIELDS)}
        fields["total"] = f"CASE WHEN {refund} THEN {total} ELSE {total.replace('abs(total)', 'total')} END"
        fields["order_id"] = f"CASE WHEN {money} THEN coalesce(order_id, event_id) ELSE order_id END"
        fields["currency"] = f"CASE WHEN {fields['total']} IS NOT NULL THEN {quoted(self.brand.currency)} END"
        fields["products"] = f"made::{SQL_TYPES['products']}"
        fields["properties"] = "properties"
        inner = f"SELECT *, {self._event_id()} AS event_id, {listed} AS listed FROM ({lines})"
        inner = f"SELECT *, {products} AS made FROM ({inner})"
        return self._standing(inner, fields)

    def _identify_events(self, lines: str) -> str:
        asked = quoted(self.brand.events.question_answered)
        inner = f"SELECT *, {self._event_id()} AS base_id FROM ({lines})"
        queries = []
        for name in self.record.traits:
            fields = {"trait": quoted(name), "answer": identifier(f"t_{name}"), "channel": quoted(IMPORT_CHANNEL)}
            one = f"SELECT * REPLACE ({asked} AS event), base_id || '/' || {quoted(name)} AS event_id FROM ({inner})"
            queries.append(self._standing(f"{one} WHERE {identifier(f't_{name}')} IS NOT NULL", fields))
        if self.record.properties:
            one = f"SELECT * REPLACE ({quoted(IDENTIFY)} AS event), base_id AS event_id FROM ({inner})"
            queries.append(self._standing(one, {"properties": "properties"}))
        return " UNION ALL ".join(f"({query})" for query in queries)

    def _event_id(self) -> str:
        if self.record.event_id is not None:
            return "_verbatim"
        told_apart = quoted(self._among_its_like())
        if self.record.keys:
            return f"event || ':' || _key || {told_apart}"
        return f"event || ':' || left(_hash, 24) || CASE WHEN _n > 1 THEN ':' || _n ELSE '' END || {told_apart}"

    def _among_its_like(self) -> str:
        """What tells its events from those that other records make of the same row under the same name."""
        mine = _names(self.record)
        alike = [number for number, other in enumerate(self.mapping.events) if mine & _names(other)]
        if len(alike) == 1:
            return ""
        outcome = _outcome(self.record)
        before = [one for one in alike if one < self.number and _outcome(self.mapping.events[one]) == outcome]
        return (f":{outcome}" if outcome else "") + (f":{len(before) + 1}" if before else "")

    def _standing(self, query: str, fields: dict[str, str]) -> str:
        """The event table's columns of a query, what `fields` does not name being null."""
        always = {
            "event_id": "event_id",
            "event": "event",
            "occurred_at": "occurred_at",
            "received_at": "coalesce(received_at, occurred_at)",
            "backfilled": "received_at IS NULL",
        }
        columns = [f"__rapport_id, customer_id, kind, {self.number} AS record"]
        for field in EVENT_SCHEMA.names:
            if field != "customer_key":
                sql = always.get(field) or fields.get(field) or "NULL"
                columns.append(f"CAST({sql} AS {SQL_TYPES[field]}) AS {field}")
        return f"SELECT {', '.join(columns)} FROM ({query})"


def _names(record: Record) -> set[object]:
    """The event names that a record can give; a column whose values are taken as they are stands for itself."""
    event = record.event
    if event.value is not None:
        return {event.value}
    mapped: set[object] = set((event.map or {}).values())
    if event.otherwise is not None:
        mapped.add(event.otherwise)
    return mapped or {(event.column, event.sql, event.cel)}


def _outcome(record: Record) -> str:
    return str(record.outcome.value) if record.outcome is not None and record.outcome.value is not None else ""
