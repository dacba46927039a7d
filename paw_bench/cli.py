"""The command line: parses, calls, prints. A command imports what it calls when it is called: none is slow to start."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import paw_bench
from paw_bench import cli_games, cli_models
from paw_bench.cli_options import RESULTS, AsJson, Overrides, Results, Scale, examples
from paw_bench.errors import UserError

if TYPE_CHECKING:
    from paw_bench.store.run_directory import RunDirectory

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Run experiments on language agents that learn their world model: one YAML file in, a finished table out.",
)

Parallel = Annotated[
    int | None, typer.Option("--parallel", metavar="N", min=1, help="Runs at a time; else as many as the cores carry.")
]
Cluster = Annotated[
    Path | None,
    typer.Option("--cluster", metavar="PROFILE", help="Submit to Slurm by this profile (YAML), and return."),
]


def main() -> None:
    """Entry point of `paw-bench`. Exit codes: 0 done, 1 a run failed, 2 bad input, 130 interrupted."""
    try:
        app(prog_name="paw-bench")
    except UserError as error:
        print(f"paw-bench: {error}", file=sys.stderr)
        sys.exit(2)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"paw-bench {paw_bench.__version__}")
        raise typer.Exit


@app.callback()
def _global(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


@app.command(
    epilog=examples(
        "paw-bench sweep experiments/quickstart.yaml --scale embedded",
        "paw-bench sweep experiments/ablations.yaml --scale embedded --dry-run",
        "paw-bench sweep experiments/quickstart.yaml --set 'seeds=[0, 1]'",
    )
)
def sweep(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Experiment file (YAML).")],
    *,
    scale: Scale = None,
    overrides: Overrides = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print plan and cost; start nothing. With --cluster: also write the scripts."),
    ] = False,
    as_json: AsJson = False,
    parallel: Parallel = None,
    results: Results = RESULTS,
    cluster: Cluster = None,
    wait: Annotated[bool, typer.Option("--wait", help="With --cluster: stay until every run has ended.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Give failed runs new attempts.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Start also what is beyond the budget, without asking.")] = False,
) -> None:
    """Run every run of an experiment file, then report. The same command again goes on where it stopped.

    With --cluster the runs are submitted to Slurm as job arrays, and the command returns.
    """
    from paw_bench import cli_cluster, cli_sweep

    _refuse_useless(cluster, parallel=parallel, wait=wait)
    asked: dict[str, Any] = {"scale": scale, "overrides": overrides or (), "dry_run": dry_run, "as_json": as_json}
    asked |= {"results": results, "retry": retry, "yes": yes}
    if cluster is not None:
        raise typer.Exit(cli_cluster.sweep(file, cluster, **asked, wait=wait))
    raise typer.Exit(cli_sweep.sweep(file, **asked, parallel=parallel))


@app.command(
    epilog=examples(
        "paw-bench tune experiments/tune_paw.yaml --scale embedded --dry-run",
        "paw-bench tune experiments/tune_paw.yaml --scale smoke --trials 3",
        "paw-bench tune experiments/tune_paw.yaml --cluster slurm/h100.yaml --wait",
        "paw-bench sweep results/runs/tune_paw-embedded/tuning/best.yaml",
    )
)
def tune(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Study file (YAML).")],
    *,
    scale: Scale = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the experiment.")
    ] = None,
    trials: Annotated[int | None, typer.Option(metavar="N", min=1, help="Trials of each arm.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print space, budget and cost; start nothing.")] = False,
    as_json: AsJson = False,
    parallel: Parallel = None,
    results: Results = RESULTS,
    cluster: Cluster = None,
    wait: Annotated[bool, typer.Option("--wait", help="With --cluster: stay until every trial has ended.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Give runs that ended without a result new attempts.")] = False,
) -> None:
    """Search settings of each arm with Optuna. Every trial is an ordinary run; the same command again goes on.

    Trials are judged on the tune panel; best.yaml, for paw-bench sweep, reports on another.
    """
    from paw_bench import cli_tune

    _refuse_useless(cluster, parallel=parallel, wait=wait)
    asked: dict[str, Any] = {"scale": scale, "overrides": overrides or (), "trials": trials}
    asked |= {"dry_run": dry_run, "as_json": as_json, "results": results, "retry": retry}
    if cluster is not None:
        raise typer.Exit(cli_tune.tune_on(file, cluster, **asked, wait=wait))
    raise typer.Exit(cli_tune.tune(file, **asked, parallel=parallel))


def _refuse_useless(cluster: Path | None, *, parallel: int | None, wait: bool) -> None:
    """Raise UserError for what would change nothing beside, or without, --cluster."""
    if cluster is not None and parallel is not None:
        raise UserError("--parallel is about runs on this machine", f"set max_parallel in {cluster} instead")
    if cluster is None and wait:
        raise UserError("--wait needs --cluster PROFILE", "leave it out: runs on this machine are always waited for")


@app.command(epilog=examples("paw-bench run results/runs/quickstart-embedded/runs/0123456789ab"))
def run(run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Folder of a planned run.")]) -> None:
    """Work on one run until it is done, from its last checkpoint on if there is one."""
    from paw_bench.store.run_directory import RunDirectory
    from paw_bench.sweep.environment import ensure_environment
    from paw_bench.sweep.group import follow, node_here
    from paw_bench.sweep.supervise import supervise

    ensure_environment(RunDirectory(run_dir).config.execution)
    if node_here() > 0:
        raise typer.Exit(follow(run_dir))
    raise typer.Exit(supervise(run_dir, _run_attempt))


def _run_attempt(directory: RunDirectory) -> None:
    from paw_bench.sweep.group import run_group
    from paw_bench.training.run import run_attempt

    work = run_attempt if directory.config.execution.ranks == 1 else run_group
    work(directory)


@app.command(
    epilog=examples("paw-bench status", "paw-bench status quickstart-embedded", "paw-bench status quickstart --json")
)
def status(
    sweep: Annotated[str | None, typer.Argument(metavar="SWEEP", help="Its folder or name (default: all).")] = None,
    *,
    as_json: AsJson = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every 10 seconds, until Ctrl-C.")] = False,
    every_run: Annotated[bool, typer.Option("--all", help="Every run, also of a sweep with more than 60.")] = False,
    results: Results = RESULTS,
) -> None:
    """Show the state of every run of a sweep, derived from its files and the queue."""
    from paw_bench import cli_status

    if watch and as_json:
        raise UserError("--watch shows a screen, --json prints one document", "give one of them")
    cli_status.show_status(sweep, as_json=as_json, results=results, watch=watch, every_run=every_run)


RunName = Annotated[str, typer.Argument(metavar="RUN", help="Run id (or its beginning), or folder of a run.")]


@app.command(epilog=examples("paw-bench logs 0123456789ab", "paw-bench logs 0123 -f"))
def logs(
    run: RunName,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing until the run ends.")] = False,
    results: Results = RESULTS,
) -> None:
    """Print the log of a run's last attempt."""
    from paw_bench import cli_cluster

    cli_cluster.logs(run, follow=follow, results=results)


@app.command(epilog=examples("paw-bench why 0123456789ab"))
def why(run: RunName, *, results: Results = RESULTS) -> None:
    """Tell a run's whole history: jobs, attempts, nodes, signals, reasons."""
    from paw_bench import cli_cluster

    cli_cluster.why(run, results=results)


@app.command(epilog=examples("paw-bench tokens 0123456789ab", "paw-bench tokens 0123 --episode 1 --html t.html"))
def tokens(
    run: RunName,
    *,
    attempt: Annotated[int | None, typer.Option(metavar="N", help="Of this attempt (default: the last).")] = None,
    episode: Annotated[int | None, typer.Option(metavar="N", help="Only the n-th that is recorded.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page instead.")] = None,
    results: Results = RESULTS,
) -> None:
    """Show training episodes token by token, coloured by where each token came from."""
    from paw_bench import cli_tokens

    cli_tokens.show_tokens(run, attempt=attempt, episode=episode, html=html, results=results)


@app.command(epilog=examples("paw-bench cancel ablations", "paw-bench cancel 0123456789ab"))
def cancel(
    which: Annotated[str, typer.Argument(metavar="SWEEP|RUN", help="A sweep's folder or name, or a run's id.")],
    *,
    results: Results = RESULTS,
) -> None:
    """Cancel the jobs of a sweep or of a run. They stay cancelled until `paw-bench retry`."""
    from paw_bench import cli_cluster

    cli_cluster.cancel(which, results=results)


@app.command(epilog=examples("paw-bench retry ablations --failed", "paw-bench retry 0123456789ab"))
def retry(
    which: Annotated[str, typer.Argument(metavar="SWEEP|RUN", help="A sweep's folder or name, or a run's id.")],
    *,
    failed: Annotated[
        bool, typer.Option("--failed", help="All runs of the sweep that ended without a result.")
    ] = False,
    results: Results = RESULTS,
) -> None:
    """Submit ended runs again, from their last checkpoint; their retries are counted anew."""
    from paw_bench import cli_cluster

    cli_cluster.retry(which, failed=failed, results=results)


@app.command(
    epilog=examples(
        "paw-bench doctor",
        "paw-bench doctor experiments/ablations.yaml --cluster slurm/h100.yaml",
        "paw-bench doctor --cluster slurm/h100.yaml --json",
    )
)
def doctor(
    file: Annotated[
        Path | None, typer.Argument(metavar="[EXPERIMENT]", help="Whose models and games to look for.")
    ] = None,
    *,
    cluster: Annotated[
        Path | None, typer.Option(metavar="PROFILE", help="Also submit a small job that checks a compute node.")
    ] = None,
    scale: Annotated[str | None, typer.Option(metavar="S", help="Instead of the file's own scale.")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key.")] = None,
    as_json: AsJson = False,
    results: Results = RESULTS,
) -> None:
    """Check that runs can work: packages, GPUs, models, games, results folder, clocks. Exit code 1: a check failed."""
    from paw_bench import cli_doctor

    code = cli_doctor.doctor(file, cluster, scale=scale, overrides=overrides or (), results=results, as_json=as_json)
    raise typer.Exit(code)


@app.command("doctor-node", hidden=True)
def doctor_node(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the doctor's questions.")],
) -> None:
    """Check a compute node: what the doctor's job calls."""
    from paw_bench import cli_doctor

    cli_doctor.doctor_node(folder)


@app.command(hidden=True)
def keep(sweep: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a sweep.")]) -> None:
    """Submit what the end of an array left to be tried again: what the keeper's job calls."""
    from paw_bench import cli_cluster

    cli_cluster.keep(sweep)


@app.command(
    epilog=examples(
        "paw-bench report ablations",
        "paw-bench report results/runs/ablations-embedded",
        "paw-bench report ablations --strict",
    )
)
def report(
    sweep: Annotated[str, typer.Argument(metavar="SWEEP", help="Folder or name of a sweep.")],
    *,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse, a line each (exit code 1), what a report would only mark.")
    ] = False,
    results: Results = RESULTS,
) -> None:
    """Write the tables, figures and diagnostics of a sweep's finished runs."""
    from paw_bench import cli_report

    raise typer.Exit(cli_report.write_report(sweep, results=results, strict=strict))


@app.command(
    epilog=examples(
        "paw-bench verify results/runs/ablations-embedded/report",
        "paw-bench verify ablations --json",
        "paw-bench verify paper/report --sweep ablations",
    )
)
def verify(
    report: Annotated[str, typer.Argument(metavar="REPORT", help="Folder of a report, or its sweep.")],
    *,
    sweep: Annotated[
        str | None, typer.Option(metavar="SWEEP", help="The run files, where the report lies elsewhere.")
    ] = None,
    as_json: AsJson = False,
    results: Results = RESULTS,
) -> None:
    """Compute a report again from its run files; say which cells differ (exit code 1), old value -> new value."""
    from paw_bench import cli_report

    raise typer.Exit(cli_report.verify_report(report, results=results, sweep=sweep, as_json=as_json))


@app.command(
    epilog=examples(
        'paw-bench explain "paw, All" ablations',
        'paw-bench explain "paw, All against grpo" ablations',
        'paw-bench explain "paw, Perplexity after" ablations --json',
    )
)
def explain(
    cell: Annotated[str, typer.Argument(metavar="CELL", help='"ARM, COLUMN", as in the table.')],
    sweep: Annotated[
        str | None, typer.Argument(metavar="SWEEP", help="Its folder or name (default: the only one).")
    ] = None,
    *,
    as_json: AsJson = False,
    results: Results = RESULTS,
) -> None:
    """Show where a number comes from: the runs behind the cell, their values, result hashes, commits and files."""
    from paw_bench import cli_report

    cli_report.explain_cell(cell, sweep, results=results, as_json=as_json)


app.add_typer(cli_games.app, name="games")


@app.command(epilog=examples("paw-bench init my-experiments"))
def init(folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="An empty or new folder.")]) -> None:
    """Copy the shipped experiments, scales and cluster profiles into an empty folder."""
    from paw_bench.config import resources

    for path in resources.init(folder):
        print(path)


app.add_typer(cli_models.app)


if __name__ == "__main__":
    main()
