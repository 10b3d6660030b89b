"""The peers' side of a comparison: does the work it is told to, and times it.

Reads requests as lines of JSON from standard input and answers on descriptor 3, as `bench/speed/worker.ts` does.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

CHECKED_STEPS = 3
CHECKED_NUMBERS = 4096


@dataclass
class Task:
    """A piece of work that is ready to be done again and again."""

    run: Callable[[], object]
    # Numbers that any right implementation comes to.
    check: Callable[[], list[float]]
    # What does the work, besides PyTorch.
    packages: list[str]


def create_task(work: dict[str, Any], inputs: str, variant: str) -> Task:
    """Prepares the work; what only one kind needs is imported for that kind alone, for it takes memory."""
    arrays = load_file(inputs)
    weights, batch = named(arrays, "weights."), named(arrays, "batch.")
    kind = work["kind"]
    if kind == "POSTTRAIN":
        import alignsae

        return step_task(
            alignsae.create_step(work, weights, batch, "fused" in variant), []
        )
    if kind == "PRETRAIN":
        import saelens

        return step_task(
            saelens.create_step(work, weights, batch, variant), ["sae-lens"]
        )
    import models

    if kind == "MODEL_STEP":
        return step_task(
            models.create_step(work, weights, batch, "fused" in variant), ["transformers"]
        )
    if kind == "CAPTURE":
        capture = models.create_capture(work, weights, batch)
        return Task(capture, lambda: sample(capture()), ["transformers"])
    generate = models.create_generation(work, weights, batch)
    return Task(generate, lambda: generate().flatten().tolist(), ["transformers"])


def named(arrays: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in arrays.items()
        if name.startswith(prefix)
    }


def step_task(step: Callable[[], float], packages: list[str]) -> Task:
    return Task(step, lambda: [step() for _ in range(CHECKED_STEPS)], packages)


def sample(values: Tensor) -> list[float]:
    flat = values.flatten()
    stride = -(-flat.numel() // CHECKED_NUMBERS)
    return flat[::stride].tolist()


def time_runs(task: Task, times: int) -> list[float]:
    """Milliseconds of each run."""
    ms = []
    for _ in range(times):
        started = time.perf_counter()
        task.run()
        ms.append((time.perf_counter() - started) * 1000)
    return ms


class Worker:
    """Answers one request after the other."""

    def __init__(self) -> None:
        self._task: Task | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """What is asked for, by the request's type."""
        if request["type"] == "setup":
            return {"versions": self._set_up(request), "units": 1}
        if self._task is None:
            raise RuntimeError("nothing is set up")
        if request["type"] == "check":
            return {"values": self._task.check()}
        return {"ms": time_runs(self._task, request["times"])}

    def _set_up(self, request: dict[str, Any]) -> dict[str, str]:
        torch.set_num_threads(request["threads"])
        self._task = create_task(request["work"], request["inputs"], request["variant"])
        versions = {name: version(name) for name in ["torch", *self._task.packages]}
        return {"python": platform.python_version(), **versions}


def main() -> None:
    worker = Worker()
    with os.fdopen(3, "w") as replies:
        for line in sys.stdin:
            try:
                answer = worker.answer(json.loads(line))
            except Exception as error:  # noqa: BLE001 — whatever it is, the driver reports it
                answer = {"error": f"{type(error).__name__}: {error}"}
            replies.write(json.dumps(answer) + "\n")
            replies.flush()


if __name__ == "__main__":
    main()
