# SPDX-License-Identifier: MIT
"""Heads of a model that change their kind of attention, while the rest stays."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from .attention import Attention, Group
from .convert import Calibration, fitted, teacher_state
from .errors import TrainError
from .model import Encoder
from .spec import HeadSpec, ModelSpec

STATIC = ("band", "sinks")
Parts = dict[str, Tensor]  # what a head has of its own: query, key, scores, band, sinks


def with_kind(old: HeadSpec, kind: HeadSpec) -> HeadSpec:
    """The kind in the place of old, whose band and sinks stay unless it gets exact."""
    kept = kind.mode != "mhsa"
    return replace(kind, band=kind.band or (kept and old.band), sinks=kind.sinks or (kept and old.sinks))


def has_part(spec: HeadSpec, name: str) -> bool:
    return name not in STATIC or bool(getattr(spec, name))


def place_of(attention: Attention, head: int) -> tuple[Group, int]:
    for group in attention.parts():
        if head in group.heads:
            return group, group.heads.index(head)
    raise IndexError(head)


def linear_rows(linear: torch.nn.Linear) -> Tensor:
    return torch.cat([linear.weight, linear.bias[:, None]], 1)


def read_head(attention: Attention, head: int) -> Parts:
    """What trained parameters the head has of its own."""
    group, place = place_of(attention, head)
    spec, parts = group.spec, Parts()
    if spec.mode == "mhsa":
        for name in ("query", "key"):
            rows = linear_rows(getattr(group, name))
            parts[name] = rows.unflatten(0, (len(group.heads), -1))[place]
    elif spec.order:
        parts["scores"] = linear_rows(group.pq).unflatten(0, (2, len(group.heads), -1))[:, place]
    for name in STATIC:
        if hasattr(group, name):
            parts[name] = getattr(group, name)[place]
    return parts


def write_head(attention: Attention, head: int, parts: Parts) -> None:
    group, place = place_of(attention, head)
    for name, part in parts.items():
        if name in STATIC:
            getattr(group, name)[place] = part
            continue
        linear = group.pq if name == "scores" else getattr(group, name)
        lead = (2, len(group.heads), -1) if name == "scores" else (len(group.heads), -1)
        at = (slice(None), place) if name == "scores" else (place,)
        linear.weight.unflatten(0, lead)[at] = part[..., :-1]
        linear.bias.unflatten(0, lead)[at] = part[..., -1]


def fresh_scores(spec: HeadSpec, exact: Group, head: int, data: Calibration) -> Parts:
    """From the teacher: its W_Q and W_K, or u and v fitted to the scores that it sees."""
    if spec.mode == "mhsa":
        rows = slice(head * exact.head_size, (head + 1) * exact.head_size)
        return {name: linear_rows(getattr(exact, name))[rows] for name in ("query", "key")}
    return {"scores": fitted(spec, exact, head, data)} if spec.order else {}


def slope_of(spec: HeadSpec) -> float | None:
    """Of the logarithm of a weight in the score, at 0; None where scores have no scale."""
    if spec.rank > 1 or not spec.order:
        return None
    if spec.mode == "softfold":
        return 1.0
    learned = spec.mode == "fold" and spec.scale == "learned"
    return spec.coefficients[1] / spec.coefficients[0] if learned else None


def kept_scores(old: HeadSpec, new: HeadSpec, parts: Parts) -> Parts | None:
    """What was trained for one kind, for the other; None if it says nothing there.

    Kinds that stand for softmax of one score take each other's u and v.
    """
    bare = [replace(spec, band=False, sinks=False) for spec in (old, new)]
    if bare[0] == bare[1]:
        return parts
    before, after = slope_of(old), slope_of(new)
    if not (before and after):
        return None
    scores = parts["scores"].clone()
    scores[0] *= before / after
    return {"scores": scores}


@torch.no_grad()
def exchange_layer(old: Attention, specs: tuple[HeadSpec, ...], exact: Group, data: Calibration) -> Attention:
    """The layer with these kinds: what is trained for them stays, the rest is the teacher's."""
    hidden = old.value.in_features
    new = Attention(specs, hidden).to(old.value.weight.device)
    new.value, new.output = old.value, old.output
    for head, spec in enumerate(specs):
        parts, before = read_head(old, head), place_of(old, head)[0].spec
        static = {name: parts.pop(name) for name in STATIC if name in parts}
        kept = kept_scores(before, spec, parts)
        parts = fresh_scores(spec, exact, head, data) if kept is None else kept
        parts = {"band": data.offsets[head], **static, **parts}
        write_head(new, head, {name: part for name, part in parts.items() if has_part(spec, name)})
    return new


def take_values(ours: Attention, exact: Attention, head: int) -> None:
    """The exact model's part of W_V and W_O: what other attention was trained with doesn't fit exact scores."""
    rows = slice(head * ours.head_size, (head + 1) * ours.head_size)
    ours.value.weight[rows] = exact.value.weight[rows]
    ours.value.bias[rows] = exact.value.bias[rows]
    ours.output.weight[:, rows] = exact.output.weight[:, rows]


@torch.no_grad()
def exchange(model: Encoder, spec: ModelSpec, teacher: Encoder, data: list[Calibration]) -> Encoder:
    """A new model with the weights of model and the attention of spec.

    A head that becomes exact has all its weights from the teacher.
    """
    shapes = [(len(s.layers), {len(layer) for layer in s.layers}, s.kept) for s in (model.spec, spec)]
    if shapes[0] != shapes[1]:
        raise TrainError("the attention to be had is of another number of layers or heads than the model")
    changed = replace(model.spec, layers=spec.layers)
    result = Encoder(model.config, changed).to(model.words.weight.device)
    state = {name: part for name, part in model.state_dict().items() if ".groups." not in name}
    result.load_state_dict(state, strict=False)
    for number, (layer, old) in enumerate(zip(result.stack(), model.stack())):
        source = spec.source(number)
        exact, specs = teacher.stack()[source].attention, spec.layers[number]
        made = exchange_layer(old.attention, specs, exact.parts()[0], data[source])
        layer.attention.load_state_dict(made.state_dict())
        for head, (before, after) in enumerate(zip(model.spec.layers[number], specs)):
            if after.mode == "mhsa" and before.mode != "mhsa":
                take_values(layer.attention, exact, head)
    return result


@torch.no_grad()
def add_change(model: Encoder, before: Encoder, after: Encoder) -> None:
    """What tuning changed in an exact model, added to the weights that a student has from it.

    A student of before becomes near to one of after, and has its classifier.
    """
    old, new = (teacher_state(exact, model.spec.kept) for exact in (before, after))
    for name, weight in model.state_dict().items():
        if name.startswith(("pooler", "classifier")):
            weight.copy_(new[name])
        elif ".groups." not in name:
            weight.add_(new[name] - old[name])
    for number, layer in enumerate(model.stack()):
        exact = [m.stack()[model.spec.source(number)].attention for m in (before, after)]
        for head, spec in enumerate(model.spec.layers[number]):
            if spec.mode == "mhsa":
                was, now = (read_head(attention, head) for attention in exact)
                parts = read_head(layer.attention, head)
                changed = {name: parts[name] + now[name] - was[name] for name in was}
                write_head(layer.attention, head, changed)
