"""Square tiles of outputs by inputs."""

from __future__ import annotations

import numpy as np
from attrs import field, frozen

import pruners
from pruners.options import integer, whole
from pruners.selection import Ranking, layer_mask


@frozen(kw_only=True)
class Tile:
    r"""
    Keep or remove square tiles of `size` outputs by `size` inputs, whole kernels with them.

    The score of tile :math:`G` is :math:`\sum_{w \in G} |s_w|` over the scores of its weights, and
    the :math:`\lfloor sT \rfloor` lowest of :math:`T` tiles are removed.

    Parameters
    ----------
    size : int, default 4
        Outputs, and inputs, of a tile, from 1. With 1 a tile is one two-dimensional kernel.

    Raises
    ------
    pruners.SkipLayer
        In use: if a layer has fewer than two axes; it stays dense.

    Notes
    -----
    Needs no data of its own. Exactly the asked number of tiles goes; of equal tiles the one of the
    lower index in C order. Where `size` does not divide an axis, the layer is padded with zeros: a
    tile at the edge has fewer weights, so a smaller sum, and tends to go first. Sparsity counts
    tiles. Tiles that are already removed go first; in a tile that has lost some weights these count
    as 0, and the tile is kept or removed whole.

    Differs from the paper, which names the kernel (`size` 1) and rows of it, and keeps what is
    above a threshold.

    References
    ----------
    .. [1] H. Mao, S. Han, J. Pool, W. Li, X. Liu, Y. Wang, W. J. Dally, "Exploring the Granularity
           of Sparsity in Convolutional Neural Networks", CVPR Workshops 2017, section 3.
           arXiv:1705.08922.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([[1.0, 1.0, 5.0], [1.0, 2.0, 1.0]])
    >>> Tile(size=2).mask(Ranking("w", w), 0.5).astype(int).tolist()
    [[0, 0, 1], [0, 0, 1]]
    """

    size: int = field(default=4, converter=integer, validator=whole(1))

    def mask(self, ranking: Ranking, sparsity: float) -> np.ndarray:
        """Return the bool mask ``(out, in, *kernel)`` of whole tiles."""
        if len(ranking.shape) < 2:
            raise pruners.SkipLayer(f"tiles lie on outputs and inputs; the shape is {ranking.shape}")
        values = np.abs(ranking.values().astype(np.float64))
        alive = np.ones(ranking.shape, bool) if ranking.alive is None else ranking.alive
        tiles = Ranking(
            ranking.name,
            self._tiled(np.where(alive, values, 0)),
            alive=self._tiled(alive) > 0,
            among=None if ranking.among is None else ranking.among.coarser((self.size, self.size)),
        )
        return self._spread(layer_mask(tiles, sparsity), ranking.shape)

    def rows(self, shape: tuple[int, ...]) -> int:
        """Return the multiple of rows at which a layer may be cut: between tiles."""
        return self.size

    def check(self, mask: np.ndarray) -> None:
        """Raise `pruners.PatternError` if a tile is kept in part."""
        if mask.ndim < 2:
            return
        whole_tiles = self._spread(self._tiled(mask) > 0, mask.shape)
        if not np.array_equal(whole_tiles, mask):
            place = tuple(int(axis[0]) // self.size for axis in np.nonzero(whole_tiles & ~mask)[:2])
            raise pruners.PatternError(f"tile {place} of {self.size} x {self.size} is kept in part")

    def _tiled(self, array: np.ndarray) -> np.ndarray:
        """Return the sums ``(tile row, tile column)``; what is missing at the edges counts 0."""
        sums = array.reshape(*array.shape[:2], int(np.prod(array.shape[2:]))).sum(axis=2, dtype=np.float64)
        padded = np.pad(sums, [(0, -length % self.size) for length in sums.shape])
        rows, columns = (length // self.size for length in padded.shape)
        tiles: np.ndarray = padded.reshape(rows, self.size, columns, self.size).sum(axis=(1, 3))
        return tiles

    def _spread(self, tiles: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return a mask of tiles as one of weights."""
        full = tiles.repeat(self.size, axis=0).repeat(self.size, axis=1)[: shape[0], : shape[1]]
        return np.broadcast_to(full.reshape(*shape[:2], *(1,) * (len(shape) - 2)), shape).copy()
