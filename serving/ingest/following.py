"""What an event says of the decision that it followed: by the token of a button or link, or by a coupon code.

Design. A button's payload comes back as it was sent, whatever the bot makes of it: one that declares a trait makes the
event its answer, so that a bot sends the same event for every press. A token is not kept with the event: it would keep
what it declares beyond a withdrawal. A payload that was a token and is spoilt costs nobody the press: the event stays
what it is, and its verdict says so.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from features.brand import Brand
from serving.ingest.calls import Call, text_of
from serving.ingest.columns import WrongEventError
from serving.ingest.verdicts import SPOILT, Verdict
from serving.joining.machines import machine_called
from serving.joining.stamping import PARAMETER
from serving.joining.tokens import LONGEST_TOKEN, REFUSES, Said, TokenMint, looks_made
from serving.outcome_effects import CLICKED, OPENED, REPLIED

FORGED_TOKEN = "forged_token"
PAYLOAD = "payload"
COUPONS = ("coupon", "coupon_code")
_LONGEST_CODE = 64
_SPOILT_IN_WORDS = (
    f"its {PAYLOAD} was a button's token, but was cut short or changed on its way, or made with another secret: the "
    "event is kept without it, and joins no decision by it; hand the payload over exactly as the platform does"
)
_LONGEST_ADDRESS = 4_096
_IN_QUERY = f"{PARAMETER}="


class Followed(msgspec.Struct, frozen=True, gc=False):
    """The decision that an event followed, and what that makes of it."""

    token: str | None = None
    said: Said | None = None
    outcome: str | None = None  # None: only the goals that it reached count
    coupon_code: str | None = None
    is_machine: bool = False  # it looked or pressed; whoever buys is a person


class Following:
    """Finds tokens and codes in the events of one brand.

    Args:
        brand: its event names and goals.
        mint: that made the tokens; without one no event has any.
    """

    def __init__(self, brand: Brand, mint: TokenMint | None) -> None:
        names = brand.events
        self._mint = mint
        self._answered = names.question_answered
        self._replied = names.message_replied
        self._redeems = {names.order, *(goal.event for goal in brand.goals.values())}
        self._goals = {goal.event for goal in brand.goals.values()}
        self._outcomes = {
            names.message_opened: OPENED,
            names.message_clicked: CLICKED,
            names.message_replied: REPLIED,
            names.question_answered: REPLIED,
        }

    def of(self, call: Call, event: str, verdict: Verdict) -> tuple[str, Followed | None]:
        """The name of the event, which a button's answer changes, and what it followed; the call loses its token.

        Args:
            call: that is judged.
            event: its name.
            verdict: is told of a payload that is spoilt.

        Raises:
            WrongEventError: it has a `rapport_token` that was not made here.
        """
        found = self._token_of(call, verdict)
        code = self._code_of(call, event)
        if found is None:
            return event, Followed(coupon_code=code) if code is not None else None
        token, said = found
        if said.answer is not None and event in (self._answered, self._replied):
            event = self._answer(call, said.answer)
        outcome = None if event in self._goals else self._outcome(event, said)
        is_machine = outcome in (OPENED, CLICKED) and _is_machine(call)
        return event, Followed(token, said, outcome, code, is_machine)

    def _outcome(self, event: str, said: Said) -> str:
        return said.outcome if said.kind == REFUSES else self._outcomes.get(event, said.outcome)

    def _answer(self, call: Call, answer: tuple[str, str | float | bool]) -> str:
        given = call.properties or {}
        if given.get("trait") is None:
            call.properties = given | {"trait": answer[0], "answer": answer[1]}
        return self._answered

    def _token_of(self, call: Call, verdict: Verdict) -> tuple[str, Said] | None:
        given = call.properties
        if self._mint is None:
            return None
        if given and PARAMETER in given:
            token = given[PARAMETER]
            said = self._mint.read(token) if type(token) is str else None
            if said is None:
                detail = (
                    f"{PARAMETER} is {token!r:.80}, which was not made here or was changed on its way; send it exactly "
                    "as the link or the button had it, or leave it out"
                )
                raise WrongEventError(FORGED_TOKEN, detail)
            call.properties = {name: value for name, value in given.items() if name != PARAMETER}
            return token, said
        if given and type(token := given.get(PAYLOAD)) is str:
            said = self._mint.read(token)
            if said is not None or looks_made(token):
                call.properties = {name: value for name, value in given.items() if name != PAYLOAD}
            if said is not None:
                return token, said
            if call.properties is not given:
                verdict.say(SPOILT, _SPOILT_IN_WORDS)
        return self._in_address(call)

    def _in_address(self, call: Call) -> tuple[str, Said] | None:
        """The token of the page's address; one that is spoilt is nobody's fault, and says nothing."""
        page: Any = call.context.page if call.context is not None else None
        told = [where for where in (page, call.properties) if type(where) is dict]
        for address in (where.get(of) for where in told for of in ("search", "url")):
            if type(address) is str and _IN_QUERY in address and len(address) <= _LONGEST_ADDRESS:
                token = _parameter(address)
                if token is not None and self._mint is not None and (said := self._mint.read(token)) is not None:
                    return token, said
        return None

    def _code_of(self, call: Call, event: str) -> str | None:
        if event not in self._redeems or not call.properties:
            return None
        said = (text_of(call.properties.get(of), _LONGEST_CODE) for of in COUPONS)
        return next((code for one in said if (code := (one or "").strip())), None)  # as it was pasted


def _is_machine(call: Call) -> bool:
    """Whether the browser of the event calls itself one; one that says nothing is as good as any."""
    called = call.context.user_agent if call.context is not None else None
    return type(called) is str and bool(called.strip()) and machine_called(called) is not None


def _parameter(address: str) -> str | None:
    try:
        query = address.removeprefix("?") if address.startswith("?") else urlsplit(address).query
        found = parse_qs(query).get(PARAMETER)
    except ValueError:
        return None
    return found[-1] if found and len(found[-1]) <= LONGEST_TOKEN else None
