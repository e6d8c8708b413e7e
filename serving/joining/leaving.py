"""What the page says on which a customer leaves a channel, in the language that their browser prefers."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LANGUAGE = re.compile(r"([a-z]{2,3})(?:-[a-z0-9-]+)?\s*(?:;\s*q\s*=\s*([0-9.]+))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one language; `{brand}` is the brand's name."""

    language: str
    asks: str
    button: str
    left: str


_WORDS = {
    "en": Words("en", "No more messages of this kind from {brand}?", "Unsubscribe", "You are unsubscribed."),
    "hi": Words("hi", "{brand} से ऐसे संदेश अब नहीं चाहिए?", "सदस्यता समाप्त करें", "आपकी सदस्यता समाप्त कर दी गई है।"),
    "th": Words("th", "ไม่รับข้อความแบบนี้จาก {brand} อีกใช่ไหม", "ยกเลิกการรับข้อความ", "ยกเลิกการรับข้อความแล้ว"),
    "es": Words("es", "¿No quieres más mensajes así de {brand}?", "Darse de baja", "Te has dado de baja."),
    "fr": Words("fr", "Ne plus recevoir ces messages de {brand} ?", "Se désabonner", "Vous êtes désabonné."),
    "de": Words("de", "Keine solchen Nachrichten mehr von {brand}?", "Abbestellen", "Du bist abgemeldet."),
}


def words_of(accept_language: str) -> Words:
    """The texts of the best language that a browser names and that there is; else the English ones."""
    wanted = [(_weight(found[2]), found[1].lower()) for found in _LANGUAGE.finditer(accept_language)]
    for _, language in sorted(wanted, key=lambda one: -one[0]):  # stable: of equal weight the first one
        if (words := _WORDS.get(language)) is not None:
            return words
    return _WORDS["en"]


def _weight(said: str | None) -> float:
    try:
        return float(said) if said else 1.0
    except ValueError:
        return 0.0
