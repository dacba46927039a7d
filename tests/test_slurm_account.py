"""Accounts. The devcluster keeps none, so `sacctmgr` is a script that answers as a cluster with accounting does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from devcluster import Devcluster
from test_slurm_sweep import OnCluster

from paw_bench.cli_cluster import sweep
from paw_bench.errors import ConfigError


@pytest.fixture
def sweeping(slurm: Devcluster, tmp_path: Path) -> Iterator[OnCluster]:
    yield OnCluster(tmp_path, more="account: labb\n")
    slurm.slurm("scancel", f"--user={os.getuid()}")


def dry_check(sweeping: OnCluster) -> None:
    """Submit; profile checks come before anything is written."""
    options = {"scale": None, "dry_run": False, "as_json": False, "retry": False, "wait": False}
    sweep(sweeping.file, sweeping.profile, overrides=(), results=sweeping.results, **options)  # type: ignore[arg-type]


def test_an_account_that_the_user_does_not_have_is_refused_naming_the_key(
    sweeping: OnCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = sweeping.folder / "bin" / "sacctmgr"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\nprintf 'lab\\nteaching\\n'\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    with pytest.raises(ConfigError) as caught:
        dry_check(sweeping)
    assert caught.value.key == "account"
    assert "cluster.yaml:7: account: the cluster has no such account for you: did you mean 'lab'?" in str(caught.value)
    assert caught.value.remedy == "give one of: lab, teaching"
    assert not sweeping.sweep.exists()


def test_without_accounting_slurm_takes_any_account(sweeping: OnCluster) -> None:
    dry_check(sweeping)
    assert sweeping.journal()["array_submitted"] == 1
