"""Machines that open mails and follow links are told from people."""

from __future__ import annotations

import pytest

from serving.joining.machines import is_too_fast, machine_called, machine_in

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
PEOPLE = [
    CHROME,
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 "
    "Safari Line/14.8.0",
    "Mozilla/5.0 (Linux; Android 13; CUBOT P80) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Mobile Safari",
    "Mozilla/5.0 (Linux; Android 14; SM-A546E; wv) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36 "
    "[FB_IAB/FB4A;FBAV/470.0]",
    "Mozilla/4.0 (compatible; ms-office; MSOffice 16)",  # Outlook itself: whoever reads in it sees the picture
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
]
MACHINES = [
    ("Mozilla/5.0", "mail_proxy"),
    ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", "mail_proxy"),
    ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", "mail_proxy"),
    ("Mozilla/5.0 (compatible; Barracuda Sentinel)", "scanner"),
    ("facebookexternalhit/1.1;line-poker/1.0", "preview"),
    ("WhatsApp/2.24.13.76 A", "preview"),
    ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "bot"),
    ("TelegramBot (like TwitterBot)", "bot"),
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot"),
    ("curl/8.5.0", "program"),
    ("python-requests/2.32.3", "program"),
    ("Slack-ImgProxy (+https://api.slack.com/robots)", "mail_proxy"),
    (f"{CHROME} Google-Safety", "scanner"),
    ("Cloudmark", "scanner"),
    ("Mozilla/5.0 (compatible; Embedly/0.2; +http://support.embed.ly/)", "preview"),
    ("Iframely/1.3.1 (+https://iframely.com/docs/about)", "preview"),
    ("facebookcatalog/1.0", "bot"),
    ("Mediapartners-Google", "bot"),
    ("APIs-Google (+https://developers.google.com/webmasters/APIs-Google.html)", "bot"),
    (f"{CHROME} (compatible; GoogleOther)", "bot"),
    ("GuzzleHttp/7", "program"),
    ("PostmanRuntime/7.39.0", "program"),
    ("Microsoft Office Existence Discovery", "program"),
    ("", "no_user_agent"),
]


@pytest.mark.parametrize("user_agent", PEOPLE)
def test_a_person_s_browser_is_no_machine(user_agent: str) -> None:
    assert machine_called(user_agent) is None


@pytest.mark.parametrize(("user_agent", "kind"), MACHINES)
def test_a_machine_is_known_by_what_it_calls_itself(user_agent: str, kind: str) -> None:
    assert machine_called(user_agent) == kind


@pytest.mark.parametrize("header", ["sec-purpose", "purpose", "x-purpose", "x-moz"])
def test_a_browser_that_fetches_before_anybody_pressed_is_one_too(header: str) -> None:
    assert machine_in({"user-agent": CHROME, header: "prefetch;prerender"}) == "prefetch"
    assert machine_in({"user-agent": CHROME}) is None


def test_nobody_reads_a_message_in_less_than_two_seconds() -> None:
    assert is_too_fast(1_999_999, since_us=0)
    assert not is_too_fast(2_000_000, since_us=0)


def test_what_happened_before_the_message_was_not_fast() -> None:
    assert not is_too_fast(0, since_us=1)
