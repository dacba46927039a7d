"""A worker process of the pool: `python -m paw_bench.envs.worker FD`. It never imports torch.

It answers the requests that come through the socket FD one by one, so that the pool knows which of them hangs. A thread
reads ahead: when the pool's end of the socket closes the process ends at once, whatever its main thread is doing.
Another one writes behind: a socket holds few answers, and the pool takes none while the engine generates.
"""

from __future__ import annotations

import gc
import os
import queue
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection

from paw_bench.config.schema import EnvironmentConfig
from paw_bench.envs.definition import definition
from paw_bench.envs.messages import Act, Answer, Begin, Forget, Ready, Request
from paw_bench.envs.protocol import Environment, StepResult


def serve(connection: Connection) -> None:
    """Answer requests until the pool goes away. The pool's first message is the config."""
    config: EnvironmentConfig = connection.recv()
    requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
    answers: queue.SimpleQueue[Ready | Answer] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(connection, requests), daemon=True).start()
    threading.Thread(target=_write, args=(connection, answers), daemon=True).start()
    environments: dict[int, Environment] = {}
    definition(config.name).make(config).close()  # imports and data take their time: nobody waits for an answer yet
    # Environments make much that stays, and looking through all of it often takes longer than their steps.
    gc.freeze()
    gc.set_threshold(10_000, 10, 100)
    answers.put(Ready())
    while True:
        request = requests.get()
        if isinstance(request, Forget):
            for slot in list(environments) if request.slot is None else [request.slot]:
                _close(slot, environments)
            if request.slot is None:
                gc.collect()
            continue
        started = time.perf_counter()
        try:
            result, error = _result(request, config, environments), ""
        except Exception:
            result, error = None, traceback.format_exc()
        answers.put(Answer(request.slot, result, time.perf_counter() - started, error))


def _result(request: Begin | Act, config: EnvironmentConfig, environments: dict[int, Environment]) -> StepResult:
    if isinstance(request, Act):
        result = environments[request.slot].step(request.action)
    else:
        _close(request.slot, environments)
        environment = environments[request.slot] = definition(config.name).make(config)
        result = environment.reset(request.task, request.seed)
        for action in request.actions:
            result = environment.step(action)
    if result.done:
        _close(request.slot, environments)
    return result


def _close(slot: int, environments: dict[int, Environment]) -> None:
    if slot in environments:
        environments.pop(slot).close()


def _write(connection: Connection, answers: queue.SimpleQueue[Ready | Answer]) -> None:
    while True:
        try:
            connection.send(answers.get())
        except OSError:
            os._exit(0)  # the pool went away


def _read(connection: Connection, requests: queue.SimpleQueue[Request]) -> None:
    while True:
        try:
            for request in connection.recv():
                requests.put(request)
        except (EOFError, OSError):
            os._exit(0)


if __name__ == "__main__":
    try:
        serve(Connection(int(sys.argv[1])))
    except (EOFError, OSError):
        os._exit(0)  # the pool went away
