"""Sessions on several ranks: all go on, or all keep what they had."""

import json

import numpy as np
import pytest

import pruners
from pruners import OptionError, PrunerFailed, RankError, ScoreError, StateError

from .cuts import all_well, even, joined, on_ranks
from .sharded import ShardedBackend, ShardedModel

RANDOM = np.random.default_rng(3)
WHOLE = {"a": RANDOM.standard_normal((10, 6)).astype("float32"), "b": RANDOM.standard_normal((7, 4))}
ROWS = {"a": even((10, 6), 0, 3), "b": even((7, 4), 0, 3)}
RAMP = pruners.schedule("agp", start=0, stop=4, every=2)
GROWING = pruners.Rule("*", sparsity=0.75, schedule=RAMP)


def opened(group, boxes=ROWS, whole=None):
    return ShardedModel.of(group, whole or WHOLE, boxes)


def snapshot(session, model):
    weights = {name: array.copy() for name, array in model.arrays.items()}
    return session.time, len(session.log), session.masks, weights


def same(one, other):
    return one[:2] == other[:2] and all(
        np.array_equal(one[i][name], other[i][name]) for i in (2, 3) for name in one[i]
    )


class FailsLater:
    """Level that fails on one rank once it is armed."""

    unit = "weight"
    reach = "weight"
    rank = None

    def __init__(self, rank):
        self.mine = rank

    def scores(self, view):
        if self.mine == type(self).rank:
            raise ZeroDivisionError("bad batch")
        return {name: np.abs(w) for name, w in view.weights.items()}


@pytest.mark.parametrize("boxes", [ROWS, {}], ids=["pieces", "copies"])
@pytest.mark.parametrize("scope", ["layer", "model"])
def test_a_rank_that_fails_leaves_all_with_the_old_masks(boxes, scope, monkeypatch):
    monkeypatch.setattr(FailsLater, "rank", None)

    def work(group):
        model = opened(group, boxes)
        asked = pruners.Rule("*", pruner=FailsLater(group.rank), sparsity=0.75, scope=scope, schedule=RAMP)
        session = pruners.attach(model, asked)
        session.step()
        before = snapshot(session, model)
        group.room.barrier.wait()
        FailsLater.rank = 1
        with pytest.raises((PrunerFailed, RankError)) as raised:
            session.step()
        failed = same(before, snapshot(session, model))
        group.room.barrier.wait()
        FailsLater.rank = None
        session.step()
        return raised.value, failed, session.time, session.sparsity().total

    found = all_well(on_ranks(3, work))
    assert [type(error) for error, *_ in found] == [RankError, PrunerFailed, RankError]
    assert "rank 1 failed" in str(found[0][0])
    assert all(kept and time == 2 and total > 0.5 for _, kept, time, total in found)


def test_a_rank_that_fails_at_the_start_stops_all(monkeypatch):
    monkeypatch.setattr(FailsLater, "rank", 2)

    def work(group):
        model = opened(group)
        before = {name: array.copy() for name, array in model.arrays.items()}
        asked = pruners.Rule("*", pruner=FailsLater(group.rank), sparsity=0.5)
        try:
            pruners.attach(model, asked)
        except (RankError, PrunerFailed) as error:
            assert all(np.array_equal(before[name], model.arrays[name]) for name in before)
            return type(error)

    assert all_well(on_ranks(3, work)) == [RankError, RankError, PrunerFailed]


def test_copies_that_differ_are_found():
    def work(group):
        whole = dict(WHOLE)
        if group.rank == 2:
            whole["b"] = whole["b"][::-1].copy()
        pruners.attach(opened(group, {}, whole), pruners.Rule("*", sparsity=0.5))

    for error in on_ranks(3, work):
        assert isinstance(error, RankError)
        assert "the first layer that differs is 'b', on ranks 0 and 2" in str(error)


def test_a_rank_on_its_own():
    def work(group):
        whole = dict(WHOLE)
        if group.rank == 1:
            whole["b"] = whole["b"][::-1].copy()
        pruners.attach(opened(group, {}, whole), pruners.Rule("*", sparsity=0.5), distributed=False)
        return group.sent

    assert all_well(on_ranks(2, work)) == [0, 0]


def test_pieces_cannot_be_on_their_own():
    for error in on_ranks(3, lambda group: pruners.attach(opened(group), GROWING, distributed=False)):
        assert isinstance(error, OptionError) and "'a' lies in pieces on several ranks" in str(error)


def test_ranks_must_be_there_where_they_are_asked_for():
    with pytest.raises(OptionError, match="this backend knows no ranks"):
        pruners.attach({"w": np.ones((2, 2))}, GROWING, distributed=True)
    (error,) = on_ranks(1, lambda group: pruners.attach(opened(group, {}), GROWING, distributed=True))
    assert isinstance(error, OptionError) and "there is no process group" in str(error)


class OwnData:
    """Channel scores from each rank's own data."""

    unit = "channel"

    def scores(self, view):
        found = {name: np.zeros(w.shape[0]) for name, w in view.weights.items()}
        for name, z in view.activations():
            found[name] += z.sum(axis=0)
        return found


class OwnWeightData:
    """Weight scores from each rank's own data; what is prepared, too."""

    unit = "weight"

    def prepare(self, view):
        return {"mean": float(np.mean([z.mean() for _, z in view.activations()]))}

    def scores(self, view):
        found = {name: np.zeros(w.shape) for name, w in view.weights.items()}
        for name, z in view.activations():
            found[name] += z.sum(axis=0)[:, None] + np.abs(view.weights[name])
        return found


@pytest.mark.parametrize("boxes", [ROWS, {}], ids=["pieces", "copies"])
@pytest.mark.parametrize("pruner", [OwnData(), OwnWeightData()], ids=["channels", "weights"])
def test_scores_from_data_are_averaged(boxes, pruner):
    batches = [
        {name: np.random.default_rng(rank).random((5, array.shape[0])) for name, array in WHOLE.items()}
        for rank in range(3)
    ]
    together = {name: np.concatenate([each[name] for each in batches]) for name in WHOLE}
    rule = pruners.Rule("*", pruner=pruner, sparsity=0.5)

    def work(group, data=None):
        data = [batches[group.rank]] if data is None else data
        session = pruners.attach(opened(group, boxes if group.size > 1 else {}), rule, data=data)
        return session.masks, session.state_dict()["prepared"]

    masks = all_well(on_ranks(3, work))
    scaled = [together] if isinstance(pruner, OwnData) else batches
    ((expected, _),) = all_well(on_ranks(1, lambda group: work(group, scaled)))
    for name in WHOLE:
        pieces = [found[name] for found, _ in masks]
        found = joined(WHOLE[name].shape, boxes[name], pieces) if boxes else pieces[0]
        assert np.array_equal(found, expected[name])
        assert boxes or all(np.array_equal(piece, pieces[0]) for piece in pieces)
    assert masks[0][1] == masks[1][1] == masks[2][1]


def test_pruners_that_look_at_data_must_say_so():
    class Hidden(OwnData):
        reach = "channel"

    def work(group):
        batch = {name: np.ones((2, box[group.rank].shape[0])) for name, box in ROWS.items()}
        pruners.attach(opened(group), pruners.Rule("*", pruner=Hidden(), sparsity=0.5), data=[batch])

    for error in on_ranks(3, work):
        assert isinstance(error, ScoreError) and "its spec must say so in needs" in str(error)


def test_a_session_resumes_on_the_same_pieces():
    def work(group):
        model = opened(group)
        session = pruners.attach(model, GROWING)
        session.step()
        session.step()
        saved = json.loads(json.dumps(session.state_dict()))
        for _ in range(3):
            session.step()
        other = opened(group)
        resumed = pruners.attach(other, GROWING)
        resumed.load_state_dict(saved)
        for _ in range(3):
            resumed.step()
        return same(snapshot(session, model), snapshot(resumed, other)) and session.log == resumed.log

    assert all(all_well(on_ranks(3, work)))


@pytest.mark.parametrize(
    ("boxes", "ranks"), [({}, 1), (ROWS, 3), ({n: even(a.shape, 1, 2) for n, a in WHOLE.items()}, 2)]
)
def test_a_state_of_other_pieces_is_refused(boxes, ranks):
    columns = {name: even(array.shape, 1, 3) for name, array in WHOLE.items()}
    states = all_well(on_ranks(3, lambda group: pruners.attach(opened(group, columns), GROWING).state_dict()))

    def work(group):
        session = pruners.attach(opened(group, boxes), GROWING)
        before = snapshot(session, session._opened)
        with pytest.raises(StateError, match="pruners_torch.checkpoint"):
            session.load_state_dict(states[group.rank])
        return same(before, snapshot(session, session._opened))

    assert all(all_well(on_ranks(ranks, work)))


def test_a_session_in_parts_resumes_on_other_pieces():
    def begun(group):
        session = pruners.attach(opened(group), GROWING)
        session.step()
        session.step()
        return session.state_parts()

    parts = all_well(on_ranks(3, begun))
    state = json.loads(json.dumps(parts[0][0]))
    assert all(json.loads(json.dumps(each)) == state for each, _ in parts)
    masks = {name: joined(a.shape, ROWS[name], [m[name] for _, m in parts]) for name, a in WHOLE.items()}
    columns = {name: even(array.shape, 1, 2) for name, array in WHOLE.items()}

    def resumed(group):
        model = opened(group, columns if group.size > 1 else {})
        session = pruners.attach(model, GROWING)
        mine = ShardedModel.of(group, masks, columns if group.size > 1 else {}).arrays
        session.load_state_parts(state, mine)
        session.step()
        session.step()
        return session.masks, session.log

    two = all_well(on_ranks(2, resumed))
    (one,) = all_well(on_ranks(1, resumed))
    for name, array in WHOLE.items():
        assert np.array_equal(joined(array.shape, columns[name], [m[name] for m, _ in two]), one[0][name])
    assert two[0][1] == two[1][1] == one[1]


@pytest.mark.parametrize("wrong", ["lacks a", "other", "not bool"])
def test_parts_that_do_not_belong_together_are_refused(wrong):
    def work(group):
        session = pruners.attach(opened(group, {}), GROWING)
        state, masks = session.state_parts()
        if wrong == "lacks a":
            del masks["a"]
        elif wrong == "other":
            masks["c"] = masks["a"]
        else:
            masks["a"] = masks["a"].astype("float32")
        session.load_state_parts(state, masks)

    (error,) = on_ranks(1, work)
    assert isinstance(error, StateError)


def test_ranks_at_different_times_are_told():
    def work(group):
        session = pruners.attach(opened(group), GROWING)
        session.epoch(2 + 2 * (group.rank == 1))

    for error in on_ranks(3, work):
        assert isinstance(error, RankError) and "ranks are at different times: 2, 4, 2" in str(error)


def test_zeros_are_kept_on_pieces():
    whole = {name: np.where(np.abs(array) < 0.5, 0, array) for name, array in WHOLE.items()}

    def work(group):
        model = opened(group, ROWS, whole)
        session = pruners.attach(model, keep="zeros")
        kept = session.sparsity()
        for array in model.arrays.values():
            array += 1
        session.step()
        restored = pruners.attach(model, pruners.Rule("*", sparsity=0.9, schedule=RAMP), restore=True)
        return kept, session.sparsity(), restored.sparsity()

    zeros = {name: float(np.mean(array == 0)) for name, array in whole.items()}
    for kept, after, restored in all_well(on_ranks(3, work)):
        assert kept == after and kept.layers == pytest.approx(zeros)
        assert restored.layers == pytest.approx(zeros)


def test_one_shot_calls_work_on_pieces():
    def work(group):
        model = opened(group)
        scores = pruners.scores(model, "level")
        masks = pruners.masks(model, "level", sparsity=0.5, scope="model")
        pruners.prune(model, "level", sparsity=0.5, scope="model")
        return scores, masks, model.arrays, pruners.report(model).zeros

    found = all_well(on_ranks(3, work))
    masks = pruners.masks(WHOLE, "level", sparsity=0.5, scope="model")
    for name, array in WHOLE.items():
        scores = joined(array.shape, ROWS[name], [each[0][name] for each in found], array.dtype)
        assert np.array_equal(scores, np.abs(array))
        assert np.array_equal(joined(array.shape, ROWS[name], [each[1][name] for each in found]), masks[name])
        pruned = joined(array.shape, ROWS[name], [each[2][name] for each in found], array.dtype)
        assert np.array_equal(pruned, np.where(masks[name], array, 0))
    assert all(each[3] == sum(int((~mask).sum()) for mask in masks.values()) for each in found)


def test_work_on_whole_models_is_refused():
    for error in on_ranks(3, lambda group: pruners.sensitivity(opened(group), lambda model: 1.0)):
        assert isinstance(error, OptionError) and "do it before the model is sharded" in str(error)


@pytest.mark.parametrize("boxes", [ROWS, {}], ids=["pieces", "copies"])
def test_ranks_with_different_rules_are_told(boxes):
    def work(group):
        pruners.attach(opened(group, boxes), pruners.Rule("*", sparsity=0.5 + 0.1 * group.rank))

    for error in on_ranks(3, work):
        assert isinstance(error, RankError) and "by different rules" in str(error)


def test_channels_of_layers_in_pieces_are_not_removed(monkeypatch):
    monkeypatch.setattr(ShardedModel, "run", lambda self, inputs: None, raising=False)
    monkeypatch.setattr(ShardedModel, "trace", lambda self, *given, **more: None, raising=False)
    monkeypatch.setattr("pruners.removing.backend_for", lambda model: ShardedBackend())
    for error in on_ranks(3, lambda group: pruners.remove(opened(group), sparsity=0.5, example_inputs=())):
        assert isinstance(error, pruners.RemovalError)
        assert "'a' lies in pieces" in str(error) and "before the model is sharded" in str(error)
