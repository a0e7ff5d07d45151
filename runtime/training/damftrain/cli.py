# SPDX-License-Identifier: MIT
"""The commands."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import text
from .columns import Columns, read_columns
from .distill import Recipe, prepare, set_mode
from .engine import Engine
from .errors import TrainError
from .evaluate import evaluate, glue_dev
from .export import export
from .files import load_any, load_student, save_student
from .finetune import Tune, TuneRecipe, scores, with_classes
from .glue import TASKS, pack_examples, read_task
from .gluetext import glue_sentences
from .loop import Budget, Loop, Options, save_atomically
from .model import Encoder, load_exact
from .spec import parse_variant
from .table1 import Row, Table, summary
from .text import Packed


def device_of(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_float32_matmul_precision("high")
    return torch.device(name)


def emit(args: argparse.Namespace, result: dict[str, Any]) -> None:
    if args.json:
        print(json.dumps(result))
        return
    for key, value in result.items():
        print(f"{key}: {value}")


def options(args: argparse.Namespace, identity: dict[str, Any]) -> Options:
    budget = Budget(args.steps, args.minutes)
    if not (args.steps or args.minutes):
        raise TrainError("--steps or --minutes says how long to train")
    place: Path = args.output / "checkpoint"
    return Options(
        budget,
        place,
        {**identity, "budget": asdict(budget), "seed": args.seed},
        report=args.report,
        save_seconds=args.save_seconds,
        graphs=not args.no_graphs,
        quiet=args.quiet,
    )


def write_json(path: Path, data: Any) -> None:
    encoded = json.dumps(data, indent=1).encode()
    save_atomically(path, lambda file: file.write(encoded))


def run_glue_text(args: argparse.Namespace) -> dict[str, Any]:
    sentences = glue_sentences(args.glue)
    encoded = ("\n".join(sentences) + "\n").encode()
    save_atomically(args.output, lambda file: file.write(encoded))
    return {"sentences": len(sentences)}


def run_pack(args: argparse.Namespace) -> dict[str, Any]:
    excluded = {line for path in args.exclude for line in text.read_lines(path)}
    texts = [line for path in args.text for line in text.read_lines(path)]
    texts = [line for line in dict.fromkeys(texts) if line not in excluded]
    rows = text.tokenize(args.teacher, texts)
    rows += text.join_rows(rows, int(len(rows) * args.join), args.seed)
    packed = text.pack(rows)
    packed.save(args.output)
    return {"texts": len(texts), "rows": len(rows), "tokens": int(packed.lengths.sum(dtype=np.int64))}


def run_pack_task(args: argparse.Namespace) -> dict[str, Any]:
    result = {}
    for part, examples in zip(("train", "dev"), read_task(args.glue, args.task)):
        packed = pack_examples(args.teacher, examples)
        packed.save(args.output / f"{args.task}-{part}.npz")
        result[part] = len(examples)
    return result


def student_of(args: argparse.Namespace, job: Any, teacher: Encoder) -> None:
    """A student that was distilled before takes the place of the new one."""
    if args.start is None:
        return
    old = load_student(args.start, teacher)
    head, _ = parse_variant(args.variant)
    if head.mode in ("foldshift", "shift"):
        set_mode(old, "fold", head.mode)
    job.model = old


def run_distill(args: argparse.Namespace) -> dict[str, Any]:
    torch.manual_seed(args.seed)
    device = device_of(args.device)
    base = load_exact(args.teacher).to(device)
    teacher = load_any(args.tuned, base) if args.tuned else base
    recipe = Recipe(
        output_from=args.output_from,
        hidden_weight=args.hidden_weight,
        int8_from=args.int8_from,
        shift_from=args.shift_from,
        rate=args.rate,
        new_rate=args.new_rate,
    )
    head, bands = parse_variant(args.variant)
    packed = Packed.load(args.text)
    job = prepare(
        teacher, packed, head, bands, recipe, tokens=args.tokens, seed=args.seed, held_out=args.held_out
    )
    student_of(args, job, teacher)
    identity = {"variant": args.variant, "recipe": asdict(recipe), "tokens": args.tokens}
    chosen = options(args, identity)
    before = job.check()
    Loop(job, chosen).run()
    save_student(job.model, args.output, torch.float16 if args.half else torch.float32)
    write_json(args.output / "curve.json", chosen.curve)
    last = chosen.curve[-1] if chosen.curve else {}
    return {"before": before, **last}


def run_finetune(args: argparse.Namespace) -> dict[str, Any]:
    device = device_of(args.device)
    base = load_exact(args.teacher).to(device)
    tuned = load_student(args.tuned, base) if args.tuned else None
    start = load_any(args.start, base) if args.start else base
    train, dev = (Packed.load(args.data / f"{args.task}-{part}.npz") for part in ("train", "dev"))
    recipe = TuneRecipe(args.rate, args.new_rate, args.batch, int8_from=args.int8_from)
    job = Tune(with_classes(start, 2, args.seed), train, args.seed, recipe, tuned)
    if args.epochs:
        args.steps = round(args.epochs * job.plan.per_epoch)
    chosen = options(args, {"task": args.task, "recipe": asdict(recipe)})
    Loop(job, chosen).run()
    save_student(job.model, args.output, torch.float16 if args.half else torch.float32)
    write_json(args.output / "curve.json", chosen.curve)
    result = scores(job.model, dev)
    result.pop("predicted")
    return {"task": args.task, "steps": chosen.curve[-1]["step"], **result}


def run_table1(args: argparse.Namespace) -> dict[str, Any]:
    base = load_exact(args.teacher).to(device_of(args.device))
    table = Table(base, Packed.load(args.text), args.output, args.examples, args.epochs, not args.no_graphs)
    table.deadline = args.deadline or float("inf")
    rows = [Row.parse(row) for row in args.row]
    for task in args.task:
        train, dev = (Packed.load(args.data / f"{task}-{part}.npz") for part in ("train", "dev"))
        table.fill(task, rows, args.seeds, train, dev)
    return {"cells": summary(args.output) if args.output.exists() else []}


def run_export(args: argparse.Namespace) -> dict[str, Any]:
    base = load_exact(args.teacher)
    model = load_any(args.student, base)
    export(model, args.teacher, args.output, args.label, args.source)
    return {"output": str(args.output), "int8": model.spec.int8}


def run_evaluate(args: argparse.Namespace) -> dict[str, Any]:
    if args.task:
        if not args.glue:
            raise TrainError("--task needs --glue, the directory that holds it")
        where, data = args.glue / args.task, glue_dev(args.glue, args.task)
    elif args.data and args.label_column:
        where, data = args.data, read_columns(args.data, Columns(tuple(args.text_column), args.label_column))
    else:
        raise TrainError("what to score on: give --glue and --task, or --data with its columns")
    extra = ("--attention", args.attention) if args.attention else ()
    return evaluate(Engine(args.damf, args.model, args.backend, extra), data, where)


def add_columns(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--text-column", action="append", default=[], help="of a TSV; twice for pairs")
    parser.add_argument("--label-column", help="of a TSV")


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="directory that damf reads")
    parser.add_argument("--glue", type=Path, help="GLUE directories as distributed")
    parser.add_argument("--task", choices=sorted([*TASKS, "STS-B"]), help="its dev set is used")
    parser.add_argument("--data", type=Path, help="a TSV with a line of names, in the place of a task")
    add_columns(parser)
    parser.add_argument("--damf", type=Path, default=Path("build/damf"), help="the command")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--attention", help="another mode than the model's")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_common(parser: argparse.ArgumentParser, *, training: bool) -> None:
    parser.add_argument(
        "--teacher", type=Path, required=True, help="Hugging Face directory of the exact model"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--seed", type=int, default=0)
    if not training:
        return
    parser.add_argument("--device", default="auto", help="auto (default), cpu or cuda")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--no-graphs", action="store_true", help="on a GPU, don't capture steps")


def add_training(parser: argparse.ArgumentParser) -> None:
    add_common(parser, training=True)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=0.0, help="stop after so long instead")
    parser.add_argument("--report", type=int, default=50, help="steps between two lines of progress")
    parser.add_argument("--save-seconds", type=float, default=60.0, help="time between two checkpoints")
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--half", action="store_true", help="write the student in half precision")
    parser.add_argument("--start", type=Path, help="a student that was trained before")
    parser.add_argument("--tuned", type=Path, help="what `finetune` made of the exact model, as teacher")
    parser.add_argument(
        "--int8-from", type=float, default=1.0, help="part of the run after which products are int8"
    )


def add_distill(parser: argparse.ArgumentParser) -> None:
    add_training(parser)
    defaults = Recipe()
    parser.add_argument("--text", type=Path, required=True, help="file made by `pack`")
    parser.add_argument("--variant", default="square+sinks", help="NAME[+sinks][+bandN][+rankN]")
    parser.add_argument("--tokens", type=int, default=4096, help="of a batch, padding counted")
    parser.add_argument("--held-out", type=int, default=2000, help="texts kept from training")
    for name in ("output_from", "hidden_weight", "shift_from", "rate", "new_rate"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(defaults, name))


def add_finetune(parser: argparse.ArgumentParser) -> None:
    add_training(parser)
    parser.add_argument("--data", type=Path, required=True, help="directory of `pack-task`")
    parser.add_argument("--task", choices=sorted(TASKS), required=True)
    parser.add_argument("--epochs", type=float, default=0.0)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=5e-5)
    parser.add_argument("--new-rate", type=float, default=5e-4)


def add_table1(parser: argparse.ArgumentParser) -> None:
    add_common(parser, training=True)
    parser.add_argument("--text", type=Path, required=True, help="file made by `pack`, for starting points")
    parser.add_argument("--data", type=Path, required=True, help="directory of `pack-task`")
    parser.add_argument("--task", choices=sorted(TASKS), action="append", required=True)
    parser.add_argument("--row", action="append", required=True, help="NAME=VARIANT[:DIR of a student]")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--examples", type=int, default=16000)
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument(
        "--deadline", type=float, default=0.0, help="seconds since 1970 after which no cell begins"
    )


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="damftrain", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    plain = commands.add_parser("glue-text", help="the training sentences of GLUE, a line each")
    plain.add_argument("--glue", type=Path, required=True)
    plain.add_argument("--output", type=Path, required=True)
    plain.add_argument("--json", action="store_true")
    plain.set_defaults(run=run_glue_text)
    packing = commands.add_parser("pack", help="tokenise text")
    add_common(packing, training=False)
    packing.add_argument("--text", type=Path, action="append", required=True, help="a sentence a line")
    packing.add_argument("--exclude", type=Path, action="append", default=[], help="lines that are left out")
    packing.add_argument("--join", type=float, default=0.1, help="rows of several texts, as a part")
    packing.add_argument("--output", type=Path, required=True)
    packing.set_defaults(run=run_pack)
    task = commands.add_parser("pack-task", help="tokenise a GLUE task")
    add_common(task, training=False)
    task.add_argument("--glue", type=Path, required=True)
    task.add_argument("--task", choices=sorted(TASKS), required=True)
    task.add_argument("--output", type=Path, required=True)
    task.set_defaults(run=run_pack_task)
    out = commands.add_parser("export", help="write a directory that damf reads")
    add_common(out, training=False)
    out.add_argument("--student", type=Path, required=True)
    out.add_argument("--output", type=Path, required=True)
    out.add_argument("--label", action="append", default=[], help="of each class, in order")
    out.add_argument("--source", default="all-MiniLM-L6-v2", help="for people: where it came from")
    out.set_defaults(run=run_export)
    for name, add, run in (
        ("evaluate", add_evaluate, run_evaluate),
        ("distill", add_distill, run_distill),
        ("finetune", add_finetune, run_finetune),
        ("table1", add_table1, run_table1),
    ):
        command = commands.add_parser(name)
        add(command)
        command.set_defaults(run=run)
    return top


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        emit(args, args.run(args))
    except TrainError as error:
        print(f"damftrain: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    return 0
