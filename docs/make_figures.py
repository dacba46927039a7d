"""Draws the figures of docs/method.md into docs/images/: `python docs/make_figures.py`.

The curves are computed by the functions that train (`paw_bench/world_model`), so they show what is done. The same
matplotlib draws the same bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import analysis
from analysis.palette import COLOURS
from paw_bench.world_model.balance import reward_adaptive
from paw_bench.world_model.loss import LossKind, token_loss
from paw_bench.world_model.selection import select

FOLDER = Path(__file__).parent / "images"
STYLE = Path(analysis.__file__).parent / "paw_bench.mplstyle"
RHO = 0.2
Q = 0.7
LOSSES: dict[LossKind, str] = {"ce": "cross-entropy", "gce": f"GCE, q = {Q:g}", "mae": "MAE", "cmae": "CMAE (PaW)"}
SOURCES = {
    "context $h_t$": "#d9d9d9",
    "action $a_t$": COLOURS[1],
    "glue": "#f2f2f2",
    "next observation $o$": COLOURS[0],
}


def row() -> Figure:
    """One training row: which tokens carry which loss."""
    figure = Figure(figsize=(6.9, 1.55))
    axes = figure.subplots()
    axes.set(xlim=(0, 100), ylim=(0, 10))
    axes.axis("off")
    edges = (0, 44, 60, 66, 100)
    for (name, colour), left, right in zip(SOURCES.items(), edges[:-1], edges[1:], strict=True):
        axes.add_patch(Rectangle((left, 4), right - left - 0.4, 2.6, color=colour))
        dark = colour in COLOURS
        axes.text((left + right) / 2, 5.3, name, ha="center", va="center", color="white" if dark else "black")
    axes.text(22, 7.6, "task, last turns, current observation", ha="center", color="#555555")
    axes.text(52, 7.6, "sampled", ha="center", color="#555555")
    axes.text(83, 7.6, "what the environment answered", ha="center", color="#555555")
    axes.annotate("RL loss", (52, 3.7), (52, 1.4), ha="center", va="center", arrowprops={"arrowstyle": "->", "lw": 0.6})
    axes.annotate(
        "world-model loss  $w\\,m\\,(1 - p)$,  where the transition is selected",
        (83, 3.7),
        (79, 1.4),
        ha="center",
        va="center",
        arrowprops={"arrowstyle": "->", "lw": 0.6},
    )
    axes.text(0, 1.4, "one forward pass", ha="left", va="center")
    return figure


def parts() -> Figure:
    """Selection, token loss, its gradient, and the balance."""
    figure = Figure(figsize=(6.9, 1.9))
    chosen, losses, gradients, balance = figure.subplots(1, 4)
    _selection(chosen)
    p = torch.linspace(0.002, 0.998, 500, dtype=torch.float64)
    for number, (kind, name) in enumerate(LOSSES.items()):
        logits = torch.log(p / (1 - p)).requires_grad_()
        loss, _ = token_loss(kind, torch.nn.functional.logsigmoid(logits), rho=RHO, q=Q)
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        width = 1.8 if kind == "cmae" else 1.0
        losses.plot(p, loss.detach(), color=COLOURS[number], lw=width, label=name)
        gradients.plot(p, -gradient, color=COLOURS[number], lw=width)
    losses.set(title="token loss", xlabel="p of the token", ylim=(0, 2.5), xlim=(0, 1))
    gradients.set(title="its pull on the token's logit", xlabel="p of the token", ylim=(0, 1), xlim=(0, 1))
    losses.legend(loc="upper right", fontsize=6, handlelength=1.2)
    for axes in (losses, gradients):
        axes.axvline(RHO, color="#888888", lw=0.6, ls=":")
    gradients.text(RHO + 0.02, 0.93, r"$\rho$", color="#555555")
    wins = torch.arange(9, dtype=torch.float64)
    lambdas = [_lambda(int(won)) for won in wins]
    balance.plot(wins, lambdas, color=COLOURS[3], marker="o")
    balance.set(
        title=r"$\lambda$ of a group of eight", xlabel="episodes won", ylim=(-0.03, 1.03), xticks=[0, 2, 4, 6, 8]
    )
    return figure


def _lambda(won: int) -> float:
    returns = torch.tensor([10.0] * won + [0.0] * (8 - won))
    return reward_adaptive(returns, torch.zeros(8, dtype=torch.long), groups=1, max_return=10.0).item()


def _selection(axes: Axes) -> None:
    """Sixteen transitions by entropy; alpha = 0.75 keeps twelve."""
    scores = torch.from_numpy(np.random.default_rng(1).gamma(2.0, 0.35, 16))
    kept = select(scores, 0.75)[scores.argsort(descending=True)]
    ordered = scores.sort(descending=True).values
    axes.bar(range(16), ordered, color=[COLOURS[2] if keep else "#cccccc" for keep in kept], width=0.8)
    axes.set(
        title=r"selected: top $\alpha$ = 0.75", xlabel="transitions of an update", ylabel="action entropy", xticks=[]
    )


def draw(figure: Figure, path: Path) -> None:
    """Write the figure as SVG, without the date and with ids that do not change."""
    with mpl.rc_context({"svg.hashsalt": path.stem}):
        FigureCanvasSVG(figure).print_svg(path, metadata={"Date": None})


def main(folder: Path = FOLDER) -> None:
    """Both figures."""
    with mpl.rc_context(fname=STYLE), mpl.rc_context({"text.parse_math": True}):
        for name, make in (("method_row", row), ("method_parts", parts)):
            draw(make(), folder / f"{name}.svg")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
