"""A file held against the model it is to be put into: names, ties, types, shapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from attrs import frozen

from ..errors import StateError
from .manifest import Manifest
from .tensors import ModelState, Sizes, StoredTensor

_SHOWN = 3


@frozen(eq=False)
class Fit:
    """A file held against a model: what of it goes where."""

    here: ModelState
    manifest: Manifest
    stored: Mapping[str, StoredTensor]
    path: str
    strict: bool

    def tensors(self) -> dict[str, StoredTensor]:
        """Return what each of the model's tensors becomes, by its first name here."""
        names: dict[str, list[str]] = {first: [first] for first in self.here.tensors}
        for alias, first in self.here.aliases.items():
            names[first].append(alias)
        if self.strict:
            self._check_names({name for each in names.values() for name in each})
        found = {first: self._stored_under(each) for first, each in names.items()}
        chosen = {first: name for first, name in found.items() if name is not None}
        if self.strict:
            self._check_ties(chosen)
            self._check_left_out(chosen)
        for first, name in chosen.items():
            self._check_tensor(first, self.here.tensors[first], self.stored[name])
        return {first: self.stored[name] for first, name in chosen.items()}

    def sizes(self) -> Sizes:
        """Return the integers that differ from the model's, where the model has one of the same kind."""
        if self.strict:
            missing = [module for module in self.manifest.sizes if module not in self.here.sizes]
            if missing:
                raise StateError(f"{self.path!r} has {_listed('module', missing)}, which the model lacks")
        found = {}
        for module, values in self.manifest.sizes.items():
            now = self.here.sizes.get(module, {})
            changed = {
                name: value
                for name, value in values.items()
                if type(now.get(name)) is type(value) and now[name] != value
            }
            if changed:
                found[module] = changed
        return found

    def _check_names(self, here: set[str]) -> None:
        there = {*self.stored, *self.manifest.aliases}
        wanted = [name for name in self.here.tensors if name not in self.here.transient]
        wanted += [alias for alias, first in self.here.aliases.items() if first not in self.here.transient]
        parts = []
        for owner, other, names in (
            ("the file has", "the model lacks", [name for name in there if name not in here]),
            ("the model has", "the file lacks", [name for name in wanted if name not in there]),
        ):
            if names:
                parts.append(f"{owner} {_listed('tensor', names)}, which {other}")
        if parts:
            raise StateError(f"{self.path!r} belongs to another model: {'; '.join(parts)}")

    def _stored_under(self, names: list[str]) -> str | None:
        """Return the file's name of the tensor that has all of `names` in the model."""
        there = dict.fromkeys(self.manifest.aliases.get(name, name) for name in names)
        found = [name for name in there if name in self.stored]
        for other in found[1:]:
            if not self._alike(found[0], other):
                raise StateError(
                    f"the model holds {found[0]!r} and {other!r} as one tensor, "
                    f"{self.path!r} two different ones"
                )
        return found[0] if found else None

    def _alike(self, name: str, other: str) -> bool:
        one, two = self.stored[name], self.stored[other]
        alike = (one.dtype, one.shape) == (two.dtype, two.shape)
        return alike and np.array_equal(one.read(), two.read())

    def _check_ties(self, chosen: Mapping[str, str]) -> None:
        taken: dict[str, str] = {}
        for first, name in chosen.items():
            if name in taken:
                raise StateError(
                    f"{self.path!r} holds {taken[name]!r} and {first!r} as one tensor, the model two; "
                    "tie them, or load with strict=False"
                )
            taken[name] = first

    def _check_left_out(self, chosen: Mapping[str, str]) -> None:
        for name, shape in self.manifest.transient.items():
            tensor = self.here.tensors.get(name)
            if tensor is not None and name not in chosen and tensor.shape != shape:
                raise StateError(
                    f"buffer {name!r} was {shape} and is {tensor.shape} in this model; {self.path!r} does "
                    "not hold it, for it is no part of the model's state. Register it as persistent and save "
                    "again, or load with strict=False and set it yourself"
                )

    def _check_tensor(self, name: str, here: StoredTensor, there: StoredTensor) -> None:
        if len(here.shape) != len(there.shape) or here.kind != there.kind:
            raise StateError(
                f"{self.path!r} belongs to another model: tensor {name!r} is {there} there, {here} here"
            )


def _listed(kind: str, names: Iterable[str]) -> str:
    found = sorted(names)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"{kind}{'s' if len(found) > 1 else ''} {', '.join(map(repr, found[:_SHOWN]))}{more}"
