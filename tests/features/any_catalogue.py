"""Any catalogue at all, with texts, numbers and instants that a workbook or YAML could spoil."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from features.catalogue import STAGES, Action, Catalogue, Incentive, Item, Link, Media, Rendering, Reply, Slot, Template
from features.contact_policy import Budget, Cap

LOCALES = ("en", "hi", "th")
names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
ordinary = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
awkward = st.sampled_from(
    (
        "",
        " ",
        " led ",
        "=1+1",
        "#N/A",
        "json:",
        'json:"x"',
        "_x000D_",
        "a\r\nb",
        "a\n\nb\n",
        "15",
        "1e5",
        " 0.5 ",
        "true",
        "null",
        "~",
        "no",
        "- a",
        "# not a comment",
        "a: b",
        'it\'s "so"',
        "\x07\x85\u2028\ufffe",
        "\ud83c\udf38".encode("utf-16", "surrogatepass").decode("utf-16"),
        "नमस्ते",
        "สวัสดี",
        "2026-11-01",
        "{{ 500 | money }}",
    )
)
texts = ordinary | awkward
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**6), 10**6).map(float)
amounts = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
instants = st.datetimes(
    min_value=datetime(1990, 1, 1),  # noqa: DTZ001
    max_value=datetime(2090, 1, 1),  # noqa: DTZ001
    timezones=st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def several(strategy: st.SearchStrategy[Any], *, at_least: int = 0) -> st.SearchStrategy[Any]:
    return st.lists(strategy, min_size=at_least, max_size=3).map(tuple)


replies = texts | st.builds(
    Reply,
    text=texts,
    trait=maybe(names),
    value=maybe(texts | numbers | st.booleans()),
    refuses=maybe(st.sampled_from(("not_now", "never"))),
)
renderings = st.builds(
    Rendering,
    hook=texts,
    body=texts,
    media=maybe(st.builds(Media, url=texts, kind=st.sampled_from(("image", "video", "audio")), alt=texts)),
    link=maybe(st.builds(Link, url=texts, label=texts)),
    suggested_replies=several(replies),
    items=several(st.builds(Item, title=texts, url=texts, product_id=maybe(texts), image=maybe(texts), price=texts)),
    subject=texts,
)
templates = st.builds(
    Template,
    name=texts,
    language=texts,
    category=st.sampled_from(("marketing", "utility", "authentication")),
    parameters=several(texts),
    header=st.sampled_from((None, "media")),
    buttons=st.sampled_from((None, "replies")),
)
windows = st.sampled_from(("rolling_hours", "rolling_days", "calendar"))
caps = windows.flatmap(
    lambda window: st.builds(
        Cap,
        at_most=st.integers(1, 10**17),
        counts=st.sampled_from(("decision", "exposure", "click", "conversion")),
        governs=st.sampled_from(("brand", "customer", "everyone")),
        **{
            window: st.sampled_from(("day", "week", "month"))
            if window == "calendar"
            else st.floats(min_value=0.001, max_value=366)
        },
    )
)
budgets = st.builds(
    Budget, units=st.integers(0, 10**17), amount=maybe(amounts), every=maybe(st.sampled_from(("day", "week", "month")))
)
actions = st.builds(
    Action,
    id=names,
    kind=st.sampled_from(("message", "offer", "question")),
    stage=st.sampled_from(STAGES),
    goal=names,
    channels=several(names, at_least=1),
    placements=several(names, at_least=1),
    valid_from=maybe(instants),
    valid_until=maybe(instants),
    when=maybe(texts),
    value=amounts,
    expected_rate=st.floats(0, 1),
    incentive=maybe(
        st.builds(
            Incentive,
            kind=st.sampled_from(("percentage", "amount", "free_item", "sweepstake", "points")),
            value=numbers,
            cost=amounts,
            coupons=maybe(names),
        )
    ),
    tags=several(names),
    purpose=names,
    caps=several(caps),
    budget=maybe(budgets),
    asks=maybe(names),
    slots=st.dictionaries(names, st.builds(Slot, expression=texts, default=maybe(texts | numbers)), max_size=2),
    renderings=st.dictionaries(st.sampled_from(LOCALES), renderings, min_size=1),
    templates=st.dictionaries(st.sampled_from(LOCALES), templates),
)
catalogues = st.lists(actions, min_size=1, max_size=3, unique_by=lambda action: action.id).map(
    lambda listed: Catalogue(actions=tuple(listed))
)
