"""What is decided about the jobs of a sweep, on a Slurm that answers as a test says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm
from rich.console import Console
from sweeping import Sweeping

from paw_bench import cli_cluster
from paw_bench.config.load import load_experiment_file
from paw_bench.config.profile import ClusterProfile
from paw_bench.config.schema import ExperimentConfig, RunConfig
from paw_bench.errors import StoreError, UserError
from paw_bench.store.run_directory import RunDirectory, RunInfo
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep import cluster
from paw_bench.sweep.cluster import Cluster, make_pass
from paw_bench.sweep.execution_changes import halve_micro_batch
from paw_bench.sweep.identity import run_id
from paw_bench.sweep.launch import launch, require_no_jobs
from paw_bench.sweep.plan import plan
from paw_bench.sweep.progress import Screen
from paw_bench.sweep.siblings import refused_sibling
from paw_bench.sweep.slots import Slots

CLUSTER = Cluster(ClusterProfile(schema_version=1, partition="gpu"), ["run"], ["keep"])


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    return FakeSlurm(tmp_path, monkeypatch)


@pytest.fixture
def sweep(tmp_path: Path, slurm: FakeSlurm) -> SweepDirectory:
    """Two seeds that were submitted as the array 7, and are not in the queue."""
    made = planned(tmp_path / "results" / "tiny-dot", 2)
    submit(made, "tiny-dot-aa", ["7_0", "7_1"])
    return made


def planned(path: Path, seeds: int) -> SweepDirectory:
    """A sweep of so many seeds on the cluster, each with its folder."""
    runs = []
    for seed in range(seeds):
        config = RunConfig(experiment=ExperimentConfig(seed=seed))
        info = RunInfo(run_id(config.experiment), "tiny", "paw", {}, seed)
        RunDirectory.create(path / "runs" / info.run_id, info, config)
        runs.append({"run_id": info.run_id, "arm": info.arm, "axes": info.axes, "seed": seed})
    sweep = SweepDirectory.create(path, name="tiny", scale="dot", source="tiny.yaml", text="", plan={"runs": runs})
    CLUSTER.save(sweep)
    return sweep


def submit(sweep: SweepDirectory, name: str, jobs: list[str]) -> None:
    """Note that the first runs of the sweep were submitted as `jobs`."""
    runs = [{"run_id": run.path.name, "cause": "first", "avoid": []} for run in sweep.runs()[: len(jobs)]]
    sweep.journal("array_intent", submission=name, runs=runs)
    sweep.journal("array_submitted", submission=name, jobs=jobs)


@pytest.mark.parametrize(
    "task",
    [("7_1", "tiny-dot-aa", "PENDING"), ("7_0", "tiny-dot-aa", "RUNNING"), ("8", "tiny-dot-aa-keeper", "PENDING")],
)
def test_nothing_is_started_here_while_a_job_of_the_sweep_is_in_the_queue(
    sweep: SweepDirectory, slurm: FakeSlurm, task: tuple[str, str, str]
) -> None:
    slurm.queue(task)
    with pytest.raises(UserError, match=f"1 job.* in Slurm's queue: {task[0]}\n.*paw-bench cancel tiny-dot"):
        require_no_jobs(sweep)
    slurm.queue(("7_1", "tiny-dot-aa", "CANCELLED"), ("9", "another", "RUNNING"))
    require_no_jobs(sweep)


def test_without_slurm_only_a_sweep_that_left_no_run_undone_goes_on_here(
    sweep: SweepDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="was submitted to a cluster, and Slurm does not say"):
        require_no_jobs(sweep)
    for run in sweep.runs():
        (run.path / "result.json").touch()
    require_no_jobs(sweep)


def test_a_forgotten_cluster_option_starts_nothing_and_changes_no_file(tmp_path: Path, slurm: FakeSlurm) -> None:
    sweeping = Sweeping(tmp_path)
    sweep = planned(sweeping.sweep.path, 1)
    submit(sweep, "tiny-dot-aa", ["7_0"])
    slurm.queue(("7_0", "tiny-dot-aa", "PENDING"))
    made = plan(load_experiment_file(sweeping.file, scale=None, overrides=()))
    slots = Slots(made.file.execution)
    with Screen(Console(quiet=True), "tiny") as screen, pytest.raises(UserError, match="in Slurm's queue"):
        launch(made, {}, results=sweeping.results, slots=slots, retry=False, screen=screen, predicted_s=None)
    assert SweepDirectory(sweep.path).info == sweep.info
    assert [event["event"] for event in sweep.events()] == ["array_intent", "array_submitted"]


def test_cancel_waits_for_the_pass_at_work(
    sweep: SweepDirectory, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm.queue(("7_0", "tiny-dot-aa", "RUNNING"))
    monkeypatch.setattr(cluster, "_LOCK_WAIT_S", 0.0)
    with sweep.lock(), pytest.raises(StoreError, match="is at work on this folder"):
        cli_cluster.cancel("tiny", results=sweep.path.parent)
    assert slurm.calls("scancel") == []


def test_cancel_of_a_sweep_takes_runs_that_are_not_planned_any_more_and_keepers_but_no_foreign_job(
    sweep: SweepDirectory, slurm: FakeSlurm
) -> None:
    planned(sweep.path, 1)
    keeper = ("8", "tiny-dot-aa-keeper", "PENDING")
    slurm.queue(("7_0", "of-a-lost-controller", "RUNNING"), ("7_1", "tiny-dot-aa", "PENDING"), keeper)
    cli_cluster.cancel("tiny", results=sweep.path.parent)
    assert slurm.calls("scancel") == ["7_1 8"]
    assert sweep.events()[-1]["jobs"] == ["7_1", "8"]


def test_cancel_of_a_run_takes_its_own_job_alone(sweep: SweepDirectory, slurm: FakeSlurm) -> None:
    slurm.queue(*((job, "tiny-dot-aa", "PENDING") for job in ("7_0", "7_1")), ("8", "tiny-dot-aa-keeper", "PENDING"))
    cli_cluster.cancel(sweep.runs()[1].path.name, results=sweep.path.parent)
    assert slurm.calls("scancel") == ["7_1"]
    slurm.queue()
    with pytest.raises(UserError, match="none of its jobs is in the queue"):
        cli_cluster.cancel("tiny", results=sweep.path.parent)


def test_nodes_that_failed_under_a_run_are_excluded_unless_too_few_are_left(
    sweep: SweepDirectory, slurm: FakeSlurm
) -> None:
    slurm.queue(("7_0", "tiny-dot-aa", "NODE_FAIL"), ("7_1", "tiny-dot-aa", "NODE_FAIL"), nodes="n[1-2]")
    make_pass(sweep, CLUSTER, print)
    assert "#SBATCH --exclude='n[1-2]'\n" in slurm.taken
    again = sweep.events()[-2]
    assert [(run["cause"], run["avoid"]) for run in again["runs"]] == 2 * [("node_failure", ["n[1-2]"])]
    slurm.refuse("n3,n[1-2]")
    slurm.queue(*((f"77_{task}", again["submission"], "NODE_FAIL") for task in (0, 1)), nodes="n3")
    make_pass(sweep, CLUSTER, print)
    assert "--exclude" not in slurm.taken
    assert [run["avoid"] for run in sweep.events()[-2]["runs"]] == [[], []]


@pytest.mark.parametrize("died", [False, True], ids=["", "a pass died between the two"])
def test_rows_are_halved_down_to_one_and_no_further(sweep: SweepDirectory, slurm: FakeSlurm, died: bool) -> None:
    made = sweep.runs()[0]
    execution = made.config.execution.model_copy(update={"micro_batch_rows": 2})
    run = RunDirectory.create(made.path, made.info, made.config.model_copy(update={"execution": execution}))
    slurm.queue(("7_0", "tiny-dot-aa", "OUT_OF_MEMORY"), ("7_1", "tiny-dot-aa", "RUNNING"))
    if died:
        halve_micro_batch(run, submission="tiny-dot-aa")
    make_pass(sweep, CLUSTER, print)
    (again,) = [event for event in sweep.events() if event["event"] == "array_intent"][1:]
    assert [(each["run_id"], each["cause"]) for each in again["runs"]] == [(run.path.name, "out_of_memory")]
    assert [event["after"] for event in run.events() if event["event"] == "execution_changed"] == [1]
    assert RunDirectory(run.path).config.execution.micro_batch_rows == 1
    slurm.queue(("77_0", again["submission"], "OUT_OF_MEMORY"), ("7_1", "tiny-dot-aa", "RUNNING"))
    make_pass(sweep, CLUSTER, print)
    assert [event["event"] for event in sweep.events()].count("array_intent") == 2, "no row is left to halve"


@pytest.mark.parametrize("left", [True, False])
def test_a_run_whose_shared_result_is_gone_is_not_submitted_into_the_other_sweep(
    tmp_path: Path, slurm: FakeSlurm, left: bool
) -> None:
    sweep = planned(tmp_path / "results" / "tiny-dot", 2)
    own = sweep.runs()[0].path
    elsewhere = tmp_path / "results" / "other-dot" / own.name
    elsewhere.parent.mkdir()
    own.rename(elsewhere)
    own.symlink_to(elsewhere)
    if not left:
        shutil.rmtree(elsewhere)
    statuses = make_pass(sweep, CLUSTER, print)
    assert [status.state for status in statuses] == ["failed", "queued"]
    assert "paw-bench sweep --cluster runs it here" in statuses[0].reason
    assert not own.is_symlink()
    (intent,) = [event for event in sweep.events() if event["event"] == "array_intent"]
    assert [run["run_id"] for run in intent["runs"]] == [sweep.runs()[0].path.name]


def test_the_remedies_of_a_sweep_on_one_machine_are_its_own(sweep: SweepDirectory) -> None:
    refused, sibling = sweep.runs()
    refused.journal("attempt_ended", outcome="failed", reason="no such loss", cause="config", error="ConfigError")
    assert "no such loss" in str(refused_sibling(sibling)), "on a cluster a job looks for itself"
    sweep.cluster_file.unlink()
    # In an allocation too: the driver spares siblings, and its next call tries them.
    assert refused_sibling(sibling) is None
    with pytest.raises(StoreError, match=r"was never submitted to a cluster\n.*`paw-bench sweep FILE --retry`"):
        cli_cluster.retry("tiny", failed=True, results=sweep.path.parent)


def test_what_an_interactive_job_was_given_does_not_reach_the_runs(
    tmp_path: Path, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"SLURM_MEM_PER_CPU": "2000", "SLURM_NTASKS": "4", "SRUN_DEBUG": "3"}
    own = {"SLURM_CONF": "/etc/slurm.conf", "SBATCH_ACCOUNT": "lab"}
    for key, value in {**given, **own, "SLURM_JOB_ID": "5"}.items():
        monkeypatch.setenv(key, value)
    make_pass(planned(tmp_path / "results" / "tiny-dot", 1), CLUSTER, print)
    assert own.items() <= slurm.environment.items()
    assert not slurm.environment.keys() & given.keys()
