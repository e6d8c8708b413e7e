"""The page says whether the models still hold, in words that a marketer can read."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from experiments.report import report_fingerprint, report_html
from experiments.report.models import champion_file, read_watched

if TYPE_CHECKING:
    from tests.experiments.conftest import ReportWorld


def outcome(said_at: str, said: float, *, is_champions: bool = True) -> dict[str, Any]:
    names = {"what": "within 30 days", "horizon_days": 30, "unit": "rate", "said_at": said_at}
    return names | {"is_champions": is_champions, "said": said, "came": 0.2}


def looked(world: ReportWorld, day: str, *, status: str, reasons: list[dict[str, Any]]) -> None:
    """What `rapport drift` would have written."""
    model: dict[str, Any] = {"model": "next_purchase", "version": "v1", "trained_at": "2026-03-01T00:00:00+00:00"}
    model |= {"status": status, "reasons": reasons}
    model["outcomes"] = [
        outcome("2026-03-02", 0.25),
        outcome("2026-03-09", 0.31),
        outcome("2026-03-10", 0.9, is_champions=False),
    ]
    path = world.workspace.lake / "drift" / f"day={day}" / "drift.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"as_of": f"{day}T00:00:00+00:00", "models": [model]}))
    use(world, next_purchase="v1")


def use(world: ReportWorld, **versions: str) -> None:
    """Which versions are served."""
    path = champion_file(world.workspace)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({name: {"version": version, "sha256": ""} for name, version in versions.items()}))


def section(world: ReportWorld, locale: str = "en") -> str:
    html = report_html(world.workspace, locale=locale)
    start = html.index('<section id="models"')
    text = re.sub(r"<[^>]+>", " ", html[start : html.index("</section>", start)])
    return " ".join(text.split())


def reason(code: str, name: str, then: float | None = None, now: float | None = None) -> dict[str, Any]:
    return {"code": code, "name": name, "then": then, "now": now, "told": ""}


def test_before_anybody_looked_the_page_has_no_such_part(report_world: ReportWorld) -> None:
    assert read_watched(report_world.workspace) is None
    assert 'id="models"' not in report_html(report_world.workspace)


def test_where_nothing_speaks_for_a_training_that_is_said_with_what_came(report_world: ReportWorld) -> None:
    looked(report_world, "2026-04-11", status="retrain", reasons=[reason("score_moved", "within 30 days", None, 0.4)])
    looked(report_world, "2026-04-12", status="steady", reasons=[])
    told = section(report_world)
    assert "As of 12 Apr 2026, nothing speaks for training a model anew." in told
    assert "Likely to buy orders within 30 days 1 Mar 2026 steady 31.0% 20.0%" in told


@pytest.mark.parametrize(
    ("why", "words"),
    [
        (reason("off", "within 30 days", 0.31, 0.2), "it said 31.0% (orders within 30 days), and 20.0% came."),
        (reason("score_moved", "within 30 days", None, 0.4), "what it says of customers has moved since its training."),
        (reason("feature_moved", "n_orders_90d", None, 0.4), "“orders in 90 days”, on which it leans, has moved"),
        (reason("feature_gone", "n_orders", 0.0, 0.5), "unknown of 0% at its training, of 50% now. See first"),
        (reason("feature_came", "n_orders", 0.5, 0.2), "is known of more customers"),
        (reason("does_not_fit", ""), "does not fit what is known of customers today"),
    ],
)
def test_each_reason_is_a_sentence_in_every_language(
    report_world: ReportWorld, why: dict[str, Any], words: str
) -> None:
    looked(report_world, "2026-04-12", status="retrain", reasons=[why])
    english = section(report_world)
    assert "a new training is suggested for: Likely to buy." in english
    assert words in english
    others = [section(report_world, locale) for locale in ("hi", "th")]
    assert all(words not in other and "{" not in other for other in others)


def test_a_new_look_makes_the_page_anew(report_world: ReportWorld) -> None:
    looked(report_world, "2026-04-11", status="steady", reasons=[])
    before = report_fingerprint(report_world.workspace)
    looked(report_world, "2026-04-12", status="steady", reasons=[])
    assert report_fingerprint(report_world.workspace) != before


def test_of_a_version_that_was_replaced_nothing_is_told_but_that_nobody_has_looked(report_world: ReportWorld) -> None:
    looked(report_world, "2026-04-12", status="retrain", reasons=[reason("score_moved", "within 30 days")])
    before = report_fingerprint(report_world.workspace)
    use(report_world, next_purchase="v22", segments="v1")
    assert report_fingerprint(report_world.workspace) != before
    told = section(report_world)
    assert "not looked at yet: Likely to buy, Segments." in told
    assert "training" not in told
    assert "Said" not in told
    assert all("not looked at" not in section(report_world, locale) for locale in ("hi", "th"))
    use(report_world)  # rolled back, and nothing is served
    assert 'id="models"' not in report_html(report_world.workspace)


@pytest.mark.parametrize("content", [b"{", b"", b"\xff", b"[]", b'{"as_of": "2026-04-12"}', b'{"models": [{}]}'])
def test_a_damaged_look_is_told_with_what_mends_it_and_the_page_goes_on(
    report_world: ReportWorld, content: bytes
) -> None:
    looked(report_world, "2026-04-12", status="steady", reasons=[])
    (report_world.workspace.lake / "drift" / "day=2026-04-12" / "drift.json").write_bytes(content)
    assert [section(report_world, locale).count("rapport drift") for locale in ("en", "hi", "th")] == [1, 1, 1]
    assert "nothing speaks" not in section(report_world)


def test_where_orders_have_stopped_that_comes_before_any_training(report_world: ReportWorld) -> None:
    why = [reason("no_orders", ""), reason("off", "within 30 days", 0.31, 0.0)]
    looked(report_world, "2026-04-12", status="no_orders", reasons=why)
    path = report_world.workspace.lake / "drift" / "day=2026-04-12" / "drift.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"no_order_since": "2026-03-01T10:00:00+00:00"}))
    told = section(report_world)
    assert "No order has come since 1 Mar 2026. See first whether orders still come in" in told
    assert "Likely to buy orders within 30 days 1 Mar 2026 no orders come" in told
    assert "suggested" not in told
    assert "nothing speaks" not in told
    assert all("No order" not in section(report_world, locale) for locale in ("hi", "th"))


def test_the_page_says_when_somebody_looked_beside_up_to_when_all_was_known(report_world: ReportWorld) -> None:
    looked(report_world, "2026-04-12", status="steady", reasons=[])
    path = report_world.workspace.lake / "drift" / "day=2026-04-12" / "drift.json"
    on = datetime(2026, 5, 3, 12, tzinfo=UTC).timestamp()
    os.utime(path, (on, on))
    told = section(report_world)
    assert "As of 12 Apr 2026" in told
    assert "Somebody last looked on 3 May 2026" in told
    assert all("3 May" not in section(report_world, locale) for locale in ("hi", "th"))
