"""A session as plain JSON values: written, read back, and checked before it is believed."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from attrs import frozen

from .errors import StateError
from .records import Record

FORMAT = 1
Clock = Literal["step", "epoch"] | None


@frozen(eq=False)
class State:
    """Everything a session needs to go on bit-exactly."""

    time: int
    clock: Clock
    masks: Mapping[str, np.ndarray]
    plans: Mapping[str, str]
    """What each layer's plan is, in words."""
    prepared: tuple[Mapping[str, float], ...]
    """What each plan's pruner measured once, at the start."""
    initial: Mapping[str, float] | None
    """The sparsity each layer's schedule started from, where it was restored."""
    skipped: Mapping[str, str]
    log: tuple[tuple[int, float], ...]
    history: tuple[Record, ...] = ()
    """What the user recorded; states from before there was such a thing have none."""

    def to_json(
        self, layout: Mapping[str, Any] | None = None, shapes: Mapping[str, tuple[int, ...]] | None = None
    ) -> dict[str, Any]:
        """
        Return numbers, text, lists and dicts; masks are packed bits in base64.

        `layout` says how layers lie on several ranks. With `shapes`, those of whole layers, the masks are
        left out.
        """
        lying = {} if layout is None else {"layout": dict(layout)}
        return lying | {
            "format": FORMAT,
            "time": self.time,
            "clock": self.clock,
            "layers": {
                name: _layer(mask, None if shapes is None else shapes[name])
                | {"plan": self.plans.get(name, "")}
                for name, mask in self.masks.items()
            },
            "prepared": [dict(each) for each in self.prepared],
            "initial": None if self.initial is None else dict(self.initial),
            "skipped": dict(self.skipped),
            "log": [list(entry) for entry in self.log],
            "history": [entry.to_json() for entry in self.history],
        }

    @classmethod
    def from_json(
        cls,
        state: Mapping[str, Any],
        masks: Mapping[str, np.ndarray] | None = None,
        layout: Mapping[str, Any] | None = None,
    ) -> State:
        """
        Return the state that `to_json` wrote, its masks out of it or, where they were left out, given.

        `layout` says how layers lie on several ranks now.

        Raises
        ------
        StateError
            If something is missing, of another format version, or not what it should be.
        """
        if not isinstance(state, Mapping) or "format" not in state:
            raise StateError("not the state of a pruning session; pass what Pruning.state_dict() returned")
        if state["format"] != FORMAT:
            raise StateError(
                f"state has format {state['format']!r}, this version reads {FORMAT}; update pruners"
            )
        try:
            if int(state["time"]) < 0:
                raise StateError(f"state has time {state['time']}, it cannot be negative")
            if state["clock"] not in ("step", "epoch", None):
                raise StateError(f"state has clock {state['clock']!r}, not 'step' or 'epoch'")
            return cls(
                time=int(state["time"]),
                clock=state["clock"],
                masks=_own(state, layout) if masks is None else _given(state, masks),
                plans={name: str(layer["plan"]) for name, layer in state["layers"].items()},
                prepared=tuple({n: float(v) for n, v in each.items()} for each in state["prepared"]),
                initial=None
                if state["initial"] is None
                else {n: float(v) for n, v in state["initial"].items()},
                skipped=dict(state["skipped"]),
                log=tuple((int(step), float(sparsity)) for step, sparsity in state["log"]),
                history=tuple(Record.from_json(entry) for entry in state.get("history", ())),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, StateError):
                raise
            raise StateError(f"the state is damaged: {type(error).__name__}: {error}") from error

    def check_layers(self, masks: Mapping[str, np.ndarray]) -> None:
        """Raise `StateError` unless the saved layers and shapes are those of `masks`."""
        for name in [*self.masks, *masks]:
            if name not in masks:
                raise StateError(f"the state has layer {name!r}, which this session does not prune")
            if name not in self.masks:
                raise StateError(f"this session prunes layer {name!r}, which the state lacks")
            if self.masks[name].shape != masks[name].shape:
                shapes = f"{self.masks[name].shape} in the state, {masks[name].shape} now"
                raise StateError(f"layer {name!r} has another shape: {shapes}")

    def check_plans(self, plans: Mapping[str, str]) -> None:
        """Raise `StateError` unless every layer was saved under the plan it has now."""
        for name, saved in self.plans.items():
            now = plans.get(name, "")
            if saved != now:
                raise StateError(
                    f"layer {name!r} was saved under other rules. Saved: {saved or 'keep zeros'}. "
                    f"Now: {now or 'keep zeros'}. Attach with the saved rules to resume."
                )


def _layer(mask: np.ndarray, shape: tuple[int, ...] | None) -> dict[str, Any]:
    if shape is not None:
        return {"shape": list(shape)}
    return {"shape": list(mask.shape), "mask": _pack(mask)}


def _own(state: Mapping[str, Any], layout: Mapping[str, Any] | None) -> dict[str, np.ndarray]:
    """Return the masks that a state holds, of the pieces that are here now."""
    if state.get("layout") != layout:
        raise StateError(
            f"the state was saved {_lying(state.get('layout'))}, and this session runs {_lying(layout)}; "
            "pruners_torch.checkpoint cuts masks anew, with torch.distributed.checkpoint"
        )
    return {name: _unpack(name, layer) for name, layer in state["layers"].items()}


def _lying(layout: Mapping[str, Any] | None) -> str:
    if layout is None:
        return "with whole layers"
    return f"on rank {layout['rank']} of {layout['ranks']} that hold layers in pieces"


def _given(state: Mapping[str, Any], masks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return masks that were read apart from a state, of the layers that it names."""
    for name in [*state["layers"], *masks]:
        if name not in masks or name not in state["layers"]:
            missing = "the state does not name" if name in masks else "there is no mask of"
            raise StateError(
                f"{missing} layer {name!r}: attach with the saved rules to resume, and give both parts of "
                "one session"
            )
        if masks[name].dtype != np.bool_:
            raise StateError(f"the mask of layer {name!r} is {masks[name].dtype}; give a bool array")
    return {name: np.array(masks[name]) for name in state["layers"]}


def _pack(mask: np.ndarray) -> str:
    return base64.b64encode(np.packbits(mask.ravel()).tobytes()).decode("ascii")


def _unpack(name: str, layer: Mapping[str, Any]) -> np.ndarray:
    shape = tuple(int(length) for length in layer["shape"])
    count = int(np.prod(shape, dtype=np.int64))
    try:
        packed = np.frombuffer(base64.b64decode(layer["mask"], validate=True), np.uint8)
    except binascii.Error as error:
        raise StateError(f"the mask of layer {name!r} is damaged: {error}") from error
    if min(shape, default=0) < 0 or packed.size != (count + 7) // 8:
        raise StateError(
            f"the mask of layer {name!r} has {packed.size} bytes, its shape {shape} needs {(count + 7) // 8}"
        )
    return np.unpackbits(packed, count=count).astype(bool).reshape(shape)
