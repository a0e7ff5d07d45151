# SPDX-License-Identifier: MIT
"""The arguments of the commands."""

from __future__ import annotations

import argparse
from pathlib import Path

from .distill import Recipe
from .glue import TASKS
from .search import Wish
from .tabletext import EXACT_ROW


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


def add_steps(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-graphs", action="store_true", help="on a GPU, don't capture steps")
    parser.add_argument("--bf16", action="store_true", help="products of training in bf16")


def add_training(parser: argparse.ArgumentParser) -> None:
    add_common(parser, training=True)
    add_steps(parser)
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


def add_rank_weight(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rank-weight", type=float, default=0.0, help="of L_MS, eq. 9; on a GPU it makes steps slower"
    )


def add_distill(parser: argparse.ArgumentParser) -> None:
    add_training(parser)
    add_rank_weight(parser)
    defaults = Recipe()
    parser.add_argument("--text", type=Path, required=True, help="file made by `pack`")
    parser.add_argument("--variant", default="square+sinks", help="NAME[+sinks][+bandN][+rankN][+layersN]")
    parser.add_argument("--spec", type=Path, help="file made by `search`, in the place of --variant")
    parser.add_argument("--tokens", type=int, default=4096, help="of a batch, padding counted")
    parser.add_argument("--held-out", type=int, default=2000, help="texts kept from training")
    for name in ("output_from", "hidden_weight", "shift_from", "rate", "new_rate"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(defaults, name))
    parser.add_argument(
        "--replaced-at", type=float, default=defaults.replaced_at,
        help="part of the run after which all layers have their own attention, the first ones sooner",
    )  # fmt: skip


def add_search(parser: argparse.ArgumentParser) -> None:
    add_common(parser, training=True)
    parser.add_argument("--text", type=Path, required=True, help="file made by `pack`")
    parser.add_argument("--start", type=Path, help="a student that was trained before")
    parser.add_argument("--tuned", type=Path, help="what `finetune` made of the exact model, as teacher")
    wish = Wish()
    parser.add_argument(
        "--ladder", default=wish.ladder, help=f"kinds of heads, by comma (default: {wish.ladder})"
    )
    parser.add_argument("--budget", type=float, default=0.0, help="multiply-adds of attention, all layers")
    parser.add_argument("--fewer", type=float, default=0.0, help="so many times fewer than exact attention")
    parser.add_argument("--length", type=int, default=wish.length, help="tokens that these are counted at")
    parser.add_argument("--texts", type=int, default=wish.texts, help="held-out texts to score heads on")
    parser.add_argument("--held-out", type=int, default=wish.held_out, help="as of `distill`")
    parser.add_argument("--quiet", action="store_true")


def add_finetune(parser: argparse.ArgumentParser) -> None:
    add_training(parser)
    parser.add_argument("--data", type=Path, help="directory of `pack-task`")
    parser.add_argument("--task", choices=sorted(TASKS))
    parser.add_argument("--train", type=Path, help="a TSV with a line of names, in the place of a task")
    parser.add_argument("--dev", type=Path, help="the same, to be judged by")
    add_columns(parser)
    parser.add_argument("--epochs", type=float, default=0.0)
    add_rank_weight(parser)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=5e-5)
    parser.add_argument("--new-rate", type=float, default=5e-4)


def add_table1(parser: argparse.ArgumentParser) -> None:
    add_common(parser, training=True)
    add_steps(parser)
    parser.add_argument("--glue", type=Path, required=True, help="GLUE directories as distributed")
    parser.add_argument("--task", choices=sorted(TASKS), action="append", help="default: all")
    parser.add_argument("--row", action="append", required=True, help="NAME=VARIANT[:DIR of a student]")
    parser.add_argument("--seeds", type=int, default=0, help="default: 3, of MRPC and RTE 5")
    parser.add_argument("--examples", type=int, default=16000)
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument(
        "--fewer", type=float, default=5.0, help="mixed: multiply-adds, times fewer than exact attention"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes, each with its part of the cores")
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
    parser.add_argument("--glue", type=Path, help="GLUE directories, for intervals of the losses")
    parser.add_argument("--base", default=EXACT_ROW, help="row that losses are relative to")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
