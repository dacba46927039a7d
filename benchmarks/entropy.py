"""What entropies of the whole vocabulary cost at decoding, against the log-probabilities of the sampled tokens alone.

    python benchmarks/entropy.py [--hidden 896] [--vocabulary 151936] [--positions 256] [--pairs 20] [--device cpu]

`selection.score: entropy` needs the first, `surprisal` and `sampled` the second. A head of random weights (the sizes of
Qwen2.5-0.5B unless told otherwise) gives the logits of a batch of positions; what the engine does with them is then
timed, with and without entropies. The layers below the head are left out, which makes the share look larger.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from paired import synchronize, with_interval

from paw_bench.rollout.engines.transformers import entropy
from paw_bench.rollout.sampling import keyed_uniforms, sample


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--hidden", type=int, default=896)
    parser.add_argument("--vocabulary", type=int, default=151_936)
    parser.add_argument("--positions", type=int, default=256, help="replies decoded together")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    torch.manual_seed(0)
    if options.device == "cpu":
        torch.set_num_threads(1)
    weight = torch.randn(options.vocabulary, options.hidden, device=options.device) / options.hidden**0.5
    hidden = torch.randn(options.positions, options.hidden, device=options.device)
    noise = keyed_uniforms(list(range(options.positions)), 0)
    parts: dict[str, list[float]] = {"head": [], "sampling": [], "log-probability": [], "entropy": []}
    for _ in range(options.pairs + 1):
        logits = timed(parts["head"], options.device, lambda: hidden @ weight.T)
        drawn = timed(parts["sampling"], options.device, lambda z=logits: sample(z, noise, 1.0))
        distribution = timed(parts["log-probability"], options.device, lambda z=logits, y=drawn: log_prob(z, y))
        timed(parts["entropy"], options.device, lambda p=distribution: entropy(p))
    counted = {name: seconds[1:] for name, seconds in parts.items()}
    print(f"{options.positions} positions, hidden {options.hidden}, vocabulary {options.vocabulary}")
    for name, seconds in counted.items():
        print(f"  {name:16} {1e3 * median(seconds):9.2f} ms")
    without = [sum(step) for step in zip(*(counted[name] for name in list(parts)[:3]), strict=True)]
    ratios = [(step + extra) / step for step, extra in zip(without, counted["entropy"], strict=True)]
    print(f"  a step from the head on, with / without entropies = {with_interval(ratios)}")


def log_prob(logits: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """The distribution (B, V), from which the drawn tokens' log-probabilities are read as the engine does."""
    distribution = logits.log_softmax(-1)
    distribution.gather(-1, drawn[:, None])
    return distribution


def timed(seconds: list[float], device: str, work: Callable[[], torch.Tensor]) -> torch.Tensor:
    """What `work` gives; its seconds (of the processor on a CPU) are appended."""
    clock = time.thread_time if device == "cpu" else time.perf_counter
    started = clock()
    result = work()
    synchronize(device)
    seconds.append(clock() - started)
    return result


if __name__ == "__main__":
    main()
