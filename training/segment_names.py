"""What to call a segment, in plain words and in the brand's languages: what sets it apart."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from features.brand import Brand
from features.meanings import MEASURES

# What is said of a group that has more, or less, of something than all customers: English, Hindi, Thai.
PHRASES: dict[tuple[str, str], dict[str, str]] = {
    ("n_orders", "more"): {"en": "Frequent buyers", "hi": "बार-बार ख़रीदने वाले", "th": "ลูกค้าที่ซื้อบ่อย"},
    ("n_orders", "less"): {"en": "Occasional buyers", "hi": "कभी-कभार ख़रीदने वाले", "th": "ลูกค้าที่ซื้อนานๆ ครั้ง"},
    ("n_orders", "none"): {"en": "Not yet buyers", "hi": "जिन्होंने अभी ख़रीदा नहीं", "th": "ลูกค้าที่ยังไม่เคยซื้อ"},
    ("n_orders", "once"): {"en": "Bought once", "hi": "एक बार ख़रीदने वाले", "th": "ลูกค้าที่ซื้อครั้งเดียว"},
    ("revenue", "more"): {"en": "Big spenders", "hi": "ज़्यादा ख़र्च करने वाले", "th": "ลูกค้ายอดซื้อสูง"},
    ("revenue", "less"): {"en": "Small spenders", "hi": "कम ख़र्च करने वाले", "th": "ลูกค้ายอดซื้อน้อย"},
    ("mean_order_value", "more"): {"en": "Large orders", "hi": "बड़े ऑर्डर वाले", "th": "ลูกค้าที่สั่งครั้งละมาก"},
    ("mean_order_value", "less"): {"en": "Small orders", "hi": "छोटे ऑर्डर वाले", "th": "ลูกค้าที่สั่งครั้งละน้อย"},
    ("days_since_last_order", "more"): {"en": "Long away", "hi": "लंबे समय से दूर", "th": "ลูกค้าที่ห่างหายไปนาน"},
    ("days_since_last_order", "less"): {"en": "Recent buyers", "hi": "हाल के ख़रीदार", "th": "ลูกค้าที่เพิ่งซื้อ"},
    ("tenure_days", "more"): {"en": "Long-standing customers", "hi": "पुराने ग्राहक", "th": "ลูกค้าเก่า"},
    ("tenure_days", "less"): {"en": "New customers", "hi": "नए ग्राहक", "th": "ลูกค้าใหม่"},
    ("n_orders_90d", "more"): {"en": "Active this season", "hi": "इन दिनों सक्रिय", "th": "ลูกค้าที่ซื้อช่วงนี้"},
    ("n_orders_90d", "less"): {"en": "Quiet this season", "hi": "इन दिनों शांत", "th": "ลูกค้าที่เงียบช่วงนี้"},
    ("mean_gap_days", "more"): {"en": "Long pauses", "hi": "लंबे अंतराल पर ख़रीदने वाले", "th": "ลูกค้าที่เว้นช่วงนาน"},
    ("mean_gap_days", "less"): {"en": "Short pauses", "hi": "कम अंतराल पर ख़रीदने वाले", "th": "ลูกค้าที่เว้นช่วงสั้น"},
    ("category_entropy", "more"): {"en": "Many categories", "hi": "कई श्रेणियों के शौक़ीन", "th": "ลูกค้าที่ซื้อหลายหมวด"},
    ("category_entropy", "less"): {"en": "One category", "hi": "एक ही श्रेणी के ग्राहक", "th": "ลูกค้าที่ซื้อหมวดเดียว"},
    ("n_product_views_90d", "more"): {"en": "Keen browsers", "hi": "ख़ूब देखने वाले", "th": "ลูกค้าที่ชอบเลือกชม"},
    ("n_product_views_90d", "less"): {"en": "Rare visitors", "hi": "कम आने वाले", "th": "ลูกค้าที่แวะชมน้อย"},
    ("n_add_to_carts_90d", "more"): {"en": "Full carts", "hi": "कार्ट भरने वाले", "th": "ลูกค้าที่หยิบใส่ตะกร้าบ่อย"},
    ("n_add_to_carts_90d", "less"): {"en": "Empty carts", "hi": "ख़ाली कार्ट वाले", "th": "ลูกค้าที่ไม่ค่อยหยิบใส่ตะกร้า"},
    ("n_messages_clicked_90d", "more"): {"en": "Message readers", "hi": "संदेश पढ़ने वाले", "th": "ลูกค้าที่ตอบรับข้อความ"},
    ("n_messages_clicked_90d", "less"): {"en": "Not by message", "hi": "संदेश न खोलने वाले", "th": "ลูกค้าที่ไม่สนใจข้อความ"},
    ("n_refunds", "more"): {"en": "Frequent returners", "hi": "अक्सर लौटाने वाले", "th": "ลูกค้าที่คืนสินค้าบ่อย"},
    ("n_refunds", "less"): {"en": "Rare returners", "hi": "कम लौटाने वाले", "th": "ลูกค้าที่แทบไม่คืนสินค้า"},
}
SENTENCE = {
    "en": "On average {facts}.",
    "hi": "औसतन {facts}।",
    "th": "โดยเฉลี่ย {facts}",
}
FACT = {
    "en": "{measure}: {value} (all customers {overall})",
    "hi": "{measure}: {value} (सभी ग्राहक {overall})",
    "th": "{measure}: {value} (ลูกค้าทั้งหมด {overall})",
}
OF_UNUSUAL = {"en": "Unusual customers", "hi": "सबसे अलग ग्राहक", "th": "ลูกค้าที่ไม่เหมือนใคร"}
OF_BUYING = frozenset(
    {"n_orders", "n_orders_90d", "revenue", "mean_order_value", "days_since_last_order", "tenure_days"}
)
OF_BROWSING = 0.6  # how much less of a name what is not about buying makes
# What goes without saying of those who have not bought, or bought once.
IMPLIED = {
    "none": frozenset(
        {"revenue", "mean_order_value", "days_since_last_order", "n_orders_90d", "mean_gap_days", "n_refunds"}
    ),
    "once": frozenset({"mean_gap_days"}),
}
NOT_YET, ABOUT_ONCE = 0.1, 1.2  # mean orders below: they have not bought yet, or once


@dataclass(frozen=True, slots=True)
class Distinction:
    """One thing in which a group differs from all customers.

    Attributes:
        input: the model input; `code` its category for a declared choice.
        strength: standard deviations between the group's mean and everybody's on the axis of the space.
        value: the group's mean of those of whom it is known, in its own unit; NaN where it is known of nobody.
        overall: everybody's.
    """

    input: str
    code: int | None
    strength: float
    value: float
    overall: float


def name_segments(
    groups: Sequence[Sequence[Distinction]], *, brand: Brand, categories: Mapping[str, Sequence[str]]
) -> list[tuple[dict[str, str], dict[str, str]]]:
    """Names and descriptions in every locale of the brand, by what sets each group apart; names differ.

    Args:
        groups: each group's distinctions, the strongest first.
        brand: for its locales and its traits' labels.
        categories: of categorical inputs.
    """
    n_words = [1] * len(groups)
    keys = [_keys(group, 1) for group in groups]
    for _ in range(3):
        for i, key in enumerate(keys):
            if keys.count(key) > 1:
                n_words[i] += 1
        keys = [_keys(group, n) for group, n in zip(groups, n_words, strict=True)]
    named = []
    for i, (group, key) in enumerate(zip(groups, keys, strict=True)):
        suffix = f" {keys[:i].count(key) + 1}" if keys.count(key) > 1 else ""
        names = {loc: _name(key, loc, brand=brand, categories=categories) + suffix for loc in brand.locales}
        named.append((names, describe(group, brand=brand, categories=categories)))
    return named


def describe(group: Sequence[Distinction], *, brand: Brand, categories: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """What sets a group apart, as a sentence in every locale of the brand."""
    return {locale: _describe(group, locale, brand=brand, categories=categories) for locale in brand.locales}


def names_of_unusual(locales: Sequence[str]) -> dict[str, str]:
    """What customers are called who are like nobody."""
    return {locale: OF_UNUSUAL[language_of(locale)] for locale in locales}


def keep_names(
    named: Sequence[Mapping[str, str]], *, kept: Sequence[Mapping[str, str]], locales: Sequence[str]
) -> list[dict[str, str]]:
    """Each segment's kept name in a locale, or else its new one, numbered where another segment has that name.

    Args:
        named: new names of each segment, by locale.
        kept: the names of each segment that is still the same, by locale; empty for a new one.
        locales: of the brand.
    """
    chosen: list[dict[str, str]] = [{} for _ in named]
    for locale in locales:
        taken = {names[locale] for names in kept if locale in names}
        for names, new, old in zip(chosen, named, kept, strict=True):
            names[locale] = old.get(locale) or next(name for name in _numbered(new[locale]) if name not in taken)
            taken.add(names[locale])
    return chosen


def _numbered(name: str) -> Iterator[str]:
    yield name
    for number in itertools.count(2):
        yield f"{name} {number}"


def language_of(locale: str) -> str:
    """The language whose words we have for a locale; English where we have none, or not in its script."""
    language, _, rest = locale.partition("-")
    has_script = len(rest.split("-")[0]) == 4
    return language if language in SENTENCE and not has_script else "en"


Key = tuple[tuple[str, int | None, str], ...]


def _keys(group: Sequence[Distinction], n: int) -> Key:
    """What a name is made of: the n strongest behaviours, then the strongest declared trait if it stands out."""
    behaviours = [d for d in group if (d.input, "more") in PHRASES and _is_worth_saying(d)]
    behaviours.sort(key=lambda d: -abs(d.strength) * (1.0 if d.input in OF_BUYING else OF_BROWSING))
    behaviours.sort(key=lambda d: _direction(d) not in IMPLIED)  # first of all whether they buy
    if behaviours:
        behaviours = [d for d in behaviours if d.input not in IMPLIED.get(_direction(behaviours[0]), ())]
    declared = [d for d in group if (d.input, "more") not in PHRASES and d.strength > 0.5]
    parts: list[tuple[str, int | None, str]] = [(d.input, None, _direction(d)) for d in behaviours[:n]]
    return tuple(parts + [(d.input, d.code, "more") for d in declared[:1]])


def _direction(distinction: Distinction) -> str:
    if distinction.input == "n_orders" and distinction.value < NOT_YET:
        return "none"
    if distinction.input == "n_orders" and distinction.value < ABOUT_ONCE:
        return "once"
    return "more" if distinction.value > distinction.overall else "less"


def _is_worth_saying(distinction: Distinction) -> bool:
    """Known of somebody in the group, and off everybody's mean by a tenth."""
    difference = abs(distinction.value - distinction.overall)
    return math.isfinite(distinction.value) and difference > 0.1 * abs(distinction.overall)


def _name(key: Key, locale: str, *, brand: Brand, categories: Mapping[str, Sequence[str]]) -> str:
    parts = []
    for name, code, direction in key:
        phrase = PHRASES.get((name, direction))
        parts.append(phrase[language_of(locale)] if phrase else _said(name, code, locale, brand, categories))
    return " · ".join(parts) or {"en": "Everyone else", "hi": "बाक़ी सब", "th": "ลูกค้าอื่นๆ"}[language_of(locale)]


def _said(name: str, code: int | None, locale: str, brand: Brand, categories: Mapping[str, Sequence[str]]) -> str:
    """What customers declared, by the brand's own label in that locale where it has one."""
    bare = name.removeprefix("trait_")
    trait, choice = bare, ""
    if code is not None:
        choice = categories[name][code]
    else:
        for known in brand.traits:
            if bare.startswith(f"{known}_"):
                trait, choice = known, bare.removeprefix(f"{known}_")
    labels = brand.traits[trait].labels.get(choice, {}) if trait in brand.traits else {}
    plain = (choice or trait).replace("_", " ")
    return labels.get(locale) or labels.get(language_of(locale)) or labels.get(brand.default_locale) or plain


def _describe(
    group: Sequence[Distinction], locale: str, *, brand: Brand, categories: Mapping[str, Sequence[str]]
) -> str:
    language = language_of(locale)
    facts = []
    for distinction in [d for d in group if math.isfinite(d.value)][:4]:
        measure = MEASURES.get(distinction.input)
        if measure:
            value, overall = _number(distinction.value), _number(distinction.overall)
            said = measure[language]
        else:
            value, overall = f"{distinction.value:.0%}", f"{distinction.overall:.0%}"
            said = _said(distinction.input, distinction.code, locale, brand, categories)
        facts.append(FACT[language].format(measure=said, value=value, overall=overall))
    return SENTENCE[language].format(facts="; ".join(facts))


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.1f}"
