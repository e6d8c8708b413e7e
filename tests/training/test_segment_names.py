from __future__ import annotations

from pathlib import Path

import pytest

from features.faults import CallersMistake, InvalidFile
from features.segment_names import SEGMENTS_FILE, read_segment_names, rename_segment, renamed


def test_a_name_that_was_given_stays_until_it_is_changed(tmp_path: Path) -> None:
    rename_segment(tmp_path, "s1", " Our regulars ", locale="en")
    rename_segment(tmp_path, "s1", "ลูกค้าประจำ", locale="th")
    rename_segment(tmp_path, "s2", "Lookers", locale="en")
    rename_segment(tmp_path, "s2", "Window shoppers", locale="en")
    assert read_segment_names(tmp_path) == {
        "s1": {"en": "Our regulars", "th": "ลูกค้าประจำ"},
        "s2": {"en": "Window shoppers"},
    }
    assert "ลูกค้าประจำ" in (tmp_path / SEGMENTS_FILE).read_text(encoding="utf-8")


def test_only_the_locales_that_were_named_change() -> None:
    found = {"s1": {"en": "Frequent buyers", "th": "ซื้อบ่อย"}, "s2": {"en": "Quiet"}}
    assert renamed(found, {"s1": {"en": "Our regulars"}, "s9": {"en": "Gone"}}) == {
        "s1": {"en": "Our regulars", "th": "ซื้อบ่อย"},
        "s2": {"en": "Quiet"},
    }


def test_two_segments_may_not_have_one_name(tmp_path: Path) -> None:
    with pytest.raises(CallersMistake, match="another segment is called that"):
        rename_segment(tmp_path, "s1", "Quiet", locale="en", others=["Quiet"])
    (tmp_path / SEGMENTS_FILE).write_text("s1: {en: Quiet}\ns2: {en: Quiet}\n", encoding="utf-8")
    with pytest.raises(InvalidFile, match=r"line 2: s2\.en: is called 'Quiet', as 's1' is"):
        read_segment_names(tmp_path)


def test_a_segment_that_is_gone_keeps_no_name_from_those_that_are_served(tmp_path: Path) -> None:
    rename_segment(tmp_path, "s1", "Regulars", locale="en")
    rename_segment(tmp_path, "s1", "ประจำ", locale="th")
    rename_segment(tmp_path, "s2", "Lapsed", locale="en")
    rename_segment(tmp_path, "s4", "Regulars", locale="en", others=["Lapsed", "Quiet"])  # s1 is served no more
    assert read_segment_names(tmp_path) == {"s1": {"th": "ประจำ"}, "s2": {"en": "Lapsed"}, "s4": {"en": "Regulars"}}
    rename_segment(tmp_path, "s5", "Lapsed", locale="en", others=["Regulars"])
    assert set(read_segment_names(tmp_path)) == {"s1", "s4", "s5"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("s1: Regulars\n", "has no names by locale"),
        ("s1: {en: ''}\n", "A name is text of 1 to 80 characters"),
        ("- s1\n", "is not a mapping"),
    ],
)
def test_a_file_that_is_wrong_is_said_so_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / SEGMENTS_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(InvalidFile, match=said):
        read_segment_names(tmp_path)


def test_an_empty_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CallersMistake, match="1 to 80"):
        rename_segment(tmp_path, "s1", "  ", locale="en")
