import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import LabError
from engine.datasets import dataset
from engine.labelled_table import MOST_CHARACTERS, LabelledTable, decoded, read_table

NUMBERS = st.one_of(
    st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-90), st.integers(-1000, 1000).map(float)
)
CLASSES = ["a", "b c", "+", "-", "0", "1", "spam", "éß", "=1+1", "_"]


@st.composite
def written(draw):
    """A table as somebody may write it, with what it says."""
    n, d = draw(st.integers(2, 6)), draw(st.integers(1, 4))
    X = np.array(draw(st.lists(st.lists(NUMBERS, min_size=d, max_size=d), min_size=n, max_size=n)))
    two = draw(st.lists(st.sampled_from(CLASSES), min_size=2, max_size=2, unique=True))
    first = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    separator = draw(st.sampled_from(["\t", ";", ",", " ", "   ", ", "]))
    if not separator.strip(" "):
        two = [one.replace(" ", "_") for one in two]
        if two[0] == two[1]:
            two = ["a", "b"]
    column = draw(st.integers(0, d))
    end = draw(st.sampled_from(["\n", "\r\n", "\n\n", "\n# a remark\n"]))
    rows = [[repr(float(x)) for x in row] for row in X]
    for row, one in zip(rows, first, strict=True):
        row.insert(column, two[0] if one else two[1])
    if header := draw(st.booleans()):
        rows.insert(0, [f"x{place}" for place in range(d + 1)])
    text = end.join(separator.join(row) for row in rows)
    label = None if column == d else f"x{column}" if header else str(column + 1)
    return text, label, two, X, first, header


@given(written())
def test_what_was_written_is_read_back_exactly(case) -> None:
    text, label, two, X, first, header = case
    table = read_table(text, label, positive=two[0] if any(first) else two[1])
    np.testing.assert_array_equal(table.X, X)
    wanted = np.where(first, 1, -1) if any(first) else np.ones(len(X))
    np.testing.assert_array_equal(table.labels, wanted)
    assert len(table.features) == X.shape[1]
    assert ("with a header" in table.told[0]) == header


@given(st.text(max_size=200), st.none() | st.text(max_size=5), st.none() | st.text(max_size=5))
def test_any_text_is_a_table_or_one_clear_error(text, label, positive) -> None:
    refused_or_whole(text, label, positive)


@given(
    st.text(alphabet='0123456789.,;\t \n-+eaN"#\r\0\x0b\u2028', max_size=120),
    st.sampled_from([None, "1", "0", "a"]),
    st.sampled_from([None, "1"]),
)
def test_text_that_looks_like_a_table_is_one_or_is_refused(text, label, positive) -> None:
    refused_or_whole(text, label, positive)


def refused_or_whole(text, label, positive) -> None:
    try:
        table = read_table(text, label, positive)
    except LabError:
        return
    assert table.X.shape == (len(table.labels), len(table.features))
    assert len(table.X) >= 2
    assert np.isfinite(table.X).all()
    assert set(table.labels) <= {-1.0, 1.0}


@pytest.mark.parametrize(
    ("rows", "negative", "positive", "signs"),
    [
        ("1 0\n2 1\n3 0", ("0",), ("1",), [-1, 1, -1]),
        ("1 1\n2 -1\n3 +1", ("-1",), ("1",), [1, -1, 1]),
        ("1 1\n2 −1\n3 1.0", ("-1",), ("1",), [1, -1, 1]),
        ("1 1.50\n2 1.5\n3 -2e0", ("-2",), ("1.5",), [1, 1, -1]),
        ("1,dog\n2,cat\n3,dog", ("cat",), ("dog",), [1, -1, 1]),
        ("1,10\n2,9", ("9",), ("10",), [1, -1]),
        ("1,True\n2,False", ("False",), ("True",), [1, -1]),
        ("1,a\n2,a", (), ("a",), [1, 1]),
    ],
)
def test_two_values_of_any_kind_become_signs(rows, negative, positive, signs) -> None:
    table = read_table(rows)
    assert (table.negative, table.positive) == (negative, positive)
    np.testing.assert_array_equal(table.labels, signs)


def test_one_class_stands_against_the_rest() -> None:
    text = "x,y,kind\n1,2,iris\n3,4,rose\n5,6,iris\n7,9,tulip"
    with pytest.raises(LabError, match="3 different values: `iris`, `rose`, `tulip`") as error:
        read_table(text)
    assert "one class against the rest" in error.value.remedy
    table = read_table(text, positive="rose")
    assert (table.negative, table.positive) == (("iris", "tulip"), ("rose",))
    np.testing.assert_array_equal(table.labels, [-1, 1, -1, -1])
    np.testing.assert_array_equal(read_table("1 1\n2 2\n3 3", positive="2.0").labels, [-1, 1, -1])
    with pytest.raises(LabError, match="`kind` never says `lily`"):
        read_table(text, positive="lily")


def test_decimal_commas_stand_between_semicolons() -> None:
    table = read_table("1,5;−2;a\n2,25;1e-3;b")
    np.testing.assert_array_equal(table.X, [[1.5, -2], [2.25, 0.001]])
    assert "Commas are read as decimal points." in table.told
    with pytest.raises(LabError, match=r"Line 1, column 1 is `1,500`"):
        read_table("1,500;2.5;a\n1;2;b")


def test_lines_left_out_are_counted() -> None:
    table = read_table("# one\n1 a\n # two\n\n2 b")
    assert len(table.X) == 2
    assert "Left out 2 lines that begin with #." in table.told


def test_a_column_that_counts_the_rows_is_pointed_out() -> None:
    table = read_table(",x,y\n0,1.5,a\n1,2.5,b\n2,0.5,a")
    assert table.features == ("column 1", "x")
    assert "`column 1` counts the rows" in table.told[-1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "The text is empty."),
        (" \n\n", "The text is empty."),
        ("# a b\n", "Every line begins with #."),
        ("1\n2\n", "Line 1 has one cell, `1`"),
        ("1 2 a\n1 2 3 b", "Line 2 has 4 cells, line 1 has 3."),
        ("1 2 a\n\n1 b", "Line 3 has 2 cells, line 1 has 3."),
        ("x,y,c\n1,2,a\n1,two,b", "Line 3, column 2 (`y`) is `two`."),
        ("1,2,a\n1,,b", "Line 2, column 2 is empty."),
        ("1,2,a\n1,nan,b", "Line 2, column 2 is `nan`."),
        ("1,2,a\n-Inf,1,b", "Line 2, column 1 is `-Inf`."),
        ("1,2,a\n1e999,1,b", "Line 2, column 1 is `1e999`"),
        ("1,2,a\n1e-200,1,b", "Line 2, column 1 is `1e-200`"),
        ("1,2,a\n1_0,1,b", "Line 2, column 1 is `1_0`."),
        ("1,2,a\n2,1,", "Line 2, column 3 is empty."),
        ("1,2,1\n2,1,nan", "Line 2, column 3 is `nan`."),
        ("x,y,c\n1,2,a", "The text has 1;"),
        ("x,y,c\n", "The text has 0;"),
        ("1 2\n3 __import__('os')", "x"),
        (f"{'1,' * 201}a\n{'1,' * 201}b", "of 201 features. At most 2,000 examples, 200 features"),
        ("1 2 a\n" * 2001, "more than 2,000 examples"),
        ("1 2 3 4 5 6 7 8 9 10 11 a\n" * 2000, "2,000 examples of 11 features"),
        ("1" * (MOST_CHARACTERS + 1), "The text has 1,000,001 characters"),
        ('"' + "1" * 200_000 + '",a\n1,b', "Line 1: field larger than field limit"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, told: str) -> None:
    if told == "x":  # text in the label column is only a name
        assert read_table(text).positive == ("__import__('os')",)
        return
    with pytest.raises(LabError) as error:
        read_table(text)
    assert told in error.value.message
    assert len(error.value.message) < 300


@pytest.mark.parametrize("label", ["z", "0", "4", "-1", "x,y", "1.0"])
def test_a_label_column_that_is_not_there_is_refused(label: str) -> None:
    with pytest.raises(LabError, match="3 columns: `x`, `y`, `c`"):
        read_table("x,y,c\n1,2,a\n3,4,b", label)


def test_the_checksum_is_of_the_data_not_of_how_they_are_written() -> None:
    first = read_table("x;y;c\n1,50;-0.0;a\n".replace("-0.0", "-0") + "2;4;b")
    again = read_table("1.5 0 0\n2 4 1")
    assert first.sha256 == again.sha256
    assert len(first.sha256) == 64
    assert read_table("1.5 0 0\n2 4 1", positive="0").sha256 != first.sha256
    assert read_table("1.5 0 0\n2 4.000000000000001 1").sha256 != first.sha256


def test_the_six_points_survive_being_written() -> None:
    X, y, *_ = dataset("six-points").load()
    table = read_table(
        "\n".join(" ".join(map(repr, [*row, sign])) for row, sign in zip(X.tolist(), y.tolist(), strict=True))
    )
    assert isinstance(table, LabelledTable)
    np.testing.assert_array_equal(table.X, X)
    np.testing.assert_array_equal(table.labels, y)


def test_files_are_judged_by_what_they_hold() -> None:
    assert decoded(b"\xef\xbb\xbf1,a", "data.csv") == "1,a"
    assert decoded("1\ta".encode("utf-16"), "data.txt") == "1\ta"
    for content in (b"PK\x03\x04\x00\x00", b"1,\xff\xfe\n", b"\x00\x01", b"\xff\xfe\x00"):
        with pytest.raises(LabError, match="no text"):
            decoded(content, "data.csv")
    with pytest.raises(LabError, match="too large"):
        decoded(b"1" * (2 * MOST_CHARACTERS + 1), "data.csv")
