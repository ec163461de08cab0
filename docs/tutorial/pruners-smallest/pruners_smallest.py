from attrs import field, frozen, validators

import pruners


@frozen
class Smallest:
    """
    Score every weight by its absolute value to the power `p`.

    Parameters
    ----------
    p : float, default 2.0
        The exponent, a number above 0.

    Notes
    -----
    Needs no data. Ties fall to the lower index. Differs from the paper, which
    prunes below a threshold; the order of the weights is the same for every `p`.

    References
    ----------
    .. [1] S. Han, J. Pool, J. Tran, W. J. Dally, "Learning both Weights and
           Connections for Efficient Neural Networks", NIPS 2015. arXiv:1506.02626.

    Examples
    --------
    >>> import numpy as np, pruners
    >>> pruners.scores({"w": np.array([[3.0, -1.0]])}, "smallest")
    {'w': array([[9., 1.]])}
    """

    unit = "weight"
    p: float = field(default=2.0, validator=validators.gt(0))

    def scores(self, view):
        return {name: view.ops.abs(w) ** self.p for name, w in view.weights.items()}


@pruners.hookimpl
def provide_pruners():
    yield pruners.PrunerSpec(
        name="smallest",
        api=1,
        factory=Smallest,
        summary="smallest powers go first",
        paper="Han et al., NIPS 2015, arXiv:1506.02626",
    )
