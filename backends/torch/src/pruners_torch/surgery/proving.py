"""Compare the masked original with the smaller model, on the example inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from math import isfinite
from typing import Any

import torch
from attrs import evolve, field, frozen
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pruners import ProofError
from pruners.structure.comparing import Comparison
from pruners.structure.plan import Coordinates, Proof
from pruners.structure.program import NONE, Program

from .blaming import culprit
from .comparing import difference, results
from .masking import Norm, masked, norms
from .running import Bench, lent, sheltered
from .tensors import FLOATS, Piece
from .undo import Snapshot
from .watching import Diary, Watched, watched

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 1e-2}
"""Largest difference allowed, relative to the largest output, by what the model computes in."""


@frozen(eq=False)
class Evidence:
    """What the masked reference gave."""

    dtype: torch.dtype | None
    """What it ran in; None: the model's own."""
    results: list[Tensor]
    diary: Diary
    random: bool
    """Whether random numbers were drawn."""
    rounded: torch.dtype | None = None
    """The coarsest precision that the model itself rounds to on the way, where that was looked at."""


@frozen(eq=False)
class Trial:
    """One removal to be proved: what is run, and what stays of what was recorded."""

    bench: Bench
    mode: str
    pieces: Sequence[Piece]
    calls: Sequence[Watched]
    norms: Sequence[Norm]
    own: torch.dtype = field(init=False)
    """The coarsest precision among the model's own tensors."""

    @own.default
    def _own(self) -> torch.dtype:
        found = {tensor.dtype for tensor in self.bench.model.parameters()} & set(FLOATS)
        found = found or {tensor.dtype for tensor in self.bench.model.buffers()} & set(FLOATS)
        return max(found, key=TOLERANCES.__getitem__, default=torch.float32)

    @classmethod
    def of(
        cls, bench: Bench, program: Program, mode: str, coordinates: Coordinates, pieces: Sequence[Piece]
    ) -> Trial:
        """Prepare a trial of a plan on what was recorded in one mode."""
        calls = watched(program, mode, coordinates, pieces)
        return cls(bench, mode, pieces, calls, norms(program, mode, coordinates))

    @property
    def predictors(self) -> list[Watched]:
        """Calls of modules that read fewer channels than before and give as many."""
        return [call for call in self.calls if call.cut and call.whole]

    @property
    def normalised(self) -> tuple[str, ...]:
        """Modules whose normalisation ran over what is kept."""
        return tuple(dict.fromkeys(norm.module for norm in self.norms if norm.kept))

    def reference(self) -> Evidence:
        """Run the masked original in double precision, or in its own where it cannot."""
        try:
            return self._reference(torch.float64, self.predictors)
        except ProofError:
            raise
        except Exception:  # a tensor nobody registered, a device without double precision
            pass
        try:
            return self._reference(None, self.predictors)
        except ProofError:
            raise
        except Exception as error:
            where = culprit(error, self.bench.model)
            raise ProofError(f"the model cannot be run with what leaves set to zero: {where}") from error

    def prove(
        self, evidence: Evidence, before: Snapshot, after: Snapshot, tolerance: float | None
    ) -> Proof | None:
        """
        Compare the smaller model, in place now, with the reference; raise where they differ.

        None: it draws random numbers in training, so that nothing can be told there.
        """
        comparison = self._compare(evidence, put_back=True)
        limit = self.limit(evidence, tolerance)
        if not comparison.error <= limit and tolerance is None and evidence.dtype is not None:
            before.restore()
            evidence = self._reference(evidence.dtype, self.predictors, rounding=True)
            after.restore()
            limit = self.limit(evidence, tolerance)
        if comparison.telling and not comparison.senseless and comparison.error <= limit:
            return self._proof(evidence, comparison, limit)
        if evidence.random and self.mode == "train":
            return None
        before.restore()
        full = self._reference(evidence.dtype, self.calls)
        after.restore()
        inside = self._compare(full, put_back=False)
        if not max(comparison.error, inside.error) <= limit:
            raise _mismatch(comparison, inside, limit, evidence.random)
        if comparison.senseless or not inside.telling:
            what = "NaN or infinite numbers" if comparison.senseless else "zeros, or nothing at all"
            raise ProofError(
                f"nothing can be proved on these example inputs: the masked model gives only {what}; "
                "pass others"
            )
        return self._proof(evidence, inside, limit)

    def limit(self, evidence: Evidence, tolerance: float | None) -> float:
        """Return the largest difference allowed."""
        if tolerance is not None:
            return tolerance
        ran = evidence.dtype or self._coarsest()
        return max(TOLERANCES[ran], TOLERANCES[evidence.rounded or ran])

    def _coarsest(self) -> torch.dtype:
        """Return what the model's own precision amounts to: CUDA rounds single precision to ten bits."""
        kind = next((tensor.device.type for tensor in self.bench.model.parameters()), "cpu")
        if torch.is_autocast_enabled(kind):
            return torch.bfloat16
        return torch.float16 if kind == "cuda" and self.own == torch.float32 else self.own

    def _reference(
        self, dtype: torch.dtype | None, calls: Sequence[Watched], rounding: bool = False
    ) -> Evidence:
        diary, watch = Diary.of(calls), _Roundings()
        model = self.bench.model
        with ExitStack() as stack:
            stack.enter_context(masked(model, self.pieces, self.norms, dtype))
            stack.enter_context(diary.written(model))
            if rounding:
                stack.enter_context(watch)
            found = results(self.bench.run(self.mode, dtype, steady=True))
        return Evidence(dtype, found, diary, self.bench.drew, watch.coarsest)

    def _compare(self, evidence: Evidence, put_back: bool) -> Comparison:
        comparison = Comparison()
        model = self.bench.model
        values, diary = self._values(evidence.dtype), evidence.diary
        with lent(model, values), diary.read_along(model, comparison, put_back):
            found = results(self.bench.run(self.mode, evidence.dtype, steady=True))
        if len(found) != len(evidence.results):
            comparison.missing()
        for reference, other in zip(evidence.results, found, strict=False):
            comparison.add(difference(reference, other))
        return comparison

    def _values(self, dtype: torch.dtype | None) -> Any:
        cut = {id(piece.tensor): piece for piece in self.pieces}

        def values(tensor: Tensor) -> Tensor:
            if dtype is None or tensor.dtype not in FLOATS:
                return sheltered(tensor)
            piece = cut.get(id(tensor))
            return piece.cut(dtype) if piece is not None else tensor.data.to(dtype, copy=True)

        return values

    def _proof(self, evidence: Evidence, comparison: Comparison, limit: float) -> Proof:
        dtype = evidence.rounded or evidence.dtype or self.own
        name = str(dtype).removeprefix("torch.")
        return Proof(comparison.error, limit, name, comparison.numbers, self.normalised)


def _mismatch(comparison: Comparison, inside: Comparison, limit: float, random: bool) -> ProofError:
    """Return an error that names the first module to differ."""
    named = inside.first_beyond(limit) or comparison.first_beyond(limit)
    where = f"module {named!r} is the first to differ" if named else "only what is returned differs"
    size = max(comparison.error, inside.error)
    far = (
        f"{size:.3g} of its largest output"
        if isfinite(size)
        else "more than rounding: shapes, NaN or indices"
    )
    drawn = " (it draws random numbers in evaluation, which may be why)" if random else ""
    return ProofError(
        f"the smaller model differs from the masked one by {far} (allowed: {limit:g}); {where}{drawn}; "
        "everything was put back"
    )


class _Roundings(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees whether a model casts what it computes to a coarser precision."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.coarsest: torch.dtype | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and look at what it made of doubles."""
        result = func(*args, **(kwargs or {}))
        if torch.float64 in _dtypes((args, kwargs)):
            for dtype in _dtypes(result) & set(FLOATS) - {torch.float64}:
                if self.coarsest is None or TOLERANCES[dtype] > TOLERANCES[self.coarsest]:
                    self.coarsest = dtype
        return result


def _dtypes(values: Any) -> set[torch.dtype]:
    return {leaf.dtype for leaf in tree_leaves(values) if isinstance(leaf, Tensor)}


def modes_to_prove(programs: Mapping[str, Program], planned: Sequence[str]) -> list[str]:
    """Return the first mode, and others in which tensors to be cut are read that were not before."""
    left = set(planned)
    modes: list[str] = []
    for mode, program in programs.items():
        read = {value for op in program.ops for value in op.inputs}
        met = {name for name in left if program.parameters.get(name, NONE) in read}
        if met or not modes:
            modes.append(mode)
        left -= met
    return modes


def together(proofs: Sequence[Proof]) -> Proof:
    """Return one proof that stands for several."""
    worst = max(proofs, key=lambda proof: (proof.tolerance, proof.error))
    return evolve(
        worst,
        error=max(proof.error for proof in proofs),
        outputs=sum(proof.outputs for proof in proofs),
        normalised=tuple(dict.fromkeys(name for proof in proofs for name in proof.normalised)),
    )
