"""A recorded decision made once more by the same code, from what was recorded: the same bytes, or what differs."""

from __future__ import annotations

from contextlib import closing
from typing import cast

from features.database import connect
from features.faults import CallersMistake
from features.workspace import Workspace
from serving.compose import Inputs
from serving.contact.facts import facts_of
from serving.decide import Decision, settle
from serving.expected import ExpectedThen
from serving.next_question.asking import asking_again
from serving.replaying.inputs import read_inputs
from serving.replaying.recreating import (
    CannotRecreateError,
    Recorded,
    Recreated,
    actions_asking_for,
    recorded,
    recreate,
)
from serving.replaying.time_zones import tzdata_version
from serving.replaying.used_rates import RecordedRates
from serving.replaying.verdicts import Status, Verdict, compared


def replay_decision(workspace: Workspace, decision_id: str) -> Verdict:
    """What making a decision once more gives.

    Raises:
        CallersMistake: the ledger does not hold it, and never did.
    """
    if not workspace.database.is_file():
        raise CallersMistake(
            f"Asked to replay '{decision_id}', but no decision was ever made here: {workspace.database} is not there."
        )
    with closing(connect(workspace.database)) as connection:
        try:
            one = recorded(connection, decision_id)
        except CannotRecreateError as gone:
            return Verdict(decision_id, cast("Status", gone.status), reasons=gone.reasons)
    return replayed(workspace, one)


def replayed(workspace: Workspace, one: Recorded) -> Verdict:
    """What making a recorded decision once more gives."""
    try:
        return verdict_on(one, decided_again(recreate(workspace, one), one))
    except CannotRecreateError as gone:
        return verdict_on(one, gone)


def verdict_on(one: Recorded, found: Decision | CannotRecreateError) -> Verdict:
    """The verdict on a decision that was made once more, or could not be."""
    if isinstance(found, CannotRecreateError):
        return Verdict(one.decision_id, cast("Status", found.status), reasons=found.reasons)
    return compared(one.decision_id, recorded=one.text, replayed=found.record(), notes=_notes(one))


def decided_again(recreated: Recreated, one: Recorded) -> Decision:
    """The decision, made once more.

    Raises:
        CannotRecreateError: a rule asks for what the customer wrote, or for another thing that is never kept.
    """
    record, stock = one.record, recreated.stock
    placement, channels, draws = str(record["placement"]), tuple(record["channels"]), tuple(record["draws"])
    if recreated.inputs.withheld:
        _refuse_withheld(recreated, placement, channels)
    (prepared,) = stock.composer.prepare(
        recreated.inputs.asking(placement=placement, channels=channels, limit=len(draws)),
        recreated.scored,
        Inputs(
            decision_ids=(one.decision_id,),
            at=one.at,
            draws=draws,
            rates=RecordedRates(record, recreated.inputs.rates),
            versions=record["versions"],
            new=recreated.inputs.new,
            asking=asking_again(recreated.inputs.questions, record),
            expected=ExpectedThen(record) if recreated.inputs.told else recreated.models.expected,
        ),
    )
    return settle(
        prepared,
        facts_of(record["counters"], terms=stock.rules.terms),
        stock.rules,
        drawn=frozenset(record["drawn_elsewhere"]),
        said=frozenset(record["said_elsewhere"]),
    )


def _refuse_withheld(recreated: Recreated, placement: str, channels: tuple[str, ...]) -> None:
    """What was used for one decision only is not kept: it matters where an action or a question asks for it."""
    inputs = recreated.inputs
    names = ", ".join(inputs.withheld)
    asking = actions_asking_for(recreated.stock, placement=placement, channels=channels, withheld=inputs.withheld)
    if asking:
        raise CannotRecreateError(
            "cannot",
            f"The caller told for this decision only, and it is not kept: {names}. These actions ask for it: "
            f"{', '.join(asking)}.",
        )
    if inputs.told and inputs.questions:
        raise CannotRecreateError(
            "cannot", f"The caller told for this decision only, and it is not kept: {names}. Questions rest on it."
        )


def _notes(one: Recorded) -> list[str]:
    notes = []
    if one.inputs is not None and (told := read_inputs(one.inputs, customer_key=0).told):
        notes.append(
            f"The caller told for this decision only, and it is not kept: {', '.join(told)}. Segment, stage and "
            "propensities are therefore taken from the record."
        )
    then, now = one.record["versions"].get("tzdata"), tzdata_version()
    if then is not None and then != now:
        notes.append(f"The time zone database was {then} then and is {now} now.")
    return notes
