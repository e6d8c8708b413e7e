"""What the contact rules say to many customers of a campaign alike is worked out once.

Everything that a verdict depends on is in the key under which it is remembered, so remembering changes nothing but the
time that it takes. A campaign remembers for as long as it lasts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial

from serving.contact.facts import Facts, Left
from serving.contact.rules import ContactRules
from serving.decide import Speaker
from serving.eligibility import Suppressed
from serving.lineup import Lineup
from serving.offers import Offer

REMEMBERED = 1_000


class _Known:
    """What was judged in one situation: of each action on each channel, and of whole line-ups."""

    def __init__(self) -> None:
        self.of_offers: dict[tuple[str, str], Suppressed | None] = {}
        self.of_lineups: dict[Lineup, list[Suppressed | None]] = {}


class RememberingRules:
    """Contact rules that remember what they judged for customers to whom nothing of their own past applies.

    A cap counts some of the contacts, so nobody with fewer contacts than the lowest cap allows is kept away by one. For
    them, without a refusal or a carrier's limit, a verdict rests on their consents, their clock, what they unsubscribed
    from and the budgets. Everybody else is judged by the rules themselves.

    Args:
        rules: the contact rules.
        initiated_by: who speaks first in the campaign's place.
    """

    def __init__(self, rules: ContactRules, *, initiated_by: Speaker) -> None:
        self._rules, self._initiated_by = rules, initiated_by
        self._budgets: Mapping[str, Left] | None = None
        self._verdicts: dict[object, _Known] = {}

    def send_at(self, channel: str, initiated_by: Speaker, at: datetime, zone: str | None) -> datetime | None:
        """As the rules say."""
        return self._rules.send_at(channel, initiated_by, at, zone)

    def reserved_until(self, at: datetime) -> datetime:
        """As the rules say."""
        return self._rules.reserved_until(at)

    def judge_all(
        self,
        offers: Sequence[Offer],
        facts: Facts,
        *,
        initiated_by: Speaker,
        at: datetime,
        zone: str | None,
        consents: Collection[str],
    ) -> list[Suppressed | None]:
        """As the rules do."""
        known = self._shared(facts, initiated_by, at, zone, consents)
        if known is None:
            return self._rules.judge_all(offers, facts, initiated_by=initiated_by, at=at, zone=zone, consents=consents)
        if isinstance(offers, Lineup) and (kept := known.of_lineups.get(offers)) is not None:
            return kept
        judge = partial(self._rules.judge, facts=facts, initiated_by=initiated_by, at=at, zone=zone, consents=consents)
        verdicts: list[Suppressed | None] = []
        for offer in offers:
            key = (offer.action.id, offer.channel)
            if key not in known.of_offers:
                known.of_offers[key] = judge(offer)
            verdicts.append(known.of_offers[key])
        verdicts = verdicts if any(verdicts) else []
        if isinstance(offers, Lineup):
            if len(known.of_lineups) >= REMEMBERED:
                known.of_lineups.clear()
            known.of_lineups[offers] = verdicts
        return verdicts

    def _shared(
        self, facts: Facts, initiated_by: Speaker, at: datetime, zone: str | None, consents: Collection[str]
    ) -> _Known | None:
        """The verdicts of everybody in the same situation; None where their own past may apply."""
        if facts.refusals or facts.carrier_limits:
            return None
        if not self._rules.reach_no_cap(len(facts.contacts), self._initiated_by):
            return None
        if facts.budgets is not self._budgets and facts.budgets != self._budgets:
            self._verdicts.clear()
            self._budgets = facts.budgets
        situation = (initiated_by, at, zone, tuple(consents), facts.unsubscribed)
        if (known := self._verdicts.get(situation)) is None:
            known = self._verdicts[situation] = _Known()
        return known
