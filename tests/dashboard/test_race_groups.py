from dashboard.race_groups import entrants
from engine.studies import study


def arm(name, ordering="RR", **parts):
    return {"name": name, "ordering": ordering, **parts}


def groups(*arms, **config):
    return {one.label: dict(one.arms) for one in entrants({"arms": list(arms), "epochs": 10, **config})}


def test_budgets_of_one_ordering_are_one_entrant_without_the_number_in_its_name():
    found = groups(*(arm(f"RR K={k}", training={"epochs": k, "lr": 1 / k}) for k in (32, 16)))
    assert found == {"RR": {16: "RR K=16", 32: "RR K=32"}}


def test_of_the_study_of_rates_seven_orderings_race_over_four_budgets():
    found = entrants(study("orderings-quadratic").config())
    assert [one.label for one in found] == ["WR", "IGM", "SS", "RR", "FlipFlop-RR", "GraB", "RS2"]
    assert all(list(one.arms) == [16, 32, 64, 128] for one in found)


def test_two_models_or_two_settings_are_never_one_line():
    found = groups(
        arm("BN", model={"norm": "batch"}),
        arm("no BN", model={"norm": "none"}, training={"epochs": 20}),
        arm("tenth", "RS2", ordering_settings={"fraction": 0.1}),
        arm("third", "RS2", ordering_settings={"fraction": 0.3}, training={"epochs": 20}),
        arm("Adam", training={"optimizer": "adam", "epochs": 30}, model={"norm": "batch"}),
    )
    assert sorted(found) == ["Adam", "BN", "no BN", "tenth", "third"]


def test_arms_of_the_same_budget_are_entrants_of_their_own():
    found = groups(arm("small step", training={"lr": 0.1}), arm("large step", training={"lr": 1.0}))
    assert found == {"small step": {10: "small step"}, "large step": {10: "large step"}}


def test_labels_are_distinct_even_where_names_are_alike():
    found = groups(
        arm("RR K=1"), arm("RR K=2", training={"epochs": 2}),
        arm("RR K=3", model={"width": 2}, training={"epochs": 3}),
        arm("RR K=4", model={"width": 2}, training={"epochs": 4}),
    )  # fmt: skip
    assert len(found) == 2


def test_imported_logs_have_no_orderings():
    assert entrants({"files": ["a.csv"]}) == []
