"""A table as text cells, and its Markdown, LaTeX and terminal forms.

Cells are plain Unicode text (plus-minus sign, minus sign, dashes); each form escapes what is special to it, so that an
arm may be called `paw_$5|100%`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, slots=True)
class Grid:
    """The first column holds row names and is left-aligned, the others are right-aligned."""

    name: str
    """LaTeX label and file name."""
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    headings: dict[int, str] = field(default_factory=dict)
    """Row number -> heading above that row."""
    wide: bool = False
    """LaTeX: spans both columns of the page and is shrunk to them."""
    runs: tuple[tuple[str, ...], ...] = ()
    """The runs behind each row; none where the rows are no numbers of runs."""

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), "a row is not as long as the header"
        assert len(self.runs) in {0, len(self.rows)}, "runs are named for some rows only"


def markdown(grid: Grid) -> str:
    """A pipe table with its caption above and its notes below."""
    lines = [f"**{escape_markdown(grid.caption)}**", ""]
    lines += [_pipes(grid.columns), "|" + " :-- |" + " --: |" * (len(grid.columns) - 1)]
    for number, row in enumerate(grid.rows):
        if number in grid.headings:
            lines.append(f"| *{escape_markdown(grid.headings[number])}* |" + " |" * (len(grid.columns) - 1))
        lines.append(_pipes(row))
    lines += ["", *(f"- {escape_markdown(note)}" for note in grid.notes)]
    return "\n".join(lines).rstrip() + "\n"


def latex(grid: Grid) -> str:
    r"""A `table` (or `table*`) with booktabs rules; needs `\usepackage{booktabs}`, and `graphicx` for a wide one."""
    environment = "table*" if grid.wide else "table"
    body = [rf"\begin{{tabular}}{{l{'r' * (len(grid.columns) - 1)}}}", r"\toprule", _ampersands(grid.columns)]
    body.append(r"\midrule")
    for number, row in enumerate(grid.rows):
        if number in grid.headings:
            body += [r"\addlinespace"] if number else []
            body.append(rf"\multicolumn{{{len(grid.columns)}}}{{l}}{{\emph{{{_latex(grid.headings[number])}}}}} \\")
        body.append(_ampersands(row))
    body += [r"\bottomrule", r"\end{tabular}"]
    if grid.wide:
        body = [r"\resizebox{\textwidth}{!}{%", *body[:-1], body[-1] + "}"]
    notes = [r"\par\smallskip\raggedright\footnotesize", *(_latex(note) + r"\par" for note in grid.notes)]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,graphicx}" if grid.wide else r"% needs \usepackage{booktabs}",
            rf"\begin{{{environment}}}",
            r"\centering\small",
            rf"\caption{{{_latex(grid.caption)}}}",
            rf"\label{{tab:{grid.name}}}",
            *body,
            *(notes if grid.notes else []),
            rf"\end{{{environment}}}",
            "",
        ]
    )


def text(grid: Grid, width: int = 100) -> str:
    """For a terminal of `width` characters: columns that do not fit follow below, under the row names again."""
    file = io.StringIO()
    console = Console(file=file, width=width, color_system=None, force_terminal=False, legacy_windows=False)
    console.print(Text(grid.caption))
    for columns in _that_fit(grid, width):
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for column in columns:
            table.add_column(Text(grid.columns[column]), justify="right" if column else "left", no_wrap=bool(column))
        for number, row in enumerate(grid.rows):
            if number in grid.headings:
                table.add_row()
            table.add_row(*(Text(row[column]) for column in columns))
        with console.capture() as printed:
            console.print(table)
        # A table of rich has no cell that spans columns, and a heading is often wider than the row names.
        headings = iter(grid.headings[number] for number in sorted(grid.headings))
        lines = [line if line.strip() else next(headings) for line in printed.get().splitlines()]
        file.write("\n".join([*lines, "", ""]))
    for note in grid.notes:
        console.print(Text(note))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


_GAP = 3
"""Blanks between columns."""


def _that_fit(grid: Grid, width: int) -> list[list[int]]:
    """Columns in groups that fit beside the first one; a column that is too wide alone is a group all the same."""
    widths = [max(len(row[column]) for row in (grid.columns, *grid.rows)) for column in range(len(grid.columns))]
    groups: list[list[int]] = [[0]]
    for column in range(1, len(widths)):
        used = sum(widths[other] + _GAP for other in groups[-1])
        if len(groups[-1]) > 1 and used + widths[column] > width:
            groups.append([0])
        groups[-1].append(column)
    return groups


def _pipes(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(escape_markdown, cells)) + " |"


def escape_markdown(cell: str) -> str:
    """The text on one line, with nothing in it that Markdown would take for markup."""
    return re.sub(r"([\\`*_\[\]<>|#~$])", r"\\\1", _one_line(cell))


def _ampersands(cells: Sequence[str]) -> str:
    row = " & ".join(map(_latex, cells)) + r" \\"
    # Behind the \\ of the row above, [ would begin an argument and * would be part of the command.
    return "{}" + row if row.startswith(("[", "*")) else row


_GREEK = ("alpha", "beta", "gamma", "lambda", "rho", "tau")
_LATEX = {
    **{character: "\\" + character for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "±": r"$\pm$",
    "\N{MINUS SIGN}": r"$-$",
    "\N{EN DASH}": "--",
    "\N{EM DASH}": "---",
    **{letter: rf"$\{name}$" for letter, name in zip("αβγλρτ", _GREEK, strict=True)},
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "→": r"$\to$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "…": r"\ldots{}",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "§": r"$^\S$",
    "¶": r"$^\P$",
    "◦": r"$^\circ$",
    "‖": r"$^\Vert$",
    "◊": r"$^\diamond$",
    "⋆": r"$^\star$",
    "⊗": r"$^\otimes$",
}


def _latex(cell: str) -> str:
    return "".join(_LATEX.get(character, character) for character in _one_line(cell))


def _one_line(cell: str) -> str:
    return " ".join(cell.split())
