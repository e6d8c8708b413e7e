"""The verb `evaluate next-purchase`."""

from __future__ import annotations

import contextlib
import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from features.workspace import find_workspace
from features.workspace_option import WorkspaceOption
from training.seed_option import SeedOption

if TYPE_CHECKING:
    from training.evaluating.next_purchase import Evaluated

COLUMNS = (
    ("AUC", "auc", 3),
    ("log-loss", "log_loss", 4),
    ("Brier", "brier", 4),
    ("MAE", "mae", 3),
    ("RMSE", "rmse", 3),
    ("corr", "corr", 3),
    ("orders said", "sum_predicted", 0),
    ("spend MAE", "spend_mae", 2),
    ("spend RMSE", "spend_rmse", 2),
    ("spend corr", "spend_corr", 3),
    ("spend said", "spend_sum_predicted", 0),
)
OF_ONE_ORDER = (
    ("AUC", "auc", 3),
    ("log-loss", "log_loss", 4),
    ("Brier", "brier", 4),
    ("mean said", "mean_probability", 3),
    ("slope", "calibration_slope", 2),
)


def next_purchase(
    cutoff: Annotated[
        datetime,
        typer.Option(formats=["%Y-%m-%d"], help="What happened before this day is known; it begins as the brand's do."),
    ],
    horizon_days: Annotated[list[int], typer.Option(help="How far ahead; give it several times for several.")],
    seed: SeedOption = 0,
    workspace: WorkspaceOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="For a program to read: an object, or a list of them for several horizons.")
    ] = False,
) -> None:
    """Measures who orders again, how often, how much, as of a day: beside BG/NBD, Pareto/NBD, regression, boosting."""
    place = find_workspace(workspace)
    from rich.console import Console

    from training.evaluating.next_purchase import evaluate_next_purchase

    with (
        contextlib.redirect_stdout(sys.stderr),  # whatever a library prints, what a program reads stays JSON
        Console(stderr=True).status("Fitting ours and what you would pick instead …"),
    ):
        tables = evaluate_next_purchase(place, cutoff=cutoff.date(), horizons_days=horizon_days, seed=seed)
    if as_json:
        said = [table.as_dict() for table in tables]
        typer.echo(json.dumps(said[0] if len(said) == 1 else said, ensure_ascii=False, indent=1, allow_nan=False))
        return
    for table in tables:
        typer.echo(as_markdown(table))


def as_markdown(table: Evaluated) -> str:
    """One horizon's table, for people; what could not be fitted has a line below with why."""
    actual = table.models[0].metrics
    lines = [
        f"\n{table.n:,} customers with an order before {table.cutoff}; within {table.horizon_days} days of it they "
        f"ordered on {actual['sum_actual'] or 0:,.0f} days for {actual['spend_sum_actual'] or 0:,.0f}.\n",
        "| model | " + " | ".join(heading for heading, _, _ in COLUMNS) + " |",
        "|---|" + "---|" * len(COLUMNS),
    ]
    for model in table.models:
        cells = (_cell(model.metrics.get(name), digits) for _, name, digits in COLUMNS)
        lines.append(f"| {model.name} | " + " | ".join(cells) + " |")
    lines.append(f"\nShipped: {table.shipped}.")
    lines += [f"- {note}" for note in table.notes]
    for model in table.models:
        said = [*([f"not fitted: {model.reason}"] if model.reason else []), *model.notes]
        lines += [f"- {model.name}: {text}" for text in said]
    return "\n".join([*lines, *_waiting(table), *_second_purchase(table), *_next_products(table)])


def _waiting(table: Evaluated) -> list[str]:
    """When the next order comes: the curve's log-loss by days, and what the 80% intervals held."""
    if "curve" not in table.more:
        return []
    curve, intervals = table.more["curve"], table.more["next_order"]["models"]
    days = [str(one["days"]) for one in curve]
    lines = [
        f"\nP(an order within so many days), log-loss; the {table.more['next_order']['interval']:.0%} interval of the "
        "next order's day, the share that it held and the share that it said.\n",
        f"| model | {' | '.join(days)} | held | said |",
        "|---|" + "---|" * (len(days) + 2),
    ]
    for place, interval in enumerate(intervals):
        losses = " | ".join(_cell(one["models"][place]["log_loss"], 4) for one in curve)
        held, said = _cell(interval["coverage"], 3), _cell(interval["said"], 3)
        lines.append(f"| {interval['name']} | {losses} | {held} | {said} |")
    alive = {name: _cell(value, 3) for name, value in table.more["alive"].items()}
    days = table.more["alive"]["known_days"]
    again = f"{alive['ordered_again']} ordered again within the {days} days that are known"
    if not alive["mean"]:
        return [*lines, f"\n{again}."]
    return [
        *lines,
        f"\nP(still buying here): mean {alive['mean']}; {again} ({alive['said_again']} said); AUC of it for that "
        f"{alive['auc_again']}, for an order within the horizon {alive['auc']}.",
    ]


def _second_purchase(table: Evaluated) -> list[str]:
    """Who comes back a second time: what each model says of customers with one order-day."""
    found = table.more["second_purchase"]
    if not found["n"]:
        return ["\nSecond purchase: nobody had ordered on exactly one day."]
    lines = [
        f"\nSecond purchase: {found['n']:,} customers had ordered on exactly one day; {_cell(found['base_rate'], 3)} "
        f"of them ordered within {table.horizon_days} days.\n",
        f"| model | {' | '.join(heading for heading, _, _ in OF_ONE_ORDER)} |",
        "|---|" + "---|" * len(OF_ONE_ORDER),
    ]
    for model in found["models"]:
        cells = (_cell(model["metrics"][name], digits) for _, name, digits in OF_ONE_ORDER)
        lines.append(f"| {model['name']} | {' | '.join(cells)} |")
    return [*lines, f"\nOurs: {found['because']}."]


def _next_products(table: Evaluated) -> list[str]:
    """What the next purchase will be of: what ten items told beforehand held of it."""
    found = table.more.get("next_products")
    if found is None:
        return []
    lines = [
        f"\nWhat the next purchase is of: {found['n']:,} customers ordered again within {table.horizon_days} days; of "
        f"{found['n_kinds']:,} ({found['kind']}), {found['told']} are told of each.\n",
        f"| model | recall@{found['told']} | any of them right |",
        "|---|---|---|",
    ]
    lines += [f"| {one['name']} | {_cell(one['recall'], 4)} | {_cell(one['hit_rate'], 3)} |" for one in found["models"]]
    return [*lines, f"\nOurs: {found['because']}."]


def _cell(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
