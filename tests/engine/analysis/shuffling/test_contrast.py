import numpy as np
import pytest

from engine.analysis.shuffling import contrast, hull, separability, verdict
from engine.analysis.shuffling.contrast import Contrast, Seen, signs


def two(rows: int = 40, features: int = 3, seed: int = 0) -> Contrast:
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(rows, features)), rng.choice([-1, 1], rows)
    own, full = (Seen(scale * X, y, np.arange(rows)) for scale in (1.0, 0.5))
    return Contrast(own, full, rng.normal(size=features), 0.3, True, False)


def test_split_and_verdict_are_those_of_its_two_data() -> None:
    one = two(rows=6, features=5)
    split = one.split()
    alone = separability(one.own.features, one.own.targets, True)
    np.testing.assert_array_equal(split.separable, alone.separable)
    assert one.told(split, 10.0).slope == verdict(alone, one.full.features, one.full.targets, 10.0).slope


def test_alignment_is_a_cosine_with_the_offset_in_it() -> None:
    one = two(rows=6, features=5)
    split = one.split()
    assert split.direction is not None
    ours, theirs = np.append(one.direction, 0.3), np.append(split.direction, split.offset)
    expected = ours @ theirs / np.sqrt((ours @ ours) * (theirs @ theirs))
    assert one.alignment(split) == pytest.approx(expected)
    assert np.isnan(two().alignment(two().split()))  # nothing of forty random labels is separable


def test_a_picture_shows_who_is_on_the_wrong_side() -> None:
    one = two()
    found = one.picture(25)
    length = np.linalg.norm(one.direction)
    for drawn, seen, rows in ((found.own, one.own, 25), (found.full, one.full, 40)):
        margins = seen.features[:rows] @ one.direction + one.offset
        np.testing.assert_allclose(drawn.at[:, 0], margins / length, rtol=1e-12)
        np.testing.assert_array_equal(drawn.wrong, np.sign(margins) != seen.targets[:rows])
        assert drawn.rows == rows == len(drawn.label)
    assert 0 < found.shown <= 1


def test_of_many_rows_some_are_drawn_and_every_corner(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = two(rows=300).picture(300).own
    monkeypatch.setattr(contrast, "MOST_DRAWN", 30)
    some = two(rows=300).picture(300).own
    assert some.rows == 300
    assert 30 <= len(some.label) < 80
    for label in (-1, 1):
        of = whole.at[whole.label == label]
        corners = of[hull(of)]
        drawn = some.at[some.label == label]
        assert all((drawn == corner).all(axis=1).any() for corner in corners)


def test_signs_choose_the_rows_of_two_classes() -> None:
    chosen, labels = signs(np.array([0, 1, 2, 1, 0]), 1, 0)
    np.testing.assert_array_equal(chosen, [True, True, False, True, True])
    np.testing.assert_array_equal(labels, [-1, 1, 1, -1])
