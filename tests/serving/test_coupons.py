"""Pools of coupon codes: imported once each, given out once each, told by the verb."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from features.catalogue_checks import read_catalogue_alone
from features.command_line import app
from features.coupon_checks import coupon_checks
from features.database import connect
from features.faults import CallersMistake, InvalidFile
from features.starting import write_starter
from features.workspace import Workspace
from serving.contact import coupons


def run(*words: str) -> str:
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def a_shop(folder: Path, *pools: str) -> None:
    """The shipped brand, whose first offers give out codes of these pools."""
    write_starter(folder)
    file = folder / "catalogue.yaml"
    text = file.read_text(encoding="utf-8").replace("?code=HELLO15&", "?code={{ coupon_code | urlencode }}&")
    text = text.replace("?code=AGAIN150&", "?code={{ coupon_code | urlencode }}&")
    for pool, incentive in zip(pools, ("value: 15, cost: 150", "kind: amount, value: 150, cost: 150"), strict=False):
        text = text.replace(incentive, f"{incentive}, coupons: {pool}", 1)
    file.write_text(text.replace('money }}"]', 'money }}", "{{ coupon_code }}"]'), encoding="utf-8")


def test_the_verb_imports_and_lists(tmp_path: Path) -> None:
    a_shop(tmp_path, "spring")
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
    file.write_bytes(b"GOOD\n\xff\xfe\n")
    with pytest.raises(CallersMistake, match=r"no text in UTF-8 \(byte 5\)"):
        coupons.read_codes(file)
    with pytest.raises(CallersMistake, match=r"nowhere\.csv', but there is no such file\. [^\[]*$"):
        coupons.read_codes(tmp_path / "nowhere.csv")
    with pytest.raises(CallersMistake, match=r"which cannot be read: it is a folder\. [^\[]*$"):
        coupons.read_codes(tmp_path)


def test_no_verbs_help_offers_to_change_the_shell() -> None:
    for verb in ("coupons", "catalogue", "replay", "what-if"):
        assert "--install-completion" not in run(verb, "--help")


def test_a_pool_that_no_action_names_takes_no_codes(tmp_path: Path) -> None:
    a_shop(tmp_path, "spring")
    file = tmp_path / "codes.txt"
    file.write_text("A\n", encoding="utf-8")
    with pytest.raises(CallersMistake, match=r"'sprung', which no action .* names\. Closest: 'spring'"):
        run("coupons", "import", "sprung", str(file), "--workspace", str(tmp_path))
    assert "There are no coupon codes." in run("coupons", "list", "--workspace", str(tmp_path))


def test_codes_that_another_pool_holds_are_refused_whole(tmp_path: Path) -> None:
    with closing(connect(tmp_path / "rapport.db")) as connection:
        coupons.add_codes(connection, "a", ["A1", "A2", "A3", "A4"])
        with pytest.raises(CallersMistake, match=r"hold 4 of them: 'A1' in 'a', 'A2' in 'a', 'A3' in 'a', …\."):
            coupons.add_codes(connection, "b", ["NEW", "a1", "A2", "A3", "A4"])
        assert coupons.pools(connection) == [coupons.Pool("a", 4, 4)]


def test_check_warns_of_a_pool_without_a_free_code(tmp_path: Path) -> None:
    a_shop(tmp_path, "spring", "again")
    workspace = Workspace(tmp_path)
    catalogue, _ = read_catalogue_alone(workspace)
    assert catalogue is not None
    (none,) = coupon_checks(workspace, catalogue)
    assert (none.status, none.detail) == ("WARN", "no free code in spring, again")
    with closing(connect(workspace.database)) as connection:
        coupons.add_codes(connection, "spring", ["A"])
        (one,) = coupon_checks(workspace, catalogue)
        assert (one.status, one.detail) == ("WARN", "no free code in again")
        assert "rapport coupons import again FILE" in one.meaning
        coupons.add_codes(connection, "again", ["B"])
    (both,) = coupon_checks(workspace, catalogue)
    assert (both.status, both.detail) == ("PASS", "spring: 1 free, again: 1 free")


def test_each_code_is_given_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    with closing(connect(tmp_path / "rapport.db")) as connection:
        coupons.add_codes(connection, "a", ["1", "2"])
        coupons.add_codes(connection, "b", ["B"])
        assert [coupons.take_code(connection, "a") for _ in range(3)] == ["1", "2", None]
        assert coupons.take_code(connection, "b") == "B"
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
