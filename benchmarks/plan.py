"""CPU seconds to load, plan and prove 10,000 runs, and the time it takes to merge and validate every run by itself.

python benchmarks/plan.py
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from paw_bench.config.layers import resolve
from paw_bench.config.load import load_experiment_file
from paw_bench.config.schema import ExperimentConfig, RunConfig
from paw_bench.sweep.identity import run_id
from paw_bench.sweep.plan import Plan, plan

ARMS = 10
SHAPES = {
    "10 arms x 1,000 seeds": (1, 1000),
    "10 arms x 100 points x 10 seeds": (100, 10),
    "10 arms x 1,000 points": (1000, 1),
}


def main() -> None:
    """Print one line for each shape of a sweep."""
    for name, (points, seeds) in SHAPES.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "many.yaml")
            path.write_text(experiment(points, seeds))
            seconds, planned = fastest(path)
        naive = seconds_of_naive(planned)
        print(f"{name}: {len(planned.runs)} runs in {seconds:.2f} CPU s, one by one {naive / seconds:.1f} times longer")


def experiment(points: int, seeds: int) -> str:
    """An experiment file with ten arms, one axis of `points` values and `seeds` seeds."""
    arms = "".join(f"  arm {arm}: {{ algorithm: {{ entropy_coefficient: 0.0{arm}1 }} }}\n" for arm in range(1, ARMS))
    axis = f"axes:\n  algorithm.learning_rate: {[1e-6 * (1 + n) for n in range(points)]}\n" if points > 1 else ""
    return f"schema_version: 1\nscale: embedded\narms:\n  reference: {{}}\n{arms}{axis}seeds: {list(range(seeds))}\n"


def fastest(path: Path, repeats: int = 3) -> tuple[float, Plan]:
    """(CPU seconds, plan) of the fastest of a few times from the file to the plan."""
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        planned = plan(load_experiment_file(path))
        taken.append(time.process_time() - start)
    return min(taken), planned


def seconds_of_naive(planned: Plan) -> float:
    """CPU seconds to merge, validate and hash each of the plan's runs as if it were alone."""
    file = planned.file
    start = time.process_time()
    for run in planned.runs:
        layers = file.layers(run.arm, run.axes)
        experiment = resolve(layers, ExperimentConfig).model_dump() | {"seed": run.seed}
        config = RunConfig.model_validate({"experiment": experiment, "execution": file.execution.model_dump()})
        assert run_id(config.experiment) == run.run_id
    return time.process_time() - start


if __name__ == "__main__":
    main()
