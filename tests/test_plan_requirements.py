import os
from pathlib import Path

import pytest
from experiment_files import ARMS, HEAD, ROOT, SEEDS, load, write

from paw_bench.config.load import load_experiment_file
from paw_bench.errors import ConfigError
from paw_bench.models import EMBEDDED
from paw_bench.sweep import requirements
from paw_bench.sweep.plan import plan
from paw_bench.sweep.requirements import cannot_run_here, gpus_here, missing_requirements

TEXT = HEAD + ARMS + SEEDS


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A machine with the shipped model, and without GPUs, game data and downloaded models."""
    shipped = tmp_path / "shipped"
    write(shipped, "{}", "config.json")
    monkeypatch.setattr(requirements, "locate", lambda name: str(shipped) if name in EMBEDDED else name)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("ALFWORLD_DATA", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


def give_gpus(folder: Path, listed: str) -> None:
    tool = write(folder / "bin", f"#!/bin/sh\nprintf '{listed}'\n", "nvidia-smi")
    tool.chmod(0o755)


def paper(*overrides):
    return plan(load_experiment_file(ROOT / "experiments" / "ablations.yaml", overrides=overrides))


def test_the_paper_scale_says_what_it_needs_and_what_runs_here():
    planned = paper()
    missing = missing_requirements(planned)
    assert [item.kind for item in missing] == ["GPU", "model", "data"]
    message = str(cannot_run_here(planned, missing))
    assert "2 GPUs for each run" in message
    assert "Qwen/Qwen2.5-1.5B-Instruct" in message
    assert "ALFWORLD_DATA is not set" in message
    assert message.endswith(f"paw-bench sweep {ROOT / 'experiments' / 'ablations.yaml'} --scale embedded")


def test_overrides_stay_in_the_command_where_they_can_run_here():
    planned = paper("training.updates=3", "seeds=[0, 1]")
    message = str(cannot_run_here(planned, missing_requirements(planned)))
    assert message.endswith("--scale embedded --set training.updates=3 --set 'seeds=[0, 1]'")
    planned = paper("model.name=some/model")
    message = str(cannot_run_here(planned, missing_requirements(planned)))
    assert message.endswith("--scale embedded")


def test_nothing_is_missing_where_everything_is_there(tmp_path, monkeypatch):
    give_gpus(tmp_path, "GPU 0: NVIDIA H100\\nGPU 1: NVIDIA H100\\n")
    monkeypatch.setenv("ALFWORLD_DATA", str(tmp_path / "data"))
    (tmp_path / "data" / "json_2.1.1").mkdir(parents=True)
    snapshot = tmp_path / "hub" / "models--Qwen--Qwen2.5-1.5B-Instruct" / "snapshots" / "abc"
    write(snapshot, "{}", "config.json")
    assert [item.kind for item in missing_requirements(paper())] == ["model"], "a config without weights is no model"
    write(snapshot, "", "model.safetensors")
    assert missing_requirements(paper()) == []


def test_the_embedded_scale_needs_nothing(tmp_path):
    assert missing_requirements(plan(load(tmp_path, TEXT))) == []


@pytest.mark.parametrize(
    ("listed", "visible", "count"),
    [
        ("GPU 0: a\\nGPU 1: b\\n", None, 2),
        ("GPU 0: a\\nGPU 1: b\\n", "1", 1),
        ("GPU 0: a\\nGPU 1: b\\n", "", 0),
        ("GPU 0: a\\nGPU 1: b\\n", "-1", 0),
        ("GPU 0: a\\n", "0,1", 1),
        ("No devices were found\\n", None, 0),
    ],
)
def test_gpus_are_counted_as_a_process_would_see_them(tmp_path, monkeypatch, listed, visible, count):
    give_gpus(tmp_path, listed)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus_here() == count


def test_a_machine_without_the_tool_has_no_gpu():
    assert gpus_here() == 0


@pytest.mark.parametrize("name", ["./nope", "/no/such/folder", "~/no-such-folder-here", "a/b/c", "has space/x"])
def test_a_model_folder_that_is_not_there_is_refused(tmp_path, name):
    text = f"{HEAD}base:\n  model: {{ name: '{name}' }}\n{ARMS}{SEEDS}"
    with pytest.raises(ConfigError, match="there is no such folder") as caught:
        missing_requirements(plan(load(tmp_path, text)))
    assert caught.value.key == "base.model.name"
    assert caught.value.file == f"{tmp_path / 'mine.yaml'}:4"
    assert caught.value.value == name


def test_a_bad_model_of_an_axis_is_refused_where_it_is_written(tmp_path):
    text = TEXT + "axes: { model.name: [embedded, /no/such/folder] }\n"
    with pytest.raises(ConfigError, match="there is no such folder") as caught:
        missing_requirements(plan(load(tmp_path, text)))
    assert caught.value.key == "axes.model.name[1]"


def test_a_model_folder_needs_a_config(tmp_path):
    (tmp_path / "model").mkdir()
    planned = plan(load(tmp_path, TEXT, f"model.name={tmp_path / 'model'}"))
    with pytest.raises(ConfigError, match=r"holds no config\.json"):
        missing_requirements(planned)
    write(tmp_path / "model", "{}", "config.json")
    assert missing_requirements(planned) == []


def test_every_model_of_an_axis_is_looked_up(tmp_path):
    text = TEXT + "axes: { model.name: [embedded, one/model, other/model] }\n"
    missing = missing_requirements(plan(load(tmp_path, text)))
    assert [item.remedy.split(" (")[0] for item in missing] == ["hf download one/model", "hf download other/model"]


def test_data_that_points_nowhere_is_told_from_data_that_is_not_set(tmp_path, monkeypatch):
    planned = plan(load(tmp_path, TEXT, "environment.games.source=data"))
    found = []
    for value in (None, str(tmp_path / "none"), str(tmp_path)):
        if value is not None:
            monkeypatch.setenv("ALFWORLD_DATA", value)
        (item,) = missing_requirements(planned)
        found.append(item.found)
    assert found == [
        "ALFWORLD_DATA is not set",
        f"ALFWORLD_DATA={tmp_path / 'none'} is not there",
        f"ALFWORLD_DATA={tmp_path} has no folder json_2.1.1",
    ]


def test_an_installation_without_its_model_offers_no_command(tmp_path, monkeypatch):
    monkeypatch.setattr(requirements, "locate", lambda name: os.fspath(tmp_path / "none"))
    planned = plan(load(tmp_path, TEXT))
    missing = missing_requirements(planned)
    assert [item.remedy for item in missing] == ["paw-bench warm-start"]
    assert str(cannot_run_here(planned, missing)).endswith("remedy: provide what is missing")
