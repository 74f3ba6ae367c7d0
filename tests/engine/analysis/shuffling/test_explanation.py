import numpy as np
import pytest

from engine.analysis.shuffling import Risks, Sampled
from engine.analysis.shuffling.explanation import KINDS, Explained, picture, table, to_record
from engine.analysis.shuffling.risks import Distances
from tests.engine.analysis.shuffling.test_contrast import two

RUNS = [{"arm": "SS", "seed": 4}, {"arm": "RR", "seed": 7}]


def explained(run: int, step: int, rows: int) -> Explained:
    one = two(rows=rows, features=5, seed=run)
    split = one.split()
    risks = Risks(0.1 * run, Sampled(np.array(0.2), np.array(0.01), 9, False), 0.3)
    told = one.told(split, 1.0)
    return Explained(run, step, risks, None, split, told, one.alignment(split), one.picture(rows))


def test_a_record_gives_back_every_number_and_point() -> None:
    each = [explained(0, 10, 6), explained(0, 20, 60), explained(1, 10, 7)]
    summary, arrays = to_record(each)
    frame = table(RUNS, summary["cautions"], arrays)
    assert list(frame["arm"]) == ["SS", "SS", "RR"]
    assert list(frame["seed"]) == [4, 4, 7]
    for (_, row), one in zip(frame.iterrows(), each, strict=True):
        assert one.verdict is not None
        assert one.split is not None
        assert (row["step"], row["kind"], row["caution"]) == (one.step, one.verdict.kind, one.verdict.caution)
        assert row["slope"] == one.verdict.slope
        assert row["misclassified"] == one.verdict.misclassified.mean()
        assert (row["margin"], row["rank"]) == (one.split.margin, one.split.certificate.rank)
        assert row["separable"] == one.split.separable.mean()
        assert (row["own"], row["reshuffled"], row["reshuffled_se"], row["full"]) == (
            one.risks.own, 0.2, 0.01, 0.3,
        )  # fmt: skip
        back = picture(arrays, int(row["place"]))
        assert back is not None
        assert one.picture is not None
        for panel, kept in ((back.own, one.picture.own), (back.full, one.picture.full)):
            np.testing.assert_allclose(panel.at, kept.at, rtol=1e-6)
            np.testing.assert_array_equal(panel.wrong, kept.wrong)
            np.testing.assert_array_equal(panel.label, kept.label)
            assert panel.rows == kept.rows
    assert set(frame["kind"]) <= set(KINDS)


def test_values_have_distances_and_nothing_to_separate() -> None:
    risks = Risks(0.1, Sampled(np.array(0.2), np.array(0.0), 15, True), 0.3)
    one = Explained(1, 5, risks, Distances(0.5, 0.25, 0.125), None, None, float("nan"), None)
    summary, arrays = to_record([one])
    row = table(RUNS, summary["cautions"], arrays).iloc[0]
    assert (row["distance_own"], row["distance_reshuffled"], row["distance_full"]) == (0.5, 0.25, 0.125)
    assert (row["kind"], row["caution"], row["rank"]) == ("", "", -1)
    assert np.isnan(row["slope"])
    assert picture(arrays, 0) is None


@pytest.mark.parametrize("missing", [0, 1])
def test_a_checkpoint_without_a_picture_leaves_the_others_theirs(missing: int) -> None:
    each = [explained(0, 10, 6), explained(1, 10, 7)]
    from dataclasses import replace

    each[missing] = replace(each[missing], picture=None)
    _, arrays = to_record(each)
    assert picture(arrays, missing) is None
    back, kept = picture(arrays, 1 - missing), each[1 - missing].picture
    assert back is not None
    assert kept is not None
    np.testing.assert_allclose(back.full.at, kept.full.at, rtol=1e-6)
