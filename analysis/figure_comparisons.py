"""Forest plot of the planned comparisons."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.drawing import Names, span
from analysis.figure_subject import Subject
from analysis.words import p_value

_WIDEST = 40.0
"""Points to either side of a mean that the panel shows at least; an interval that is wider runs out of it, with an
arrow."""


def differences(subject: Subject) -> Figure | None:
    """Arm minus reference in percentage points, with the 95 % t interval; filled where the test rejects after Holm."""
    rows = subject.compared[subject.compared["condition"] == subject.condition]
    rows = rows[rows["mean"].notna()]
    if rows.empty:
        return None
    references = rows["reference"].unique()
    alone = len(references) == 1
    pairs = zip(rows["arm"].astype(str), rows["reference"].astype(str), strict=True)
    names = Names.of((arm if alone else f"{arm} against {reference}" for arm, reference in pairs), subject.width)
    figure = subject.figure(0.95 + names.height(1.5))
    axes = figure.subplots()
    means, widths = 100 * rows["mean"].to_numpy(), 100 * rows["half_width"].to_numpy(dtype="float64")
    ends = np.minimum(np.nan_to_num(widths), _WIDEST)
    low, high = span([means - ends, means + ends, np.zeros(1)])
    axes.axvline(0, color="0.3", linewidth=0.8, zorder=1)
    shown = zip(rows["arm"], means, widths, rows["resolved"], rows["p_holm"], strict=True)
    for place, (arm, mean, width, resolved, p_holm) in enumerate(shown):
        look = subject.looks[arm]
        axes.errorbar(
            *(mean, place),
            xerr=None if np.isnan(width) else width,
            color=look.colour,
            gid=look.arm,
            marker=look.marker,
            markersize=5,
            markerfacecolor=look.colour if resolved else "white",
            markeredgewidth=0.9,
            elinewidth=1.0,
            capsize=2,
            zorder=3,
        )
        for end, beyond, sign in ((low, mean - width < low, "<"), (high, mean + width > high, ">")):
            if beyond:
                axes.plot(end, place, sign, color=look.colour, markersize=4, markeredgewidth=0, clip_on=False, zorder=4)
        axes.annotate(
            p_value(p_holm), (1.02, place), xycoords=("axes fraction", "data"), va="center", annotation_clip=False
        )
    axes.annotate("p (Holm)", (1.02, -0.62), xycoords=("axes fraction", "data"), va="bottom", annotation_clip=False)
    to = f"difference to {references[0]}" if alone else "difference"
    axes.set(xlabel=f"{to} (percentage points)", xlim=(low, high))
    names.label(axes)
    handles = [
        Line2D([], [], linestyle="", marker="o", color="0.2", label="resolved"),
        Line2D([], [], linestyle="", marker="o", color="0.2", markerfacecolor="white", label="not resolved"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, handlelength=1.6)
    return figure
