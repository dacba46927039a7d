"""What a call with a cluster profile says it will start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm
from sweeping import Sweeping

from paw_bench.config.load import load_experiment_file
from paw_bench.config.profile import ClusterProfile
from paw_bench.store.run_directory import RunDirectory, RunInfo
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep import cluster_status
from paw_bench.sweep.cluster import Cluster
from paw_bench.sweep.plan import plan


def test_what_no_pass_would_submit_is_not_counted_as_to_be_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeSlurm(tmp_path, monkeypatch)
    monkeypatch.setattr(cluster_status, "GRACE_S", 0.0)
    sweeping = Sweeping(tmp_path)
    profile = tmp_path / "cluster.yaml"
    profile.write_text("schema_version: 1\n")
    first, second = plan(load_experiment_file(sweeping.file)).runs
    info = RunInfo(first.run_id, "tiny", first.arm, first.axes, first.seed)
    refused = RunDirectory.create(sweeping.sweep.run_path(first.run_id), info, first.config)
    runs = [{"run_id": run.run_id, "arm": run.arm, "axes": run.axes, "seed": run.seed} for run in (first, second)]
    sweep = SweepDirectory.create(
        sweeping.sweep.path, name="tiny", scale="dot", source="tiny.yaml", text="", plan={"runs": runs}
    )
    Cluster(ClusterProfile(schema_version=1), ["run"], ["keep"]).save(sweep)
    entry = {"run_id": first.run_id, "cause": "first", "avoid": []}
    sweep.journal("array_intent", submission="tiny-dot-aa", runs=[entry])
    sweep.journal("array_submitted", submission="tiny-dot-aa", jobs=["7_0"])
    refused.journal("attempt_refused", reason="there is no such loss", job="7_0")

    def to_start(*, retry: bool) -> list[str]:
        sweeping.plan_on(profile, as_json=True, retry=retry)
        found: list[str] = json.loads(capsys.readouterr().out)["to_start"]
        return found

    assert to_start(retry=False) == [second.run_id]
    assert to_start(retry=True) == [first.run_id, second.run_id]
