"""Checks of a recording against itself and against the arrays it stands for."""

from __future__ import annotations

from collections import Counter

import mxnet
import numpy as np
from pruners_mxnet.lending import parameters
from pruners_mxnet.tracing import Arguments, arrays_in, trace

from .interpreter import computed, inputs_of, shape_of


def feeds(model, graph, inputs):
    own = {name: parameter.list_data()[0] for name, parameter in parameters(model).items()}
    return graph.feeds(own, Arguments.of(inputs).arrays)


def check_shapes(program):
    """Every value has one producer at most, which comes before its readers and gives its shape."""
    made = Counter(value for op in program.ops for value in op.outputs)
    assert all(count == 1 for count in made.values())
    known = set(range(len(program.shapes))) - set(made)
    for op in program.ops:
        assert known.issuperset(inputs_of(op)), op
        known.update(op.outputs)
        given = [program.shapes[value] for value in inputs_of(op)]
        assert shape_of(program, op, given), (op, given)


def check_numbers(model, recording, inputs):
    """Compute operations from their records; return how many outputs of MXNet's were compared."""
    graph, program = recording.graphs["eval"], recording.programs["eval"]
    entries = list(graph.values)
    arrays = graph.run(feeds(model, graph, inputs), wanted=entries)
    met = {graph.values[entry]: array.asnumpy() for entry, array in zip(entries, arrays, strict=True)}
    for value, array in met.items():
        assert array.shape == program.shapes[value]
    compared = 0
    for op in program.ops:
        values = inputs_of(op)
        if any(value not in met for value in values):
            continue
        shapes = [program.shapes[value] for value in op.outputs]
        found = computed(op, [met[value] for value in values], shapes)
        for value, array in zip(op.outputs, found or (), strict=False):
            if value in met:
                np.testing.assert_allclose(array, met[value], rtol=1e-3, atol=1e-4, err_msg=str(op))
                compared += 1
            else:
                met[value] = array
    return compared


def check_outputs(model, recording, inputs):
    """The graph gives what the model gives, bit for bit."""
    graph = recording.graphs["eval"]
    arguments = Arguments.of(inputs)
    expected = arrays_in(arguments.call(model))
    found = graph.run(feeds(model, graph, inputs))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.asnumpy(), other.asnumpy())


def check(model, inputs):
    """Record a model and check all of it; return the recording."""
    recording = trace(model, inputs)
    for program in recording.programs.values():
        check_shapes(program)
    check_outputs(model, recording, inputs)
    check_numbers(model, recording, inputs)
    return recording


def kinds(program):
    return [op.kind for op in program.ops]


def ops(program, kind):
    return [op for op in program.ops if op.kind == kind]


def random(*shape):
    return mxnet.nd.array(np.random.default_rng(0).normal(size=shape).astype(np.float32))
