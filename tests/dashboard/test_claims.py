import pytest

from dashboard import claims
from engine.studies import Verdict


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("holds", "Claim supported"),
        ("does not hold", "Claim not supported"),
        ("undecided", "No verdict yet"),
    ],
)
def test_a_verdict_has_its_badge_once_nothing_trains_any_more(kind, words):
    found = Verdict(kind, "", 1.0, None, None, 8)
    assert words in claims.badge(found, training=False)
    assert "Still training" in claims.badge(found, training=True)
