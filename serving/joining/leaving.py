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
    unknown: str  # nothing was written: there is no such decision
    erased: str  # nothing was written: everything of that customer was erased


_WORDS = {
    "en": Words(
        "en",
        "No more messages of this kind from {brand}?",
        "Unsubscribe",
        "You are unsubscribed.",
        "We could not find this message, and you are not unsubscribed. Please write to {brand}.",
        "{brand} holds nothing of you from this message any more: it was erased.",
    ),
    "hi": Words(
        "hi",
        "{brand} से ऐसे संदेश अब नहीं चाहिए?",
        "सदस्यता समाप्त करें",
        "आपकी सदस्यता समाप्त कर दी गई है।",
        "यह संदेश हमें नहीं मिला, और आपकी सदस्यता समाप्त नहीं हुई है। कृपया {brand} को लिखें।",
        "इस संदेश से जुड़ी आपकी कोई जानकारी {brand} के पास अब नहीं है: वह मिटा दी गई है।",
    ),
    "th": Words(
        "th",
        "ไม่รับข้อความแบบนี้จาก {brand} อีกใช่ไหม",
        "ยกเลิกการรับข้อความ",
        "ยกเลิกการรับข้อความแล้ว",
        "ไม่พบข้อความนี้ และยังไม่ได้ยกเลิกการรับข้อความ กรุณาติดต่อ {brand}",
        "{brand} ไม่มีข้อมูลของคุณจากข้อความนี้แล้ว: ข้อมูลถูกลบไปแล้ว",
    ),
    "es": Words(
        "es",
        "¿No quieres más mensajes así de {brand}?",
        "Darse de baja",
        "Te has dado de baja.",
        "No hemos encontrado este mensaje y no te has dado de baja. Escribe a {brand}.",
        "{brand} ya no guarda nada tuyo de este mensaje: se borró.",
    ),
    "fr": Words(
        "fr",
        "Ne plus recevoir ces messages de {brand} ?",
        "Se désabonner",
        "Vous êtes désabonné.",
        "Ce message est introuvable et vous n'êtes pas désabonné. Écrivez à {brand}.",
        "{brand} ne conserve plus rien de vous de ce message : tout a été effacé.",
    ),
    "de": Words(
        "de",
        "Keine solchen Nachrichten mehr von {brand}?",
        "Abbestellen",
        "Du bist abgemeldet.",
        "Diese Nachricht wurde nicht gefunden, und du bist nicht abgemeldet. Bitte schreib an {brand}.",
        "{brand} hat aus dieser Nachricht nichts mehr von dir: Es wurde gelöscht.",
    ),
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
