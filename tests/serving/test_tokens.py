"""Tokens: what they say comes back; what was not made here says nothing."""

from __future__ import annotations

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from features.faults import CallersMistake
from features.message_limits import LONGEST_DECISION_ID, longest_payload
from serving.joining.tokens import LONGEST_TOKEN, TokenMint, answer_of, looks_made, open_mint

MINT = TokenMint(b"a secret of this test")
ULIDS = st.binary(min_size=16, max_size=16).map(lambda raw: str(ULID.from_bytes(raw)))
OWN_IDS = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}\Z")
WHATS = st.one_of(
    st.sampled_from(["link", "open", "unsubscribe", "coupon", "refuses:never"]),
    st.builds("item:{}".format, st.integers(0, 49)),
    st.builds(answer_of, st.from_regex(r"\A[a-z_]{1,30}\Z"), st.text(max_size=30) | st.booleans() | st.integers(0, 99)),
)


@given(decision_id=ULIDS | OWN_IDS, slot=st.integers(0, 255), what=WHATS)
def test_what_a_token_says_comes_back(decision_id: str, slot: int, what: str) -> None:
    said = MINT.read(MINT.token(decision_id, slot, what))
    assert said is not None
    assert (said.decision_id, said.slot, said.what) == (decision_id, slot, what)


@given(decision_id=ULIDS | OWN_IDS, where=st.floats(0, 0.999), other=st.sampled_from("ABab01-_"))
def test_a_token_with_another_character_anywhere_says_nothing(decision_id: str, where: float, other: str) -> None:
    token = MINT.token(decision_id, 1, "link")
    place = int(where * len(token))
    changed = token[:place] + other + token[place + 1 :]
    assert (MINT.read(changed) is None) == (changed != token)


@given(text=st.text(max_size=80) | st.text(alphabet="ABCDwxyz0189-_", max_size=80))
def test_any_other_text_says_nothing(text: str) -> None:
    assert MINT.read(text) is None


NOW = st.integers(1_700_000_000, 2_140_000_000).map(lambda second: datetime.fromtimestamp(second, tz=UTC))


@given(at=NOW, slot=st.integers(0, 49), what=WHATS, length=st.integers(20, 200), is_small=st.booleans())
def test_a_spoilt_token_still_looks_like_one(at: datetime, slot: int, what: str, length: int, is_small: bool) -> None:
    spoilt = MINT.token(str(ULID.from_datetime(at)), slot, what)[:length]
    assert looks_made(spoilt.lower() if is_small else spoilt)


@given(decision_id=OWN_IDS, slot=st.integers(0, 49), what=WHATS)
def test_a_token_of_a_caller_s_own_id_and_another_secret_looks_like_one(decision_id: str, slot: int, what: str) -> None:
    token = TokenMint(b"the secret of another").token(decision_id, slot, what)
    assert len(token) < 20 or looks_made(token)


@pytest.mark.parametrize(
    "own", ["MENU_HELP", "Agree_to_the_terms_of_2026", "AQUA_and_its_whole_family_of_creams", "a" * 40, "{}", "ą" * 30]
)
def test_a_payload_of_somebody_else_s_menu_does_not_look_like_a_token(own: str) -> None:
    assert not looks_made(own)


def test_a_token_of_another_secret_says_nothing() -> None:
    token = TokenMint(b"the secret of another").token(str(ULID()), 0, "link")
    assert MINT.read(token) is None


def test_a_token_longer_than_any_is_not_looked_at() -> None:
    assert MINT.read("A" * (LONGEST_TOKEN + 1)) is None


def test_a_button_s_token_is_never_longer_than_its_limit_says() -> None:
    for value in ("dry", "รูขุมขน" * 20, 'a"b'):
        token = MINT.token("d" * LONGEST_DECISION_ID + ".50", 49, answer_of("need", value))
        assert len(token) == longest_payload("need", value)


def test_a_link_s_token_is_short() -> None:
    assert len(MINT.token(str(ULID()), 0, "link")) == 43


def test_a_button_that_declares_something_says_the_trait_with_its_value() -> None:
    said = MINT.read(MINT.token(str(ULID()), 0, answer_of("need", "रूखापन")))
    assert said is not None
    assert said.answer == ("need", "रूखापन")


def test_what_is_no_answer_declares_nothing() -> None:
    said = MINT.read(MINT.token(str(ULID()), 0, "refuses:not_now"))
    assert said is not None
    assert (said.kind, said.detail, said.answer) == ("refuses", "not_now", None)


def test_a_workspace_makes_its_secret_once_for_its_owner_only(tmp_path: Path) -> None:
    token = open_mint(tmp_path / "state").token("one", 0, "link")
    assert open_mint(tmp_path / "state").read(token) is not None
    file = tmp_path / "state" / "token.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [file.name] == [found.name for found in file.parent.iterdir()]


def test_workers_that_start_together_have_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        mints = list(pool.map(lambda _: open_mint(tmp_path), range(16)))
    assert len({mint.token("one", 0, "link") for mint in mints}) == 1


def test_the_environment_s_secret_is_used_before_the_file_s(tmp_path: Path) -> None:
    token = open_mint(tmp_path, secret="0123456789abcdef").token("one", 0, "link")
    assert TokenMint(b"0123456789abcdef").read(token) is not None
    assert not list(tmp_path.iterdir())


def test_a_secret_that_can_be_guessed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CallersMistake, match="has 5 characters: a secret has 16 at least"):
        open_mint(tmp_path, secret="short")


def test_an_emptied_secret_file_is_refused_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "token.key").write_bytes(b"")
    with pytest.raises(CallersMistake, match="holds 0 bytes"):
        open_mint(tmp_path)


@given(own=st.binary(max_size=90), padding=st.sampled_from(["", "=", "==", "===", "=" * 30]))
def test_a_bot_s_own_payload_in_base64_is_looked_at_whatever_its_padding(own: bytes, padding: str) -> None:
    begins = base64.urlsafe_b64encode(own).decode()
    assert looks_made(begins) in (True, False)
    assert not looks_made(f"zzzz{begins.rstrip('=')}{padding}")


def test_a_token_that_came_back_padded_still_looks_like_one() -> None:
    assert looks_made(MINT.token("01JZZZZZZZZZZZZZZZZZZZZZZZ", 0, "link") + "==")
