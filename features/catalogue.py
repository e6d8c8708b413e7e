"""The catalogue: `catalogue.yaml`, every action a message or an offer with a rendering a locale, and its loader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from features.brand import Brand
from features.contact_policy import Budget, Cap
from features.parts import Instant, Locale, Name, Part, Rate

if TYPE_CHECKING:
    from features.workspace import Workspace

NOTHING = "nothing"
Stage = Literal["awareness", "consideration", "conversion", "loyalty"]
STAGES: tuple[Stage, ...] = ("awareness", "consideration", "conversion", "loyalty")


class Slot(Part):
    """A value that a rendering takes: a CEL expression over the customer's variables, with a default or without."""

    expression: str
    default: str | float | None = None


class Link(Part):
    """Where a message leads."""

    url: str
    label: str


class Media(Part):
    """A picture or clip, with words for those who do not see it."""

    url: str
    kind: Literal["image", "video", "audio"] = "image"
    alt: str


class Item(Part):
    """One shoppable thing of a bundle, a carousel card or a curated set."""

    title: str
    url: str
    product_id: str | None = None
    image: str | None = None
    price: str = ""  # as it is written, such as "{{ 499 | money }}"


class Reply(Part):
    """A suggested reply that says something by itself: a declared trait, or a refusal."""

    text: str
    trait: Name | None = None
    value: str | float | bool | None = None  # of the trait
    refuses: Literal["not_now", "never"] | None = None


class Rendering(Part):
    """What the customer reads in one locale; every text is a Jinja template over the action's slots."""

    hook: str = ""
    body: str
    media: Media | None = None
    link: Link | None = None
    suggested_replies: tuple[str | Reply, ...] = ()
    items: tuple[Item, ...] = ()
    subject: str = ""  # of an e-mail; the first line of the hook, else of the body, where it is left out


class Template(Part):
    """A message template that a chat channel's provider has approved."""

    name: str
    language: str
    category: Literal["marketing", "utility", "authentication"]
    parameters: tuple[str, ...] = ()
    header: Literal["media"] | None = None  # it was approved with a picture or clip above it: the rendering's
    buttons: Literal["replies"] | None = None  # it was approved with the suggested replies as its quick replies


class Incentive(Part):
    """What an offer gives away, with its expected cost in the brand's currency when it is redeemed."""

    kind: Literal["percentage", "amount", "free_item", "sweepstake", "points"]
    value: float
    cost: Annotated[float, Field(ge=0)]
    coupons: Name | None = None  # the pool whose codes are given out, one a decision; texts say {{ coupon_code }}


class Action(Part):
    """One message or offer that a policy can choose."""

    id: Name
    kind: Literal["message", "offer", "question"]
    stage: Stage
    goal: Name
    channels: Annotated[tuple[Name, ...], Field(min_length=1)]
    placements: Annotated[tuple[Name, ...], Field(min_length=1)]
    valid_from: Instant | None = None
    valid_until: Instant | None = None
    when: str | None = None
    value: Annotated[float, Field(ge=0)]
    expected_rate: Rate
    incentive: Incentive | None = None
    tags: tuple[Name, ...] = ()
    purpose: Name = "marketing"  # that a customer must have consented to, where the channel needs consent
    caps: tuple[Cap, ...] = ()  # of this action, for one customer
    budget: Budget | None = None
    asks: Name | None = None  # of a question: the trait that its answer fills
    slots: dict[Name, Slot] = Field(default_factory=dict)
    renderings: Annotated[dict[Locale, Rendering], Field(min_length=1)]
    templates: dict[Locale, Template] = Field(default_factory=dict)


class Catalogue(Part):
    """Every action of one brand."""

    actions: Annotated[tuple[Action, ...], Field(min_length=1)]

    def action(self, action_id: str) -> Action:
        """The action of that id; KeyError where there is none."""
        for action in self.actions:
            if action.id == action_id:
                return action
        raise KeyError(action_id)


def load_catalogue(workspace: Workspace, brand: Brand) -> Catalogue:
    """The catalogue of a workspace, checked against its brand.

    Raises:
        InvalidFile: `catalogue.yaml` is wrong, alone or beside the brand; with every fault, its line, value, rule and
            the closest valid name.
    """
    from features.catalogue_checks import read_catalogue
    from features.faults import InvalidFile

    catalogue, faults = read_catalogue(workspace, brand)
    if catalogue is None or faults:
        raise InvalidFile(workspace.catalogue_file, faults)
    return catalogue
