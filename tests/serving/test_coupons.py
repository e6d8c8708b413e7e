"""Pools of coupon codes: imported once each, given out once each, told by the verb."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from features.command_line import app
from features.database import connect
from features.faults import CallersMistake, InvalidFile
from features.starting import write_starter
from serving.contact import coupons


def run(*words: str) -> str:
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_verb_imports_and_lists(tmp_path: Path) -> None:
    write_starter(tmp_path)
    file, place = tmp_path / "codes.csv", ("--workspace", str(tmp_path))
    file.write_text("\ufeffcode,note\nSPRING-1,first\nSPRING-2,\nSPRING-1,again\n", encoding="utf-8")
    assert "There are no coupon codes." in run("coupons", "list", *place)
    assert run("coupons", "import", "spring", str(file), *place) == "2 codes added to the pool 'spring'.\n"
    told = json.loads(run("coupons", "import", "spring", str(file), "--json", *place))
    assert told == {"pool": "spring", "read": 2, "added": 0}
    assert run("coupons", "list", *place) == "spring: 2 of 2 codes are free\n"
    assert json.loads(run("coupons", "list", "--json", *place)) == [{"name": "spring", "n_codes": 2, "n_free": 2}]


def test_a_file_without_codes_or_with_wrong_ones_is_refused_whole(tmp_path: Path) -> None:
    file = tmp_path / "codes.txt"
    file.write_text("code\n\n", encoding="utf-8")
    with pytest.raises(CallersMistake, match="holds none"):
        coupons.read_codes(file)
    file.write_text(f"GOOD\nTWO WORDS\n{'x' * 65}\n", encoding="utf-8")
    with pytest.raises(InvalidFile) as raised:
        coupons.read_codes(file)
    assert [fault.line for fault in raised.value.faults] == [2, 3]
    with pytest.raises(CallersMistake, match="cannot be read"):
        coupons.read_codes(tmp_path / "nowhere.csv")


def test_each_code_is_given_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    with closing(connect(tmp_path / "rapport.db")) as connection:
        coupons.add_codes(connection, "a", ["1", "2"])
        coupons.add_codes(connection, "b", ["1"])
        assert [coupons.take_code(connection, "a") for _ in range(3)] == ["1", "2", None]
        assert coupons.take_code(connection, "b") == "1"
        coupons.free_code(connection, "a", "1")
        coupons.free_code(connection, "a", "1")  # a code is returned once
        assert coupons.add_codes(connection, "a", ["2", "3"]) == 1
        assert coupons.pools(connection) == [coupons.Pool("a", 3, 2), coupons.Pool("b", 1, 0)]
        assert [coupons.take_code(connection, "a") for _ in range(2)] == ["1", "3"]


def test_a_pool_that_nobody_has_heard_of_is_empty(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        assert coupons.pools(connection) == []
        assert coupons.n_free(connection, "spring") == 0
        assert coupons.take_code(connection, "spring") is None
