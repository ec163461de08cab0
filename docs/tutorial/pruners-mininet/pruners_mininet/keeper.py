from pruners.host import zero_pruned

from .layout import canonical


class Keeper:
    """Keeps the zeros of one model, through its optimizer where there is one."""

    def __init__(self, parameters, masks, optimizer):
        self._parameters, self._masks, self._optimizer = parameters, masks, optimizer

    def apply(self):
        if self._optimizer is not None and self._zero not in self._optimizer.after_step:
            self._optimizer.after_step.append(self._zero)
        self._zero()

    def update(self, masks, *, clear=True):
        self._masks.update(masks)
        self.apply()
        if clear and self._optimizer is not None:
            for name, mask in masks.items():
                zero_pruned(canonical(self._optimizer.velocity[name]), mask)

    def close(self):
        if self._optimizer is not None and self._zero in self._optimizer.after_step:
            self._optimizer.after_step.remove(self._zero)
        self._masks = {}

    def _zero(self):
        for name, mask in self._masks.items():
            zero_pruned(canonical(self._parameters[name]), mask)
