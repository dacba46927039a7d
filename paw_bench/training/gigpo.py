"""GiGPO: GRPO whose advantage is the episode's plus that of the step among those from the same state."""

from __future__ import annotations

from collections.abc import Sequence

from paw_bench.training.advantages.gigpo import step_advantages
from paw_bench.training.grpo import PawGRPOTrainer
from paw_bench.training.loop import Part, on_actions


class PawGiGPOTrainer(PawGRPOTrainer):
    """`PawGRPOTrainer` with A_E + omega * A_S on every action token (arXiv 2505.10978, equation 9)."""

    def _score(self, parts: Sequence[Part]) -> None:
        algorithm, rollout = self.run.experiment.algorithm, self._rollout_done
        steps = step_advantages(rollout.episodes, algorithm)
        for batch, numbers in parts:
            rows = [rollout.rows[number] for number in numbers]
            step = on_actions(batch, [steps[row.episode][row.action_turns] for row in rows])
            batch["advantages"] = batch["advantages"].unsqueeze(1) + algorithm.gigpo.step_weight * step
