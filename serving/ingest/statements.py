"""What a call declares of its customer: the answer to a question, or the traits of an identify call.

Only what brand.yaml declares is kept. Free text goes beside the log, into the table from which it can be deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from features.brand import Brand
from features.contract import IDENTIFY
from features.faults import closest_name
from serving.ingest.calls import Call, Context, text_of
from serving.ingest.columns import WrongEventError, closest_hint
from serving.ingest.declared import DeclaredTraits, WrongValueError, as_answer
from serving.ingest.verdicts import TRAITS_IGNORED, Verdict

EVIDENCE = ("question", "purpose", "notice_version", "locale_shown")
TOLD = "_told"  # no name of a trait begins like this
NAMED = 10  # ignored traits that a verdict names


class Said(msgspec.Struct, gc=False):
    """Free text about one trait, with the evidence for it; a missing value takes back what was said before."""

    trait: str
    value: str | None
    evidence: dict[str, str]


class Statements:
    """Reads declarations by the traits of one brand."""

    def __init__(self, brand: Brand) -> None:
        self._traits = DeclaredTraits(brand)

    def of_answer(self, properties: Mapping[str, Any], context: Context | None) -> tuple[str | None, tuple[Said, ...]]:
        """The answer as its column holds it, and as free text where its trait is one.

        Raises:
            WrongEventError: the trait is not declared, or does not allow that answer.
        """
        trait = properties.get("trait")
        if type(trait) is not str or trait not in self._traits:
            hint = closest_hint(trait, self._traits.names)
            detail = f"trait is {trait!r:.80}.{hint} brand.yaml declares: {', '.join(self._traits.names)}"
            raise WrongEventError("unknown_trait", detail)
        try:
            value = self._traits.read(trait, properties.get("answer"))
        except WrongValueError as wrong:
            raise WrongEventError("invalid_answer", f"the answer about '{trait}' {wrong}") from None
        if trait not in self._traits.texts:
            return as_answer(value), ()
        names = (*EVIDENCE, "channel", "conversation_id", "step")
        evidence = {name: text for name in names if (text := text_of(properties.get(name))) is not None}
        if context is not None and (locale := text_of(context.locale)) is not None:
            evidence.setdefault("locale_shown", locale)
        return None, (Said(trait, value, evidence),)

    def of_identify(self, call: Call, verdict: Verdict) -> tuple[dict[str, Any], tuple[Said, ...]]:
        """The columns of an identify call, and what of it is free text; what it ignores is told in the verdict."""
        kept: dict[str, Any] = {}
        texts: dict[str, str | None] = {}
        ignored: list[str] = []
        for name, value in (call.traits or {}).items():
            if name not in self._traits:
                near = closest_name(name[:80], self._traits.names) if len(ignored) < NAMED else None
                closest = f"; closest: '{near}'" if near else ""
                ignored.append(f"{name[:80]} (not declared in brand.yaml{closest})")
                continue
            try:
                read = self._traits.read(name, value)
            except WrongValueError as wrong:
                ignored.append(f"{name} ({wrong})")
                continue
            (texts if name in self._traits.texts else kept)[name] = read
        if ignored:
            _tell(verdict, ignored)
        columns: dict[str, Any] = {"event": IDENTIFY}
        evidence = _evidence(call.context) if kept or texts else {}
        if "channel" in evidence:
            columns["channel"] = evidence["channel"]
        if kept:
            told = {name: evidence[name] for name in EVIDENCE if name in evidence}
            columns["properties"] = msgspec.json.encode(kept | ({TOLD: told} if told else {})).decode()
        return columns, tuple(Said(name, value, evidence) for name, value in texts.items())


def _evidence(context: Context | None) -> dict[str, str]:
    """How the traits of an identify call came to be told: what its context says of that."""
    if context is None:
        return {}
    said = {
        "question": context.question,
        "purpose": context.purpose,
        "notice_version": context.notice_version,
        "locale_shown": context.locale,
        "channel": context.channel,
    }
    return {name: text for name, value in said.items() if (text := text_of(value)) is not None}


def _tell(verdict: Verdict, ignored: list[str]) -> None:
    more = f" and {len(ignored) - NAMED} more" if len(ignored) > NAMED else ""
    verdict.say(TRAITS_IGNORED, f"traits left out: {', '.join(ignored[:NAMED])}{more}")
