"""Every LaTeX table goes through a real TeX, in the encoding that LaTeX starts with."""

import shutil
import subprocess
from pathlib import Path

import pytest
from analysis_sweep import Sweep

from analysis import report
from analysis.load import load

PAGE = r"""\documentclass[twocolumn]{article}
\usepackage{booktabs,graphicx}
\begin{document}
%s
\end{document}
"""
ARMS = ("grpo", "paw", '\N{GREEK SMALL LETTER ALPHA} → λ ≤ 1 "q" %$#_{}~^\\<b>|&')


def test_every_table_compiles(tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("TeX is not installed: apt-get install texlive-latex-base texlive-latex-recommended")
    axes = [{"world_model.selection.alpha": alpha} for alpha in (0.5, 1.0)]
    sweep = Sweep(tmp_path / "sweep", arms=ARMS, seeds=(0, 1), axes=axes, updates=1, games=12)
    _, files = report.table_data(load(sweep.finish(skip=[("paw", 1)]).path))
    names = [name for name in files if name.endswith(".tex")]
    assert {"table.tex", "tables/main.tex", "tables/overhead.tex", "tables/variance.tex"} <= set(names)
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(files[name], encoding="utf-8")
    body = "\n".join(rf"\input{{{name}}}\clearpage" for name in names)
    (tmp_path / "all.tex").write_text(PAGE % body, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=300)
    assert process.returncode == 0, process.stdout.decode(errors="replace")[-1500:]
    assert b"Output written on all.pdf" in process.stdout
