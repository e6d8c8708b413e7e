"""What brand.yaml and catalogue.yaml may say of questions and intents, and the questions that come of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.brand import load_brand
from features.catalogue import Reply, load_catalogue
from features.faults import Fault, InvalidFile
from features.question_actions import question_actions, with_questions
from features.starting import write_starter
from features.workspace import Workspace

CHAT_REPLY = "    initiated_by: customer\n    channels: [whatsapp, line, web]\n    baseline: bestsellers\n"
OWN_QUESTION = """
  - id: need_quiz
    kind: question
    asks: skin_need
    stage: consideration
    goal: order
    channels: [line]
    placements: [chat_reply]
    value: 0
    expected_rate: 0
    renderings:
      en:
        body: Which of these is you?
        suggested_replies: [{text: Dry, trait: skin_need, value: dryness}]
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    write_starter(tmp_path)
    return Workspace(tmp_path)


def changed(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
    path.write_text(text.replace(old, new), encoding="utf-8")


def asking(workspace: Workspace, line: str) -> Workspace:
    changed(workspace.brand_file, CHAT_REPLY, f"{CHAT_REPLY}    {line}\n")
    return workspace


def faults_of(workspace: Workspace) -> tuple[Fault, ...]:
    with pytest.raises(InvalidFile) as raised:
        load_catalogue(workspace, load_brand(workspace))
    return raised.value.faults


def test_a_placement_that_lists_a_trait_asks_for_it_with_a_button_a_choice(workspace: Workspace) -> None:
    brand = load_brand(asking(workspace, "questions: [price_preference]"))
    (asked,) = question_actions(brand)
    assert (asked.id, asked.asks, asked.placements) == ("ask_price_preference", "price_preference", ("chat_reply",))
    assert asked.renderings["hi"].body == "अपने लिए आप किस तरह के प्रोडक्ट चुनना पसंद करेंगे?"
    assert asked.renderings["hi"].suggested_replies[0] == Reply(text="किफ़ायती", trait="price_preference", value="value")


def test_where_there_are_too_few_buttons_the_choices_are_listed_to_be_typed(workspace: Workspace) -> None:
    brand = load_brand(asking(workspace, "questions: [skin_need]"))
    tapped, typed = question_actions(brand)
    assert (tapped.id, tapped.channels) == ("ask_skin_need", ("line", "web"))
    assert (typed.id, typed.channels) == ("ask_skin_need_in_words", ("whatsapp",))  # four choices, three buttons
    assert typed.renderings["th"].body.splitlines()[1:] == ["• ผิวแห้ง", "• สิว", "• ผิวหมองคล้ำ", "• ผิวแพ้ง่าย"]
    assert not typed.renderings["th"].suggested_replies


def test_a_brand_that_asks_for_nothing_has_its_catalogue_as_it_is(workspace: Workspace) -> None:
    brand = load_brand(workspace)
    catalogue = load_catalogue(workspace, brand)
    assert with_questions(catalogue, brand) is catalogue


def test_adding_questions_twice_adds_them_once(workspace: Workspace) -> None:
    brand = load_brand(asking(workspace, "questions: [skin_need, birthday]"))
    once = with_questions(load_catalogue(workspace, brand), brand)
    assert with_questions(once, brand) is once
    assert {action.id for action in once.actions} >= {"ask_skin_need", "ask_skin_need_in_words", "ask_birthday"}


def test_a_question_of_the_catalogue_stands_for_the_generated_one(workspace: Workspace) -> None:
    brand = load_brand(asking(workspace, "questions: [skin_need]"))
    with workspace.catalogue_file.open("a", encoding="utf-8") as file:
        file.write(OWN_QUESTION)
    catalogue = with_questions(load_catalogue(workspace, brand), brand)
    assert [action.id for action in catalogue.actions if action.asks == "skin_need"] == ["need_quiz"]


@pytest.mark.parametrize(
    ("line", "where", "problem"),
    [
        ("questions: [skin_ned]", "placements.chat_reply.questions[0]", "names 'skin_ned', which does not exist."),
        ("questions: [income]", "placements.chat_reply.questions[0]", "names 'income', which has no question there."),
        ("off_script: chat_help", "placements.chat_reply.off_script", "is given, but the brand knows no intents."),
    ],
)
def test_what_cannot_be_asked_is_a_fault_of_its_line(workspace: Workspace, line: str, where: str, problem: str) -> None:
    (fault,) = faults_of(asking(workspace, line))
    assert (fault.where, fault.problem) == (where, problem)
    assert fault.line is not None


def test_a_choice_without_a_label_cannot_be_asked(workspace: Workspace) -> None:
    changed(workspace.brand_file, "acne: {en: breakouts, hi: मुँहासे, th: สิว}", "acne: {en: breakouts, th: สิว}")
    (fault,) = faults_of(asking(workspace, "questions: [skin_need]"))
    assert fault.problem == "names 'skin_need', whose 'acne' has no label in hi."


def test_free_text_cannot_be_asked_since_no_answer_to_it_can_be_foreseen(workspace: Workspace) -> None:
    note = "  note:\n    kind: fact\n    type: text\n    question: {en: What else?, hi: और कुछ?, th: มีอะไรอีกไหมคะ}\n"
    changed(workspace.brand_file, "\n# What is worth reaching", f"{note}\n# What is worth reaching")
    (fault,) = faults_of(asking(workspace, "questions: [note]"))
    assert fault.problem == "names 'note', which is free text."


def test_the_action_for_unknown_intents_can_always_be_said(workspace: Workspace) -> None:
    workspace.brand_file.write_text(
        workspace.brand_file.read_text(encoding="utf-8") + "\nintents: [buy, help]\n", encoding="utf-8"
    )
    (fault, *_) = faults_of(asking(workspace, "off_script: first_order_coupon"))
    assert fault.where.endswith(".when")
    assert "It is the off_script of placement 'chat_reply'" in fault.rule


def test_nothing_is_off_script_where_the_brand_speaks_first(workspace: Workspace) -> None:
    text = workspace.brand_file.read_text(encoding="utf-8") + "\nintents: [buy, help]\n"
    ours = "    initiated_by: brand\n"
    workspace.brand_file.write_text(text.replace(ours, ours + "    off_script: chat_help\n", 1), encoding="utf-8")
    problems = [fault.problem for fault in faults_of(workspace) if fault.where.endswith(".off_script")]
    assert "is given where the brand speaks first." in problems


def test_an_action_that_waits_for_an_intent_which_there_is_not_is_a_fault(workspace: Workspace) -> None:
    workspace.brand_file.write_text(
        workspace.brand_file.read_text(encoding="utf-8") + "\nintents: [buy, help]\n", encoding="utf-8"
    )
    changed(workspace.catalogue_file, "when: n_orders == 1.0\n", "when: n_orders == 1.0 && intent == 'by'\n")
    (fault,) = faults_of(workspace)
    assert fault.problem == "compares 'intent' with 'by', which it never is."
    assert fault.closest == "buy"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("    asks: skin_need\n", "", "is missing."),
        ("    asks: skin_need\n", "    asks: birthday\n", "names 'chat_reply', which does not ask for 'birthday'."),
        ("kind: question\n    asks", "kind: message\n    asks", "is given."),
        (
            "- id: need_quiz\n    kind: question\n    asks: skin_need",
            "- id: ask_skin_need\n    kind: message",
            "has the value 'ask_skin_need'.",
        ),
    ],
)
def test_a_question_of_the_catalogue_says_what_it_asks_for(
    workspace: Workspace, old: str, new: str, problem: str
) -> None:
    asking(workspace, "questions: [skin_need]")
    with workspace.catalogue_file.open("a", encoding="utf-8") as file:
        file.write(OWN_QUESTION.replace(old, new))
    (fault,) = faults_of(workspace)
    assert fault.problem == problem
