"""A method has one colour in every figure."""

from pathlib import Path

import matplotlib as mpl
import matplotlib.style
from analysis_sweep import Sweep
from matplotlib.colors import to_hex

from analysis import figures
from analysis.load import load
from analysis.palette import looks


def test_a_method_has_one_colour_in_every_figure(tmp_path: Path) -> None:
    results = load(Sweep(tmp_path, arms=("paw", "grpo", "gigpo"), seeds=(0, 1, 2), updates=2, games=6).finish().path)
    own = {arm: to_hex(look.colour) for arm, look in looks(results.arms, results.reference).items()}
    found: dict[str, dict[str, set[str]]] = {arm: {} for arm in own}
    with mpl.rc_context(), matplotlib.style.context(figures.STYLE):
        for name in figures.FIGURES:
            figure = figures.make(name, results, "")
            for line in (line for axes in (figure.axes if figure else ()) for line in axes.lines):
                arm, _, what = (line.get_gid() or "").partition(", ")
                # The bars of one loss or another carry the arm's colour in shades, and their seeds lie on them in grey.
                if arm in found and "CE" not in what and "MAE" not in what:
                    found[arm].setdefault(name, set()).add(to_hex(line.get_color()))
    for arm, by_figure in found.items():
        assert len(by_figure) >= 5
        assert {name: colours for name, colours in by_figure.items() if colours != {own[arm]}} == {}
    assert len(set(own.values())) == len(own)
