"""One call judged: an event that can be written, a dead letter with its reason, or nothing to keep.

Design. A pure function of the call, the brand and the instant of arrival: what is known of customers and which message
ids are taken is the business of `work`, inside the transaction.
"""

from __future__ import annotations

import secrets
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from features.brand import Brand
from features.contract import IDENTIFY
from features.event_names import UnusualNames
from serving.ingest.calls import TYPES, UNREADABLE, Call, Context, read_call, signed_of, text_of
from serving.ingest.columns import ColumnsOf, WrongEventError
from serving.ingest.conversions import Goals, Reached
from serving.ingest.following import Followed, Following
from serving.ingest.instants import ISO_8601, Limits, instant_of, occurred_at, out_of_limits, read_instant, told_limit
from serving.ingest.instants import UNREADABLE as UNREADABLE_TIME
from serving.ingest.statements import Said, Statements
from serving.ingest.touches import touch_of
from serving.ingest.verdicts import MADE_HERE, NOT_KEPT, TOO_LARGE, UNUSUAL, Verdict, tell_no_channel
from serving.joining.tokens import TokenMint

LARGEST_EVENT = 32 * 1_024
LONGEST_ID = 256
ALIAS = "alias"
EVENT_LENGTH = 200
_ID_RULE = "1 to 256 printable characters"
_MESSAGE_ID_RULE = "any text with something in it, or none at all: then one is made here"

_encode = msgspec.json.Encoder().encode


class Taken(msgspec.Struct, gc=False):
    """An event that can be written."""

    message_id: str
    user_id: str | None
    anonymous_id: str | None
    previous_id: str | None  # of an alias only
    occurred_us: int
    arrived_us: int
    payload: str
    verdict: Verdict
    texts: tuple[Said, ...] = ()
    reached: tuple[Reached, ...] = ()
    followed: Followed | None = None


class Letter(msgspec.Struct, gc=False):
    """A call that cannot be taken, as it was sent."""

    message_id: str
    type: str | None
    user_id: str | None
    anonymous_id: str | None
    previous_id: str | None
    arrived_us: int
    sent_us: int | None
    raw: bytes
    context: Context | None  # of its batch
    verdict: Verdict


class Arrival(NamedTuple):
    """How a call came in.

    Attributes:
        known_us: from when on it is known, microseconds since the epoch.
        arrived_us: when it first arrived; the same, unless it is judged again.
        sent_us: when its request was sent, by the client's clock.
        kind: what the path says that it is; else its own `type` does.
        context: of its batch, for a call that has none.
        message_id: under which it was kept, where it is judged again.
    """

    known_us: int
    arrived_us: int
    sent_us: int | None = None
    kind: str | None = None
    context: Context | None = None
    message_id: str | None = None


Judged = Taken | Letter | Verdict


class Judge:
    """Judges calls by one brand's rules.

    Args:
        brand: its event names, traits, channels, currency.
        limits: how far from their arrival events may have happened.
        mint: that made the tokens in buttons and links; without one no event has any.
    """

    def __init__(self, brand: Brand, limits: Limits, mint: TokenMint | None = None) -> None:
        self._following = Following(brand, mint)
        self._columns = ColumnsOf(brand)
        self._statements = Statements(brand)
        self._limits = limits
        self._goals = Goals(brand)
        self._unusual = UnusualNames(brand)
        self._page_view = brand.events.page_view
        self._answered = brand.events.question_answered
        self._given = brand.events.consent_given
        self._visits = frozenset((brand.events.page_view, brand.events.ad_click))

    def judge(self, raw: bytes | msgspec.Raw, arrival: Arrival) -> Judged:
        """What is to become of one call, given as its JSON."""
        if (n_bytes := len(raw)) > LARGEST_EVENT:
            detail = f"it is {n_bytes:,} bytes long; one event may have {LARGEST_EVENT:,}"
            return Verdict(_said_id(signed_of(raw).messageId) or _new_id(), "rejected", TOO_LARGE, detail)
        try:
            call = read_call(raw)
        except UNREADABLE as fault:
            return _letter(raw, arrival, _unreadable(fault))
        if call.context is None:
            call.context = arrival.context
        try:
            return self._taken(call, arrival)
        except WrongEventError as wrong:
            return _letter(raw, arrival, wrong)

    def _taken(self, call: Call, arrival: Arrival) -> Taken | Verdict:
        message_id = _said_id(call.messageId)
        kind = arrival.kind or call.type
        if kind == "group":
            return Verdict(message_id or _new_id(), "rejected", NOT_KEPT, "groups are not kept: a customer is a person")
        if message_id is None:
            if call.messageId is not None:
                raise WrongEventError(
                    "unusable_message_id", f"messageId is {call.messageId!r:.80}; send {_MESSAGE_ID_RULE}"
                )
            message_id = arrival.message_id
        verdict = Verdict(message_id, "accepted") if message_id is not None else _made_verdict()
        occurred_us = self._occurred_at(call, arrival)
        texts: tuple[Said, ...] = ()
        reached: tuple[Reached, ...] = ()
        followed: Followed | None = None
        if kind == "track":
            call.event, followed = self._following.of(call, call.event or "", verdict)
            columns, texts = self._track(call)
            if columns["event"] == self._given and "channel" not in columns:
                tell_no_channel(verdict, call.properties or {})
            if (meant := self._unusual.meant(columns["event"])) is not None:
                rule = f"it is counted as '{columns['event']}'; if it is the same as '{meant}', send that name"
                verdict.say(UNUSUAL, rule)
            reached = self._goals.reached(
                columns["event"], message_id=verdict.messageId, columns=columns, properties=call.properties or {}
            )
        elif kind in ("page", "screen"):
            _, followed = self._following.of(call, self._page_view, verdict)
            columns = self._event(self._page_view, call, {"name": call.name, "category": call.category})
        elif kind == IDENTIFY:
            if call.traits and call.context is not None:
                self._columns.check_purpose(call.context.purpose, of="an identify call")
            columns, texts = self._statements.of_identify(call, verdict)
        elif kind == ALIAS:
            columns = {"event": ALIAS}
        else:
            raise WrongEventError("unknown_type", f"type is {kind!r:.80}; there are: {', '.join(TYPES)}")
        user_id, anonymous_id = _id_of(call.userId), _id_of(call.anonymousId)
        previous_id = _id_of(call.previousId) if kind == ALIAS else None
        if kind == ALIAS and (user_id is None or previous_id is None):
            raise WrongEventError("no_id", f"an alias needs a previousId and a userId, {_ID_RULE}")
        if user_id is None and anonymous_id is None:
            raise WrongEventError("no_id", f"it needs a userId or an anonymousId, {_ID_RULE}")
        return Taken(
            verdict.messageId,
            user_id,
            anonymous_id,
            previous_id,
            occurred_us,
            arrival.known_us,
            _encode(columns).decode(),
            verdict,
            texts,
            reached,
            followed,
        )

    def _occurred_at(self, call: Call, arrival: Arrival) -> int:
        """When it happened, by our clock; at the latest when it became known."""
        said_us = None
        if call.timestamp is not None and (said_us := read_instant(call.timestamp)) is None:
            raise WrongEventError(UNREADABLE_TIME, f"timestamp is '{call.timestamp[:80]}'; {ISO_8601}")
        sent_us = arrival.sent_us
        if call.sentAt is not None:
            sent_us = read_instant(call.sentAt) or sent_us
        occurred_us = occurred_at(said_us, sent_us=sent_us, arrived_us=arrival.arrived_us)
        if (reason := out_of_limits(occurred_us, known_us=arrival.known_us, limits=self._limits)) is not None:
            by = f", sentAt '{call.sentAt[:80]}'" if call.sentAt is not None else _sent(arrival)
            why = told_limit(reason, occurred_us, known_us=arrival.known_us, limits=self._limits)
            raise WrongEventError(reason, f"timestamp is '{call.timestamp}'{by}: {why}")
        return occurred_us if occurred_us < arrival.known_us else arrival.known_us

    def _track(self, call: Call) -> tuple[dict[str, Any], tuple[Said, ...]]:
        event = call.event
        if not event or len(event) > EVENT_LENGTH:
            raise WrongEventError("no_event_name", f"a track call needs an event of 1 to {EVENT_LENGTH} characters")
        if event in (IDENTIFY, ALIAS):
            raise WrongEventError(
                "reserved_event_name", f"'{event}' is a call of its own, not an event of a track call"
            )
        if event == self._answered:
            return self._answer(call, event)
        return self._event(event, call), ()

    def _event(self, event: str, call: Call, named: dict[str, str | None] | None = None) -> dict[str, Any]:
        found, rest = self._columns.take(event, call.properties or {})
        if named:
            rest |= {name: value for name, value in named.items() if value is not None}
        columns = {"event": event, **found}
        if call.context is not None or event in self._visits:
            self._add_touch(columns, rest, call.context, is_visit=event in self._visits)
        if rest:
            columns["properties"] = _encode(rest).decode()
        return columns

    def _add_touch(
        self, columns: dict[str, Any], rest: dict[str, Any], context: Context | None, *, is_visit: bool
    ) -> None:
        touch = touch_of(context, is_visit=is_visit)
        if touch is None:
            return
        columns["source"] = touch.source
        if touch.campaign is not None:
            columns.setdefault("campaign", touch.campaign)
        if touch.details is not None:
            rest["_touch"] = touch.details

    def _answer(self, call: Call, event: str) -> tuple[dict[str, Any], tuple[Said, ...]]:
        given = call.properties or {}
        answer, texts = self._statements.of_answer(given, call.context)
        call.properties = {name: value for name, value in given.items() if name != "answer"}
        if call.context is not None and (locale := text_of(call.context.locale)) is not None:
            call.properties.setdefault("locale_shown", locale)
        columns = self._event(event, call)
        if answer is not None:
            columns["answer"] = answer
        return columns, texts


def _letter(raw: bytes | msgspec.Raw, arrival: Arrival, wrong: WrongEventError) -> Letter:
    signed = signed_of(raw)
    message_id = arrival.message_id or _said_id(signed.messageId)
    if message_id is None:  # what says a wrong id is the same letter when it is sent again
        message_id = _new_id() if signed.messageId is None else f"rapport-{blake2b(raw, digest_size=16).hexdigest()}"
    return Letter(
        message_id,
        arrival.kind or text_of(signed.type, 40),
        text_of(signed.userId),
        text_of(signed.anonymousId),
        text_of(signed.previousId),
        arrival.arrived_us,
        arrival.sent_us,
        bytes(raw),
        arrival.context,
        Verdict(message_id, "dead_lettered", wrong.reason, f"{wrong}"),
    )


def _unreadable(fault: BaseException) -> WrongEventError:
    """What is wrong with a call that is no call; most often a time that is a number of seconds."""
    detail = f"{fault}"[:200]
    is_time = detail.endswith(("`$.timestamp`", "`$.sentAt`"))
    return WrongEventError("not_valid", f"{detail}; {ISO_8601}" if is_time else detail)


def _sent(arrival: Arrival) -> str:
    return "" if arrival.sent_us is None else f", sentAt of its batch '{instant_of(arrival.sent_us)}'"


def _id_of(value: object) -> str | None:
    if value is None:
        return None
    found = value if type(value) is str else text_of(value)
    return found if found and len(found) <= LONGEST_ID and found.isprintable() else None


def _said_id(value: object) -> str | None:
    """The id of a message, as long as it may be: only its fingerprint is compared."""
    return (value or None) if type(value) is str else text_of(value)


def _new_id() -> str:
    return f"rapport-{secrets.token_hex(16)}"


def _made_verdict() -> Verdict:
    detail = "it had no messageId, so one was made here; sent again without one, it would be another event"
    return Verdict(_new_id(), "accepted", MADE_HERE, detail)
