"""Secrets do not leave the runner."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.model import Outcome, RunError, RunState
from pipelines.redaction import HIDDEN, SHORTEST, Redactor


@given(before=st.text(max_size=20), secret=st.text(min_size=SHORTEST, max_size=40), after=st.text(max_size=20))
def test_a_known_value_never_stays(before, secret, after):
    """A secret is gone from any text around it, however it is written."""
    if HIDDEN[0] in secret:
        return
    assert secret not in Redactor([secret]).text(before + secret + after)


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("form", [str, lambda text: quote(text, safe=""), in_base64])
def test_other_forms_of_a_value_are_known(form):
    """A secret is also found URL-quoted and in base64."""
    secret = "p@ss w/rd+ä"
    assert f"x {HIDDEN}" == Redactor([secret]).text(f"x {form(secret)}").rstrip("=")


def test_short_values_are_left_alone():
    """A value of a few characters is no secret: hiding it would spoil every text."""
    assert "region eu" == Redactor(["eu"]).text("region eu")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://ann:hunter2@db/shop", f"postgresql://ann:{HIDDEN}@db/shop"),
        ("Authorization: Bearer abcdef123456", f"Authorization: Bearer {HIDDEN}"),
        ("https://discord.com/api/webhooks/123/ab-Cd_9", f"https://discord.com/api/webhooks/123/{HIDDEN}"),
        ("token=abc123 next", f"token={HIDDEN} next"),
        ('{"password": "hunter22"}', f'{{"password": "{HIDDEN}"}}'),
        ("key AKIAABCDEFGHIJKLMNOP used", f"key {HIDDEN} used"),
        (f"{'M' * 24}.{'a' * 6}.{'b' * 30}", HIDDEN),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n", f"-----BEGIN RSA PRIVATE KEY-----{HIDDEN}"),
        ("https://example.org/a:b@c", "https://example.org/a:b@c"),
        ("3 tokens left: fine", "3 tokens left: fine"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text, expected):
    """Passwords in URLs, bearer tokens, webhook addresses, keys and named secrets are hidden without being known."""
    assert expected == Redactor().text(text)


def test_errors_and_reasons_are_cleaned():
    """Message, traceback and reason of an outcome lose their secrets; the rest stays."""
    outcome = Outcome(
        state=RunState.FAILED,
        error=RunError("OSError", "no hunter22", "Save", "line 1: hunter22", ("Exception",)),
        reason="hunter22 again",
    )
    cleaned = Redactor(["hunter22"]).outcome(outcome)
    assert (f"no {HIDDEN}", f"line 1: {HIDDEN}", f"{HIDDEN} again", "Save") == (
        cleaned.error.message,
        cleaned.error.traceback,
        cleaned.reason,
        cleaned.error.stage,
    )


def test_values_within_values_are_cleaned():
    """Text in mappings and lists is hidden by value and shape, and by a name that tells; numbers and base64 stay."""
    redactor = Redactor(["hunter2hunter2"])
    found = redactor.values(
        {
            "a": ["x hunter2hunter2"],
            "api_token": "short",
            "db": {"PASSWORD": "abcd", "n": 7},
            "base64": "hunter2hunter2",
        }
    )
    assert {
        "a": ["x •••"],
        "api_token": "•••",
        "db": {"PASSWORD": "•••", "n": 7},
        "base64": "hunter2hunter2",
    } == found
