from tests.dashboard.conftest import words


def test_the_reversal_and_the_control_are_put_into_words(lab, view):
    lab("full")
    app = view("shuffling")
    assert not app.exception
    text = words(app)
    assert (
        "SS ends lower than RR on the risk of its own batches, but higher on the risk of the full batch"
        in text
    )
    assert "Control: SS no BN and RR no BN end within 10 % of each other" in text
    own, full = app.metric
    assert own.value.startswith("× 0.07")
    assert full.value.startswith("× 3.")
    assert "n = 7 pairs" in text
    assert "exact" in text


def test_no_reversal_is_claimed_where_the_numbers_show_none(lab, view):
    lab("full")
    app = view("shuffling", a="SS no BN", b="RR no BN", control="none")
    assert not app.exception
    assert "reversal" not in words(app).lower().replace("no reversal", "")
    assert "SS no BN and RR no BN end within 10 % of each other" in words(app)


def test_too_few_pairs_are_said_to_be_too_few(lab, view):
    lab("running")
    app = view("shuffling")
    assert not app.exception
    assert "4 pairs cannot reach p = 0.05" in words(app)
    assert "Sign reversal" not in words(app)
