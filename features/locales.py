"""Which locale a message falls back to, and never silently to another script."""

from __future__ import annotations

import re
from functools import lru_cache

from babel.core import get_global

from features.brand import Brand
from features.formatting import is_formattable

_FORM = re.compile(r"^([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_]([A-Za-z]{2}|[0-9]{3}))?(?:[-_.@].*)?$")


def locale_chain(asked: str | None, brand: Brand) -> tuple[str, ...]:
    """The locales to try in order: what was asked for, its parents, the brand's own of that language, its default.

    A parent or sibling stands in only where it is written in the same script: hi-IN → hi → en, but hi-Latn → en.

    Args:
        asked: as a client or customer said it (hi-IN, hi_IN, HI); None and what is no locale mean the default.
        brand: whose locales and default they are.
    """
    return _chain(asked, tuple(brand.locales), brand.default_locale)


@lru_cache(maxsize=4096)
def _chain(asked: str | None, spoken: tuple[str, ...], default: str) -> tuple[str, ...]:
    chain: list[str] = []
    for locale in (asked, default):
        parts = _parts(locale)
        if parts is None:
            continue
        language, script, territory = parts
        written = _script(language, script, territory)
        candidates = [
            "-".join(part for part in each if part)
            for each in (
                (language, script, territory),
                (language, script, ""),
                (language, "", territory),
                (language, "", ""),
            )
        ]
        candidates += [each for each in spoken if _parts(each)[0] == language]  # type: ignore[index]  # a valid brand
        chain += [each for each in candidates if _script(*_parts(each)) == written]  # type: ignore[misc]
    return tuple(dict.fromkeys(chain))


def is_of_a_language(locale: str, brand: Brand) -> bool:
    """Whether a well-formed locale names a language that the brand speaks or CLDR knows; its territory may be any."""
    language = locale.partition("-")[0]
    return language in _languages() or any(spoken.partition("-")[0] == language for spoken in brand.locales)


@lru_cache(maxsize=1)
def _languages() -> frozenset[str]:
    """Of CLDR: those whose script it knows, and the older codes of languages."""
    known = (*get_global("likely_subtags"), *get_global("language_aliases"))
    return frozenset(name.partition("_")[0] for name in known)


def formatting_locale(asked: str | None, used: str, brand: Brand) -> str:
    """Whose way of writing numbers and dates a message in `used` takes.

    The asked one, where it says a territory of the same language and script (en-IN for an English message); else what
    the brand says of its voice; else the message's own.
    """
    voice = brand.locales.get(used)
    return _formatting(asked, used, voice.formatting_locale if voice is not None else None)


@lru_cache(maxsize=4096)
def _formatting(asked: str | None, used: str, of_voice: str | None) -> str:
    wanted, own = _parts(asked), _parts(used)
    if wanted is not None and own is not None and wanted[2] and wanted[0] == own[0]:
        name = "-".join(part for part in wanted if part)
        if _script(*wanted) == _script(*own) and is_formattable(name):
            return name
    return of_voice or used


def _parts(locale: str | None) -> tuple[str, str, str] | None:
    """Language, script and territory, in the usual capitals; empty where not said."""
    match = _FORM.match(locale or "")
    if match is None:
        return None
    language, script, territory = (part or "" for part in match.groups())
    return language.lower(), script.title(), territory.upper()


@lru_cache(maxsize=4096)
def _script(language: str, script: str, territory: str) -> str:
    """The script that the locale is written in, by the world's likely subtags where it is not said."""
    if script:
        return script
    likely = get_global("likely_subtags")
    full = _parts(likely.get(f"{language}_{territory}") or likely.get(language))
    return full[1] if full is not None else ""
