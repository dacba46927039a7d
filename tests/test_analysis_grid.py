import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.grid import Grid, latex, markdown, text

names = st.text(st.sampled_from('ab *_`$%&#{}~^\\|<>[]"±−—†'), min_size=1, max_size=12).filter(str.strip)  # noqa: RUF001
MINUS = "\N{MINUS SIGN}"


def grid_of(*rows: tuple[str, ...], **options) -> Grid:
    return Grid("name", "A caption", ("Arm", "Value"), rows, **options)


def unescaped(line: str, character: str) -> int:
    return len(re.findall(rf"(?<!\\)(?:\\\\)*{re.escape(character)}", line))


@given(names)
def test_markdown_rows_keep_their_number_of_cells(name: str) -> None:
    lines = markdown(grid_of((name, "1"), ("plain", "2"))).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 4
    assert {unescaped(line, "|") for line in table} == {3}


@given(names)
def test_latex_rows_keep_their_number_of_cells_and_braces_balance(name: str) -> None:
    code = latex(grid_of((name, "1"), ("plain", "2"), notes=(name,), headings={1: name}))
    rows = [line for line in code.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert len(rows) == 3
    for line in rows:
        assert unescaped(line.removesuffix(r"\\"), "&") == 1
    assert unescaped(code, "{") == unescaped(code, "}")
    assert unescaped(code, "#") == unescaped(code, "_") == 0
    assert unescaped(code.replace("% needs", ""), "%") == 0


def test_latex_says_special_characters_as_they_look() -> None:
    code = latex(grid_of(("paw_$5|100% & #1 {x}~^\\", f"{MINUS}1.0 ± 2.0 †")))
    assert (
        r"paw\_\$5\textbar{}100\% \& \#1 \{x\}\textasciitilde{}\textasciicircum{}\textbackslash{}"
        r" & $-$1.0 $\pm$ 2.0 $^\dagger$ \\"
    ) in code


@pytest.mark.parametrize("name", ["[paw]", "*paw"])
def test_a_row_that_begins_with_what_latex_reads_after_a_line_break_is_protected(name: str) -> None:
    assert "\n{}" + name in latex(grid_of(("first", "1"), (name, "2")))


def test_booktabs_and_only_the_wide_form_is_shrunk() -> None:
    narrow, wide = latex(grid_of(("a", "1"))), latex(grid_of(("a", "1"), wide=True))
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert rule in narrow
    assert r"\resizebox{\textwidth}" in wide
    assert r"\begin{table*}" in wide
    assert "resizebox" not in narrow


def test_a_name_on_two_lines_stays_on_one() -> None:
    assert "| two lines |" in markdown(grid_of(("two\nlines", "1")))


def test_the_terminal_form_fits_and_repeats_the_row_names() -> None:
    columns = ("Arm", *(f"column {i}" for i in range(12)))
    rows = tuple((name, *(f"{i} ± 10.0" for i in range(12))) for name in ("grpo", "paw [bold]x[/bold]"))
    form = text(Grid("name", "caption", columns, rows, ("a note " * 20,)), 60)
    assert max(map(len, form.splitlines())) <= 60
    assert form.count("grpo") == form.count("paw [bold]x[/bold]") > 1
    for i in range(12):
        assert form.count(f"column {i} ") + form.count(f"column {i}\n") == 1


def test_headings_stand_above_their_row() -> None:
    lines = markdown(grid_of(("a", "1"), ("b", "2"), headings={1: "model=x"})).splitlines()
    assert lines.index("| *model=x* | |") == lines.index("| b | 2 |") - 1
    form = text(grid_of(("a", "1"), ("b", "2"), headings={1: "model=x"})).splitlines()
    assert form.index("model=x") == next(i for i, line in enumerate(form) if line.startswith("b ")) - 1


def test_a_heading_wider_than_the_row_names_is_whole_on_a_terminal() -> None:
    wide = "environment.options.signs=map / model.name=embedded-small"
    form = text(grid_of(("a", "1"), ("b", "2"), ("c", "3"), headings={0: wide, 2: "x"}), width=30).splitlines()
    assert [line.split() for line in form if line and line[0] in "abcex"] == [
        wide.split(), ["a", "1"], ["b", "2"], ["x"], ["c", "3"],
    ]  # fmt: skip


def test_a_row_of_the_wrong_length_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        grid_of(("a",))
