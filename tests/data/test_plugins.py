import sys

import pytest

from data.plugins import discover, discover_classes


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "things_to_find"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "first_thing.py").write_text("THING = 1")
    (folder / "_private.py").write_text("raise RuntimeError('never imported')")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.startswith("things_to_find")]:
        del sys.modules[name]


def test_a_file_is_found_under_its_name(package):
    (package / "another.py").write_text("THING = 2")
    assert discover("things_to_find", "THING", int) == {"another": 2, "first-thing": 1}


@pytest.mark.parametrize("text", ["", "THING = 'one'"])
def test_a_malformed_file_fails_with_its_name_and_what_is_missing(package, text):
    (package / "broken.py").write_text(text)
    with pytest.raises(TypeError, match=r"things_to_find\.broken.*`THING`.*`int`"):
        discover("things_to_find", "THING", int)


def test_a_class_is_found_by_what_it_inherits(package):
    (package / "first_thing.py").write_text("class THING(dict): pass")
    found = discover_classes("things_to_find", "THING", dict)
    assert list(found) == ["first-thing"]
    assert issubclass(found["first-thing"], dict)


@pytest.mark.parametrize("text", ["", "THING = {}", "class THING(list): pass"])
def test_a_class_of_another_kind_fails_with_its_file_and_what_is_missing(package, text):
    (package / "first_thing.py").write_text(text)
    with pytest.raises(TypeError, match=r"things_to_find\.first_thing.*`THING`.*subclass of `dict`"):
        discover_classes("things_to_find", "THING", dict)
