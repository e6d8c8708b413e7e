"""What a brand may say, made ready for decisions: everything that is made of brand.yaml and catalogue.yaml, whole.

A decision takes one stock and decides with it to its end; where a file changes, the next decision takes another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from features.brand import Brand
from features.catalogue import Catalogue
from features.question_actions import with_questions
from features.schema import FeatureSchema
from features.variables import feature_variables, variables_of
from features.versions import CheckedFiles
from features.workspace import Workspace
from serving.compose import Composer
from serving.contact.rules import ContactRules
from serving.explaining.explanation import Explainer
from serving.joining.hosts import link_hosts
from serving.joining.stamping import forget_addresses
from serving.replaying.time_zones import tzdata_version
from serving.shelf import Shelf
from serving.values import prior_rates


@dataclass(frozen=True, slots=True)
class Stock:
    """One version of what may be said.

    Attributes:
        brand: as brand.yaml says.
        catalogue: as catalogue.yaml says, with the questions that the brand's placements list.
        shelf: its actions by place, compiled.
        composer: from a scored customer to what competes.
        rules: the contact policy, caps and budgets.
        priors: what is believed of each action before anything was measured.
        goals: the goal of each action, by id.
        hosts: that a tracked link may lead to.
        versions: of brand.yaml, catalogue.yaml, the features and the time zone database.
        schema: of the features.
        explainer: says what decisions made with this rest on.
    """

    brand: Brand
    catalogue: Catalogue
    shelf: Shelf
    composer: Composer
    rules: ContactRules
    priors: Mapping[str, float]
    goals: Mapping[str, str]
    hosts: frozenset[str]
    versions: Mapping[str, str]
    schema: FeatureSchema
    explainer: Explainer

    @property
    def window(self) -> timedelta:
        """The attribution window."""
        return timedelta(days=self.brand.rewards.attribution_days)

    def forget_customers(self) -> None:
        """Lets go of everything remembered that may hold a customer's words: what is made next is made anew."""
        self.composer.forget()
        self.shelf.forget()
        self.explainer.forget()
        forget_addresses()


def stocked(files: CheckedFiles, *, workspace: Workspace, schema: FeatureSchema) -> Stock:
    """The stock of two sound files.

    Args:
        files: as they were read and checked.
        workspace: whose own features expressions may name.
        schema: of the features.
    """
    brand, catalogue = files.brand, with_questions(files.catalogue, files.brand)
    variables = variables_of(brand, feature_variables(brand, workspace))
    shelf = Shelf(brand, catalogue, variables=variables)
    return Stock(
        brand=brand,
        catalogue=catalogue,
        shelf=shelf,
        composer=Composer(brand, schema, shelf),
        rules=ContactRules(brand, catalogue),
        priors=prior_rates(brand, catalogue),
        goals={action.id: action.goal for action in catalogue.actions},
        hosts=link_hosts(brand, catalogue),
        versions={**files.versions, "features": schema.version, "tzdata": tzdata_version()},
        schema=schema,
        explainer=Explainer(brand, catalogue, schema),
    )
