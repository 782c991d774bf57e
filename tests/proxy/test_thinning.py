"""What runs each time of the products of this folder leaves nothing out that it promises."""

from __future__ import annotations

from itertools import combinations, product

from tests.proxy.thinning import TABLE, thinned

LOOPS, WAYS = range(2), range(6)


def runs_of(**parameters: object) -> list[dict[str, object]]:
    names = ["_asyncio_loop_factory", "every_way", *parameters]
    values = [LOOPS, WAYS, *parameters.values()]
    return [dict(zip(names, each, strict=True)) for each in product(*values)]  # type: ignore[call-overload]


def enough(runs: list[dict[str, object]]) -> list[dict[str, object]]:
    return [runs[place] for place in thinned(runs)]


def test_each_way_comes_once_and_the_loops_in_turn() -> None:
    taken = enough(runs_of())
    assert sorted(str(run["every_way"]) for run in taken) == [str(way) for way in WAYS]
    assert sorted(str(run["_asyncio_loop_factory"]) for run in taken) == ["0"] * 3 + ["1"] * 3


def test_few_values_meet_each_other_and_every_way_and_loop() -> None:
    runs = runs_of(size=range(3), how=["closes", "resets"])
    taken = enough(runs)
    assert len(taken) <= 20 < len(runs)
    for one, other in combinations(runs[0], 2):
        if {one, other} != {"_asyncio_loop_factory", "every_way"}:
            met = {(run[one], run[other]) for run in taken}
            assert met == {(run[one], run[other]) for run in runs}


def test_every_row_of_a_table_runs() -> None:
    rows = range(TABLE + 1)
    taken = enough(runs_of(row=rows))
    assert [run["row"] for run in sorted(taken, key=lambda run: str(run["row"]))] == list(rows)
    assert {run["every_way"] for run in taken} == set(WAYS)


def test_what_has_one_parameter_runs_whole() -> None:
    assert thinned([{"row": row} for row in range(40)]) == list(range(40))
