"""The card's part on what a next-purchase version says beyond its horizons, and of whom it says a second purchase."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.cards.card import Section, Table

CURVE = (
    "One curve goes through the horizons, in the shape that BG/NBD and Pareto/NBD give it: any horizon from 1 to 365 "
    "days, the next order's day, and P(the customer still buys), which nobody ever sees. Beyond the longest horizon "
    "the curve is carried, not judged."
)
EXPECTED = (
    "Each is judged where it was fitted to nothing of the window. To other horizons it is carried as BG/NBD's and "
    "Pareto/NBD's own expectation goes on; never less than P(an order)."
)
ONCE = "Of customers with one order-day before the window that judged: who came back within each horizon."


def beyond(description: Mapping[str, Any]) -> list[Section]:
    """Sections of what the version's model.json describes; none of what it does not have."""
    coming, products, heads = description.get("coming"), description.get("products"), description["heads"]
    expected = description.get("expected")
    found = [] if coming is None else [_coming(coming["judged"])]
    found += [] if expected is None else [_expected(expected)]
    if products is not None:
        found.append(Section(f"What the next order is of ({products['kind']})", (f"Told are {products['because']}.",)))
    once = [(head["horizon_days"], head["judged_once"]) for head in heads if head.get("judged_once")]
    return [*found, _second_purchase(once)] if once else found


def _coming(judged: Mapping[str, Any]) -> Section:
    order, alive = judged["next_order"], judged["still_buying"]
    curve = tuple(
        (
            f"{one['days']:.0f} days",
            *(_shown(one, name) for name in ("base_rate", "mean_probability", "auc", "log_loss")),
        )
        for one in judged["curve"]
    )
    rows = (
        ("customers who had ordered", f"{judged['n']:,}"),
        (f"next order inside its {order['interval']:.0%} interval", f"{order['coverage']:.1%}"),
        ("the share that the curve expected inside", f"{order['said']:.1%}"),
        ("intervals that end within a year", f"{order['share_ending_within_a_year']:.1%}"),
        ("P(still buying), mean", f"{alive['mean']:.1%}"),
        (f"ordered within {judged['days']} days", f"{alive['ordered']:.1%}"),
        ("AUC of P(still buying) for that", _shown(alive, "auc")),
    )
    tables = (Table(("within", "ordered", "said", "AUC", "log-loss"), curve), Table(("figure", "value"), rows))
    return Section("When the next order comes", (CURVE, f"Judged as of {judged['as_of'][:10]}."), tables)


def _expected(expected: Mapping[str, Any]) -> Section:
    names = ("mae", "rmse", "corr", "sum_predicted", "sum_actual")
    headings = ("model", "MAE", "RMSE", "correlation", "said", "came")
    judged = expected["judged"]
    shipped = (f"Of {of} shipped is: {told['shipped']} ({told['because']})." for of, told in judged.items())
    tables = tuple(
        Table(headings, tuple((f"{of}: {name}", *(_shown(by, figure) for figure in names)) for name, by in told))
        for of, told in ((of, found["models"].items()) for of, found in judged.items())
    )
    as_of = next(iter(judged.values()))["as_of"][:10]
    title = f"Expected order-days and spend within {expected['horizon_days']} days"
    return Section(title, (EXPECTED, f"Judged as of {as_of}.", *shipped), tables)


def _second_purchase(once: list[tuple[int, Mapping[str, float]]]) -> Section:
    names = ("base_rate", "mean_probability", "auc", "log_loss", "calibration_slope")
    rows = tuple((f"{days} days", f"{of['n']:,}", *(_shown(of, name) for name in names)) for days, of in once)
    headings = ("within", "customers", "came back", "said", "AUC", "log-loss", "slope")
    return Section("Second purchase", (ONCE,), (Table(headings, rows),))


def _shown(figures: Mapping[str, float], name: str) -> str:
    value = figures.get(name)
    return "—" if value is None else f"{value:.4f}"
