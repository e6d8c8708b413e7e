"""What a disk, a folder or Ctrl-C does to a verb is told in a sentence, never as a traceback."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from features.command_line import main
from features.machine_faults import machine_fault
from features.starting import write_starter


def ended(*words: str, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(sys, "argv", ["rapport", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


def test_a_file_where_a_folder_is_needed_is_told_with_what_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").touch()
    out = str(tmp_path / "taken")
    assert ended("simulate", "--out", out, "--customers", "1", "--days", "30", monkeypatch=monkeypatch) == 1
    told = capsys.readouterr().err
    assert f"Asked for 'rapport simulate --out {out} --customers 1 --days 30', but '{out}': something is there" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("words", [("catalogue", "preview", "--out"), ("catalogue", "export", "--overwrite")])
def test_a_folder_where_a_file_is_to_be_written_is_told_with_what_to_do(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_starter(tmp_path)
    (folder := tmp_path / "folder.xlsx").mkdir()
    assert ended(*words, str(folder), "--workspace", str(tmp_path), monkeypatch=monkeypatch) in (1, 2)
    assert f"'{folder}': it is a folder. Name a file." in capsys.readouterr().err


def test_a_database_that_is_none_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_starter(tmp_path)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "rapport.db").write_text("not a database, whatever it is called, and long enough\n" * 40)
    assert ended("keys", "list", "--workspace", str(tmp_path), monkeypatch=monkeypatch) == 1
    assert "state/rapport.db is no database. Bring back a copy of it." in capsys.readouterr().err


def test_the_fault_of_a_program_stays_a_fault_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("features.command_line.app", broken)
    monkeypatch.setattr(sys, "argv", ["rapport"])
    with pytest.raises(ZeroDivisionError):
        main()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (OSError(errno.ENOSPC, "", "lake/a"), "'lake/a': the disk is full. Make room, then ask again."),
        (OSError(errno.ENOSPC, ""), "the disk is full. Make room, then ask again."),
        (PermissionError(errno.EACCES, "", b"x.csv"), "'x.csv': you may not. Ask as the user that owns it"),
        (IsADirectoryError(errno.EISDIR, "", "."), "'.': it is a folder. Name a file."),
        (OSError(errno.EROFS, "", "w"), "'w': it may only be read here."),
        (
            duckdb.IOException('IO Error: Could not write file "/w/lake/a": No space left on device'),
            "'/w/lake/a': the disk is full.",
        ),
        (duckdb.BinderException("no such column"), None),
        (ValueError("else"), None),
        (sqlite3.ProgrammingError("ours"), None),
    ],
)
def test_what_the_machine_would_not_do_is_said_in_words(fault: Exception, told: str | None) -> None:
    said = machine_fault(fault)
    assert said is None if told is None else said is not None and said.startswith(told)


def test_a_query_that_ctrl_c_ends_is_an_interruption() -> None:
    query = "import duckdb; duckdb.execute('SELECT max(hash(range)) FROM range(100_000_000_000)')"
    code = (
        "import sys\nfrom features import command_line\n"
        f"def app(**_):\n    print('on', flush=True)\n    {query}\n"
        "command_line.app = app\ncommand_line.main()"
    )
    asked = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert asked.stdout is not None
        assert asked.stdout.readline() == "on\n"
        ended_at = None
        while ended_at is None:  # the first may come before the query begins
            asked.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                ended_at = asked.wait(0.5)
        assert (ended_at, "Traceback" in asked.communicate()[1]) == (130, False)
    finally:
        asked.kill()


def test_letters_are_written_where_the_environment_knows_ascii_only(tmp_path: Path) -> None:
    write_starter(tmp_path)
    words = ("catalogue", "preview", "--out", str(tmp_path / "ไทย.html"), "--workspace", str(tmp_path))
    ascii_only = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", "from features.command_line import main; main()", *words],
        env={name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"} | ascii_only,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert "ไทย.html" in done.stdout.decode("utf-8")
