import math

import numpy as np
import pytest

from dashboard import wording
from dashboard.controls import parse_seeds
from data.errors import LabError
from engine.analysis.shuffling import paired_effect


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0725, "0.0725"),
        (3.684, "3.68"),
        (412000, "412,000"),
        (6.1035e-5, "6.10×10⁻⁵"),
        (9.99996e-6, "1.00×10⁻⁵"),
        (-12.5, "−12.5"),
        (0, "0"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (None, "–"),
    ],
)
def test_numbers_keep_their_significant_digits(value, text):
    assert wording.significant(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3.21, "3.2 s"), (59, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (None, "–")],
)
def test_durations_read_like_speech(seconds, text):
    assert wording.duration(seconds) == text


def test_seeds_are_read_as_they_are_written():
    assert wording.spans([0, 1, 2, 3, 7, 9, 10]) == "0..3, 7, 9, 10"
    assert parse_seeds("0..3, 7, 9, 10") == (0, 1, 2, 3, 7, 9, 10)
    assert parse_seeds("  ") is None


@pytest.mark.parametrize("text", ["a", "3..1", "1,,2", "0..99999999", "-1", "1.5"])
def test_seeds_that_make_no_sense_are_refused_with_an_example(text):
    with pytest.raises(LabError, match=r"0\.\.7, 12"):
        parse_seeds(text)


@pytest.mark.parametrize(
    ("effect", "text"),
    [
        (paired_effect(np.array([1.0, 2.0]), np.array([2.0, 4.0])), "0.500 [0.500, 0.500]"),
        (paired_effect(np.array([1.0]), np.array([2.0])), "0.500"),
    ],
)
def test_a_ratio_is_told_with_its_interval(effect, text):
    assert wording.ratio_text(effect) == text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("SS no BN", "SS no BN"),
        ("digits-shuffling@epochs=20", "digits-shuffling@\u2060epochs=20"),
        ("val_loss", "val_loss"),
        ("a\nb  c", "a b c"),
        ("**b** _i_ `c` $y$ <b>", r"\*\*b\*\* \_i\_ \`c\` \$y\$ \<b>"),
        ("[a](b) z[0].q", r"[a\](b) z[0].q"),
        (":red[x]", "\\:\u2060red[x]"),
        ("1. one", r"1\. one"),
        ("# head", r"\# head"),
        ("a: b", "a: b"),
    ],
)
def test_a_name_from_a_file_means_nothing_to_markdown(name, shown):
    assert wording.escaped(name) == shown


@pytest.mark.parametrize(("name", "code"), [("a b", "`a b`"), ("a`b", "``a`b``"), ("`", "`` ` ``"), ("", "")])
def test_a_name_as_code_keeps_its_backticks(name, code):
    assert wording.coded(name) == code


def test_an_error_keeps_code_and_nothing_else():
    error = LabError("A **title**", "`a*b` is *not* <b>.", "# Mend `it`.")
    told = r"**A \*\*title\*\*.** `a*b` is \*not\* \<b>." + "\n\n" + r"\# Mend `it`."
    assert wording.failure(error) == told
    assert wording.failure(vars(error)) == told
