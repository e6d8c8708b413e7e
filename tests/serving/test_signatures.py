"""Of whom a signature is the same, every rule says the same."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from features.expressions import compile_expression
from features.variable_names import VariableType
from serving.outline import verdict_of
from serving.signatures import Signatures, has_signature

VARIABLES = {
    "n": VariableType.NUMBER,
    "likely": VariableType.NUMBER,
    "need": VariableType.TEXT,
    "is_known": VariableType.FLAG,
    "last_at": VariableType.INSTANT,
    "likes": VariableType.TEXTS,
}
RULES = [
    compile_expression(text, VARIABLES)
    for text in (
        "!is_known || n >= 2.0",
        "n > 0.0 && likely <= 0.5",
        "!has_need || need in ['dry', 'oily']",
        "has_likely",
        "need == 'dry' && n != 2.0",
    )
]
CUSTOMERS = st.fixed_dictionaries(
    {
        "n": st.sampled_from([None, float("nan"), 0.0, 0.5, 2.0, 2.5, 2, True, "2.0", "many"]),
        "likely": st.sampled_from([None, 0.2, 0.5, 0.7]),
        "need": st.sampled_from([None, "dry", "oily", "other", 1.0]),
        "is_known": st.sampled_from([True, False, 1, "true", None]),
    }
)


@settings(max_examples=300, deadline=None)
@given(one=CUSTOMERS, other=CUSTOMERS)
def test_who_has_the_same_signature_is_told_the_same(one: dict[str, object], other: dict[str, object]) -> None:
    assert all(has_signature(rule) for rule in RULES)
    signatures = Signatures(RULES)
    told = [[verdict_of(rule, values) for rule in RULES] for values in (one, other)]
    assert told[0] == told[1] or signatures.of(one) != signatures.of(other)


def test_a_number_between_the_same_limits_has_the_same_signature() -> None:
    signatures = Signatures(RULES)
    assert signatures.of({"n": 3.0, "likely": 0.6}) == signatures.of({"n": 90.5, "likely": 0.9})
    assert signatures.of({"n": 2.0}) != signatures.of({"n": 2.5})


def test_instants_lists_and_arithmetic_have_no_signature() -> None:
    for text in ("last_at < timestamp('2026-01-01T00:00:00Z')", "'soap' in likes", "n * 2.0 > likely"):
        assert not has_signature(compile_expression(text, VARIABLES))
