"""The `rapport` command: verbs found by entry point, each room imported only when one of its verbs is called."""

from __future__ import annotations

import gc
import io
import os
import shlex
import sys
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.main import get_command

from features.verbs import Verbs, group_of_verbs

VERBS_GROUP = "rapport.verbs"
CALLERS_MISTAKE = 2
MACHINES_FAULT = 1
INTERRUPTED = 130
COLLECT = (100_000, 20, 100)  # a verb lives for seconds: looking for garbage meanwhile was a fifth of its imports


def _verbs() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=VERBS_GROUP)}


def _as_command(verb: Any, *, name: str) -> Any:
    """A verb is a Typer group, or a plain function with Typer annotations."""
    if isinstance(verb, typer.Typer):
        app = verb
    else:
        app = typer.Typer(add_completion=False)
        app.command()(verb)
    command = get_command(app)
    command.name = name
    return command


class _Installed(Verbs):
    """Looks a verb up when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(_verbs())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        point = _verbs().get(cmd_name)
        return None if point is None else _as_command(point.load(), name=cmd_name)


app = group_of_verbs("Rapport: what to say to whom next, and the proof of what it earned.", cls=_Installed)
app.pretty_exceptions_enable = False


@app.callback()
def _root() -> None:
    """Rapport: what to say to whom next, and the proof of what it earned."""


def run_verb(*words: str) -> None:
    """Runs one verb in this process, as the demo composes the rooms; a verb that fails raises what it raised.

    Args:
        words: the command line after `rapport`, such as `"features", "build"`.

    Raises:
        CallersMistake: what was asked cannot be done.
        RuntimeError: the verb ended with another exit code than 0.
    """
    code = app(list(words), prog_name="rapport", standalone_mode=False)
    if code:
        raise RuntimeError(f"'rapport {' '.join(words)}' ended with exit code {code}.")


def main() -> None:
    """Runs one verb; what people can mend ends with a message that says how: exit code 2, or 1 for the machine's."""
    from features.faults import CallersMistake

    _speak_utf8()
    # Our matrices are small: a second thread of OpenBLAS only waits, and costs 8 of 57 s of CPU in 'rapport train'.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # LightGBM's threads sleep while they wait for each other: on busy cores four fifths of its CPU went into spinning.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    gc.set_threshold(*COLLECT)
    try:
        app(prog_name="rapport")
    except CallersMistake as mistake:
        typer.secho(str(mistake), fg=typer.colors.RED, err=True)
        raise SystemExit(CALLERS_MISTAKE) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except Exception as fault:
        from features.machine_faults import is_interruption, machine_fault

        if is_interruption(fault):
            raise SystemExit(INTERRUPTED) from None
        if (told := machine_fault(fault)) is None:
            raise
        asked = shlex.join(["rapport", *sys.argv[1:]])
        typer.secho(f"Asked for '{asked}', but {told}", fg=typer.colors.RED, err=True)
        raise SystemExit(MACHINES_FAULT) from None


def _speak_utf8() -> None:
    """What customers read is Thai and Hindi, also where LANG=C stands for ASCII."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")  # names of files as they came
