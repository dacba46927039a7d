"""Study files: which arm searches what, and what is refused, with key, value and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from experiment_files import ROOT, SCALES
from tuning import STUDY, Tuning

from paw_bench.errors import ConfigError
from paw_bench.tune.load import load_study_file
from paw_bench.tune.study_file import StudyFile

ALPHA = "  world_model.selection.alpha: { low: 0.25, high: 1.0, step: 0.25 }\n"
RATE = "  algorithm.learning_rate: { low: 1e-6, high: 1e-2, log: true }\n"


def _load(folder: Path, *changes: tuple[str, str], **options: object) -> StudyFile:
    text = STUDY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return load_study_file(Tuning(folder, text).file, **options)  # type: ignore[arg-type]


def _searched(study: StudyFile) -> dict[str, list[str]]:
    return {arm: [each.key.split(".")[-1] for each in space.parameters] for arm, space in study.spaces.items()}


@pytest.mark.parametrize("scale", SCALES)
def test_the_shipped_study_loads_at_every_scale(scale: str) -> None:
    study = load_study_file(ROOT / "experiments" / "tune_paw.yaml", scale=scale)
    assert _searched(study) == {"grpo": ["learning_rate"], "paw": ["learning_rate", "alpha", "rho"]}
    for arm in study.spaces:
        assert study.resolve(arm, {}).evaluation.panel == "tune"
        assert study.experiment.resolve(arm, {}).evaluation.panel != "tune"


def test_an_arm_searches_the_keys_that_it_reads(tmp_path: Path) -> None:
    study = _load(tmp_path)
    assert _searched(study) == {"grpo": ["learning_rate"], "paw": ["learning_rate", "alpha", "kind", "rho"]}
    assert study.trials == {"grpo": 4, "paw": 4}
    runs = study.runs("paw", 3, {"algorithm.learning_rate": 1e-4, "world_model.loss.kind": "mae"})
    assert [(run.axes, run.seed) for run in runs] == [({"trial": 3}, 7)]
    config = runs[0].config.experiment
    assert (config.algorithm.learning_rate, config.world_model.loss.kind, config.evaluation.panel) == (
        1e-4, "mae", "tune",
    )  # fmt: skip


def test_layers_of_a_trial(tmp_path: Path) -> None:
    during = ("seeds: [7]", "seeds: [7]\nwhile_tuning: { training: { updates: 3 }, evaluation: { before: false } }")
    study = _load(tmp_path, during, overrides=["training.updates=4"])
    config = study.resolve("grpo", {})
    assert (config.training.updates, config.evaluation.before) == (4, False)
    best = study.experiment.resolve("grpo", {})
    assert (best.training.updates, best.evaluation.before, best.evaluation.panel) == (4, True, "valid_seen")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("trials: 4", "trials: 4\ntrails: 4", r"tune.yaml:\d+: trails: unknown key 'trails': did you mean 'trials'"),
        ("alpha: {", "alhpa: {", r"tune.yaml:7: .*unknown key 'alhpa': did you mean 'alpha'"),
        ("high: 1e-2", "high: -1", r"space\.algorithm\.learning_rate\.high: is out of range \(got -1\)"),
        ("high: 1e-2", "high: 1e-7", r"learning_rate\.high: is not above low"),
        ("high: 1e-2, log", "hihg: 1e-2, log", r"unknown key 'hihg': did you mean 'high'"),
        ("low: 1e-6, high: 1e-2, log: true", "choices: [1e-4, big]", r"choices\[1\]: has the wrong type"),
        ("low: 1e-6, high", "choices: [1], low: 1e-6, high", "needs either low and high, or choices"),
        ("step: 0.25", "step: 0.4", "do not meet it"),
        (ALPHA, "  evaluation.temperature: { low: 0.1, high: 1.0 }\n", "evaluation decides what is measured"),
        ("choices: [cmae, mae]", "choices: [cmae, mea]", "did you mean 'mae'"),
        (", when: { world_model.loss.kind: cmae }", "", r"is not read where world_model.loss.kind is mae"),
        ("kind: cmae }", "kind: gce }", "world_model.loss.kind never has this value"),
        ("when: { world_model.loss.kind", "when: { world_model.loss.knid", "is not searched above this key"),
        (ALPHA, ALPHA + "  algorithm.gigpo.discount: { low: 0.5, high: 1.0 }\n", "no arm reads this key"),
        ("arms: { grpo: , paw: }", "arms: { grpo: , pwa: }", "has no such arm: did you mean 'paw'"),
        ("seeds: [7]", "seeds: [7, 7]", "the seed 7 is there twice"),
        ("seeds: [7]", "seeds: []", r"seeds: has the wrong number of items"),
        ("kind: random", "kind: grid", "a grid needs values that can be counted"),
        ("trials: 4", "trials: 4\npruner: { kind: asha }", "there is nothing to judge them by"),
        ("seeds: [7]", "seeds: [7]\nwhile_tuning: { algorithm: { learning_rate: 1e-5 } }", "set by while_tuning"),
        ("arms: { grpo: , paw: }", "arms: { grpo: , paw: { trials: 9 } }", r"arms\.paw\.trials: a fair study gives"),
        (
            "arms: { grpo: , paw: }",
            "arms: { grpo: , paw: { space: { algorithm.learning_rate: { low: 1e-5, high: 1e-3 } } } }",
            r"arms\.paw\.space\.algorithm\.learning_rate: the arm 'grpo' reads this key too",
        ),
        ("experiment: tiny.yaml", "experiment: tinny.yaml", "there is no such file"),
    ],
)  # fmt: skip
def test_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        _load(tmp_path, (old, new))
    assert "remedy: " in str(refused.value)


def test_arms_that_play_other_games_are_no_fair_study(tmp_path: Path) -> None:
    tuning = Tuning(tmp_path)
    experiment = tmp_path / "tiny.yaml"
    experiment.write_text(
        experiment.read_text().replace("world_model: paw }", "world_model: paw, environment: { max_turns: 9 } }")
    )
    with pytest.raises(ConfigError, match=r"environment\.max_turns: a fair study plays the same games"):
        load_study_file(tuning.file)
    tuning.file.write_text(STUDY + "fair: false\n")
    assert not load_study_file(tuning.file).spec.fair


def test_what_is_not_fair_is_possible_where_the_file_says_so(tmp_path: Path) -> None:
    own = "arms: { grpo: , paw: { trials: 9, space: { algorithm.learning_rate: { choices: [1e-5] } } } }\nfair: false"
    study = _load(tmp_path, ("arms: { grpo: , paw: }", own))
    assert study.trials == {"grpo": 4, "paw": 9}
    assert [each.words() for each in study.spaces["paw"].parameters if each.choices == (1e-5,)] == ["1e-05"]


def test_a_searched_key_cannot_be_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"searched, and set by --set as well"):
        _load(tmp_path, overrides=["algorithm.learning_rate=1e-5"])


def test_an_experiment_that_reports_on_the_tune_panel_is_not_tuned(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the experiment must not report on it"):
        _load(tmp_path, overrides=["evaluation.panel=tune"])


def test_a_grid_has_every_combination_once_and_no_more_trials(tmp_path: Path) -> None:
    grid = [("kind: random", "kind: grid"), (RATE, RATE.replace("low: 1e-6, high: 1e-2, log: true", "choices: [1, 2]")),
            ("low: 0.05, high: 0.8, log: true", "low: 0.2, high: 0.4, step: 0.1")]  # fmt: skip
    study = _load(tmp_path, *grid, ("trials: 4", "trials: 2"))
    points = list(study.spaces["paw"].points())
    assert len(points) == 2 * 4 * (3 + 1)
    assert len({tuple(point.items()) for point in points}) == len(points)
    assert all(("world_model.loss.rho" in point) == (point["world_model.loss.kind"] == "cmae") for point in points)
    (tmp_path / "again").mkdir()
    with pytest.raises(ConfigError, match="the grid of the arm 'grpo' has only 2 points"):
        _load(tmp_path / "again", *grid)
