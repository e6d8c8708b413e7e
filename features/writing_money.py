"""Money as a locale writes it, without walking through Babel's pattern for each amount.

What a locale writes around the digits, and how it groups them, is learnt once from Babel's own writing of a few
amounts. Where those are not written back exactly (a currency without hundredths), nothing is learnt.
Invariant: what is written is what Babel writes, sign by sign.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_PLAIN = re.compile(r"(-?)(0|[1-9]\d*)(?:\.(\d{1,2}))?", re.ASCII)
_DIGITS = "123456789012"  # enough of them for three groups anywhere
_TRIED = ("0", "-1", "12", "-123", "1234", "12345", "-1234567", _DIGITS, "0.5", "-0.25", "1234.56", "-9876543.21")


@dataclass(frozen=True, slots=True)
class MoneyWriting:
    """How one locale writes amounts of one currency.

    Attributes:
        before: what stands before the digits: of zero and more, of less than zero.
        after: what stands behind them.
        group: between groups of digits.
        sizes: of the last group of digits, and of those before it.
        point: before the hundredths.
    """

    before: tuple[str, str]
    after: tuple[str, str]
    group: str
    sizes: tuple[int, int]
    point: str

    def written(self, amount: str) -> str | None:
        """An amount as Python writes it; None where it is not a plain one of two decimals at most."""
        if (plain := _PLAIN.fullmatch(amount)) is None:
            return None
        sign, whole, cents = plain.groups()
        is_less = 1 if sign else 0
        told = self._grouped(whole)
        if cents is not None and cents.strip("0"):
            told += f"{self.point}{cents:0<2}"
        return f"{self.before[is_less]}{told}{self.after[is_less]}"

    def _grouped(self, whole: str) -> str:
        last, before = self.sizes
        if len(whole) <= last:
            return whole
        head, groups = whole[:-last], [whole[-last:]]
        while head:
            groups.append(head[-before:])
            head = head[:-before]
        return self.group.join(reversed(groups))


def learnt(written: Callable[[str], str]) -> MoneyWriting | None:
    """How amounts are written; None where it is not this simple.

    Args:
        written: an amount as Python writes it, as the locale does.
    """
    grouped = re.fullmatch(r"(\D*)(\d.*\d)(\D*)", written(_DIGITS), re.ASCII)
    hundredths = re.fullmatch(r"\D*1(\D+)25\D*", written("1.25"), re.ASCII)
    if grouped is None or hundredths is None:
        return None
    before, digits, after = grouped.groups()
    groups, between = re.findall(r"\d+", digits), re.findall(r"\D+", digits)
    if len(groups) < 2:
        return None
    less_before, _, less_after = written("-1").partition("1")
    found = MoneyWriting(
        before=(before, less_before),
        after=(after, less_after),
        group=between[-1],
        sizes=(len(groups[-1]), len(groups[-2])),
        point=hundredths[1],
    )
    return found if all(found.written(amount) == written(amount) for amount in _TRIED) else None
