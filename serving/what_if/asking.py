"""What a changed catalogue would have done with the decisions of the past days, and what that would have earned."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from experiments.metrics import Estimate, NotEstimable
from experiments.off_policy import Change, LoggedDecision, estimate_change
from experiments.records import HOLDOUT
from features.brand import Brand
from features.database import connect
from features.faults import CallersMistake
from features.packing import EPOCH
from features.schema import feature_schema
from features.versions import read_checked
from features.workspace import Workspace
from serving.contact.rules import ContactRules
from serving.decide import Decision
from serving.ledger_rows import read_counts
from serving.stock import stocked
from serving.values import Rates
from serving.what_if.candidates import Changes, changes_between, read_candidate
from serving.what_if.carrying import Carried
from serving.what_if.earning import Earnings
from serving.what_if.judging import LEFT_OUT_IN_WORDS, Judge
from serving.what_if.past import Past, newest_decision, past_decisions, span_of
from serving.what_if.tallies import Tallies, action_of


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The whole answer.

    Attributes:
        n_decisions: looked at, of customers who are not held out.
        n_customers: of those.
        left_out: by reason, how many could not be looked at.
        n_open: decisions whose window is still open: they count in the shares, not in the estimate.
        n_lists: ranked sets: their first action counts in the shares, none in the estimate.
        tallies: shares, reach, budgets, suppressions.
        change: the change in margin a decision, or why the log cannot say.
    """

    brand: Brand
    catalogue_file: str
    since: datetime
    until: datetime
    n_decisions: int
    n_customers: int
    n_held_out: int
    left_out: Mapping[str, int]
    n_open: int
    n_lists: int
    changes: Changes
    tallies: Tallies
    change: Change
    assumptions: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            "catalogue": self.catalogue_file,
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "n_decisions": self.n_decisions,
            "n_customers": self.n_customers,
            "n_held_out": self.n_held_out,
            "left_out": dict(self.left_out),
            "changes": asdict(self.changes),
            "segments": list(self.segments()),
            "reach": list(self.reach()),
            "suppressions": list(self.suppressions()),
            "budgets": list(self.tallies.budgets()),
            "reward": self.reward(),
            "assumptions": list(self.assumptions),
        }

    def segments(self) -> Iterator[dict[str, Any]]:
        """By segment and action, the share of decisions that it had and would have."""
        was, would_be = self.tallies.was.shares, self.tallies.would_be.shares
        for segment, n in sorted(self.tallies.n_of_segment.items()):
            before, after = was[segment], would_be[segment]
            names = sorted({*before, *after}, key=lambda name: (-after[name], -before[name], name))
            yield {
                "segment": segment,
                "n_decisions": n,
                "actions": [
                    {"action_id": name, "was": before[name] / n, "would_be": after[name] / n} for name in names
                ],
            }

    def reach(self) -> Iterator[dict[str, Any]]:
        """By action, how many customers could get it at least once."""
        was, would_be = self.tallies.was.reached, self.tallies.would_be.reached
        for action_id in sorted({*was, *would_be}, key=lambda name: (-len(would_be.get(name, ())), name)):
            yield {
                "action_id": action_id,
                "was_customers": len(was.get(action_id, ())),
                "would_be_customers": len(would_be.get(action_id, ())),
            }

    def suppressions(self) -> Iterator[dict[str, Any]]:
        """By rule, how often it kept an action away, and which actions most."""
        was, would_be = self.tallies.was.suppressed, self.tallies.would_be.suppressed
        rules = {rule for _, rule in (*was, *would_be)}
        for rule in sorted(rules):
            before = sum(n for (_, name), n in was.items() if name == rule)
            after = {action_id: n for (action_id, name), n in would_be.items() if name == rule}
            yield {
                "rule": rule,
                "was": before,
                "would_be": sum(after.values()),
                "actions": dict(sorted(after.items(), key=lambda one: (-one[1], one[0]))),
            }

    def reward(self) -> dict[str, Any]:
        """The change in margin a decision, three ways, with what each rests on."""
        change = self.change
        return {
            "currency": self.brand.currency,
            "n_decisions": change.n_decisions,
            "n_customers": change.n_customers,
            "n_open": self.n_open,
            "n_lists": self.n_lists,
            "logged_margin": change.logged_reward,
            "effective_n": change.effective_n,
            "mean_weight": change.mean_weight,
            "largest_weight": change.largest_weight,
            "untried": dict(change.untried),
            **{name: _told(getattr(change, name)) for name in ("snips", "ips", "dr")},
        }


def ask_what_if(workspace: Workspace, catalogue: Path, *, last: str) -> WhatIf:
    """The answer for a changed catalogue.

    Args:
        workspace: whose ledger, brand and catalogue in use.
        catalogue: the changed one, .yaml or .xlsx.
        last: such as `30d`: up to now, or to the newest decision where the ledger's clock is ahead.

    Raises:
        CallersMistake: there is nothing to look at, or something is wrong with what was asked.
        InvalidFile: the changed catalogue is wrong; with every fault.
    """
    span = span_of(last)
    in_use = read_checked(workspace)
    files = read_candidate(workspace, in_use.brand, catalogue)
    schema = feature_schema(in_use.brand, workspace)
    stock = stocked(files, workspace=workspace, schema=schema)
    if not workspace.database.is_file():
        raise CallersMistake(f"Asked about the last {last}, but no decision was ever made in '{workspace.root}'.")
    changes = changes_between(in_use.catalogue, files.catalogue)
    with closing(connect(workspace.database)) as connection:
        until = _until(connection, last=last, span=span)
        rates = Rates(
            read_counts(connection, at=until, window=stock.window),
            priors=stock.priors,
            strength=in_use.brand.rewards.prior_strength,
        )
        judge = Judge(
            workspace=workspace,
            stock=stock,
            schema=schema,
            rates=rates,
            reconsidered=frozenset(name for name, keys in changes.changed.items() if "expected_rate" in keys),
            added=frozenset(changes.added),
        )
        earnings = Earnings(workspace, stock, in_use=in_use.catalogue)
        carried = Carried(stock.rules, ContactRules(in_use.brand, in_use.catalogue))
        looking = _Looking(judge, earnings, carried, brand_version=in_use.versions["brand"])
        for pasts in past_decisions(connection, since=until - span, until=until, window=stock.window):
            looking.look(pasts)
    return looking.told(catalogue, since=until - span, until=until, changes=changes)


class _Looking:
    """Goes through the past once."""

    def __init__(self, judge: Judge, earnings: Earnings, carried: Carried, *, brand_version: str) -> None:
        self._judge, self._earnings, self._carried, self._brand_version = judge, earnings, carried, brand_version
        self._tallies = Tallies(judge.stock.rules, carried.would_be)
        self._logged: list[LoggedDecision] = []
        self._left_out: Counter[str] = Counter()
        self._customers: set[int] = set()
        self._n = self._n_held_out = self._n_open = self._n_lists = self._n_other_brand = 0

    def look(self, pasts: list[Past]) -> None:
        for past in pasts:
            record = past.recorded.record
            if record["arm"] == HOLDOUT:
                self._n_held_out += 1
            elif (reason := self._judge.why_not(past.recorded)) is not None:
                self._left_out[reason] += 1
            else:
                self._add(past, self._judge.decision(past.recorded, self._carried))

    def _add(self, past: Past, again: Decision) -> None:
        record = past.recorded.record
        self._n += 1
        self._n_other_brand += record["versions"].get("brand") != self._brand_version
        self._customers.add(int(record["customer_key"]))
        self._carried.add(past.recorded, again)
        self._tallies.add(past.recorded, again)
        if len(record["draws"]) > 1:
            self._n_lists += 1
        elif not past.is_closed:
            self._n_open += 1
        else:
            self._logged.append(self._as_logged(past, again))

    def _as_logged(self, past: Past, again: Decision) -> LoggedDecision:
        record, stock = past.recorded.record, self._judge.stock
        key, channel = str(record["slots"][0]["key"]), str(record["slots"][0]["channel"])
        action_id = action_of(key)
        now = stock.shelf.offerables.get(action_id)
        then = self._earnings.action_then(action_id, record)
        return LoggedDecision(
            customer_key=int(record["customer_key"]),
            cell=f"{record['segment']}·{record['stage']}",
            action=key,
            reward=self._earnings.margin(past, then, channel),
            reward_as_candidate=self._earnings.margin(past, now.action if now else then, channel),
            logged=record["distribution"],
            candidate=again.distribution.as_dict(),
        )

    def told(self, catalogue: Path, *, since: datetime, until: datetime, changes: Changes) -> WhatIf:
        if not self._n:
            why = "; ".join(f"{n} {LEFT_OUT_IN_WORDS[reason]}" for reason, n in self._left_out.items())
            raise CallersMistake(
                f"Asked about the decisions from {since.isoformat()} to {until.isoformat()}, of which none can be "
                f"looked at{': ' + why if why else ''}. {self._n_held_out} were of held-out customers. Ask about a "
                "longer time with --last."
            )
        return WhatIf(
            brand=self._judge.stock.brand,
            catalogue_file=str(catalogue),
            since=since,
            until=until,
            n_decisions=self._n,
            n_customers=len(self._customers),
            n_held_out=self._n_held_out,
            left_out=self._left_out,
            n_open=self._n_open,
            n_lists=self._n_lists,
            changes=changes,
            tallies=self._tallies,
            change=estimate_change(self._logged),
            assumptions=tuple(_assumptions(changes, n=self._n, n_other_brand=self._n_other_brand)),
        )


def _assumptions(changes: Changes, *, n: int, n_other_brand: int) -> Iterator[str]:
    yield "Customers come back as they did: what an action changes later is not in it."
    yield (
        "Caps and refusals stand as they were counted then; what is left of budgets and coupon codes is carried from "
        "decision to decision, by what the same draws would take."
    )
    if n_other_brand:
        yield (
            f"{n_other_brand:,} of {n:,} decisions were made with another brand.yaml than the one in use: what that "
            "changed since (policy, contact policy, placements) is in the difference too, not only the catalogue."
        )
    if changes.remade:
        yield f"These earn as they did before they were changed: {', '.join(changes.remade)}."


def _until(connection: sqlite3.Connection, *, last: str, span: timedelta) -> datetime:
    newest = newest_decision(connection)
    if newest is None:
        raise CallersMistake(f"Asked about the last {last}, but the ledger holds no decision.")
    newest_at = EPOCH + timedelta(microseconds=newest + 1)
    until = max(datetime.now(UTC), newest_at)
    if newest_at < until - span:
        raise CallersMistake(
            f"Asked about the last {last}, but the newest decision is of {newest_at.isoformat()}. Ask about a longer "
            f"time: --last {(until - newest_at).days + 30}d."
        )
    return until


def _told(estimate: Estimate | NotEstimable) -> dict[str, Any]:
    if isinstance(estimate, Estimate):
        return {"change": estimate.value, "low": estimate.low, "high": estimate.high}
    return {"change": None, "reason": estimate.reason, "code": estimate.code}
