# SPDX-License-Identifier: MIT
"""What attention each head of each layer has."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from .errors import TrainError

MODES = ("mhsa", "shift", "fold", "foldshift", "softfold")
BAND = 7  # a band reaches this many tokens to both sides
MAX_ORDER = 4


@dataclass(frozen=True)
class HeadSpec:
    """One head. The weights of `fold` and `foldshift` are a polynomial of the score.

    `scale` is "max" where scores are divided by their bound over the sequence, and
    "learned" where a constant is, which is then part of u.
    """

    mode: str = "mhsa"
    rank: int = 1
    coefficients: tuple[float, ...] = (1.0, 1.0)
    centred: bool = False
    scale: str = "max"
    band: bool = False
    sinks: bool = False

    @property
    def order(self) -> int:
        return len(self.coefficients) - 1

    def check(self, name: str) -> None:
        if self.mode not in MODES:
            raise TrainError(f"{name}: no such attention mode: {self.mode} (modes: {', '.join(MODES)})")
        if self.scale not in ("max", "learned"):
            raise TrainError(f"{name}: a scale is max or learned, not {self.scale}")
        if not 0 <= self.order <= MAX_ORDER:
            raise TrainError(f"{name}: order {self.order} is not within 0 to {MAX_ORDER}")
        if self.rank < 1:
            raise TrainError(f"{name}: rank {self.rank} is below 1")
        if self.rank > 1 and (self.mode != "fold" or self.order != 1):
            raise TrainError(f"{name}: rank {self.rank} needs mode fold of order 1")
        if self.mode in ("shift", "foldshift") and self.order > 2:
            raise TrainError(f"{name}: mode {self.mode} takes an order of 2 at most")


FOLD = HeadSpec("fold")
SQUARE = HeadSpec("fold", coefficients=(1.0, 2.0, 1.0), centred=True, scale="learned")

# The variants that commands take by name.
NAMED = {
    "mhsa": HeadSpec(),
    "fold": FOLD,
    "centred": replace(FOLD, centred=True, scale="learned"),
    "square": SQUARE,
    "fourth": replace(SQUARE, coefficients=(1.0, 4.0, 6.0, 4.0, 1.0)),
    "shift": HeadSpec("shift"),
    "foldshift": HeadSpec("foldshift"),
    "softfold": HeadSpec("softfold"),
    "uniform": HeadSpec("fold", coefficients=(1.0,)),
}


def parse_variant(text: str) -> tuple[HeadSpec, int]:
    """`square+sinks+band2`: the head of every place, and how many a layer have a band."""
    name, *extras = text.split("+")
    if name not in NAMED:
        raise TrainError(f"no such variant: {name} (variants: {', '.join(NAMED)})")
    spec, bands = NAMED[name], 0
    for extra in extras:
        if extra == "sinks":
            spec = replace(spec, sinks=True)
        elif extra.startswith("band") and (extra[4:] or "1").isdigit():
            bands = int(extra[4:] or "1")
        elif extra.startswith("rank") and extra[4:].isdigit():
            spec = replace(spec, rank=int(extra[4:]))
        else:
            raise TrainError(f"{text}: no such part: {extra} (parts: sinks, bandN, rankN)")
    spec.check(text)
    return spec, bands


@dataclass(frozen=True)
class ModelSpec:
    """Attention of a model, layers by heads, and whether its products are int8."""

    layers: tuple[tuple[HeadSpec, ...], ...]
    int8: bool = False
    classes: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> ModelSpec:
        layers = tuple(
            tuple(HeadSpec(**{**head, "coefficients": tuple(head["coefficients"])}) for head in layer)
            for layer in data["layers"]
        )
        return ModelSpec(layers, bool(data["int8"]), int(data["classes"]))

    def map_heads(self, change: Any) -> ModelSpec:
        return replace(self, layers=tuple(tuple(change(h) for h in layer) for layer in self.layers))


@dataclass(frozen=True)
class EncoderConfig:
    """The shape of a BERT encoder, as config.json names it."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    extra: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_attention_heads
