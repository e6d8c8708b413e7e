"""The report's charts: Altair's, as inline SVG that fetches nothing and carries no style of its own.

Each chart is drawn for a column of 400 px, the trend also for a whole page, and scales with its box. Colours come from
one palette in the order of the segments, chosen to be told apart without red against green; what a chart says is also
said in words beside it.
"""

from __future__ import annotations

import hashlib
import html
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from markupsafe import Markup

PALETTE = (
    "#0b6e69", "#c2570c", "#4f46a5", "#b3266b", "#2b6cb0", "#7a6a00", "#3f7d20", "#8a4b2a", "#5b6472", "#a21caf",
)  # fmt: skip
INK, MUTED, RULE = "#1d1b26", "#5d5a6b", "#d9d6ce"
FONT = "system-ui, 'Noto Sans', 'Noto Sans Devanagari', 'Noto Sans Thai', sans-serif"
WIDTH = 400
_LETTER_WIDTH, _PLOT_WIDTH = 9.5, 265
_SPARK_WIDTH, _SPARK_HEIGHT = 120, 32


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart: its label, its length, what is written beside it, and where its interval ends."""

    label: str
    value: float
    text: str
    low: float | None = None
    high: float | None = None
    colour: str = PALETTE[0]


def colour_of(position: int) -> str:
    """The colour of the n-th segment."""
    return PALETTE[position % len(PALETTE)]


def bar_chart(bars: Sequence[Bar], *, alt: str, row_height: int = 46) -> Markup:
    """Horizontal bars from zero, each with its own words, and an interval where one is given."""
    import altair

    longest = max(max(bar.value, bar.high or 0.0) for bar in bars) or 1.0
    rows = [
        {"label": bar.label, "value": bar.value, "text": bar.text, "low": bar.low, "high": bar.high,
         "colour": bar.colour, "end": bar.high if bar.high is not None else bar.value}
        for bar in bars
    ]  # fmt: skip
    base = altair.Chart(altair.Data(values=rows)).encode(
        y=altair.Y("label:N", sort=None, title=None, scale=altair.Scale(paddingInner=0.35, paddingOuter=0.1),
                   axis=altair.Axis(domain=False, ticks=False, labelFontSize=15, labelLimit=150, labelPadding=8,
                                    minExtent=124)),  # browsers set Devanagari wider than it is measured here
    )  # fmt: skip
    room = 1 - min(0.6, max(len(bar.text) for bar in bars) * _LETTER_WIDTH / _PLOT_WIDTH)  # the words need the rest
    across = altair.Scale(domain=[0, longest / room], nice=False)
    layers = [
        base.mark_bar().encode(
            x=altair.X("value:Q", title=None, axis=None, scale=across), color=altair.Color("colour:N", scale=None)
        ),
        base.mark_text(align="left", dx=8, fontSize=15, fontWeight=600, color=INK).encode(
            x=altair.X("end:Q", scale=across, axis=None), text="text:N"
        ),
    ]
    if any(bar.low is not None for bar in bars):
        layers.insert(
            1,
            base.mark_rule(strokeWidth=2.5, color=INK).encode(
                x=altair.X("low:Q", scale=across, axis=None), x2="high:Q"
            ),
        )
    return _svg(altair.layer(*layers), height=row_height * len(bars), alt=alt)


def trend_chart(
    days: Sequence[date], sizes: Sequence[Sequence[int]], *, day_labels: Sequence[str], alt: str, width: int = WIDTH
) -> Markup:
    """One line a segment over the score days, in the segments' colours; a wide page asks for a wide one."""
    import altair

    start = days[0]
    offsets = [(day - start).days for day in days]
    rows = [
        {"offset": offset, "n": n, "series": str(position)}
        for position, counts in enumerate(sizes)
        for offset, n in zip(offsets, counts, strict=True)
    ]
    shown = _spread(len(days))
    labels = {str(offsets[n]): day_labels[n] for n in shown}
    chart = altair.Chart(altair.Data(values=rows)).encode(
        x=altair.X(
            "offset:Q",
            title=None,
            scale=altair.Scale(domain=[0, max(offsets[-1], 1)], nice=False),
            axis=altair.Axis(
                values=[offsets[n] for n in shown],
                labelExpr=f"{json.dumps(labels, ensure_ascii=False)}[datum.value]",
                grid=False,
                labelFlush=True,
                labelOverlap=True,
                tickColor=RULE,
                domainColor=RULE,
            ),
        ),
        y=altair.Y(
            "n:Q",
            title=None,
            scale=altair.Scale(domainMin=0),
            axis=altair.Axis(tickCount=4, domain=False, ticks=False, gridColor=RULE, format=",d"),
        ),
        color=altair.Color(
            "series:N",
            legend=None,
            scale=altair.Scale(
                domain=[str(n) for n in range(len(sizes))], range=[colour_of(n) for n in range(len(sizes))]
            ),
        ),
    )
    layers = chart.mark_line(strokeWidth=2.5), chart.mark_point(filled=True, size=34, opacity=1)
    return _svg(altair.layer(*layers), height=210 if width == WIDTH else 260, alt=alt, width=width)


def sparkline(sizes: Sequence[int], *, colour: str, alt: str) -> Markup:
    """A segment's size over the score days, small enough to stand beside its number; empty for a single day."""
    if len(sizes) < 2:
        return Markup("")
    top, pad = max(sizes) or 1, 4
    across = (_SPARK_WIDTH - 2 * pad) / (len(sizes) - 1)
    points = [
        (pad + n * across, _SPARK_HEIGHT - pad - (size / top) * (_SPARK_HEIGHT - 2 * pad))
        for n, size in enumerate(sizes)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    return Markup(
        f'<svg class="spark" viewBox="0 0 {_SPARK_WIDTH} {_SPARK_HEIGHT}" role="img" aria-label="{html.escape(alt)}">'
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/></svg>'
    )


def shade(n: int, largest: int) -> int:
    """Which of ten shades a cell of a movement table gets; 0 for nobody."""
    return 0 if n == 0 or largest == 0 else max(1, math.ceil(9 * math.sqrt(n / largest)))


def _spread(n: int, *, most: int = 5) -> list[int]:
    if n <= most:
        return list(range(n))
    return sorted({round(k * (n - 1) / (most - 1)) for k in range(most)})


def _svg(chart: Any, *, height: int, alt: str, width: int = WIDTH) -> Markup:
    import vl_convert

    spec = (
        chart.properties(width="container", height=height)
        .configure(background="transparent", font=FONT, autosize={"type": "fit", "contains": "padding"})
        .configure_axis(labelColor=MUTED, labelFontSize=14)
        .configure_view(stroke=None)
        .to_dict(validate=False)  # the tests draw every chart; validating takes longer than drawing
    )
    spec["width"] = width
    return Markup(_inline(vl_convert.vegalite_to_svg(spec), alt=alt))


def _inline(svg: str, *, alt: str) -> str:
    """The drawing alone: sized by its box, named for screen readers, with no address and no inline style in it."""
    size = re.search(r'viewBox="([^"]+)"', svg)
    view_box = size[1] if size else "0 0 400 200"
    body = svg[svg.index(">") + 1 :]
    body = re.sub(r' (?:style|xmlns(?::\w+)?)="[^"]*"', "", body)
    mark = hashlib.sha256(body.encode()).hexdigest()[:8]  # two charts of one page may not share an id
    body = re.sub(r'(\bid="|url\(#)', rf"\g<1>{mark}-", body)
    body = re.sub(r' (?:role|aria-\w+)="[^"]*"', "", body)
    return f'<svg class="chart" viewBox="{view_box}" role="img" aria-label="{html.escape(alt)}">{body}'
