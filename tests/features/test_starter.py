"""The shipped brand: what it speaks, and that it can always be said."""

from __future__ import annotations

import itertools
import unicodedata
from pathlib import Path

import pytest

import features
from features.action_checks import slot_samples
from features.brand import Brand, load_brand
from features.catalogue import Catalogue, Reply, load_catalogue
from features.expressions import UnknownName, compile_expression
from features.rendering import RenderedMessage, render
from features.starting import write_starter
from features.variables import feature_variables, variables_of
from features.workspace import Workspace

STARTER = Workspace(Path(features.__file__).parent / "starter")
SCRIPTS = {"en": "LATIN", "hi": "DEVANAGARI", "th": "THAI"}


@pytest.fixture(scope="module")
def brand() -> Brand:
    return load_brand(STARTER)


@pytest.fixture(scope="module")
def catalogue(brand: Brand) -> Catalogue:
    return load_catalogue(STARTER, brand)


def scripts_of(text: str) -> set[str]:
    names = {unicodedata.name(sign, "").split(" ")[0] for sign in text if sign.isalpha()}
    return names & set(SCRIPTS.values())


def every_message(brand: Brand, catalogue: Catalogue) -> list[tuple[str, str, RenderedMessage]]:
    variables = variables_of(brand, feature_variables(brand, STARTER))
    messages = []
    for action, locale in itertools.product(catalogue.actions, brand.locales):
        for channel, slots in itertools.product(action.channels, slot_samples(action, brand, variables)):
            message = render(action, brand=brand, locale=locale, slots=slots, channel=channel, templated=False)
            assert isinstance(message, RenderedMessage), (action.id, locale, channel, message)
            messages.append((action.id, locale, message))
    return messages


def test_every_message_is_in_the_script_of_its_locale(brand: Brand, catalogue: Catalogue) -> None:
    for action_id, locale, message in every_message(brand, catalogue):
        assert message.locale == locale
        alt = message.media["alt"] if message.media else ""
        label = message.link["label"] if message.link else ""
        found = scripts_of(" ".join([message.text, alt, label, *message.suggested_replies]))
        assert found == {SCRIPTS[locale]}, (action_id, locale, found)


def test_questions_and_labels_are_in_the_script_of_their_locale(brand: Brand) -> None:
    for name, trait in brand.traits.items():
        for texts in (trait.question, *trait.labels.values()):
            for locale, text in texts.items():
                assert scripts_of(text) == {SCRIPTS[locale]}, (name, locale, text)


def test_every_choice_has_a_label_in_every_locale(brand: Brand) -> None:
    for trait in brand.traits.values():
        for choice in trait.choices:
            assert set(trait.labels[choice]) == set(brand.locales)


def test_what_the_brand_sends_first_has_templates_in_every_locale(brand: Brand, catalogue: Catalogue) -> None:
    for action in catalogue.actions:
        if "weekly_message" in action.placements:
            assert set(action.templates) == set(brand.locales), action.id


def test_a_stranger_gets_something_and_a_customer_of_each_kind_has_a_choice(brand: Brand, catalogue: Catalogue) -> None:
    variables = variables_of(brand, feature_variables(brand, STARTER))
    conditions = {action.id: compile_expression(action.when or "true", variables) for action in catalogue.actions}

    def eligible(**values: object) -> set[str]:
        chosen = set()
        for action_id, condition in conditions.items():
            try:
                chosen |= {action_id} if condition.evaluate(values) else set()
            except UnknownName:
                continue
        return chosen

    assert {"welcome_hook", "skin_quiz", "first_order_coupon"} <= eligible(is_known=False)
    lapsed = {"is_known": True, "stage": "conversion", "n_orders": 1, "days_since_last_order": 200}
    assert {"second_purchase_coupon", "winback_offer"} <= eligible(**lapsed)
    assert "replenish_reminder" not in eligible(**lapsed)
    loyal = {"is_known": True, "stage": "loyalty", "n_orders": 5, "revenue_365d": 5000, "days_since_last_order": 40}
    assert {"loyalty_points", "replenish_reminder"} <= eligible(**loyal)


def test_a_tap_on_the_quiz_answers_its_question_in_every_locale(catalogue: Catalogue) -> None:
    quiz = next(action for action in catalogue.actions if action.id == "skin_quiz")
    for locale, rendering in quiz.renderings.items():
        declared = [(one.trait, one.value) for one in rendering.suggested_replies if isinstance(one, Reply)]
        assert declared == [("skin_need", need) for need in ("dryness", "acne", "dullness")], locale


def test_who_taps_not_now_where_we_ask_them_back_has_refused(brand: Brand, catalogue: Catalogue) -> None:
    texts = {"en": "Not for me now", "hi": "अभी नहीं", "th": "ยังไม่สนใจตอนนี้"}
    winback = next(action for action in catalogue.actions if action.id == "winback_offer")
    for locale in brand.locales:
        refusing = [one for one in winback.renderings[locale].suggested_replies if isinstance(one, Reply)]
        assert [(one.text, one.refuses) for one in refusing] == [(texts[locale], "not_now")]


EXAMPLES = ("intents", "link_hosts", "question_cost", "off_script", "questions", "exploration", "experiment")


def test_what_it_shows_commented_out_would_be_right(tmp_path: Path) -> None:
    write_starter(tmp_path)
    lines = (tmp_path / "brand.yaml").read_text("utf-8").splitlines()
    for name in EXAMPLES:
        (at,) = (n for n, line in enumerate(lines) if line.lstrip().startswith(f"# {name}: "))
        lines[at] = lines[at].replace("# ", "", 1)
    (tmp_path / "brand.yaml").write_text("\n".join(lines) + "\n", "utf-8")
    brand = load_brand(Workspace(tmp_path))
    assert load_catalogue(Workspace(tmp_path), brand).actions
    placement = brand.placements["chat_reply"]
    assert (placement.off_script, placement.questions, brand.rewards.question_cost) == ("chat_help", ("skin_need",), 2)
    assert brand.experiment is not None
    assert list(brand.experiment.arms) == ["calm", "bold"]
    assert (brand.exploration.exposures, brand.link_hosts) == (500, ("partner.example",))
    assert len(brand.intents) == 3
