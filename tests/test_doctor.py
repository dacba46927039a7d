"""`paw-bench doctor` in one place: every failing line has its remedy, and what cannot apply is no failure."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from experiment_files import ARMS, HEAD, SEEDS, write
from rich.console import Console
from sweeping import Sweeping

from paw_bench import cli_doctor
from paw_bench.config.load import load_experiment_file
from paw_bench.config.profile import ClusterProfile
from paw_bench.config.schema import ExperimentConfig, RunConfig
from paw_bench.errors import UserError
from paw_bench.sweep import doctor_checks
from paw_bench.sweep.cluster_check import check_inputs
from paw_bench.sweep.doctor import check_clocks
from paw_bench.sweep.doctor_checks import Check, Wanted, check_files, check_free_space, check_model, check_place
from paw_bench.sweep.plan import plan
from paw_bench.sweep.sbatch import Shape


def only(wanted: Wanted, name: str) -> Check:
    (check,) = (check for check in check_place(wanted, compute=True) if check.name == name)
    return check


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "paw_bench.cli", "doctor", *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)


def test_a_machine_that_can_run_ends_with_0_and_says_what_does_not_apply(tmp_path: Path) -> None:
    done = call(str(Sweeping(tmp_path).file), "--results", str(tmp_path / "results"))
    assert done.returncode == 0, done.stdout
    for line in (
        "-        GPU: none asked for",
        "-        vLLM: execution.engine asks for none",
        "write, sync, rename",
    ):
        assert line in done.stdout
    assert "failed" not in done.stdout
    assert not list((tmp_path / "results").iterdir())


def test_a_missing_model_is_named_with_its_remedy_and_ends_with_1(tmp_path: Path) -> None:
    file = write(tmp_path, HEAD + "base: { model: { name: nobody/nothing } }\n" + ARMS + SEEDS)
    done = call(str(file), "--results", str(tmp_path), "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    (failed,) = (check for check in document["places"]["this machine"] if check["state"] == "failed")
    assert document["ok"] is False
    assert failed["name"] == "model nobody/nothing"
    assert "hf download nobody/nothing (older: huggingface-cli download" in failed["remedy"]


def test_a_model_that_another_user_cannot_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    assert check_model(str(model)).state == "ok"
    opened = Path.open

    def refuse(path: Path, *arguments: str) -> object:
        # Root reads everything, so that a mode would prove nothing where tests run as root.
        if path.name == "config.json":
            raise PermissionError(13, os.strerror(13), str(path))
        return opened(path, *arguments)

    monkeypatch.setattr(Path, "open", refuse)
    check = check_model(str(model))
    assert (check.state, check.found) == ("failed", f"{model}/config.json: Permission denied")
    assert "chmod" in check.remedy


def test_a_results_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check = check_files(tmp_path / "file" / "results")
    assert check.state == "failed"
    assert "cannot make a folder there" in check.found
    assert "--results" in check.remedy


def test_a_filesystem_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_checks.fcntl, "flock", lambda descriptor, how: None)
    check = check_files(tmp_path)
    assert (check.state, check.found) == ("failed", f"{tmp_path}: locks do not keep others out")
    assert "flock" in check.remedy


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_free_space(tmp_path / "not" / "there" / "yet").state == "ok"
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1 << 20))
    assert check_free_space(tmp_path).state == "failed"


def test_gpus_that_are_not_there(tmp_path: Path) -> None:
    if doctor_checks.gpus_here() >= 64:
        pytest.skip("a machine with 64 GPUs")
    driver = only(Wanted(str(tmp_path), gpus=64), "NVIDIA driver")
    torch = only(Wanted(str(tmp_path), gpus=64), "torch")
    assert (driver.state, torch.state) == ("failed", "failed")
    assert "of 64 GPUs" in driver.found
    assert torch.remedy


def test_an_engine_that_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_checks, "_python_says", lambda code: "ModuleNotFoundError: No module named 'vllm'")
    check = only(Wanted(str(tmp_path), engines=["vllm_colocate"]), "vLLM")
    assert (check.state, check.remedy) == ("failed", "pip install vllm, or another engine")


@pytest.mark.parametrize(
    ("before", "here", "after", "state", "words"),
    [
        (100.0, 101.0, 102.0, "ok", "agree to 2 s"),
        (100.0, 160.0, 200.0, "ok", "agree to 100 s"),  # files were seen late: no contradiction
        (400.0, 101.0, 402.0, "failed", "299 s ahead of"),
        (-200.0, 101.0, -198.0, "failed", "299 s behind"),
        (105.0, 101.0, 106.0, "ok", "agree"),
    ],
)
def test_clocks(before: float, here: float, after: float, state: str, words: str) -> None:
    check = check_clocks(before, here, after)
    assert check.state == state
    assert words in check.found


def test_models_are_looked_for_where_the_profile_says_before_anything_is_submitted(tmp_path: Path) -> None:
    file = write(tmp_path, HEAD + "base: { model: { name: nobody/nothing } }\n" + ARMS + SEEDS)
    planned = plan(load_experiment_file(file))

    def refusal(**environment: str) -> str | None:
        try:
            check_inputs(planned, ClusterProfile(schema_version=1, environment=environment))
        except UserError as error:
            return str(error)
        return None

    said = str(refusal())
    assert "the model 'nobody/nothing'" in said
    assert "hf download nobody/nothing" in said
    assert refusal(HF_HUB_OFFLINE="0") is None
    snapshot = tmp_path / "hf" / "hub" / "models--nobody--nothing" / "snapshots" / "1"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot / "model.safetensors").write_text("")
    os.environ["DOCTOR_TEST"] = str(tmp_path)
    try:
        assert refusal(HF_HOME="$DOCTOR_TEST/hf") is None
    finally:
        del os.environ["DOCTOR_TEST"]
    assert "HF_HOME" not in os.environ or os.environ["HF_HOME"] != f"{tmp_path}/hf"


@pytest.mark.parametrize("terminal", [True, False])
def test_long_lines_are_wrapped_beside_their_word_on_a_terminal_and_whole_in_a_pipe(terminal: bool) -> None:
    screen = io.StringIO()
    check = Check("model", "failed", "not in the cache " * 9, "fetch it " * 12)
    cli_doctor._show(Console(file=screen, width=80, force_terminal=terminal, color_system=None), "here", [check])
    _, first, *rest = screen.getvalue().splitlines()
    assert first.startswith("  failed   model: not in")
    assert all(line.startswith(" " * 11) and line[11] != " " for line in rest)
    assert max(map(len, [first, *rest])) <= 80 if terminal else len(rest) == 1


def test_shapes_that_read_alike_are_told_apart_by_what_differs() -> None:
    config = RunConfig(experiment=ExperimentConfig())
    profiles = [{"time": "01:00:00"}, {"time": "02:00:00"}, {"time": "01:00:00", "constraint": "fast"}, {"cpus": 3}]
    shapes = [Shape.of(ClusterProfile(schema_version=1, **profile), "", config) for profile in profiles]
    names = cli_doctor._places(shapes)
    assert len(set(names.values())) == len(shapes)
    assert names[shapes[2]].endswith("(default partition), time 01:00:00, constraint fast")
    assert names[shapes[3]].endswith("(default partition)")
