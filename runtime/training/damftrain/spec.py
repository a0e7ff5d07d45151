# SPDX-License-Identifier: MIT
"""What attention each head of each layer has."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

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


class Variant(NamedTuple):
    """The head of every place, how many a layer have a band, and how many layers are kept."""

    head: HeadSpec
    bands: int = 0
    layers: int = 0  # 0: all


def parse_variant(text: str) -> Variant:
    """`square+sinks+band2`, `mhsa+layers4`."""
    name, *extras = text.split("+")
    if name not in NAMED:
        raise TrainError(f"no such variant: {name} (variants: {', '.join(NAMED)})")
    spec, bands, layers = NAMED[name], 0, 0
    for extra in extras:
        if extra == "sinks":
            spec = replace(spec, sinks=True)
        elif extra.startswith("band") and (extra[4:] or "1").isdigit():
            bands = int(extra[4:] or "1")
        elif extra.startswith("rank") and extra[4:].isdigit():
            spec = replace(spec, rank=int(extra[4:]))
        elif extra.startswith("layers") and extra[6:].isdigit() and int(extra[6:]):
            layers = int(extra[6:])
        else:
            raise TrainError(f"{text}: no such part: {extra} (parts: sinks, bandN, rankN, layersN)")
    spec.check(text)
    return Variant(spec, bands, layers)


def parse_kind(text: str) -> HeadSpec:
    """A variant of one head: `square+band`, where band has no number."""
    variant = parse_variant(text)
    if variant.layers or variant.bands > 1:
        raise TrainError(f"{text}: a kind of head has no number of bands and no layers")
    return replace(variant.head, band=variant.bands > 0)


def name_of(spec: HeadSpec) -> str:
    """The kind of a head as `parse_kind` takes it; its mode alone if it has no name."""
    bare = replace(spec, band=False, sinks=False, rank=1)
    name = next((name for name, named in NAMED.items() if named == bare), spec.mode)
    rank = f"+rank{spec.rank}" if spec.rank > 1 else ""
    return name + rank + "+band" * spec.band + "+sinks" * spec.sinks


@dataclass(frozen=True)
class ModelSpec:
    """Attention of a model, layers by heads, and whether its products are int8."""

    layers: tuple[tuple[HeadSpec, ...], ...]
    int8: bool = False
    classes: int = 0
    kept: tuple[int, ...] = ()  # the teacher's layers that these came from; (): all

    def source(self, number: int) -> int:
        """The teacher's layer that a layer came from."""
        return self.kept[number] if self.kept else number

    def modes(self) -> set[str]:
        return {head.mode for layer in self.layers for head in layer}

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> ModelSpec:
        layers = tuple(
            tuple(HeadSpec(**{**head, "coefficients": tuple(head["coefficients"])}) for head in layer)
            for layer in data["layers"]
        )
        kept = tuple(data.get("kept", ()))
        return ModelSpec(layers, bool(data["int8"]), int(data["classes"]), kept)

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
