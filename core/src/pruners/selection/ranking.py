"""One layer's scores as selection and patterns see them: floats read as ordered integers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from ..errors import ScoreError
from .keys import Form, Scratch, form_of

if TYPE_CHECKING:
    from ..sharding.boxes import Among

FLOATS = ("float16", "bfloat16", "float32", "float64")


def _native(scores: Any) -> np.ndarray:
    array = np.asarray(scores)
    if array.dtype.name in FLOATS and not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array


def _mask_or_none(alive: Any) -> np.ndarray | None:
    return None if alive is None else np.asarray(alive)


def _line(array: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Return a range of flat positions, in C order, without a copy where memory has that order."""
    whole = array.flags.c_contiguous or (start == 0 and stop == array.size)
    return array.reshape(-1)[start:stop] if whole else array.flat[start:stop]


@frozen(eq=False)
class Ranking:
    """
    One layer's scores, ready to be ranked; the larger score is kept.

    Nothing is copied: `scores` may be a view of a live parameter with any strides. Scores are
    compared as integers that are ordered as the floats are, so a rank does not depend on the
    floating-point mode of the machine: -0.0 equals 0.0, subnormal numbers keep their order and
    infinities are the ends.

    Parameters
    ----------
    name : str
        The parameter's name; errors repeat it.
    scores : (out, in, *kernel) array
        Scores, float16, bfloat16 (the `ml_dtypes` type), float32 or float64.
    magnitude : bool, default False
        Rank by the absolute value of `scores`, without computing it.
    alive : (out, in, *kernel) bool array, optional
        False where a weight is already pruned. Such a weight ranks before every other, also
        before a living weight whose score is zero or minus infinity. All True if left out.
    scale : float, default 1.0
        Scores are divided by it, which matters only where layers are pooled. Finite, above 0.
    among : Among, optional
        Of a layer that lies in pieces on several ranks, where this piece lies in it. `scores`, `alive`
        and all shapes but `whole_shape` are then the piece's.

    Raises
    ------
    ScoreError
        If `scores` are not of a known float type, `alive` is not a bool array of the same
        shape, or `scale` is not a finite number above 0.

    Notes
    -----
    Needs no data. A NaN is found when the scores are read, not here.

    Examples
    --------
    >>> import numpy as np
    >>> ranking = Ranking("w", np.array([[1.0, -2.0], [0.0, -0.0]], dtype="float32"), magnitude=True)
    >>> ranking.values().tolist()
    [[1.0, 2.0], [0.0, 0.0]]
    >>> keys = ranking.keys()
    >>> bool(keys[2] == keys[3] < keys[0] < keys[1])
    True
    """

    name: str
    scores: np.ndarray = field(converter=_native)
    magnitude: bool = False
    alive: np.ndarray | None = field(default=None, converter=_mask_or_none)
    scale: float = 1.0
    among: Among | None = None

    def __attrs_post_init__(self) -> None:
        if self.scores.dtype.name not in FLOATS:
            raise ScoreError(
                f"scores of '{self.name}' are {self.scores.dtype.name}; give one of {', '.join(FLOATS)}"
            )
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ScoreError(f"scale of '{self.name}' is {self.scale!r}; give a finite number above 0")
        alive = self.alive
        if alive is not None and (alive.dtype != np.bool_ or alive.shape != self.shape):
            raise ScoreError(
                f"alive of '{self.name}' is {alive.dtype.name} {alive.shape}; give bool {self.shape}"
            )
        if self.among is not None and self.among.box.shape != self.shape:
            raise ScoreError(
                f"scores of '{self.name}' have shape {self.shape}; the piece on this rank has "
                f"{self.among.box.shape}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Canonical shape ``(out, in, *kernel)``."""
        return self.scores.shape

    @property
    def size(self) -> int:
        """Number of weights."""
        return self.scores.size

    @property
    def whole_shape(self) -> tuple[int, ...]:
        """Canonical shape of the whole layer, also where this is a piece of it."""
        return self.shape if self.among is None else self.among.shape

    @property
    def total(self) -> int:
        """Number of weights of the whole layer, also where this is a piece of it."""
        return self.size if self.among is None else self.among.size

    def pruned(self) -> int:
        """Return how many weights are not alive here."""
        return 0 if self.alive is None else self.size - int(np.count_nonzero(self.alive))

    def keys(self, start: int = 0, stop: int | None = None, *, form: Form | None = None) -> np.ndarray:
        """
        Return unsigned integers that are ordered as the scores are.

        Parameters
        ----------
        start, stop : int, optional
            The range of flat positions, in C order; everything if left out.
        form : Form, optional
            The common form of a pool (`form_of`), so that keys of different layers can be
            compared; this layer's own if left out.

        Returns
        -------
        (stop - start,) array of unsigned integers
            0 where a weight is not alive; equal scores have equal keys.

        Raises
        ------
        ScoreError
            If a score in the range is NaN.
        """
        form = form_of([self]) if form is None else form
        start, stop, _ = slice(start, stop).indices(self.size)
        scores = _line(self.scores, start, stop)
        alive = None if self.alive is None else _line(self.alive, start, stop)
        keys = form.keys(scores, alive, self.magnitude, self.scale, Scratch.of(form, scores.size))
        if keys is None:
            raise self.not_a_number()
        return keys

    def values(self) -> np.ndarray:
        """
        Return the scores as floats.

        Returns
        -------
        (out, in, *kernel) array
            New, float32, or float64 where `scores` are; absolute if `magnitude`, divided by
            `scale`, minus infinity where a weight is not alive.

        Raises
        ------
        ScoreError
            If a score is NaN.
        """
        dtype = np.float64 if self.scores.dtype == np.float64 else np.float32
        values = self.scores.astype(dtype, order="C")
        if self.magnitude:
            np.abs(values, out=values)
        if np.isnan(values).any():
            raise self.not_a_number()
        if self.scale != 1.0:
            np.divide(values, dtype(self.scale), out=values)
        if self.alive is not None:
            values[~self.alive] = -np.inf
        return values

    def not_a_number(self) -> ScoreError:
        """Return the error that says where the first NaN is."""
        found = np.flatnonzero(np.isnan(self.scores.astype(np.float64)))
        return ScoreError(
            f"score of '{self.name}' is NaN at flat index {found[0]} ({found.size} in all); "
            "NaN cannot be ranked, so check the weights or the pruner"
        )
