"""Operations of detection and of sampling pictures at given places."""

from __future__ import annotations

from .layers import convolution
from .steps import Step, translates
from .tape import Tape


@translates("roi_align", "roi_pool")
def _regions(tape: Tape, step: Step) -> None:
    """Boxes cut out of a picture (batch, channel, row, column): channels stay as they are."""
    picture, boxes = step.read[:2]
    tape.write("window", [picture, boxes], step.results[:1], axes=(0, 2, 3), function=step.name)


@translates("ps_roi_align", "ps_roi_pool")
def _parted_regions(tape: Tape, step: Step) -> None:
    tape.write("whole", step.read, step.results, reason="has a place in each box written in its number")


@translates("nms", "qnms", "_unique2", "unique_consecutive", "unique_dim", "nonzero", "bincount", "histc")
def _chosen(tape: Tape, step: Step) -> None:
    tape.write("whole", step.read, step.results, reason=f"is read by {step.name}, which depends on the data")


@translates("grid_sampler_2d", "grid_sampler_3d", "grid_sampler", "cudnn_grid_sampler")
def _grid_sample(tape: Tape, step: Step) -> None:
    picture, grid = step.read[:2]
    batch = (0,) if picture.shape[0] != grid.shape[0] else ()
    axes = (*batch, *range(2, picture.ndim))
    tape.write("window", [picture, grid], step.results, axes=axes, function="grid_sample")


@translates("deform_conv2d")
def _deform_conv2d(tape: Tape, step: Step) -> None:
    """A convolution at places that depend on the data; the places are kept whole."""
    given = step.arguments
    steering = [given["offset"], given["mask"]] if given.get("use_mask") else [given["offset"]]
    picture = given["input"]
    sampled = tape.op(
        "window",
        [tape.number(each) for each in (picture, *steering)],
        [picture.shape],
        axes=(2, 3),
        function="deform_conv2d",
    )
    options = {
        "groups": given["groups"],
        "stride": (given["stride_h"], given["stride_w"]),
        "padding": (given["pad_h"], given["pad_w"]),
        "dilation": (given["dilation_h"], given["dilation_w"]),
    }
    convolution(tape, sampled[0], given["weight"], given.get("bias"), step.results[0], options)
