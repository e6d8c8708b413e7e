"""`rapport evaluate response` on campaigns that were imported as any shop's would be."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from features.command_line import app, run_verb
from features.faults import CallersMistake
from features.workspace import Workspace
from training.dataset import WorkspaceSource
from training.evaluating.response import evaluate_response
from training.evaluating.response_answer import Question
from training.evaluating.response_cli import as_effect
from training.evaluating.response_splits import BEST_SINGLE, FIGURES, OURS, RANDOM, Terms, split_of
from training.response.campaign_rows import MOST_INSTANTS, campaign_rows, instants_of
from training.response.known_before import MOST_SNAPSHOTS

TRAITS = """traits:
  taste: {kind: fact, type: number}
  region: {kind: fact, type: choice, choices: [north, south]}
  pages_seen: {kind: fact, type: number}
  told_later: {kind: fact, type: number}
"""
MAPPING = """
types: {taste: number, pages_seen: number, p: number, visit: number, spend: number}
constants: {_campaign: CAMPAIGN}
customer: customer_id
time: {value: "2024-03-20T09:00:00Z"}
events:
  - event: identify
    key: [customer_id, _campaign]
    time: {value: "2024-03-20T08:00:00Z"}
    traits: {taste: taste, region: region, pages_seen: pages_seen}
  - event: identify
    key: [customer_id, _campaign, visit]
    time: {value: "2024-03-21T09:00:00Z"}
    traits: {told_later: visit}
  - event: Message Sent
    key: [customer_id, _campaign]
    campaign: _campaign
    arm: arm
    action_id: {column: arm, map: {Mail: mail, Post: post, No Mail: nothing}}
    action_probability: p
  - event: Outcome Measured
    key: [customer_id, _campaign]
    time: {value: "2024-04-03T09:00:00Z"}
    campaign: _campaign
    outcome: {value: visit}
    value: visit
    window_days: 14
  - event: Outcome Measured
    key: [customer_id, _campaign]
    time: {value: "2024-04-03T09:00:00Z"}
    campaign: _campaign
    outcome: {value: spend}
    value: spend
    window_days: 14
"""
ARMS = np.array(["Mail", "Post", "No Mail"])


def a_campaign(
    name: str, *, n: int = 1500, seed: int = 0, targeted: bool = False, leaking: bool = False
) -> pd.DataFrame:
    """A third gets a mail, which moves those with a taste for it by 40 points, and drives away the others by 10."""
    rng = np.random.default_rng(seed)
    taste = np.round(rng.normal(size=n), 3)
    arm = ARMS[rng.integers(0, 3, n)]
    p = np.full(n, 1 / 3)
    if targeted:
        arm = np.where(rng.random(n) < np.where(taste > 0, 0.97, 0.03), "Mail", "No Mail")
        p[:] = 0.5
    moved = np.where(arm == "Mail", np.where(taste > 0, 0.4, -0.1), 0.0)
    visit = (rng.random(n) < 0.2 + moved).astype(int)
    return pd.DataFrame(
        {
            "customer_id": [f"{name}-{i}" for i in range(n)],
            "taste": taste,
            "region": rng.choice(["north", "south"], n),
            "pages_seen": np.where(visit == 1, rng.poisson(3, n) + 1, 0) if leaking else None,
            "arm": arm,
            "p": p,
            "visit": visit,
            "spend": np.round(visit * rng.gamma(2, 10, n), 2),
        }
    )


CAMPAIGNS = {
    "spring": a_campaign("spring"),
    "targeted": a_campaign("targeted", targeted=True, n=900),
    "leaking": a_campaign("leaking", leaking=True, n=900),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with three past campaigns, imported by mappings."""
    folder = tmp_path_factory.mktemp("campaigns")
    shop = folder / "shop"
    run_verb("init", str(shop))
    brand = (shop / "brand.yaml").read_text("utf-8").replace("\ntraits:\n", "\n" + TRAITS, 1)
    (shop / "brand.yaml").write_text(brand, "utf-8")
    for name, frame in CAMPAIGNS.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
        (folder / f"{name}.yaml").write_text(MAPPING.replace("CAMPAIGN", name), "utf-8")
        run_verb(
            "import", str(folder / f"{name}.csv"), "--mapping", str(folder / f"{name}.yaml"), "--workspace", str(shop)
        )
    return shop


def asked(shop: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `rapport evaluate response`."""
    told = CliRunner().invoke(app, ["evaluate", "response", "--workspace", str(shop), "--workers", "1", *words])
    if isinstance(told.exception, CallersMistake):
        raise told.exception
    return told.exit_code, told.stdout, told.stderr


@pytest.fixture(scope="module")
def answer(shop: Path) -> dict[str, Any]:
    words = ("--campaign", "spring", "--outcome", "visit", "--arms", "Mail,No Mail", "--splits", "2", "--cost", "0.05")
    code, out, _ = asked(shop, *words, "--value", "2", "--json")
    assert code == 0
    told: dict[str, Any] = json.loads(out)
    return told


def figures(answer: dict[str, Any], model: str) -> dict[str, Any]:
    (metrics,) = (one["metrics"] for one in answer["models"] if one["name"] == model)
    found: dict[str, Any] = metrics
    return found


def test_the_arms_and_their_means_are_those_of_the_file(answer: dict[str, Any]) -> None:
    frame = CAMPAIGNS["spring"]
    for told, arm in zip(answer["arms"], ("No Mail", "Mail"), strict=True):
        of_it = frame[frame["arm"] == arm]["visit"]
        assert told["n"] == len(of_it)
        assert told["mean"] == pytest.approx(of_it.mean(), abs=1e-6)
    assert (answer["treated"], answer["control"], answer["window_days"]) == (
        "Mail",
        "No Mail",
        14.0,
    )  # as they were asked for


def test_what_the_message_changed_has_an_interval_and_none_is_claimed_where_that_holds_zero(
    answer: dict[str, Any],
) -> None:
    control, mail = (one["mean"] for one in answer["arms"])
    effect = answer["effect"]
    assert effect["value"] == pytest.approx(mail - control, abs=2e-6)
    errors = [one["standard_error"] for one in answer["arms"]]
    assert effect["error"] == pytest.approx((errors[0] ** 2 + errors[1] ** 2) ** 0.5, abs=2e-6)
    assert effect["found"] is (effect["low"] > 0.0)
    assert as_effect(effect).startswith("The message changed the mean by 0.")
    nothing = effect | {"value": 0.001, "low": -0.002, "high": 0.004, "found": False}
    assert as_effect(nothing).startswith("No effect was found: the message changed the mean by 0.001 (95%")


def test_only_what_was_known_before_the_message_is_learned_from(answer: dict[str, Any]) -> None:
    assert "trait_taste" in answer["inputs"]
    assert not [name for name in answer["inputs"] if "told_later" in name]


def test_ours_finds_whom_the_mail_moves_and_random_does_not(answer: dict[str, Any]) -> None:
    ours, random = figures(answer, OURS), figures(answer, RANDOM)
    assert ours["uplift_at_30"]["overall"]["mean"] == pytest.approx(0.4, abs=0.12)
    assert ours["uplift_at_30"]["by_group"]["mean"] > random["uplift_at_30"]["by_group"]["mean"] + 0.1
    assert ours["qini_auc"]["mean"] > 0.2
    assert ours["policy_value"]["mean"] > figures(answer, BEST_SINGLE)["policy_value"]["mean"]


def test_net_value_is_what_visits_are_worth_less_what_messages_cost(answer: dict[str, Any]) -> None:
    for one in answer["models"]:
        of = one["metrics"]
        expected = 2 * of["policy_value"]["mean"] - 0.05 * of["treated_share"]["mean"]
        assert of["net_value"]["mean"] == pytest.approx(expected, abs=1e-5)


def test_every_split_says_which_learner_the_trainer_chose(answer: dict[str, Any]) -> None:
    assert [one["split"] for one in answer["chosen"]] == [0, 1]
    assert all(one["learner"] and one["why"] for one in answer["chosen"])
    assert sum(answer["chosen_counts"].values()) == 2
    assert answer["overlap"]["auc"] == pytest.approx(0.5, abs=0.06)


def test_the_table_for_people_has_every_model(shop: Path, answer: dict[str, Any]) -> None:
    code, out, _ = asked(shop, "--campaign", "spring", "--outcome", "spend", "--arms", "post,nothing", "--splits", "1")
    assert code == 0
    for one in answer["models"]:
        assert f"| {one['name']} |" in out
    assert "Ours chose: " in out


def test_a_targeted_campaign_gets_a_refusal_and_no_number(shop: Path) -> None:
    code, out, err = asked(shop, "--campaign", "targeted", "--outcome", "visit", "--json")
    told = json.loads(out)
    assert code == 2
    assert told["models"] == []
    assert told["refused"]["code"] == "targeted"
    assert told["refused"]["figures"]["auc"] > 0.9
    assert told["refused"]["what_would_settle_it"]["customers_by_relative_change"]["10%"] > 1000
    assert "'trait_taste'" in err


def test_a_feature_that_knows_the_outcome_is_named(shop: Path) -> None:
    code, out, err = asked(shop, "--campaign", "leaking", "--outcome", "visit", "--arms", "mail,nothing", "--json")
    assert code == 2
    assert json.loads(out)["refused"]["figures"]["features"][0]["feature"] == "trait_pages_seen"
    assert "'trait_pages_seen'" in err


def test_a_feature_that_was_looked_into_is_trusted(shop: Path) -> None:
    brand = (shop / "brand.yaml").read_text("utf-8")
    try:
        (shop / "brand.yaml").write_text(brand + "\ntraining: {trusted: [trait_pages_seen]}\n", "utf-8")
        question = Question("leaking", "visit", ("mail", "nothing"), splits=1, workers=1)
        assert evaluate_response(Workspace(shop), question).refusal is None
    finally:
        (shop / "brand.yaml").write_text(brand, "utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--campaign", "sprin", "--outcome", "visit"), r"'spring' \(1,500 rows\).*Closest: 'spring'"),
        (
            ("--campaign", "spring", "--outcome", "visits", "--arms", "mail,post"),
            "'visit' .1,500 measured.*Closest: 'visit'",
        ),
        (("--campaign", "spring", "--outcome", "visit"), "--arms A,B, of 'nothing', 'mail', 'post'"),
        (
            ("--campaign", "spring", "--outcome", "visit", "--arms", "mali,nothing"),
            "'mail' .*arm 'Mail'.*Closest: 'mail'",
        ),
        (("--campaign", "spring", "--outcome", "visit", "--arms", "Mail,mail"), "one and the same"),
        (("--campaign", "spring", "--outcome", "ordered", "--arms", "mail,nothing"), "nothing to tell apart"),
        (("--campaign", "spring", "--outcome", "visit", "--arms", "mail,nothing", "--splits", "0"), "0 splits"),
        (("--campaign", "spring", "--outcome", "visit", "--arms", "mail,nothing", "--cost", "-1"), "not below 0"),
    ],
)
def test_wrong_names_are_answered_with_those_that_there_are(shop: Path, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(CallersMistake, match=said):
        asked(shop, *words)


def test_the_same_seed_gives_the_same_figures_in_however_many_processes(shop: Path, answer: dict[str, Any]) -> None:
    terms = Terms(value=2.0, cost=0.05)
    together = evaluate_response(
        Workspace(shop), Question("spring", "visit", ("Mail", "No Mail"), splits=2, terms=terms, workers=2)
    )
    assert together.as_dict() == answer
    assert set(together.judged[0].figures[OURS]) == set(FIGURES)


def test_what_costs_more_than_it_brings_is_sent_to_nobody(shop: Path) -> None:
    question = Question("spring", "visit", ("mail", "nothing"), splits=1, workers=1, terms=Terms(value=1.0, cost=5.0))
    figures = evaluate_response(Workspace(shop), question).judged[0].figures
    assert figures[OURS]["treated_share"] == 0.0
    assert figures[BEST_SINGLE]["treated_share"] == 0.0
    assert figures[OURS]["net_value"] == pytest.approx(figures[OURS]["policy_value"])


def test_a_campaign_whose_arms_were_mapped_away_is_told_apart_from_none(tmp_path: Path) -> None:
    shop, file, by = tmp_path / "shop", tmp_path / "spring.csv", tmp_path / "spring.yaml"
    run_verb("init", str(shop))
    brand = (shop / "brand.yaml").read_text("utf-8").replace("\ntraits:\n", "\n" + TRAITS, 1)
    (shop / "brand.yaml").write_text(brand, "utf-8")
    CAMPAIGNS["spring"].head(20).to_csv(file, index=False)
    text = MAPPING.replace("CAMPAIGN", "spring").replace("    arm: arm\n", "")
    by.write_text(text.replace("{Mail: mail, Post: post, No Mail: nothing}", '{"1.0": mail}'), "utf-8")
    run_verb("import", str(file), "--mapping", str(by), "--workspace", str(shop))
    with pytest.raises(CallersMistake, match="none of its 20 'Message Sent' says which arm or action"):
        asked(shop, "--campaign", "spring", "--outcome", "visit", "--arms", "mail,nothing")
    with pytest.raises(CallersMistake, match="no campaign was imported"):
        asked(shop, "--campaign", "autumn", "--outcome", "visit", "--arms", "mail,nothing")


def test_no_customer_is_on_both_sides_of_a_split(shop: Path) -> None:
    source = WorkspaceSource(Workspace(shop))
    rows = campaign_rows(source, campaign="spring", outcome="visit").rows
    twice = rows.taken(np.concatenate([np.arange(len(rows)), np.arange(0, len(rows), 2)]))
    for some in (rows, twice):
        learn, judge = split_of(some, share=0.3, seed=1)
        assert not set(some.cluster[learn]) & set(some.cluster[judge])
        assert len(learn) + len(judge) == len(some)
        assert len(judge) / len(some) == pytest.approx(0.3, abs=0.03)
    learn, judge = split_of(rows, share=0.3, seed=1)
    for arm in range(3):
        rates = [rows.reward[part][rows.action[part] == arm].mean() for part in (learn, judge)]
        assert rates[0] == pytest.approx(rates[1], abs=0.01)


def test_features_are_as_of_the_send_never_later() -> None:
    day = 86_400_000_000
    few = np.array([5, 7, 7, 9]) * day
    assert instants_of(few).tolist() == few.tolist()
    rng = np.random.default_rng(0)
    for days in (1, 40, 300, 1500):
        at_us = np.sort(rng.integers(0, days * day, 2000))
        as_of = instants_of(at_us)
        assert (as_of <= at_us).all()
        assert MOST_INSTANTS < 2000
        assert len(np.unique(as_of)) <= MOST_SNAPSHOTS
        assert (at_us - as_of < 28 * day).all()


def test_epoch_of_the_send_is_the_files(shop: Path) -> None:
    source = WorkspaceSource(Workspace(shop))
    found = campaign_rows(source, campaign="targeted", outcome="spend")
    assert found.campaign.first_at == datetime(2024, 3, 20, 9, tzinfo=UTC)
    assert found.rows.reward.sum() == pytest.approx(CAMPAIGNS["targeted"]["spend"].sum())
