"""Keys of the API: on the command line, in their table, and what is kept of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from features.database import connect
from features.faults import CallersMistake
from features.workspace import Workspace
from serving.keys.cli import keys
from serving.keys.table import KeyTable
from serving.keys.tokens import digest, key_id_of, presented_token

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def table(shop: Workspace) -> Iterator[KeyTable]:
    connection = connect(shop.database)
    yield KeyTable(connection)
    connection.close()


def said(shop: Workspace, *words: str) -> str:
    """What the command prints for programs."""
    result = CliRunner().invoke(keys, [*words, "--workspace", str(shop.root)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_a_key_is_printed_once_and_only_its_hash_is_kept(shop: Workspace) -> None:
    token = said(shop, "create", "website", "--scopes", "ingest,decide").strip()
    (listed,) = json.loads(said(shop, "list", "--json"))
    assert (listed["id"], listed["name"], listed["state"]) == (key_id_of(token), "website", "active")
    assert listed["scopes"] == ["decide", "ingest"]
    everything = b"".join(path.read_bytes() for path in shop.state.iterdir())
    assert token.encode() not in everything
    assert token.rpartition("_")[2].encode() not in everything
    assert digest(token) in everything


def test_a_replaced_key_works_on_for_its_grace_and_then_no_more(table: KeyTable) -> None:
    old = table.create("shop", {"decide"}, at=NOON, requests_per_second=7)
    new = table.replace(old.key_id, at=NOON, grace=DAY)
    first, second = table.all()
    assert (second.key_id, second.name, second.scopes) == (new.key_id, "shop", frozenset({"decide"}))
    assert (second.requests_per_second, second.replaces) == (7.0, old.key_id)
    assert [first.state(NOON + DAY - timedelta(seconds=1)), first.state(NOON + DAY)] == ["active", "expired"]
    assert second.state(NOON + 400 * DAY) == "active"


def test_replaced_on_the_command_line_and_with_no_grace_the_old_key_is_over(shop: Workspace) -> None:
    old = key_id_of(said(shop, "create", "bot", "--scopes", "admin").strip())
    made = json.loads(said(shop, "create", "--replaces", str(old), "--grace-hours", "0", "--json"))
    assert (made["name"], made["scopes"], made["replaces"]) == ("bot", ["admin"], old)
    assert [key["state"] for key in json.loads(said(shop, "list", "--json"))] == ["expired", "active"]
    said(shop, "revoke", made["id"])
    assert [key["state"] for key in json.loads(said(shop, "list", "--json"))] == ["expired", "revoked"]
    assert "bot" in said(shop, "list")


def test_a_key_that_was_replaced_or_revoked_cannot_be_replaced_again(table: KeyTable) -> None:
    old = table.create("shop", {"decide"}, at=NOON)
    new = table.replace(old.key_id, at=NOON, grace=DAY)
    with pytest.raises(CallersMistake, match=r"replaced already and works until 2026-03-02 12:00 UTC"):
        table.replace(old.key_id, at=NOON, grace=DAY)
    table.revoke(new.key_id, at=NOON)
    with pytest.raises(CallersMistake, match="is revoked"):
        table.replace(new.key_id, at=NOON, grace=DAY)
    assert table.revoke(new.key_id, at=NOON + DAY).revoked_at == NOON


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["create", "web", "--scopes", "ingest,decde"], "Closest: 'decide'"),
        (["create", "web", "--scopes", ","], "may do nothing"),
        (["create", "web"], "without saying who uses it and for what"),
        (["create", "--scopes", "read"], "without saying who uses it and for what"),
        (["create", "web", "--scopes", "read", "--replaces", "abc"], "leave them out"),
        (["create", "web", "--scopes", "read", "--rate", "0"], "above 0"),
        (["create", "web", "--scopes", "read", "--rate", "nan"], "above 0"),
        (["create", "w\nb", "--scopes", "read"], "printable"),
        (["revoke", "nobody"], "which there is not"),
    ],
)
def test_a_wrong_wish_is_refused_with_its_rule_and_changes_nothing(
    shop: Workspace, words: list[str], rule: str
) -> None:
    with pytest.raises(CallersMistake, match=rule):
        CliRunner().invoke(keys, [*words, "--workspace", str(shop.root)], catch_exceptions=False)
    assert json.loads(said(shop, "list", "--json")) == []


def test_an_id_that_was_mistyped_names_the_closest(table: KeyTable) -> None:
    made = table.create("shop", {"decide"}, at=NOON)
    with pytest.raises(CallersMistake, match=f"Closest: '{made.key_id}'"):
        table.revoke(made.key_id[:-1], at=NOON)


def test_one_id_stands_for_one_key(table: KeyTable, shop: Workspace) -> None:
    made = table.create("shop", {"decide"}, at=NOON)
    with sqlite3.connect(shop.database) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute(
            "INSERT INTO api_keys (key_id, name, token_sha256, scopes, requests_per_second, created_at) "
            "VALUES (?, 'x', x'00', 'read', 1, 0)",
            (made.key_id,),
        )
    connection.close()


def presented(value: str) -> str | None:
    return presented_token([(b"host", b"h"), (b"authorization", value.encode("latin-1"))])


def test_a_key_is_presented_as_bearer_or_as_the_user_of_basic() -> None:
    assert presented("Bearer rapport_a_b") == "rapport_a_b"
    assert presented("bearer  rapport_a_b ") == "rapport_a_b"
    assert presented("Basic cmFwcG9ydF9hX2I6") == "rapport_a_b"  # as Segment's clients: the password is empty
    assert presented("Basic cmFwcG9ydF9hX2I6cGFzcw==") == "rapport_a_b"


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Basic", "Basic ===", "Basic /w==", "Digest x", "Bearer " + "x" * 2_000, "\xff\xfe"]
)
def test_a_header_that_holds_no_key_is_no_key(value: str) -> None:
    assert key_id_of(presented(value) or "") is None


def test_without_the_header_there_is_none() -> None:
    assert presented_token([(b"host", b"h")]) is None
