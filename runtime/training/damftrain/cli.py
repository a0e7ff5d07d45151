# SPDX-License-Identifier: MIT
"""The commands."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Callable

import numpy as np
import torch

from . import text
from .arguments import (
    add_distill,
    add_evaluate,
    add_export,
    add_finetune,
    add_glue_text,
    add_pack,
    add_pack_task,
    add_pareto,
    add_print_table,
    add_search,
    add_table1,
)
from .chart import learning_curve
from .columns import Columns, Labelled, number_labels, read_columns
from .convert import Calibration, make_student, student_spec
from .distill import Recipe, as_variant, prepare
from .engine import Engine
from .errors import TrainError
from .evaluate import evaluate, glue_dev
from .exchange import exchange
from .export import export
from .files import digest, load_any, load_student, save_student
from .finetune import Tune, TuneRecipe, scores, with_classes
from .glue import TASKS, pack_examples, read_task
from .gluetext import glue_sentences
from .intervals import intervals
from .loop import Budget, Loop, Options
from .model import Encoder, device_of, load_exact
from .pareto import Candidate, pareto, parse_models, plots, table
from .saving import save_atomically, save_json
from .search import Wish, read_spec, search_heads
from .spec import parse_variant
from .table1 import read_cells
from .tablejobs import fill_table
from .tabletext import EXACT_ROW
from .tabletext import table as table_text
from .teacher import teacher_of
from .text import Corpus, Packed


def emit(args: argparse.Namespace, result: dict[str, Any]) -> None:
    if args.json:
        print(json.dumps(result))
        return
    if "table" in result:
        print(result["table"])
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
        {**identity, "budget": asdict(budget), "seed": args.seed, "bf16": args.bf16},
        report=args.report,
        save_seconds=args.save_seconds,
        # singular values come from the host, which a captured step can't wait for
        graphs=not (args.no_graphs or args.rank_weight),
        quiet=args.quiet,
        bf16=args.bf16,
    )


def say(args: argparse.Namespace, line: str) -> None:
    """What a long part does before it has progress to show."""
    if not args.quiet:
        print(line, file=sys.stderr)


def inputs(args: argparse.Namespace) -> dict[str, str]:
    """What a result depends on: where it is, and a digest of what it holds."""
    names = ("teacher", "tuned", "start", "text", "data", "train")
    given = {name: getattr(args, name, None) for name in names}
    return {name: f"{path.resolve()} {digest(path)}" for name, path in given.items() if path}


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


def student_maker(args: argparse.Namespace, teacher: Encoder) -> Callable[[list[Calibration]], Encoder]:
    """A student by --variant or --spec, with what --start has learned."""
    start = load_student(args.start, teacher) if args.start else None
    if start and start.spec.classes != teacher.spec.classes:
        raise TrainError(
            f"{args.start}: has {start.spec.classes} classes, its teacher {teacher.spec.classes}"
        )
    if args.spec:
        spec, begin = read_spec(args.spec, teacher), start or teacher
        exact = begin if begin.spec.modes() == {"mhsa"} else teacher
        return lambda data: exchange(begin, spec, exact, data)
    variant = parse_variant(args.variant)
    if start is None:
        return lambda data: make_student(teacher, student_spec(teacher, variant, data), data)
    if start.spec.modes() == {"mhsa"} and variant.head.mode != "mhsa":
        if start.spec.kept:
            raise TrainError(f"{args.start}: has fewer layers than its teacher, and takes mhsa+layersN alone")
        return lambda data: make_student(start, student_spec(start, variant, data), data)
    student = as_variant(start, variant, args.start)
    return lambda data: student


def exact_teacher(tuned: Path | None, base: Encoder) -> Encoder:
    """What students are held against: the exact model, or one that `finetune` made of it."""
    if not tuned:
        return base
    teacher = load_any(tuned, base)
    if teacher.spec.modes() != {"mhsa"}:
        raise TrainError(f"{tuned}: has other attention than exact, and is no teacher")
    return teacher


def run_distill(args: argparse.Namespace) -> dict[str, Any]:
    torch.manual_seed(args.seed)
    device = device_of(args.device)
    base = load_exact(args.teacher).to(device)
    teacher = exact_teacher(args.tuned, base)
    recipe = Recipe(
        output_from=args.output_from,
        hidden_weight=args.hidden_weight,
        int8_from=args.int8_from,
        shift_from=args.shift_from,
        replaced_at=args.replaced_at,
        rank_weight=args.rank_weight,
        rate=args.rate,
        new_rate=args.new_rate,
    )
    packed, make = Packed.load(args.text), student_maker(args, teacher)
    say(args, f"{args.text}: {len(packed.lengths)} texts; fitting u and v to the scores that occur")
    job = prepare(teacher, packed, make, recipe, tokens=args.tokens, seed=args.seed, held_out=args.held_out)
    identity = {"variant": args.variant, "recipe": asdict(recipe), "tokens": args.tokens, **inputs(args)}
    identity["held_out"] = args.held_out
    if args.spec:
        identity["variant"] = json.dumps(job.model.spec.to_json()["layers"])
    chosen = options(args, identity)
    before = job.check()
    Loop(job, chosen).run()
    save_student(job.model, args.output, torch.float16 if args.half else torch.float32)
    save_curve(args, chosen.curve, job.names[1:])
    last = chosen.curve[-1] if chosen.curve else {}
    return {"before": before, **last}


def run_search(args: argparse.Namespace) -> dict[str, Any]:
    base = load_exact(args.teacher).to(device_of(args.device))
    teacher = exact_teacher(args.tuned, base)
    corpus = Corpus(Packed.load(args.text), base.words.weight.device)
    wish = Wish(**{field.name: getattr(args, field.name) for field in fields(Wish)})
    start = load_student(args.start, teacher) if args.start else None
    found, result = search_heads(teacher, start, corpus, wish, args.output, inputs(args), args.quiet)
    if args.json:
        return {**result, "scores": [dict(zip(found.head(), row)) for row in found.table]}
    lines = [f"{key}: {value}" for key, value in result.items()]
    return {"table": "\n".join([found.text(), "", *lines])}


def save_curve(args: argparse.Namespace, curve: list[dict[str, Any]], names: tuple[str, ...]) -> None:
    save_json(args.output / "curve.json", curve)
    drawn = learning_curve(f"{args.command} {args.output.name}", curve, names).encode()
    save_atomically(args.output / "curve.svg", lambda file: file.write(drawn))


def column_task(args: argparse.Namespace) -> tuple[Packed, Packed, list[str]]:
    """Training and dev parts of a user's tables, and the labels in order."""
    if not (args.train and args.dev and args.label_column):
        raise TrainError("--train, --dev, --text-column and --label-column go together")
    columns = Columns(tuple(args.text_column), args.label_column)
    train, dev = (read_columns(path, columns) for path in (args.train, args.dev))
    labels = sorted(set(train.labels))
    if len(labels) < 2:
        raise TrainError(f"{args.train}: column {columns.label} has one label alone: {labels[0]}")
    packed = [
        pack_examples(args.teacher, number_labels(path, part, labels))
        for path, part in ((args.train, train), (args.dev, dev))
    ]
    return packed[0], packed[1], labels


def tune_data(args: argparse.Namespace) -> tuple[Packed, Packed, list[str]]:
    if args.train or args.dev:
        return column_task(args)
    if not (args.data and args.task):
        raise TrainError("what to learn: give --data and --task, or --train and --dev with columns")
    train, dev = (Packed.load(args.data / f"{args.task}-{part}.npz") for part in ("train", "dev"))
    return train, dev, list(TASKS[args.task].labels)


def run_finetune(args: argparse.Namespace) -> dict[str, Any]:
    train, dev, labels = tune_data(args)
    base = load_exact(args.teacher).to(device_of(args.device))
    tuned = load_student(args.tuned, base) if args.tuned else None
    start = load_any(args.start, base) if args.start else base
    recipe = TuneRecipe(
        args.rate, args.new_rate, args.batch, int8_from=args.int8_from, rank_weight=args.rank_weight
    )
    corpus = text.Corpus(train, base.words.weight.device)
    teacher = teacher_of(tuned, corpus) if tuned else None
    job = Tune(with_classes(start, len(labels), args.seed), corpus, args.seed, recipe, teacher)
    if args.epochs:
        args.steps = round(args.epochs * job.plan.per_epoch)
    task = args.task or [str(args.train), args.text_column, args.label_column]
    identity = {"task": task, "labels": labels, "recipe": asdict(recipe), **inputs(args)}
    chosen = options(args, identity)
    Loop(job, chosen).run()
    save_student(job.model, args.output, torch.float16 if args.half else torch.float32)
    save_json(args.output / "labels.json", labels)
    save_curve(args, chosen.curve, job.names)
    result = scores(job.model, dev)
    result.pop("predicted")
    return {"task": task, "labels": labels, "steps": chosen.curve[-1]["step"], **result}


def run_print_table(args: argparse.Namespace) -> dict[str, Any]:
    cells = read_cells(args.results)
    missing = [task for task in TASKS if all(cell["task"] != task for cell in cells)]
    tasks = [task for task in TASKS if args.glue and (args.glue / task).is_dir()]
    if args.base != EXACT_ROW and all(cell["row"] != args.base for cell in cells):
        raise TrainError(f"{args.results}: has no row {args.base}; --base is one that is there")
    labels = {task: np.array(read_task(args.glue, task)[1].labels) for task in tasks}
    found = intervals(cells, labels, args.base)
    shown = [{"task": task, "row": row, "loss_interval": interval} for (task, row), interval in found.items()]
    drawn = table_text(cells, missing, found, args.base)
    return {"cells": cells, "missing": missing, "intervals": shown, "table": drawn}


def run_table1(args: argparse.Namespace) -> dict[str, Any]:
    fill_table(args)
    args.results, args.base = args.output, EXACT_ROW
    return run_print_table(args)


def run_export(args: argparse.Namespace) -> dict[str, Any]:
    base = load_exact(args.teacher)
    model = load_any(args.student, base)
    named = args.student / "labels.json"
    if not args.label and named.exists():
        args.label = json.loads(named.read_text(encoding="utf-8"))
    export(model, args.teacher, args.output, args.label, args.source)
    return {"output": str(args.output), "int8": model.spec.int8}


def judged_by(args: argparse.Namespace) -> tuple[Path, Labelled]:
    """What --glue and --task, or --data and its columns, say."""
    if args.task:
        if not args.glue:
            raise TrainError("--task needs --glue, the directory that holds it")
        return args.glue / args.task, glue_dev(args.glue, args.task)
    if args.data and args.label_column:
        return args.data, read_columns(args.data, Columns(tuple(args.text_column), args.label_column))
    raise TrainError("what to score on: give --glue and --task, or --data with its columns")


def run_evaluate(args: argparse.Namespace) -> dict[str, Any]:
    where, data = judged_by(args)
    extra = ("--attention", args.attention) if args.attention else ()
    engine = Engine(args.damf, args.model, args.backend, extra)
    other = Engine(args.damf, args.against, args.backend) if args.against else None
    return evaluate(engine, data, where, other)


def run_pareto(args: argparse.Namespace) -> dict[str, Any]:
    where, data = judged_by(args)
    candidates = [
        Candidate(name, args.damf, path, dtype)
        for name, path in parse_models(args.model)
        for dtype in args.dtype or ["f32", "int8"]
    ]
    points = pareto(candidates, data, where, args.length, args.rounds)
    args.output.mkdir(parents=True, exist_ok=True)
    for name, text in {"pareto.json": json.dumps(points, indent=1) + "\n", **plots(points)}.items():
        save_atomically(args.output / name, lambda file, text=text: file.write(text.encode()))
    return {"points": points} if args.json else {"table": table(points)}


COMMANDS = (
    ("glue-text", add_glue_text, run_glue_text, "the training sentences of GLUE, a line each"),
    ("pack", add_pack, run_pack, "tokenise text"),
    ("pack-task", add_pack_task, run_pack_task, "tokenise a GLUE task"),
    ("distill", add_distill, run_distill, "a student learns from an exact model and text"),
    ("search", add_search, run_search, "choose the attention of each head, by a budget"),
    ("finetune", add_finetune, run_finetune, "a model learns a task from labels"),
    ("export", add_export, run_export, "write a directory that damf reads"),
    ("evaluate", add_evaluate, run_evaluate, "score such a directory, by the damf command"),
    ("pareto", add_pareto, run_pareto, "scores of models beside their multiply-adds and times"),
    ("table1", add_table1, run_table1, "fill the cells of the paper's Table I"),
    ("print-table", add_print_table, run_print_table, "the table of cells that are there"),
)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="damftrain", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    for name, add, run, what in COMMANDS:
        command = commands.add_parser(name, help=what)
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
