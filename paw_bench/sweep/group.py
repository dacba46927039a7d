"""The processes of one run, started and watched by torchrun's agent inside the attempt's own process.

On several nodes every node has such an agent; that of the first holds the run, the others `follow` it. The agent ends
all processes of a run when one of them ends badly, and nothing is restarted here: retries have one owner.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paw_bench.store.run_directory import RunDirectory
from paw_bench.sweep.outcome import RankFailed, RankLost
from paw_bench.sweep.signals import Interrupted

if TYPE_CHECKING:
    from torch.distributed.launcher.api import LaunchConfig

NODES = "PAW_BENCH_NODES"
"""How many nodes a run has; our sbatch scripts set it, with MASTER_PORT, where there are several."""
FIRST_NODE = "SLURM_LAUNCH_NODE_IPADDR"
"""Address of the first node, which srun gives its tasks: a batch script runs there. Names need not resolve."""
OUTCOME = "paw_bench"
"""What a process adds to the error file that torchrun reads: `outcome_of` its exception."""
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
_WORKER = ("-P", "-m", "paw_bench.sweep.worker")
_GRACE_S = 10


def node_here() -> int:
    """The number of this node among those of the run."""
    return int(os.environ["SLURM_NODEID"]) if int(os.environ.get(NODES, "1")) > 1 else 0


def run_group(directory: RunDirectory) -> None:
    """Run this node's processes of the run to their end.

    Raises RankFailed with the cause when one of them raised an exception, RankLost when one was killed, Interrupted
    when this process or they were asked to stop.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch

    config = _launch_config(directory)
    command = (*_WORKER, str(directory.path), str(os.getpid()))
    try:
        elastic_launch(config, sys.executable)(*command)
    except SignalException as stop:
        raise Interrupted(stop.sigval) from None
    except ChildFailedError as error:
        raise _cause(dict(error.failures), directory.config.execution.ranks) from None


def follow(path: Path) -> int:
    """Run another node's processes of a run whose first node records what happens; returns the exit code."""
    directory = RunDirectory(path)
    if directory.result() is not None:
        return 0
    try:
        run_group(directory)
    except Interrupted as interruption:
        return interruption.exit_code
    except (RankFailed, RankLost) as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    return 0


def _launch_config(directory: RunDirectory) -> LaunchConfig:
    from torch.distributed.launcher.api import LaunchConfig

    execution, nodes = directory.config.execution, int(os.environ.get(NODES, "1"))
    alone = nodes == 1
    return LaunchConfig(
        min_nodes=nodes,
        max_nodes=nodes,
        nproc_per_node=execution.ranks // nodes,
        run_id=directory.info.run_id,
        # Static: the ranks follow the nodes' numbers, so that the main one is where the run is held.
        rdzv_backend="c10d" if alone else "static",
        rdzv_endpoint="localhost:0" if alone else f"{os.environ[FIRST_NODE]}:{os.environ['MASTER_PORT']}",
        rdzv_configs={} if alone else {"rank": node_here()},
        local_addr="localhost" if alone else None,
        max_restarts=0,
        signals_to_handle=",".join(each.name for each in _STOPPING),
        # Each process sees its own GPU alone, as the only one there is.
        virtual_local_rank=execution.device == "cuda",
        shutdown_timeout=_GRACE_S,
    )


def _cause(failures: dict[int, Any], count: int) -> BaseException:
    """What ended the processes, from what torchrun knows of those that failed (rank -> its ProcessFailure).

    A signal that asks to stop was meant for the run; a rank that was killed comes before those that only lost it.
    """
    signals = {rank: signal.Signals(-failure.exitcode) for rank, failure in failures.items() if failure.exitcode < 0}
    for rank, signum in signals.items():
        if signum not in _STOPPING:
            return RankLost(f"process {rank} of {count} was killed by {signum.name}")
    told = [(failure.timestamp, rank) for rank, failure in failures.items() if OUTCOME in failure.error_file_data]
    if told:
        rank = min(told)[1]
        return RankFailed(rank, failures[rank].error_file_data[OUTCOME])
    for rank in failures.keys() - signals.keys():
        return RankLost(f"process {rank} of {count} ended with exit code {failures[rank].exitcode} and no word")
    return Interrupted(min(signals.values()))
