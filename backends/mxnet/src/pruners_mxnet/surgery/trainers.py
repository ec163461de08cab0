"""What a trainer remembers of each parameter, cut as the parameter is."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import mxnet
from mxnet.gluon import Block, Trainer
from mxnet.kvstore import KVStore

from pruners import OptionError, RemovalError

from .pieces import Piece, parameters_of
from .undo import updaters
from .values import host, like, select

_DISTRIBUTED = ("dist", "horovod", "byteps")
"""What the types of kvstores have in their names that work for several machines."""


def check(trainers: Sequence[Trainer], model: Block) -> None:
    """Raise, before anything is changed, where a trainer cannot go on with a smaller model."""
    own = {id(parameter) for parameter in parameters_of(model).values()}
    for trainer in trainers:
        kind = _kind(trainer)
        if any(name in kind for name in _DISTRIBUTED):
            raise RemovalError(
                f"the trainer's kvstore is {kind!r}, whose servers keep every parameter in its first shape; "
                "remove channels without optimizer=, then make a new trainer"
            )
        if not any(id(parameter) in own for parameter in trainer._params):
            raise OptionError("the trainer holds none of the model's parameters; pass the one training it")


def _kind(trainer: Trainer) -> str:
    """Return the type of a trainer's kvstore, in use or to be made."""
    store = trainer._kvstore or trainer._kvstore_params["kvstore"]
    return store if isinstance(store, str) else str(store.type) if store is not None else ""


def cut(trainers: Sequence[Trainer], pieces: Sequence[Piece]) -> list[str]:
    """Keep the state of what stays; return the names of parameters whose state had to be cleared."""
    cleared: list[str] = []
    for trainer in trainers:
        by_parameter = {id(piece.held): piece for piece in pieces if piece.kept}
        numbered = {
            number: by_parameter[id(parameter)]
            for number, parameter in enumerate(trainer._params)
            if id(parameter) in by_parameter
        }
        for updater in updaters(trainer):
            cleared += _cut_states(updater, numbered)
        _cut_sums(trainer, numbered)
        if numbered and trainer._kvstore:
            _remake_store(trainer)
    return list(dict.fromkeys(cleared))


def _cut_states(updater: Any, numbered: dict[int, Piece]) -> Iterator[str]:
    for number, piece in numbered.items():
        if number not in updater.states:
            continue
        state = updater.states[number]
        if all(_fits(array, piece) for array in _arrays(state)):
            updater.states[number] = _smaller(state, piece)
        else:
            del updater.states[number]
            updater.states_synced.pop(number, None)
            yield f"{piece.name} ({type(updater.optimizer).__name__})"


def _cut_sums(trainer: Trainer, numbered: dict[int, Piece]) -> None:
    """Cut the gradients that LBSGD sums up over several batches."""
    for number, held in vars(trainer._optimizer).get("cumgrads", {}).items():
        if number in numbered and isinstance(held["cum_grad"], mxnet.nd.NDArray):
            held["cum_grad"] = _smaller(held["cum_grad"], numbered[number])


def _remake_store(trainer: Trainer) -> None:
    """Make a trainer's kvstore anew, for the shapes there are now; the states go on."""
    known, on_store = updaters(trainer)[-1], trainer._update_on_kvstore
    asked = dict(trainer._kvstore_params)
    trainer._reset_kvstore()
    if isinstance(asked["kvstore"], KVStore):
        asked["kvstore"] = mxnet.kvstore.create(asked["kvstore"].type)
    trainer._kvstore_params.update(asked, update_on_kvstore=on_store)
    trainer._init_kvstore()
    trainer._kvstore_params.update(asked)
    if on_store:
        fresh = trainer._kvstore._updater
        fresh.states.update(known.states)
        fresh.states_synced.update(known.states_synced)


def tell(cleared: Sequence[str]) -> None:
    """Warn of state that was cleared."""
    if cleared:
        listed = ", ".join(cleared[:3]) + (", ..." if len(cleared) > 3 else "")
        warnings.warn(
            f"the trainer's state of {len(cleared)} parameters has another form than the parameters "
            f"and starts afresh: {listed}",
            UserWarning,
            stacklevel=2,
        )


def _arrays(state: Any) -> Iterator[Any]:
    if isinstance(state, mxnet.nd.NDArray):
        yield state
    elif isinstance(state, (list, tuple)):
        for each in state:
            yield from _arrays(each)


def _fits(array: Any, piece: Piece) -> bool:
    """Return whether a part of the state can be cut: it spans each axis of the parameter, or does not."""
    if array.size == 1 and array.shape != piece.shape:
        return True
    return array.ndim == len(piece.shape) and all(
        own in (1, full) for own, full in zip(array.shape, piece.shape, strict=True)
    )


def _smaller(state: Any, piece: Piece) -> Any:
    if isinstance(state, (list, tuple)):
        return type(state)([_smaller(each, piece) for each in state])
    if not isinstance(state, mxnet.nd.NDArray) or state.ndim != len(piece.shape):
        return state
    kept = {axis: indices for axis, indices in piece.kept.items() if state.shape[axis] == piece.shape[axis]}
    return like(select(host(state), kept), state) if kept else state
