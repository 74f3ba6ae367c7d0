import itertools

import pytest

from engine.studies import Arm
from engine.training.grouping import groups
from tests.engine.training.toys import seeds, toy

ARMS = (
    Arm("a", "SS"),
    Arm("b", "RR"),
    Arm("narrow", "RR", {"width": 3}),
    Arm("adam", "RR", training={"optimizer": "adam"}),
    Arm("subset", "RS2", {}, {"fraction": 0.5}),
    Arm("half", "RS2", {}, {"fraction": 0.5}, {"lr": 0.1}),  # the study's own step size
    Arm("all", "RS2", {}, {"fraction": 1.0}),
    Arm("balanced", "GraB"),
)


def test_arms_share_a_stack_where_all_but_their_order_is_the_same():
    study = toy(arms=ARMS)
    replicas = seeds(study, 0, 1)
    found = groups(study, replicas)
    arms = [list(dict.fromkeys(replica.arm for replica in part.values())) for part in found]
    assert arms == [["a", "b", "all", "balanced"], ["narrow"], ["adam"], ["subset", "half"]]
    assert sorted(itertools.chain(*found)) == list(range(len(replicas)))
    for part in found:
        assert all(replicas[index] == replica for index, replica in part.items())
        assert list(part) == sorted(part)


@pytest.mark.parametrize("count", [1, 2, 5, 10, 21])
@pytest.mark.parametrize("at_once", [1, 2, 4, 5, 21, 30])
def test_a_stack_is_split_evenly_into_as_few_parts_as_can_be(count, at_once):
    study = toy()
    replicas = seeds(study, *range(count))
    found = groups(study, replicas, at_once)
    sizes = [len(part) for part in found]
    assert sum(sizes) == count
    assert max(sizes) <= at_once
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == next(parts for parts in range(1, 99) if parts * at_once >= count)
    assert [index for part in found for index in part] == list(range(count))
    assert groups(study, replicas, at_once) == found


@pytest.mark.parametrize(("at_once", "stacks"), [(None, 1), (6, 3), (5, 4), (3, 8), (1, 14)])
def test_a_family_is_not_split_where_a_stack_can_hold_it(at_once, stacks):
    study = toy(children=2, arms=(Arm("a", "RR"), Arm("b", "Forked")))
    replicas = seeds(study, *range(7))
    found = groups(study, replicas, at_once)
    assert len(found) == stacks
    homes: dict[tuple[str, int], set[int]] = {}
    for number, part in enumerate(found):
        for replica in part.values():
            homes.setdefault((replica.arm, replica.seed // 2), set()).add(number)
    if at_once != 1:
        assert all(len(home) == 1 for home in homes.values())
    assert max(len(part) for part in found) <= (at_once or 14)
    assert [index for part in found for index in part] == list(range(14))
