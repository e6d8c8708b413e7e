"""`rapport check`: the workspace's files as a whole, then its lake, as named checks with what each means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.brand import Brand
from features.brand_checks import in_order, read_brand
from features.brand_segments import brand_segment_faults
from features.catalogue import Catalogue
from features.catalogue_checks import read_catalogue, read_catalogue_alone
from features.checks import CheckResult, CheckStatus, worst_status
from features.contradictions import contradiction_faults
from features.faults import CallersMistake, Fault, InvalidFile
from features.moments.rules import condition_faults
from features.schema import feature_schema
from features.segment_names import SEGMENTS_FILE, read_segment_names
from features.variables import feature_variables, moment_variables
from features.workspace import Workspace


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Every check of a workspace and every fault of its files."""

    results: tuple[CheckResult, ...]
    faults: tuple[tuple[Path, Fault], ...]

    @property
    def status(self) -> CheckStatus:
        """The worst of all."""
        return worst_status(self.results)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-ready keys and values."""
        faults = [
            {
                "file": str(path),
                "line": fault.line,
                "where": fault.where,
                "problem": fault.problem,
                "rule": fault.rule,
                "closest": fault.closest,
            }
            for path, fault in self.faults
        ]
        return {"status": self.status, "checks": [result.as_dict() for result in self.results], "faults": faults}


def check_workspace(workspace: Workspace) -> CheckReport:
    """Checks the files as a whole, expressions on typed samples, renderings against their channels, and the lake."""
    from features.coupon_checks import coupon_checks
    from features.identity_checks import identity_checks
    from features.lake_checks import lake_checks
    from features.letter_counts import letter_check

    results: list[CheckResult] = []
    faults: list[tuple[Path, Fault]] = []

    brand, found = _brand_or_faults(workspace)
    faults += [(workspace.brand_file, fault) for fault in found]
    results.append(_brand_result(brand, found))

    sql_is_right = True
    if brand is not None:
        result, of_sql = _sql_result(brand, workspace)
        sql_is_right = result.status == "PASS"
        results.append(result)
        faults += of_sql
        if brand.moments and sql_is_right:
            result, found = _moments_result(brand, workspace)
            results.append(result)
            faults += [(workspace.brand_file, fault) for fault in found]
        if brand.segments and sql_is_right:
            result, found = _segments_result(brand, workspace)
            results.append(result)
            faults += [(workspace.brand_file, fault) for fault in found]
        if sql_is_right and any(trait.contradicted_by for trait in brand.traits.values()):
            result, found = _contradictions_result(brand, workspace)
            results.append(result)
            faults += [(workspace.brand_file, fault) for fault in found]

    if (result_and_faults := _names_result(workspace)) is not None:
        result, found = result_and_faults
        results.append(result)
        faults += [(workspace.root / SEGMENTS_FILE, fault) for fault in found]

    catalogue, found = _catalogue_or_faults(workspace, brand if sql_is_right else None)
    faults += [(workspace.catalogue_file, fault) for fault in found]
    results.append(_catalogue_result(catalogue, found, was_compared=brand is not None and sql_is_right))
    if brand is not None and catalogue is not None:
        results += _language_results(brand, catalogue)
    if catalogue is not None:
        results += coupon_checks(workspace, catalogue)

    results += [*lake_checks(workspace), *identity_checks(workspace), letter_check(workspace)]
    return CheckReport(tuple(results), tuple(faults))


def _brand_or_faults(workspace: Workspace) -> tuple[Brand | None, list[Fault]]:
    try:
        brand, faults = read_brand(workspace.brand_file)
    except InvalidFile as error:
        return None, list(error.faults)
    return (None if faults else brand), faults


def _catalogue_or_faults(workspace: Workspace, brand: Brand | None) -> tuple[Catalogue | None, list[Fault]]:
    try:
        catalogue, faults = read_catalogue(workspace, brand) if brand else read_catalogue_alone(workspace)
    except InvalidFile as error:
        return None, list(error.faults)
    except CallersMistake as error:
        return None, [Fault("the file", str(error))]
    return (None if faults else catalogue), in_order(faults)


def _brand_result(brand: Brand | None, faults: list[Fault]) -> CheckResult:
    name = "brand.yaml is right"
    if brand is None:
        return CheckResult(name, "FAIL", "Nothing runs before its faults, below, are mended.", _n(faults, "fault"))
    detail = ", ".join(
        [
            f"{brand.name} in {', '.join(brand.locales)}",
            _n(brand.traits, "trait"),
            _n(brand.goals, "goal"),
            _n(brand.channels, "channel"),
            _n(brand.placements, "placement"),
        ]
    )
    return CheckResult(name, "PASS", "Names, limits, locales, time zone and currency fit together.", detail)


def _sql_result(brand: Brand, workspace: Workspace) -> tuple[CheckResult, list[tuple[Path, Fault]]]:
    name = "the brand's own features/*.sql can be used"
    try:
        feature_variables(brand, workspace)
    except InvalidFile as error:
        meaning = "Features cannot be built before this file is mended; the catalogue was read without them."
        told = [(error.path, fault) for fault in error.faults]
        return CheckResult(name, "FAIL", meaning, error.path.name), told
    files = sorted(path.name for path in workspace.sql_folder.glob("*.sql"))
    return CheckResult(name, "PASS", "Each gives numbers, one row a customer.", ", ".join(files) or "none"), []


def _moments_result(brand: Brand, workspace: Workspace) -> tuple[CheckResult, list[Fault]]:
    name = "the brand's moments can come"
    variables = moment_variables(brand, feature_variables(brand, workspace))
    if found := list(condition_faults(workspace, brand, variables)):
        meaning = "Nothing is served before their conditions, below, are mended."
        return CheckResult(name, "FAIL", meaning, _n(found, "fault")), found
    meaning = "Their conditions run on typed samples; each comes once for a trigger."
    return CheckResult(name, "PASS", meaning, ", ".join(brand.moments)), []


def _segments_result(brand: Brand, workspace: Workspace) -> tuple[CheckResult, list[Fault]]:
    name = "the brand's own segments can be told"
    if found := list(brand_segment_faults(workspace, brand, feature_schema(brand, workspace))):
        meaning = "Nothing is served or scored before their conditions, below, are mended."
        return CheckResult(name, "FAIL", meaning, _n(found, "fault")), found
    return CheckResult(name, "PASS", "Their conditions run on typed samples.", ", ".join(brand.segments)), []


def _names_result(workspace: Workspace) -> tuple[CheckResult, list[Fault]] | None:
    """Of what the brand calls its segments; None where it calls none anything."""
    name = "segments.yaml is right"
    try:
        named = read_segment_names(workspace.root)
    except InvalidFile as error:
        meaning = "Segments keep the names that training found before this file is mended."
        return CheckResult(name, "FAIL", meaning, _n(error.faults, "fault")), list(error.faults)
    if not named:
        return None
    return CheckResult(name, "PASS", "Each segment has a name of its own in each locale.", ", ".join(named)), []


def _contradictions_result(brand: Brand, workspace: Workspace) -> tuple[CheckResult, list[Fault]]:
    name = "what customers say can be held against what they do"
    if found := list(contradiction_faults(workspace, brand)):
        meaning = "Nobody's traits can be told before these expressions, below, are mended."
        return CheckResult(name, "FAIL", meaning, _n(found, "fault")), found
    said = [name for name, trait in brand.traits.items() if trait.contradicted_by]
    return CheckResult(name, "PASS", "Each contradicted_by runs on typed samples.", ", ".join(said)), []


def _catalogue_result(catalogue: Catalogue | None, faults: list[Fault], *, was_compared: bool) -> CheckResult:
    name = "catalogue.yaml is right"
    if catalogue is None:
        meaning = "Nothing is decided before its faults, below, are mended."
        return CheckResult(name, "FAIL", meaning, _n(faults, "fault"))
    if not was_compared:
        meaning = "Its shape is right; its names could not be compared with a brand or features that have faults."
        return CheckResult(name, "WARN", meaning, _n(catalogue.actions, "action"))
    expressions = [action.when for action in catalogue.actions if action.when is not None]
    expressions += [slot.expression for action in catalogue.actions for slot in action.slots.values()]
    renderings = sum(len(action.renderings) * len(action.channels) for action in catalogue.actions)
    meaning = "Expressions run on typed samples, and every rendering fits every channel that it goes to."
    counts = (_n(catalogue.actions, "action"), _n(expressions, "expression"), f"{renderings} renderings on a channel")
    return CheckResult(name, "PASS", meaning, ", ".join(counts))


def _language_results(brand: Brand, catalogue: Catalogue) -> Iterator[CheckResult]:
    name = "every action speaks every locale"
    gaps = [
        f"{action.id}: {', '.join(missing)}"
        for action in catalogue.actions
        if (missing := [locale for locale in brand.locales if locale not in action.renderings])
    ]
    if gaps:
        meaning = "Customers of these locales read another one, or never get these actions; the answer says so."
        yield CheckResult(name, "WARN", meaning, "; ".join(gaps))
    else:
        yield CheckResult(name, "PASS", "Nobody reads another language than their own.", ", ".join(brand.locales))


def _n(things: object, name: str) -> str:
    count = len(things)  # type: ignore[arg-type]
    return f"{count} {name}" if count == 1 else f"{count} {name}s"
