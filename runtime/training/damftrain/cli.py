# SPDX-License-Identifier: MIT
"""The commands."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Callable

import numpy as np
import torch

from . import text
from .chart import learning_curve
from .columns import Columns, Labelled, number_labels, read_columns
from .convert import Calibration, make_student, student_spec
from .distill import Recipe, calibration, in_powers, prepare, split_rows
from .engine import Engine
from .errors import TrainError
from .evaluate import evaluate, glue_dev
from .exchange import exchange
from .export import export
from .files import load_any, load_student, save_student
from .finetune import Tune, TuneRecipe, scores, with_classes
from .glue import TASKS, pack_examples, read_task
from .gluetext import glue_sentences
from .loop import Budget, Loop, Options
from .model import Encoder, load_exact
from .pareto import Candidate, pareto, parse_models, plots, table
from .saving import save_atomically
from .search import LADDER, Search, Texts, parse_ladder
from .spec import ModelSpec, parse_variant
from .table1 import SEEDS, Row, Table, read_cells
from .tabletext import table as table_text
from .text import Corpus, Packed


def device_of(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_float32_matmul_precision("high")
    return torch.device(name)


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


def read_spec(path: Path, teacher: Encoder) -> ModelSpec:
    """Attention that `search` chose."""
    try:
        spec = ModelSpec.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainError(f"{path}: no attention of a model ({error}); `search` writes it to spec.json")
    heads = teacher.config.num_attention_heads
    if any(len(layer) != heads for layer in spec.layers):
        raise TrainError(f"{path}: layers have {heads} heads in this model, not {len(spec.layers[0])}")
    return replace(spec, int8=False, classes=teacher.spec.classes)


def student_maker(args: argparse.Namespace, teacher: Encoder) -> Callable[[list[Calibration]], Encoder]:
    """A student by --variant or --spec, with what --start has learned."""
    start = load_student(args.start, teacher) if args.start else None
    if args.spec:
        spec = read_spec(args.spec, teacher)
        return lambda data: exchange(start or teacher, spec, teacher, data)
    variant = parse_variant(args.variant)
    if start is None:
        return lambda data: make_student(teacher, student_spec(teacher, variant, data), data)
    in_powers(start, variant)
    return lambda data: start


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
    packed, make = Packed.load(args.text), student_maker(args, teacher)
    job = prepare(
        teacher, packed, make, recipe, tokens=args.tokens, seed=args.seed, held_out=args.held_out
    )
    identity = {"variant": args.variant, "recipe": asdict(recipe), "tokens": args.tokens}
    if args.spec:
        identity["variant"] = json.dumps(job.model.spec.to_json()["layers"])
    chosen = options(args, identity)
    before = job.check()
    Loop(job, chosen).run()
    save_student(job.model, args.output, torch.float16 if args.half else torch.float32)
    save_curve(args, chosen.curve, job.names[1:])
    last = chosen.curve[-1] if chosen.curve else {}
    return {"before": before, **last}


def search_start(args: argparse.Namespace, teacher: Encoder, data: list[Calibration]) -> Encoder:
    """A student that was distilled, or the ladder's first kind everywhere."""
    if args.start:
        model = load_student(args.start, teacher)
        model.set_int8(False)
        model.spec = replace(model.spec, int8=False)
        return model
    kind = next(iter(parse_ladder(args.ladder).values()))
    layers = tuple((kind,) * len(layer) for layer in teacher.spec.layers)
    return make_student(teacher, replace(teacher.spec, layers=layers), data)


@torch.no_grad()
def run_search(args: argparse.Namespace) -> dict[str, Any]:
    if bool(args.budget) == bool(args.fewer):
        raise TrainError("--budget or --fewer says how many multiply-adds attention may cost")
    base = load_exact(args.teacher).to(device_of(args.device))
    teacher = load_any(args.tuned, base) if args.tuned else base
    corpus = Corpus(Packed.load(args.text), base.words.weight.device)
    _, held = split_rows(len(corpus.lengths), args.held_out, args.seed)
    data = calibration(teacher, corpus, held)
    names = ("ladder", "length", "budget", "fewer", "rounds", "texts", "seed", "held_out")
    identity = {name: getattr(args, name) for name in names}
    found = Search(
        teacher, search_start(args, teacher, data), data, Texts(teacher, corpus, held[: args.texts]),
        parse_ladder(args.ladder), args.length, args.output / "scores.jsonl",
        {**identity, "start": str(args.start)}, args.rounds, args.quiet,
    )  # fmt: skip
    budget = int(args.budget or found.exact_macs() / args.fewer)
    result = found.run(budget)
    write_json(args.output / "spec.json", {**found.model.spec.to_json(), "search": result})
    if args.json:
        return {**result, "scores": [dict(zip(found.head(), row)) for row in found.table]}
    lines = [f"{key}: {value}" for key, value in result.items()]
    return {"table": "\n".join([found.text(), "", *lines])}


def save_curve(args: argparse.Namespace, curve: list[dict[str, Any]], names: tuple[str, ...]) -> None:
    write_json(args.output / "curve.json", curve)
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
    job = Tune(with_classes(start, len(labels), args.seed), train, args.seed, recipe, tuned)
    if args.epochs:
        args.steps = round(args.epochs * job.plan.per_epoch)
    task = args.task or [str(args.train), args.text_column, args.label_column]
    chosen = options(args, {"task": task, "labels": labels, "recipe": asdict(recipe)})
    Loop(job, chosen).run()
    save_student(job.model, args.output, torch.float16 if args.half else torch.float32)
    write_json(args.output / "labels.json", labels)
    save_curve(args, chosen.curve, job.names)
    result = scores(job.model, dev)
    result.pop("predicted")
    return {"task": task, "labels": labels, "steps": chosen.curve[-1]["step"], **result}


def run_print_table(args: argparse.Namespace) -> dict[str, Any]:
    cells = read_cells(args.results)
    missing = [task for task in TASKS if all(cell["task"] != task for cell in cells)]
    return {"cells": cells, "missing": missing, "table": table_text(cells, missing)}


def run_table1(args: argparse.Namespace) -> dict[str, Any]:
    rows = [Row.parse(row) for row in args.row]
    if not any((args.glue / task).is_dir() for task in TASKS):
        raise TrainError(
            f"{args.glue}: holds none of {', '.join(TASKS)}; give GLUE directories as distributed"
        )
    base = load_exact(args.teacher).to(device_of(args.device))
    table = Table(base, Packed.load(args.text), args.output, args.examples, args.epochs, not args.no_graphs)
    table.deadline = args.deadline or float("inf")
    for task in args.task or TASKS:
        if not (args.glue / task).is_dir():
            print(f"damftrain: {args.glue / task}: isn't there; {task} stays empty", file=sys.stderr)
            continue
        train, dev = (pack_examples(args.teacher, part) for part in read_task(args.glue, task))
        table.fill(task, rows, args.seeds or SEEDS.get(task, 3), train, dev)
    args.results = args.output
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


def add_columns(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--text-column", action="append", default=[], help="of a TSV; twice for pairs")
    parser.add_argument("--label-column", help="of a TSV")


def add_judged_by(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--glue", type=Path, help="GLUE directories as distributed")
    parser.add_argument("--task", choices=sorted([*TASKS, "STS-B"]), help="its dev set is used")
    parser.add_argument("--data", type=Path, help="a TSV with a line of names, in the place of a task")
    add_columns(parser)
    parser.add_argument("--damf", type=Path, default=Path("build/damf"), help="the command")


def add_pareto(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", action="append", required=True, metavar="NAME=DIR", help="for each point")
    add_judged_by(parser)
    parser.add_argument(
        "--dtype", action="append", choices=("f32", "bf16", "int8"), help="default: f32, int8"
    )
    parser.add_argument("--length", type=int, default=128, help="tokens of the text that is timed")
    parser.add_argument("--rounds", type=int, default=5, help="in which all models are timed in turn")
    parser.add_argument("--output", type=Path, required=True, help="gets pareto.json and the plots")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="directory that damf reads")
    add_judged_by(parser)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--against", type=Path, help="another model: differences with paired intervals")
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
    parser.add_argument("--variant", default="square+sinks", help="NAME[+sinks][+bandN][+rankN][+layersN]")
    parser.add_argument("--spec", type=Path, help="file made by `search`, in the place of --variant")
    parser.add_argument("--tokens", type=int, default=4096, help="of a batch, padding counted")
    parser.add_argument("--held-out", type=int, default=2000, help="texts kept from training")
    for name in ("output_from", "hidden_weight", "shift_from", "rate", "new_rate"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(defaults, name))


def add_search(parser: argparse.ArgumentParser) -> None:
    add_common(parser, training=True)
    parser.add_argument("--text", type=Path, required=True, help="file made by `pack`")
    parser.add_argument("--start", type=Path, help="a student that was trained before")
    parser.add_argument("--tuned", type=Path, help="what `finetune` made of the exact model, as teacher")
    parser.add_argument("--ladder", default=LADDER, help=f"kinds of heads, by comma (default: {LADDER})")
    parser.add_argument("--budget", type=float, default=0.0, help="multiply-adds of attention, all layers")
    parser.add_argument("--fewer", type=float, default=0.0, help="so many times fewer than exact attention")
    parser.add_argument("--length", type=int, default=128, help="tokens that these are counted at")
    parser.add_argument("--rounds", type=int, default=1, help="score anew after each part of the budget")
    parser.add_argument("--texts", type=int, default=500, help="held-out texts that heads are scored on")
    parser.add_argument("--held-out", type=int, default=2000, help="as of `distill`")
    parser.add_argument("--quiet", action="store_true")


def add_finetune(parser: argparse.ArgumentParser) -> None:
    add_training(parser)
    parser.add_argument("--data", type=Path, help="directory of `pack-task`")
    parser.add_argument("--task", choices=sorted(TASKS))
    parser.add_argument("--train", type=Path, help="a TSV with a line of names, in the place of a task")
    parser.add_argument("--dev", type=Path, help="the same, to be judged by")
    add_columns(parser)
    parser.add_argument("--epochs", type=float, default=0.0)
    parser.add_argument(
        "--rank-weight", type=float, default=0.0, help="of L_MS, eq. 9 (on a GPU it needs --no-graphs)"
    )
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=5e-5)
    parser.add_argument("--new-rate", type=float, default=5e-4)


def add_table1(parser: argparse.ArgumentParser) -> None:
    add_common(parser, training=True)
    parser.add_argument("--text", type=Path, required=True, help="file made by `pack`, for starting points")
    parser.add_argument("--glue", type=Path, required=True, help="GLUE directories as distributed")
    parser.add_argument("--task", choices=sorted(TASKS), action="append", help="default: all")
    parser.add_argument("--row", action="append", required=True, help="NAME=VARIANT[:DIR of a student]")
    parser.add_argument("--seeds", type=int, default=0, help="default: 3, of MRPC and RTE 5")
    parser.add_argument("--examples", type=int, default=16000)
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument(
        "--deadline", type=float, default=0.0, help="seconds since 1970 after which no cell begins"
    )


def add_glue_text(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--glue", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--json", action="store_true")


def add_pack(parser: argparse.ArgumentParser) -> None:
    add_common(parser, training=False)
    parser.add_argument("--text", type=Path, action="append", required=True, help="a sentence a line")
    parser.add_argument("--exclude", type=Path, action="append", default=[], help="lines that are left out")
    parser.add_argument("--join", type=float, default=0.1, help="rows of several texts, as a part")
    parser.add_argument("--output", type=Path, required=True)


def add_pack_task(parser: argparse.ArgumentParser) -> None:
    add_common(parser, training=False)
    parser.add_argument("--glue", type=Path, required=True)
    parser.add_argument("--task", choices=sorted(TASKS), required=True)
    parser.add_argument("--output", type=Path, required=True)


def add_export(parser: argparse.ArgumentParser) -> None:
    add_common(parser, training=False)
    parser.add_argument("--student", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--label", action="append", default=[], help="of each class, in order")
    parser.add_argument("--source", default="all-MiniLM-L6-v2", help="for people: where it came from")


def add_print_table(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, required=True, help="file made by `table1`")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


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
