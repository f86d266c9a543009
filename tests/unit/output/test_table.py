from __future__ import annotations

from kubectl_selfhost.output.table import pairs, table


def test_columns_are_three_spaces_apart():
    assert table(("NAME", "AGE"), [["a-long-name", "5m"]]) == [
        "NAME          AGE",
        "a-long-name   5m",
    ]


def test_columns_move_together_where_that_makes_them_fit():
    assert table(("A", "B"), [["x" * 10, "y" * 10]], columns=22)[1] == "x" * 10 + "  " + "y" * 10


def test_nothing_is_cut_off():
    assert table(("A",), [["x" * 200]])[1] == "x" * 200


def test_no_rows_no_table():
    assert table(("A",), []) == []


def test_what_is_missing_is_said():
    assert table(("A", "B"), [[None, ""]])[1] == "<none>   <none>"


def test_yes_and_no():
    assert table(("A", "B"), [[True, False]])[1] == "yes   no"


def test_nought_is_not_nothing():
    assert table(("A",), [[0]])[1] == "0"


def test_cells_are_harmless():
    assert table(("A",), [["\x1b[2Jx\ny"]])[1] == "^[[2Jx y"


def test_wide_characters_keep_the_columns():
    lines = table(("NAME", "AGE"), [["節點", "5m"], ["node", "6m"]])
    assert lines == ["NAME   AGE", "節點   5m", "node   6m"]


def test_paint_changes_no_column():
    lines = table(("A", "B"), [["x", "y"], ["long", "z"]], paint=lambda _, c: f"\x1b[31m{c}\x1b[0m")
    assert lines[1] == "\x1b[31mx\x1b[0m      \x1b[31my\x1b[0m"


def test_values_are_below_each_other():
    assert pairs([("Context", "kind"), ("Server version", "v1")]) == [
        "Context:          kind",
        "Server version:   v1",
    ]


def test_a_long_value_goes_on_below_itself():
    assert pairs([("Node", "word " * 20)])[1].startswith("        word")
