"""The body of an attempt: from the run directory's config to its published result.

The environments' processes are started before torch is imported, so that they stay small and are never forked from a
process that runs threads.
"""

from __future__ import annotations

from paw_bench.envs.panels import load_panels
from paw_bench.envs.pool import EnvironmentPool
from paw_bench.store.run_directory import RunDirectory


def run_attempt(directory: RunDirectory) -> None:
    """Train and evaluate the run, going on from its last checkpoint, and publish its result."""
    config = directory.config
    environment = config.experiment.environment
    panels = load_panels(environment)
    with EnvironmentPool(
        environment, workers=config.execution.environment_workers, timeout_s=config.execution.step_timeout_s
    ) as pool:
        from paw_bench.training.session import Session

        Session(directory, panels, pool).finish()
