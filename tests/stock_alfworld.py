"""Plays commands on stock textworld, as ALFWorld wraps it: `python stock_alfworld.py IN.json OUT.json`.

In a process of its own, because the engine under test changes textworld's text generation.
"""

import json
import sys
from pathlib import Path

import textworld
from alfworld.agents.environment.alfred_tw_env import AlfredDemangler, AlfredInfos
from textworld.envs import PddlEnv


def transcript(env, path, commands):
    env.load(path)
    state = env.reset()
    lines = [[state["feedback"], state["admissible_commands"]]]
    for command in commands:
        state, reward, done = env.step(command)
        lines.append([state["feedback"], state["admissible_commands"], reward, done])
    return lines


if __name__ == "__main__":
    infos = textworld.EnvInfos(admissible_commands=True, won=True)
    stock = AlfredInfos(AlfredDemangler(PddlEnv(infos)))
    walks = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[2]).write_text(json.dumps([transcript(stock, path, commands) for path, commands in walks]))
