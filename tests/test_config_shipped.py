import re
import subprocess
import sys

import pytest
from experiment_files import ARMS, HEAD, ROOT, SCALES, SEEDS, SHIPPED, load, refused

from paw_bench.config.load import load_experiment_file
from paw_bench.config.merge import leaves
from paw_bench.config.presets import presets
from paw_bench.config.resources import init, shipped
from paw_bench.config.schema import ExperimentConfig
from paw_bench.config.world_model import WorldModelConfig
from paw_bench.config.yaml_reader import read_yaml
from paw_bench.errors import UserError
from paw_bench.sweep.plan import plan


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_experiment_plans_at_every_scale(path, scale):
    planned = plan(load_experiment_file(path, scale=scale))
    assert len(planned.runs) == len(planned.file.arms) * planned.points * len(planned.file.seeds)
    assert planned.file.description


@pytest.mark.parametrize("scale", SCALES)
def test_every_scale_says_everything_but_the_world_model_and_the_seed(scale):
    document = read_yaml(ROOT / "experiments" / "scales" / f"{scale}.yaml").data
    said = {key for key, _ in leaves(document["experiment"])}
    whole = {key for key, _ in leaves(ExperimentConfig().model_dump()) if key[0] not in ("world_model", "seed")}
    assert said == whole


def test_every_value_of_the_paper_scale_says_where_it_comes_from():
    text = (ROOT / "experiments" / "scales" / "paper.yaml").read_text()
    body = text.split("experiment:\n", 1)[1].split("execution:\n", 1)[0]
    before = ""
    for line in body.splitlines():
        if re.match(r"\s*\w+: \S", line):
            comment = line.partition("#")[2] or before
            assert re.search(r"\b(paper|assumed: verl-agent|ours)\b", comment), line
        before = before + line if line.strip().startswith("#") else ""


def test_the_ablation_has_the_arms_of_the_method_and_its_controls():
    file = load_experiment_file(ROOT / "experiments" / "ablations.yaml")
    assert file.scale == "paper"
    assert file.reference == "grpo"
    arms = {arm: file.resolve(arm, {}).world_model for arm in file.arms}
    assert not arms["grpo"].enabled
    assert (arms["paw"].selection.score, arms["paw"].selection.alpha) == ("entropy", 0.75)
    assert (arms["paw"].loss.kind, arms["paw"].loss.rho) == ("cmae", 0.2)
    assert arms["paw"].balance.kind == "reward_adaptive"
    assert (arms["paw - selection"].selection.score, arms["paw - selection"].selection.alpha) == ("none", 1.0)
    assert arms["paw + random selection"].selection.score == "random"
    assert arms["paw - clipping"].loss.kind == "mae"
    assert arms["paw + cross-entropy"].loss.kind == "ce"
    assert (arms["paw + lambda=1"].balance.kind, arms["paw + lambda=1"].balance.value) == ("constant", 1.0)
    assert arms["paw + shuffled"] == arms["paw"].model_copy(update={"targets": "shuffled"})
    assert (arms["echo"].balance.value, arms["echo"].loss.kind, arms["echo"].loss.normaliser) == (
        0.05,
        "ce",
        "sequence",
    )


def test_main_has_the_neighbours_and_their_deltas_are_what_the_papers_changed():
    file = load_experiment_file(ROOT / "experiments" / "main.yaml")
    arms = {arm: file.resolve(arm, file.first_point).world_model for arm in file.arms}
    echo, tapo, envrl = arms["echo"], arms["tapo"], arms["envrl"]
    alone = echo.schedule.model_copy(update={"rl_term": False})
    assert arms["echo env-only"] == echo.model_copy(update={"schedule": alone})
    assert (tapo.loss.kind, tapo.schedule.every, tapo.schedule.separate) == ("ce", 4, True)
    assert (envrl.loss.kind, envrl.inverse_dynamics, envrl.balance.value) == ("ce", True, 0.2)
    assert {arms[name].selection.score for name in ("echo", "tapo", "envrl")} == {"none"}
    assert arms["paw + random tokens"] == arms["paw"].model_copy(update={"targets": "random_tokens"})


def test_the_sensitivity_changes_one_number_an_arm_around_the_paper_s():
    file = load_experiment_file(ROOT / "experiments" / "sensitivity.yaml")
    changes = plan(file).changes
    assert changes.pop("paw") == {}
    assert changes["paw alpha=1"].pop("world_model.selection.score") == ("entropy", "none")
    assert list(changes.pop("grpo")) != []
    assert all(len(change) == 1 for change in changes.values())
    assert {values for change in changes.values() for values in change.items()} == {
        *(("world_model.selection.alpha", (0.75, alpha)) for alpha in (0.25, 0.5, 1.0)),
        *(("world_model.loss.rho", (0.2, rho)) for rho in (0.05, 0.1, 0.4, 0.8)),
    }


def test_every_transition_is_one_experiment_in_the_ablation_and_in_the_sensitivity():
    ids = {}
    for name, arm in (("ablations", "paw - selection"), ("sensitivity", "paw alpha=1")):
        runs = plan(load_experiment_file(ROOT / "experiments" / f"{name}.yaml")).runs
        ids[name] = [run.run_id for run in runs if run.arm == arm]
    assert ids["ablations"] == ids["sensitivity"]


def test_the_quickstart_is_three_arms_and_two_seeds_at_the_embedded_scale():
    file = load_experiment_file(ROOT / "experiments" / "quickstart.yaml")
    assert (list(file.arms), file.seeds, file.scale) == (["grpo", "paw", "paw + shuffled"], (0, 1), "embedded")


@pytest.mark.parametrize("name", presets())
def test_a_preset_replaces_whatever_lies_below_it(tmp_path, name):
    lower = "echo" if name != "echo" else "{ preset: paw, selection: { alpha: 0.5 } }"
    file = load(
        tmp_path,
        f"{HEAD}base: {{ world_model: {lower} }}\narms:\n  ref: {{}}\n  own: {{ world_model: {name} }}\n{SEEDS}",
    )
    assert file.resolve("own", {}).world_model == WorldModelConfig.model_validate(presets()[name])


def test_changes_beside_a_preset_lie_on_top_of_it_whatever_their_order(tmp_path):
    section = "{ loss: { kind: mae }, preset: paw, balance: { include_penalty: true } }"
    file = load(tmp_path, f"{HEAD}arms:\n  ref: {{}}\n  own: {{ world_model: {section} }}\n{SEEDS}")
    found = file.resolve("own", {}).world_model
    assert (found.enabled, found.loss.kind, found.balance.include_penalty) == (True, "mae", True)


def test_a_resolved_config_carries_no_preset_name(tmp_path):
    assert "preset" not in load(tmp_path, HEAD + ARMS + SEEDS).resolve("paw", {}).world_model.model_dump()


def test_init_copies_what_is_shipped_and_the_copy_plans(tmp_path):
    target = tmp_path / "new" / "folder"
    copied = {path.relative_to(target).as_posix() for path in init(target)}
    assert copied == {
        path.relative_to(shipped()).as_posix()
        for name in ("experiments", "slurm")
        for path in (shipped() / name).rglob("*.yaml")
    }
    assert {"experiments/ablations.yaml", "experiments/scales/paper.yaml", "slurm/h100.yaml"} <= copied
    assert plan(load_experiment_file(target / "experiments" / "ablations.yaml", scale="embedded")).runs


def test_init_takes_an_empty_folder_and_refuses_any_other(tmp_path):
    (tmp_path / "empty").mkdir()
    assert init(tmp_path / "empty")
    with pytest.raises(UserError, match="not empty"):
        init(tmp_path / "empty")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        init(tmp_path / "file")
    with pytest.raises(UserError, match="cannot be written"):
        init(tmp_path / "file" / "below")


def test_an_unknown_scale_lists_the_known_ones(tmp_path):
    error = refused(tmp_path, HEAD + ARMS + SEEDS, scale="papre")
    assert error.file == "--scale"
    assert "did you mean 'paper'?" in str(error)
    assert all(scale in error.remedy for scale in SCALES)


def test_planning_does_not_import_torch():
    code = (
        "import sys; from pathlib import Path\n"
        "from paw_bench.config.load import load_experiment_file\n"
        "from paw_bench.sweep import cost, describe, requirements\n"
        "from paw_bench.sweep.plan import plan\n"
        f"planned = plan(load_experiment_file(Path({str(SHIPPED[0])!r})))\n"
        "describe.plan_json(planned, cost.predict(planned)); requirements.missing_requirements(planned)\n"
        "heavy = {'torch', 'transformers', 'trl', 'alfworld', 'textworld'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
