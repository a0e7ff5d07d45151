# SPDX-License-Identifier: MIT
"""Results as a table for people, and as the tables of Documentation/benchmarks.rst."""

from __future__ import annotations

from typing import Any, Iterable, Sequence

HEAD = ("row", "what", "damf", "best peer", "which", "times faster (spread)", "reach", "limit", "reached")
BEGIN, END = ".. results: make bench-page writes what follows", ".. end of the results"
Result = dict[str, Any]


def number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def cells(result: Result) -> list[str]:
    ratio, unit = result["ratio"], result["unit"]
    reached = {None: "", True: "yes", False: "no"}[result["reached"]]
    return [
        result["number"],
        result["what"],
        f"{number(result['ours'])} {unit}",
        f"{number(result['peer'])} {unit}",
        result["peer_name"],
        f"{ratio['median']:.3g} ({ratio['least']:.3g} to {ratio['most']:.3g})",
        number(result["reach"]),
        number(result["limit"]),
        reached,
    ]


def text_table(results: Iterable[Result]) -> str:
    rows = [list(HEAD)] + [cells(result) for result in results]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines) + "\n"


def notes(results: Iterable[Result]) -> str:
    said = dict.fromkeys(f"{r['number']}: {r['what']}: {r['note']}" for r in results if r["note"])
    return "".join(line + "\n" for line in said)


def rst_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    out = [".. list-table::", "   :header-rows: 1", ""]
    for row in (head, *rows):
        for i, cell in enumerate(row):
            text = cell.replace("`", "``") if "``" not in cell else cell
            out.append(f"   {'* -' if not i else '  -'} {text}".rstrip())
    return "\n".join(out) + "\n"


def shape_rows(shapes: Iterable[Result]) -> list[list[str]]:
    """A row for each peer: of int8 oneDNN stands there twice."""
    return [
        [
            s["dtype"],
            str(s["tokens"]),
            f"{s['in']} x {s['out']}",
            f"{s['damf_ms']:.4f}",
            f"{s['peer_ms']:.4f}",
            s["peer"],
            f"{s['ratio']['median']:.3f}",
            f"{100 * s['of_peak']:.0f} %" if s["of_peak"] else "",
        ]
        for shape in shapes
        for s in (shape, shape | shape["alone"] if "alone" in shape else None)
        if s
    ]


def machine_lines(report: Result) -> list[str]:
    machine, versions = report["machine"], report["versions"]
    lines = [
        f"* {machine['cpu']}, {machine['cpus']} CPUs, {machine['memory_gib']:.0f} GiB, {machine['system']}"
    ]
    lines.append(
        f"* of one core, measured in the same run: {machine['l2_gb_s']} GB/s out of 512 KiB, {machine['l3_gb_s']} out "
        f"of 6 MiB, {machine['memory_gb_s']} out of 512 MiB; {machine['f32_gmac_s']} G multiply-adds a second of f32"
        + (f", {machine['int8_gmac_s']} of int8" if machine["int8_gmac_s"] else "")
    )
    lines.append("* " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    lines.append(f"* {report['rounds']} rounds; texts: {report['texts']}")
    return lines


def page(report: Result) -> str:
    """What stands between BEGIN and END."""
    parts = [f"Printed by ``{report['command']}`` on {report['date']}:", "\n".join(machine_lines(report))]
    parts += [f".. image:: benchmarks/{name}.svg" for name in report["plots"]]
    parts.append(rst_table(HEAD, (cells(result) for result in report["results"])))
    parts.append("\n".join(f"* {line}".replace("`", "``") for line in notes(report["results"]).splitlines()))
    if report["shapes"]:
        parts.append("Row 5, shape by shape (rows x columns of W):")
        head = ("type", "tokens", "in x out", "damf ms", "peer ms", "which", "times faster", "of the peak")
        parts.append(rst_table(head, shape_rows(report["shapes"])))
    return "\n\n".join(part.rstrip() for part in parts if part) + "\n"


def put_into(document: str, report: Result) -> str:
    before, rest = document.split(BEGIN + "\n")
    return f"{before}{BEGIN}\n\n{page(report)}\n{END}\n{rest.split(END)[1].removeprefix(chr(10))}"
