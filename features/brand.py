"""The brand: `brand.yaml` as frozen types that refuse to be wrong on their own, and its loader."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, StringConstraints

from features.contact_policy import ContactPolicy
from features.occasions import Occasion
from features.parts import Locale, Name, Part, Rate

if TYPE_CHECKING:
    from features.workspace import Workspace

__all__ = ["Brand", "Locale", "Name", "Rate", "load_brand"]


class Voice(Part):
    """How the brand speaks in one locale."""

    name: str
    formality: Literal["casual", "friendly", "polite", "formal"] = "friendly"
    particles: tuple[str, ...] = ()
    emoji: bool = True
    calendar: Literal["gregorian", "buddhist"] = "gregorian"
    formatting_locale: Locale | None = None  # whose money, numbers and dates: en-IN writes ₹1,00,000


class Trait(Part):
    """Something that customers tell us: evidence with a purpose, decaying by its half-life."""

    kind: Literal["interest", "life_stage", "need", "preference", "fact"]
    type: Literal["choice", "choices", "number", "date", "boolean", "text"]
    choices: tuple[Name, ...] = ()
    question: dict[Locale, str] = Field(default_factory=dict)
    labels: dict[Name, dict[Locale, str]] = Field(default_factory=dict)
    purpose: Name = "personalisation"
    half_life_days: Annotated[float, Field(gt=0)] = 365.0
    contradicted_by: str | None = None  # CEL: true where what the customer does says otherwise
    sensitive: bool = False  # model cards then say how well models do for each answer


class BrandSegment(Part):
    """A segment that the brand makes itself, beside those that are discovered."""

    when: str  # CEL over what is known of the customer: traits, features, stage, segment, propensities
    label: dict[Locale, str] = Field(default_factory=dict)


class Goal(Part):
    """Something worth reaching: any event, with the property that holds its value where it has one."""

    event: str
    value: str | None = None


class EventNames(Part):
    """Which event names mean what; Segment's e-commerce names unless the brand says otherwise."""

    order: str = "Order Completed"
    refund: str = "Order Refunded"
    product_view: str = "Product Viewed"
    add_to_cart: str = "Product Added"
    page_view: str = "Page Viewed"
    ad_click: str = "Ad Clicked"
    question_answered: str = "Question Answered"
    message_sent: str = "Message Sent"
    message_opened: str = "Message Opened"
    message_clicked: str = "Message Clicked"
    message_replied: str = "Message Replied"
    consent_given: str = "Consent Given"
    consent_withdrawn: str = "Consent Withdrawn"
    outcome_measured: str = "Outcome Measured"


class Funnel(Part):
    """Where the boundaries between awareness, consideration, conversion and loyalty lie."""

    consideration_days: Annotated[int, Field(gt=0)] = 90
    loyalty_orders: Annotated[int, Field(ge=2)] = 2


class Rewards(Part):
    """What a reached goal is worth, for values in the brand's currency."""

    margin_rate: Rate = 0.4
    attribution_days: Annotated[int, Field(ge=1, le=90)] = 7
    organic_rate: Rate = 0.0
    prior_strength: Annotated[float, Field(gt=0)] = 50.0
    reward_scale: Annotated[float, Field(gt=0)] | None = None  # squarecb divides values by it; else the largest value
    question_cost: Annotated[float, Field(ge=0)] = 0.0  # what asking a customer one question costs, in patience


class Channel(Part):
    """One way to reach a customer, with its limits, price and kind of consent."""

    kind: Literal["chat", "email", "web", "push", "sms"]
    consent: Literal["required", "session"]
    body_limit: Annotated[int, Field(gt=0)]
    buttons_limit: Annotated[int, Field(ge=0)] = 0
    button_label_limit: Annotated[int, Field(ge=0)] = 20
    session_window_hours: Annotated[int, Field(gt=0)] | None = None
    price: Annotated[float, Field(ge=0)] = 0.0
    format: Literal["whatsapp", "line", "email"] | None = None  # whose message bodies it takes; its limits hold too


class Policy(Part):
    """How the action is drawn from the values."""

    name: Literal["greedy", "epsilon_greedy", "squarecb", "uniform"] = "epsilon_greedy"
    epsilon: Rate = 0.1
    gamma: Annotated[float, Field(gt=0)] = 100.0  # squarecb: the larger, the greedier


class Exploration(Part):
    """How new actions are tried: until each has had so many exposures, they share a part of the probability."""

    exposures: Annotated[int, Field(ge=0)] = 0
    share: Rate = 0.1


class Arm(Part):
    """One policy that customers may be assigned to for good."""

    share: Annotated[float, Field(gt=0.0, le=1.0)]  # of the customers who are not held out
    policy: Policy


class Experiment(Part):
    """Policies beside each other: every customer is in one arm, in every placement that has no policy of its own."""

    name: Name  # also the salt of its draw: a new name draws anew
    arms: Annotated[dict[Name, Arm], Field(min_length=2)]


class Placement(Part):
    """One place where a decision is asked for."""

    initiated_by: Literal["customer", "brand"]
    channels: Annotated[tuple[Name, ...], Field(min_length=1)]
    baseline: Name
    fallback: Name
    policy: Policy | None = None
    off_script: Name | None = None  # the action that answers an intent which the brand does not know
    at_most_per_tag: Annotated[int, Field(ge=1)] | None = None  # in one ranked set
    questions: tuple[Name, ...] = ()  # traits that may be asked for here, where that is worth more than an offer
    questions_per_conversation: Annotated[int, Field(ge=0)] = 1


class Freshness(Part):
    """How old inputs may be before a decision says that it fell back."""

    features_days: Annotated[float, Field(gt=0)] = 7.0


class Training(Part):
    """Of how many customers segments and the next purchase are learned, and what the latter's trees keep to."""

    positive_weight: Annotated[float, Field(ge=0.01, le=100)] = 1.0  # of a customer who ordered; one who did not has 1
    monotone: dict[Name, Literal["rising", "falling"]] = Field(default_factory=dict)  # a model's input: which way
    trusted: tuple[Name, ...] = ()  # inputs that look as if they knew the future, and were found to be known in time
    customers: Annotated[int, Field(ge=100, le=1_000_000_000)] = 100_000  # teach and judge; of more, so many are drawn


class Trigger(Part):
    """The event that a moment waits after: of brand.yaml by its name there, or any other as it comes."""

    event: Name | None = None  # a name of `events` or of a goal
    event_name: Annotated[str, Field(min_length=1)] | None = None


Span = Annotated[float, Field(ge=0, le=3_650)]


class Moment(Part):
    """When to speak to somebody: so long after an event, if a condition then holds."""

    after: Trigger
    wait_minutes: Annotated[float, Field(ge=0, le=100_000)] = 0.0
    wait_hours: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    wait_days: Span = 0.0
    when: str = "true"
    at_most_every_days: Annotated[float, Field(gt=0, le=3_650)] = 1.0
    expires_after_hours: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    expires_after_days: Span = 0.0
    placement: Name | None = None  # where its decision is to be asked for

    @property
    def wait(self) -> timedelta:
        """From the event to the instant at which the condition is looked at."""
        return timedelta(days=self.wait_days, hours=self.wait_hours, minutes=self.wait_minutes)

    @property
    def expires_after(self) -> timedelta:
        """For how long after that instant it may still be said."""
        said = timedelta(days=self.expires_after_days, hours=self.expires_after_hours)
        return said or DEFAULT_EXPIRY

    @property
    def at_most_every(self) -> timedelta:
        """How far apart two of the same kind lie at least, for one customer."""
        return timedelta(days=self.at_most_every_days)


DEFAULT_EXPIRY = timedelta(days=7)


class Brand(Part):
    """One brand: who speaks, to whom, for what, where, and within which limits."""

    name: Annotated[str, Field(min_length=1)]
    time_zone: str
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    default_locale: Locale
    locales: Annotated[dict[Locale, Voice], Field(min_length=1)]
    purposes: Annotated[tuple[Name, ...], Field(min_length=1)] = ("personalisation", "marketing")
    traits: dict[Name, Trait] = Field(default_factory=dict)
    goals: Annotated[dict[Name, Goal], Field(min_length=1)]
    events: EventNames = EventNames()
    funnel: Funnel = Funnel()
    horizons_days: Annotated[tuple[int, ...], Field(min_length=1)] = (7, 30, 90)
    occasions: dict[Name, Occasion] = Field(default_factory=dict)  # festivals and sales whose date moves
    rewards: Rewards = Rewards()
    holdout_rate: Annotated[float, Field(ge=0.0, le=0.5)] = 0.1
    channels: Annotated[dict[Name, Channel], Field(min_length=1)]
    placements: Annotated[dict[Name, Placement], Field(min_length=1)]
    policy: Policy = Policy()
    exploration: Exploration = Exploration()
    experiment: Experiment | None = None
    contact_policy: ContactPolicy = ContactPolicy()
    intents: tuple[Name, ...] = ()  # that your bot can tell; a placement's `off_script` answers any other
    link_hosts: tuple[str, ...] = ()  # that a tracked link may lead to; those of the catalogue's links are always
    freshness: Freshness = Freshness()
    training: Training = Training()
    moments: dict[Name, Moment] = Field(default_factory=dict)
    segments: dict[Name, BrandSegment] = Field(default_factory=dict)  # beside those that are discovered

    def event_of(self, trigger: Trigger) -> str:
        """What the trigger's event is called in the log."""
        if trigger.event_name is not None:
            return trigger.event_name
        name = trigger.event or ""
        if name in EventNames.model_fields:
            return str(getattr(self.events, name))
        return self.goals[name].event


def load_brand(workspace: Workspace) -> Brand:
    """The brand of a workspace.

    Raises:
        InvalidFile: `brand.yaml` is wrong; with every fault, its line, value, rule and the closest valid name.
    """
    from features.brand_checks import read_brand
    from features.faults import InvalidFile

    brand, faults = read_brand(workspace.brand_file)
    if brand is None or faults:
        raise InvalidFile(workspace.brand_file, faults)
    return brand
