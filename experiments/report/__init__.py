"""The marketers' page: collect typed data, render it, write it or hand it to the service."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.report.models import champion_file
from features.lake import Lake
from features.workspace import Workspace

if TYPE_CHECKING:
    from experiments.report.collect import ReportData

DEFAULT_AUDIENCE_LINK = "audience-{segment}.csv"

__all__ = ["audience_csv", "report_fingerprint", "report_html", "write_report"]


def report_html(
    workspace: Workspace,
    *,
    locale: str | None = None,
    audience_link: str = DEFAULT_AUDIENCE_LINK,
    compare_from: date | None = None,
    compare_to: date | None = None,
    as_of: datetime | None = None,
) -> str:
    """The marketers' page as one self-contained HTML text.

    A page is kept in this process until what it says has changed: seconds for a large ledger, then a millisecond.

    Args:
        workspace: whose.
        locale: the page's language, en, hi or th with or without a region; default the brand's.
        audience_link: where a segment's audience is found, with `{segment}` in the place of its id; a service that
            mounts the page at /report gives `/report/audience/{segment}.csv`.
        compare_from: the earlier score day of "who moved"; default the one nearest to four weeks before the later.
        compare_to: the later one; default the newest.
        as_of: where the holdout analysis stands; default now.

    Raises:
        CallersMistake: a locale without words, or a day that was not scored.
    """
    from experiments.report.collect import collect

    if as_of is not None:
        data = collect(workspace, compare_from=compare_from, compare_to=compare_to, as_of=as_of)
        return _rendered(data, locale, audience_link)
    return _kept_page(
        _kept_data(workspace, report_fingerprint(workspace), compare_from, compare_to), locale, audience_link
    )


@lru_cache(maxsize=4)
def _kept_data(
    workspace: Workspace, fingerprint: str, compare_from: date | None, compare_to: date | None
) -> ReportData:
    """What was collected, as long as the fingerprint stays."""
    from experiments.report.collect import collect

    return collect(workspace, compare_from=compare_from, compare_to=compare_to)


@lru_cache(maxsize=16)
def _kept_page(data: ReportData, locale: str | None, audience_link: str) -> str:
    """The page of what was collected, once a language."""
    return _rendered(data, locale, audience_link)


def _rendered(data: ReportData, locale: str | None, audience_link: str) -> str:
    from experiments.report.render import render_page
    from experiments.report.words import page_language

    return render_page(data, language=page_language(locale, data.brand), audience_link=audience_link)


def audience_csv(workspace: Workspace, segment: str) -> str:
    """The customers of one segment as CSV; see experiments.report.audience."""
    from experiments.report import audience

    return audience.audience_csv(workspace, segment)


def write_report(
    workspace: Workspace,
    *,
    out: Path,
    locale: str | None = None,
    compare_from: date | None = None,
    compare_to: date | None = None,
) -> Path:
    """Writes index.html and every segment's audience into a folder; returns the page's path."""
    from experiments.report.collect import collect

    data = collect(workspace, compare_from=compare_from, compare_to=compare_to)
    html = _rendered(data, locale, DEFAULT_AUDIENCE_LINK)
    out.mkdir(parents=True, exist_ok=True)
    for segment in data.scored.segments if data.scored else ():
        name = DEFAULT_AUDIENCE_LINK.format(segment=segment.id)
        # A byte order mark: spreadsheets then read names in Hindi and Thai as what they are.
        (out / name).write_text(audience_csv(workspace, segment.id), encoding="utf-8-sig", newline="")
    page = out / "index.html"
    page.write_text(html, encoding="utf-8")
    return page


def report_fingerprint(workspace: Workspace) -> str:
    """Changes when a page made now would say something else than one made before: the key of a cache of pages.

    It covers the brand's files, the lake, the scores, what was found of the models, the ledger and the hour, since
    windows close by themselves; what came into the log within the hour does not make a page anew.
    """
    parts = [f"{datetime.now(UTC):%Y-%m-%dT%H}"]
    manifest = Lake(workspace.lake).manifest_path
    watched = [workspace.brand_file, workspace.catalogue_file, manifest, champion_file(workspace)]
    watched += [*workspace.lake.glob("scores/day=*/*"), *workspace.lake.glob("drift/day=*/*")]
    for path in sorted(watched):
        if path.is_file():
            stat = path.stat()
            parts.append(f"{path.name} {path.parent.name} {stat.st_size} {stat.st_mtime_ns}")
    if workspace.database.is_file():
        with closing(sqlite3.connect(workspace.database)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            for table in ("decisions", "outcomes", "identity"):
                if table in tables:
                    row = connection.execute(f"SELECT max(rowid) FROM {table}").fetchone()
                    parts.append(f"{table} {row[0]}")
            if "action_exposures" in tables:  # a deferred decision's comes later than the decision
                row = connection.execute("SELECT total(n_exposures) FROM action_exposures").fetchone()
                parts.append(f"exposures {row[0]}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
