"""What customers have declared, counted from a snapshot."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.brand import Placement, Trait
from features.snapshot_origin import MADE_FROM
from features.workspace import Workspace
from serving.ledger import Ledger
from serving.next_question.likely import ToldCount
from serving.next_question.told import ToldReader, told_counts
from tests.serving.tiny_world import NOON, a_brand

NAN = float("nan")
TRAITS = {
    "need": Trait(kind="need", type="choice", choices=("dry", "oily")),
    "likes": Trait(kind="interest", type="choices", choices=("soap", "scent")),
    "sporty": Trait(kind="fact", type="boolean"),
    "born": Trait(kind="fact", type="date"),
    "income": Trait(kind="fact", type="number"),
    "note": Trait(kind="fact", type="text"),
}
SAID: dict[str, list[float]] = {
    "customer_key": [1, 2, 3, 4],
    "trait_need": [0.0, 1.0, 1.0, NAN],
    "trait_likes_soap": [1.0, 0.0, NAN, NAN],
    "trait_likes_scent": [1.0, 1.0, NAN, NAN],
    "trait_sporty": [NAN, NAN, NAN, 1.0],
    "trait_born": [NAN, 0.0, 31.0, NAN],
    "trait_income": [10.0, 20.0, 30.0, 40.0],
}


def snapshot(workspace: Workspace, said: dict[str, list[float]], *, day: str = "2026-03-01T00-00-00.000000") -> Path:
    folder = workspace.lake / "snapshots" / f"as_of={day}"
    folder.mkdir(parents=True)
    pq.write_table(pa.table(said), folder / "snapshot.parquet")
    (folder / MADE_FROM).write_text(json.dumps({}))
    return folder / "snapshot.parquet"


def scores(workspace: Workspace, segments: dict[int, str]) -> Path:
    path = workspace.lake / "scores" / "day=2026-03-01" / "scores.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"customer_key": list(segments), "segment": list(segments.values())}), path)
    return path


def counted(counts: list[ToldCount], trait: str) -> dict[tuple[str, object], float]:
    found: Counter[tuple[str, object]] = Counter()
    for one in counts:
        if one.trait == trait:
            found[one.segment, one.answer] += one.n_customers  # type: ignore[assignment]
    return dict(found)


def test_every_answer_is_counted_in_the_segment_of_who_gave_it(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    path, scored = snapshot(workspace, SAID), scores(workspace, {1: "s1", 2: "s1", 3: "s2"})
    counts = list(told_counts(path, scored, traits=TRAITS))
    assert counted(counts, "need") == {("s1", "dry"): 1, ("s1", "oily"): 1, ("s2", "oily"): 1}
    assert counted(counts, "likes") == {("s1", "soap"): 1, ("s1", "scent"): 2}
    assert counted(counts, "sporty") == {("", True): 1}
    assert counted(counts, "born") == {("s1", "1970-01-01"): 1, ("s2", "1970-02-01"): 1}
    assert counted(counts, "note") == {}


def test_without_scores_everybody_counts_in_no_segment(tmp_path: Path) -> None:
    counts = list(told_counts(snapshot(Workspace(tmp_path), SAID), None, traits=TRAITS))
    assert counted(counts, "need") == {("", "dry"): 1, ("", "oily"): 2}


def test_a_number_is_one_of_a_few_values_that_stand_for_as_many_customers_each(tmp_path: Path) -> None:
    many = {"customer_key": [float(key) for key in range(100)], "trait_income": [float(value) for value in range(100)]}
    counts = counted(
        list(told_counts(snapshot(Workspace(tmp_path), many), None, traits={"income": TRAITS["income"]})), "income"
    )
    assert [answer for _, answer in counts] == [9.0, 29.0, 49.0, 69.0, 89.0]
    assert sum(counts.values()) == 100
    assert max(counts.values()) - min(counts.values()) <= 1


def test_the_reader_takes_the_newest_snapshot_and_reads_only_what_may_be_asked_for(tmp_path: Path) -> None:
    asks = Placement(initiated_by="customer", channels=("web",), baseline="tip", fallback="tip", questions=("need",))
    brand = a_brand(placements={"reply": asks})
    workspace = Workspace(tmp_path)
    Ledger(workspace.database).close()
    snapshot(workspace, {"customer_key": [1], "trait_need": [0.0]}, day="2026-01-01T00-00-00.000000")
    snapshot(workspace, SAID)
    told = ToldReader(workspace, brand).wait(NOON).told
    assert told.n_told("need") == 3
    assert told.n_told("income") == 0


def test_before_there_is_a_snapshot_nobody_has_said_anything(tmp_path: Path) -> None:
    assert ToldReader(Workspace(tmp_path), a_brand()).wait(NOON).told.n_told("need") == 0
