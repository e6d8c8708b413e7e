"""Renders collected data as one self-contained page: it fetches nothing, runs nothing and says so in its own policy."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from experiments.arms import ArmsAnalysis
from experiments.metrics import Estimate, NotEstimable, wilson_interval
from experiments.records import HOLDOUT, PERSONALISED
from experiments.report.charts import MUTED, Bar, bar_chart, colour_of, shade, sparkline, trend_chart
from experiments.report.collect import ReportData, Scored, Segment
from experiments.report.conversations import LOOKED_BACK
from experiments.report.models import Promise, WatchedModel, WatchedReason
from experiments.report.scores import Movement
from experiments.report.words import Words
from features.catalogue import NOTHING
from features.meanings import said_of

_TEMPLATED = re.compile(r"\{[{%].*?[}%]\}", re.DOTALL)
_HOOK_LENGTH = 80


def render_page(data: ReportData, *, language: str, audience_link: str, made_at: datetime | None = None) -> str:
    """The page as HTML.

    Args:
        data: what was collected.
        language: en, hi or th.
        audience_link: where a segment's audience is found, with `{segment}` in the place of its id.
        made_at: the instant that the footer names; default now.
    """
    page = Page(data, Words(language, data.brand), audience_link=audience_link)
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            page=page,
            w=page.words,
            data=data,
            scored=data.scored,
            decided=data.decided,
            conversations=data.conversations,
            unknown_intents=data.unknown_intents,
            looked_back_days=LOOKED_BACK.days,
            result=data.holdout,
            arms=data.arms,
            new_actions=data.new_actions,
            watched=data.watched,
            style=Markup(style()),
            policy=content_security_policy(),
            made_at=made_at or datetime.now(UTC),
        )
    )


@cache
def style() -> str:
    """The page's one style sheet."""
    source, _, _ = PackageLoader("experiments.report").get_source(_environment(), "report.css")
    return source


@cache
def content_security_policy() -> str:
    """What the page may do: nothing but show itself with its own style sheet. For the meta tag and for the header."""
    digest = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("experiments.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


class Page:
    """What the template asks for beside the data itself: names, colours, charts and sentences."""

    def __init__(self, data: ReportData, words: Words, *, audience_link: str) -> None:
        self.data = data
        self.words = words
        self._audience_link = audience_link
        segments = data.scored.segments if data.scored else ()
        self._segments: Mapping[str, Segment] = {segment.id: segment for segment in segments}
        self._colours = {segment.id: colour_of(n) for n, segment in enumerate(segments)}

    def segment_name(self, segment: str) -> str:
        """The segment's name in the page's language."""
        known = self._segments.get(segment)
        return self.words.text_of(known.names, segment) if known else segment

    def own_segment_name(self, name: str) -> str:
        """What the brand calls a segment that it made, in the page's language."""
        segment = self.data.brand.segments.get(name)
        plain = name.replace("_", " ").capitalize()
        return self.words.text_of(segment.label, plain) if segment and segment.label else plain

    def stage_name(self, stage: str) -> str:
        """The stage's name in the page's language."""
        return self.words(f"stage_{stage}") if self.words.has(f"stage_{stage}") else stage

    def stage_meaning(self, stage: str) -> str:
        """What a customer has done to be at that stage, by the brand's own boundaries."""
        funnel, key = self.data.brand.funnel, f"meaning_{stage}"
        if not self.words.has(key):
            return ""
        return self.words(key, days=funnel.consideration_days, n=funnel.loyalty_orders)

    def goal_name(self) -> str:
        """The goal that the result counts."""
        goal = self.data.holdout.question.goal
        return self.words(f"goal_{goal}") if self.words.has(f"goal_{goal}") else goal.replace("_", " ")

    def sections(self) -> tuple[str, ...]:
        """What the page has, in its order."""
        arms = ("arms",) if self.data.arms else ()
        models = ("models",) if self.data.watched else ()
        return ("result", *arms, "segments", "funnel", "movement", "decided", "conversations", *models, "words")

    def model_names(self, models: Sequence[str]) -> str:
        """What they are called in the page's language."""
        return ", ".join(self.words(f"model_{name}") for name in models)

    def why_train(self, model: WatchedModel, reason: WatchedReason) -> str:
        """Why a training is suggested, as a sentence."""
        key = f"train_{reason.code}" if self.words.has(f"train_{reason.code}") else "train_score_moved"
        promise = next((one for one in model.promises if one.what == reason.name), None)
        then, now = (
            self.words.percent(of) if promise is None else self.amount(promise, of) for of in (reason.then, reason.now)
        )
        return self.words(
            key,
            model=self.words(f"model_{model.model}"),
            name=said_of(reason.name, language=self.words.language, brand=self.data.brand),
            then=then,
            now=now,
            promise="" if promise is None else self.promise(model, promise),
        )

    def promise(self, model: WatchedModel, promise: Promise) -> str:
        """What was said something of."""
        ahead = f"promise_{model.model}_ahead"  # of what is said of today too
        key = ahead if promise.horizon_days is not None and self.words.has(ahead) else f"promise_{model.model}"
        return self.words(key, days=self.words.number(promise.horizon_days))

    def amount(self, promise: Promise, value: float | None) -> str:
        """A share of customers, or money."""
        return self.words.money(value) if promise.unit == "money" else self.words.percent(value, digits=1)

    def arm_name(self, arm: str) -> str:
        """Personalised, held out, or an arm of the experiment by the name that the brand gave it."""
        return self.words(f"arm_{arm}") if arm in (PERSONALISED, HOLDOUT) else arm

    def n_in_arms(self, arms: ArmsAnalysis) -> int:
        """The customers of all arms."""
        return sum(arm.result.n_customers for arm in arms.arms)

    def reasons_of_arms(self, arms: ArmsAnalysis) -> list[str]:
        """Why there is no number in some cell of the comparison, each reason once."""
        uplifts = [uplift for arm in arms.arms for uplift in (arm.conversion, arm.margin) if uplift is not None]
        missing = [one.absolute for one in uplifts if isinstance(one.absolute, NotEstimable)]
        return list(dict.fromkeys(self.reason(why) for why in missing))

    def action_name(self, action_id: str) -> str:
        """An action's id as a person would say it."""
        if action_id == NOTHING:
            return self.words("action_nothing")
        return action_id.replace("_", " ").capitalize()

    def action_kind(self, action_id: str) -> str:
        """Message or offer; empty for an action that the catalogue no longer has."""
        action = self._action(action_id)
        return self.words(f"kind_{action.kind}") if action else ""

    def action_hook(self, action_id: str) -> str:
        """The first words of the message in the page's language, an ellipsis in the place of each slot."""
        action = self._action(action_id)
        if action is None:
            return ""
        texts = {locale: text.hook or text.body for locale, text in action.renderings.items()}
        hook = " ".join(_TEMPLATED.sub("…", self.words.text_of(texts)).split())
        return hook if len(hook) <= _HOOK_LENGTH else hook[: _HOOK_LENGTH - 1].rstrip() + "…"

    def colour(self, segment: str) -> str:
        """The segment's colour in every chart."""
        return self._colours.get(segment, MUTED)

    def audience_href(self, segment: str) -> str:
        """Where the audience of a segment is found."""
        return self._audience_link.replace("{segment}", quote(segment, safe=""))

    def reason(self, why: NotEstimable) -> str:
        """Why there is no number, in the page's language."""
        key = f"reason_{why.code}"
        if not self.words.has(key):
            return why.reason
        facts = dict(why.facts)
        window_days = f"{self.data.holdout.question.window_days:g}"
        if "arm" in facts:
            facts["arm"] = self.arm_name(facts["arm"])
        if "closes_at" in facts:
            facts["instant"] = self.words.instant(facts["closes_at"])
        if "ratio" in facts:
            facts["n"] = self.words.number(facts["ratio"].n_holdout)
            facts["expected"] = self.words.number(facts["ratio"].expected_n_holdout)
        if "p" in facts:
            facts["p"] = f"{facts['p']:.2g}"
        if "goal" in facts:
            facts["goal"] = self.goal_name()
        return self.words(key, **(facts | {"days": window_days}))

    def rates(self, rates: Sequence[float]) -> str:
        """Several shares of customers."""
        return ", ".join(self.words.percent(rate) for rate in rates)

    def verdict(self, difference: Estimate) -> str:
        """What the interval of the difference says, as a sentence."""
        key = "verdict_open" if not difference.excludes_zero else f"verdict_{'up' if difference.value > 0 else 'down'}"
        return self.words(key, low=self.words.points(difference.low), high=self.words.points(difference.high))

    def is_estimate(self, value: Estimate | NotEstimable) -> bool:
        """Whether there is a number."""
        return isinstance(value, Estimate)

    def arms_chart(self) -> Markup:
        """Both arms' rates with their intervals."""
        bars = []
        result = self.data.holdout
        for name, arm, colour in (
            ("personalised", result.personalised, colour_of(0)),
            ("holdout", result.holdout, "#a9a6b3"),
        ):
            low, high = wilson_interval(arm.n_converted, arm.n_closed)
            text = self.words.percent(arm.rate, digits=1)
            bars.append(Bar(self.arm_name(name), arm.rate, text, low=low, high=high, colour=colour))
        return bar_chart(bars, alt=self._spoken(bars), row_height=62)

    def funnel_chart(self, scored: Scored) -> Markup:
        """Customers at each stage."""
        bars = [
            Bar(
                self.stage_name(stage),
                numbers.n_customers,
                f"{self.words.number(numbers.n_customers)} · "
                f"{self.words.percent(numbers.n_customers / scored.n_customers)}",
            )
            for stage, numbers in scored.stages.items()
        ]
        return bar_chart(bars, alt=self._spoken(bars))

    def trend(self, scored: Scored, *, width: int) -> Markup:
        """Each segment's size over the score days."""
        sizes = [segment.trend for segment in scored.segments]
        labels = [self.words.short_day(day) for day in scored.trend_days]
        alt = "; ".join(f"{self.segment_name(s.id)}: {self.sparkline_alt(scored, s)}" for s in scored.segments)
        return trend_chart(scored.trend_days, sizes, day_labels=labels, alt=alt, width=width)

    def sparkline(self, scored: Scored, segment: Segment) -> Markup:
        """One segment's size over the score days."""
        return sparkline(segment.trend, colour=self.colour(segment.id), alt=self.sparkline_alt(scored, segment))

    def sparkline_alt(self, scored: Scored, segment: Segment) -> str:
        """What a sparkline shows, in words."""
        return self.words(
            "sparkline_alt",
            first=self.words.number(segment.trend[0]),
            last=self.words.number(segment.trend[-1]),
            from_day=self.words.day(scored.trend_days[0]),
            to_day=self.words.day(scored.trend_days[-1]),
        )

    def movement_groups(self, movement: Movement, *, order: list[str]) -> tuple[list[str | None], list[str | None]]:
        """The rows and the columns of a movement table, those who came or went last where there are any."""
        targets = {target for row in movement.counts.values() for target in row}
        every = list(dict.fromkeys([*order, *sorted(t for t in targets | set(movement.counts) if t)]))
        rows: list[str | None] = [name for name in every if name in movement.counts]
        columns: list[str | None] = [name for name in every if name in targets]
        if None in movement.counts:
            rows.append(None)
        if None in targets:
            columns.append(None)
        return rows, columns

    def shade(self, movement: Movement, source: str | None, target: str | None) -> int:
        """How dark a cell of a movement table is: those who moved against each other, those who stayed not at all."""
        if source == target:
            return 0
        moved = [n for a, row in movement.counts.items() for b, n in row.items() if a != b]
        return shade(movement.counts.get(source, {}).get(target, 0), max(moved, default=0))

    def _action(self, action_id: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
        actions = self.data.catalogue.actions if self.data.catalogue else ()
        return next((action for action in actions if action.id == action_id), None)

    @staticmethod
    def _spoken(bars: list[Bar]) -> str:
        return "; ".join(f"{bar.label}: {bar.text}" for bar in bars)
