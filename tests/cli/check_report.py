# SPDX-License-Identifier: MIT
"""The JSON of damf report: its keys and types, and what the paper prints.

usage: check_report.py FILE LENGTHS
"""

import json
import sys
from typing import Any

SHAPE = {
    "attention": str,
    "dtype": str,
    "length": int,
    "hidden": int,
    "heads": int,
    "head_width": int,
    "offered": bool,
}
COUNTS = (
    "parameters static_macs dynamic_macs int8_macs shift_adds exponentials divisions "
    "read_weights read_activations read_intermediates write_activations "
    "write_intermediates spills page_walks memory_bytes cycles energy_pj"
).split()
COUNTED = SHAPE | dict.fromkeys(COUNTS, int) | {"seconds": float, "took_seconds": float}
FIGURES = dict.fromkeys(
    ["parameters_m", "dynamic_macs_m", "macs_m", "dynamic_percent"], float
)
MACHINE = {"backend": str, "isa": str} | dict.fromkeys(
    (
        "numerics clock_hz macs_per_cycle bytes_per_cycle scratchpad energy_mac_fj "
        "energy_int8_fj energy_shift_fj energy_exp_fj energy_div_fj energy_scratch_fj "
        "energy_memory_fj"
    ).split(),
    int,
)
FIGURE5 = dict.fromkeys(
    ["printed_times_less", "paper_words_exact", "paper_words_damf", "paper_times_less"],
    float,
)
# Table II, as printed.
PRINTED = {
    "BERT-base": ("9.00", "12.78", "314.77", "4.06"),
    "SkipBERT": ("9.00", "12.78", "314.77", "4.06"),
    "BERT-PKD": ("9.00", "12.78", "314.77", "4.06"),
    "BERT-small": ("4.00", "8.52", "142.74", "5.97"),
    "BERT+DAMF": ("4.51", "0.03", "153.39", "0.02"),
}


def has(value: Any, keys: dict[str, type], where: str) -> None:
    assert set(value) == set(keys), f"{where}: {set(value) ^ set(keys)}"
    for key, kind in keys.items():
        assert type(value[key]) is kind, f"{where}.{key} is {value[key]!r}"


def result(value: Any, where: str) -> None:
    has(value, COUNTED if value["offered"] else SHAPE, where)


def figures(row: Any) -> tuple[str, ...]:
    return tuple(f"{row[key]:.2f}" for key in FIGURES)


def table2(rows: Any) -> None:
    assert [row["model"] for row in rows] == list(PRINTED)
    for row in rows:
        has(row, {"model": str, "printed": dict, "paper_count": dict, "measured": list}, "table2")
        has(row["printed"], FIGURES, "printed")
        has(row["paper_count"], FIGURES, "paper_count")
        assert figures(row["printed"]) == PRINTED[row["model"]], row
        assert figures(row["paper_count"]) == PRINTED[row["model"]], row
        for measured in row["measured"]:
            result(measured, "measured")
    base, damf = rows[0]["measured"][0], rows[4]["measured"][0]
    assert base["static_macs"] + base["dynamic_macs"] == 327155712
    assert base["parameters"] == 4 * 768 * 768
    shift = rows[4]["measured"][1]
    assert [m["attention"] for m in rows[4]["measured"]] == ["fold", "shift"]
    # two products with V's and the output's weights, p and q of all heads; scores of all pairs
    assert shift["static_macs"] == 2 * 128 * 768 * 768 + 2 * 12 * 128 * 768
    assert shift["dynamic_macs"] == 12 * 128 * 128
    # D, and 64 columns of N; the sum of V, and the quotient
    assert shift["shift_adds"] == 12 * 128 * (128 * (1 + 64) + 2 * 64)
    assert damf["static_macs"] + damf["dynamic_macs"] == 8257536
    assert damf["parameters"] == 2 * 768 * 768 + 2 * 12 * 768


def figure5(value: Any) -> None:
    has({k: v for k, v in value.items() if k != "measured"}, FIGURE5, "figure5")
    assert value["printed_times_less"] == 2.71
    assert f"{value['paper_times_less']:.2f}" == "2.71"
    assert (value["paper_words_exact"], value["paper_words_damf"]) == (204800, 75520)
    words = {m["attention"]: m for m in value["measured"]}
    assert words["mhsa"]["words"] == 204800
    assert words["fold"]["times_less"] >= 3.3
    assert words["foldshift"]["times_less"] >= 3.3
    assert words["shift"]["times_less"] >= 2.71


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        report = json.load(file)
    lengths = int(sys.argv[2])
    has(
        report,
        {"machine": dict, "table2": list, "figure5": dict, "layers": list, "sweep": list},
        "report",
    )
    has(report["machine"], MACHINE, "machine")
    table2(report["table2"])
    figure5(report["figure5"])
    for row in report["layers"] + report["sweep"]:
        result(row, "layer")
    assert len(report["layers"]) == 5 * 3
    assert len(report["sweep"]) == 5 * lengths
    assert {row["length"] for row in report["sweep"]} == {32 << i for i in range(lengths)}


main()
