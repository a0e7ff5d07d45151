# SPDX-License-Identifier: MIT
"""The training loop: schedule, checkpoints, progress, and captured steps on a GPU."""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Hashable, Protocol

import torch
from torch import Tensor, nn

from .attention import set_bf16
from .errors import TrainError
from .saving import save_atomically
from .text import Plan

EAGER = 2  # steps of a shape before it is captured


class Job(Protocol):
    """What is trained: a model, and a loss for rows of its text."""

    plan: Plan

    @property
    def model(self) -> nn.Module: ...
    @property
    def names(self) -> tuple[str, ...]:
        """Of the losses, the first being the one that is minimised."""

    def groups(self) -> list[dict[str, Any]]: ...
    def stage(self, fraction: float) -> Hashable: ...
    def enter(self, stage: Any) -> None:
        """Takes what stage gave."""

    def losses(self, rows: Tensor, width: int) -> Tensor: ...
    def check(self) -> dict[str, float]: ...


@dataclass(frozen=True)
class Budget:
    """How long to train. With minutes the number of steps depends on the machine."""

    steps: int = 0
    minutes: float = 0.0
    warmup: float = 0.03

    def fraction(self, step: int, seconds: float) -> float:
        parts = [0.0]
        if self.steps:
            parts.append(step / self.steps)
        if self.minutes:
            parts.append(seconds / (60 * self.minutes))
        return max(parts)

    def rate(self, fraction: float) -> float:
        """Up in the warm-up, then down to 0 along a cosine."""
        if fraction < self.warmup:
            return 0.02 + 0.98 * fraction / self.warmup
        rest = (fraction - self.warmup) / (1 - self.warmup)
        return 0.5 + 0.5 * math.cos(math.pi * min(rest, 1.0))


@dataclass
class Options:
    budget: Budget
    checkpoint: Path
    identity: dict[str, Any]  # what must be equal for a checkpoint to be taken up
    report: int = 50
    save_seconds: float = 60.0
    checks: int = 20  # over the run
    clip: float = 1.0
    graphs: bool = True
    quiet: bool = False
    bf16: bool = False  # products while training
    curve: list[dict[str, Any]] = field(default_factory=list)


class Loop:
    """Trains a job to the end of its budget, from its checkpoint if there is one."""

    def __init__(self, job: Job, options: Options) -> None:
        self.job, self.options = job, options
        self.device = next(job.model.parameters()).device
        self.cuda = self.device.type == "cuda"
        self.parameters = [p for group in job.groups() for p in group["params"]]
        groups = [{**g, "lr": self.number(g["lr"]), "base": g["lr"]} for g in job.groups()]
        self.optimizer = torch.optim.AdamW(
            groups, weight_decay=0.0, betas=(0.9, 0.98), fused=True, capturable=self.cuda
        )
        self.sums = torch.zeros(len(job.names), device=self.device)
        self.step, self.seconds, self.stage = 0, 0.0, None  # type: int, float, Hashable
        self.graphs: dict[Any, Any] = {}
        self.seen: dict[Any, int] = {}
        self.pool: Any = None

    def number(self, value: float) -> Any:
        return torch.tensor(value, device=self.device) if self.cuda else value

    def set_rate(self, factor: float) -> None:
        for group in self.optimizer.param_groups:
            if self.cuda:
                group["lr"].fill_(group["base"] * factor)
            else:
                group["lr"] = group["base"] * factor

    def once(self, rows: Tensor, width: int) -> None:
        """One step, with nothing that waits for the device."""
        self.optimizer.zero_grad(set_to_none=True)
        losses = self.job.losses(rows, width)
        losses[0].backward()
        nn.utils.clip_grad_norm_(self.parameters, self.options.clip, foreach=True)
        self.optimizer.step()
        self.sums += losses.detach()

    def advance(self) -> None:
        width, rows = self.job.plan[self.step]
        if not (self.cuda and self.options.graphs):
            self.once(rows.to(self.device), width)
            return
        key = (self.stage, width, len(rows))
        if key in self.graphs:
            graph, static = self.graphs[key]
            static.copy_(rows, non_blocking=True)
            graph.replay()
            return
        self.seen[key] = self.seen.get(key, 0) + 1
        self.once(rows.to(self.device), width)
        if self.seen[key] == EAGER:
            self.capture(key, rows, width)

    def capture(self, key: Any, rows: Tensor, width: int) -> None:
        static, graph = rows.to(self.device), torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        with torch.cuda.graph(graph, pool=self.pool, stream=torch.cuda.current_stream()):
            self.once(static, width)
        self.pool = self.pool or graph.pool()
        self.graphs[key] = (graph, static)

    def enter(self, stage: Hashable) -> None:
        if stage != self.stage:
            self.stage = stage
            self.graphs, self.pool = {}, None
            self.job.enter(stage)

    def save(self) -> None:
        state = {
            "identity": json.dumps(self.options.identity, sort_keys=True),
            "step": self.step,
            "seconds": self.seconds,
            "model": self.job.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "curve": json.dumps(self.options.curve),
        }
        save_atomically(self.options.checkpoint, lambda file: torch.save(state, file))

    def resume(self) -> None:
        path = self.options.checkpoint
        if not path.exists():
            return
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
        except Exception as error:  # of many types, and their text is long
            raise TrainError(f"{path}: not a checkpoint, or damaged; remove it to start anew") from error
        if state["identity"] != json.dumps(self.options.identity, sort_keys=True):
            raise TrainError(
                f"{path}: is of a run with other options; remove it to start anew, or give another --output"
            )
        self.step, self.seconds = state["step"], state["seconds"]
        self.options.curve[:] = json.loads(state["curve"])
        self.job.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])

    def report(self, fraction: float, since: int, check: bool) -> None:
        means = (self.sums / max(1, self.step - since)).tolist()
        self.sums.zero_()
        entry = {"step": self.step, "seconds": round(self.seconds, 2), "stage": str(self.stage)}
        entry.update(zip(self.job.names, means))
        if not math.isfinite(means[0]):
            raise TrainError(f"the loss is {means[0]} at step {self.step}; lower the learning rates")
        if check:
            entry["held_out"] = self.job.check()
        self.options.curve.append(entry)
        if not self.options.quiet:
            left = self.seconds * (1 - fraction) / fraction if fraction > 0 else 0
            shown = "  ".join(f"{n} {m:.4f}" for n, m in zip(self.job.names, means))
            eta = f"{int(left) // 60}:{int(left) % 60:02d} left"
            print(f"step {self.step}  {100 * min(fraction, 1):.1f}%  {shown}  {eta}", file=sys.stderr)

    def run(self) -> None:
        self.resume()
        set_bf16(self.job.model, self.options.bf16)
        if self.cuda:
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                self.train()
                torch.cuda.synchronize()
        else:
            self.train()
        set_bf16(self.job.model, False)

    def train(self) -> None:
        budget, options = self.options.budget, self.options
        begin, since = time.monotonic() - self.seconds, self.step
        saved, checked = time.monotonic(), self.seconds and budget.fraction(self.step, self.seconds)
        fraction = budget.fraction(self.step, self.seconds)
        while fraction < 1:
            self.enter(self.job.stage(fraction))
            self.set_rate(budget.rate(fraction))
            self.advance()
            self.step += 1
            if self.step % 10 == 0 and self.cuda:
                torch.cuda.current_stream().synchronize()
            self.seconds = time.monotonic() - begin
            fraction = budget.fraction(self.step, self.seconds)
            if self.step % options.report == 0 or fraction >= 1:
                check = fraction - checked >= 1 / options.checks or fraction >= 1
                checked = fraction if check else checked
                self.report(fraction, since, check)
                since = self.step
            if time.monotonic() - saved > options.save_seconds:
                self.save()
                saved = time.monotonic()
        self.save()
