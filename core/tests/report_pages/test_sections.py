"""What the sections say: numbers that are those of the model, pictures that are those of the masks."""

from __future__ import annotations

import json

import numpy as np
import pytest

import pruners

from . import making
from .looking import read

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from pruners.pages.masks import flat, shares


def sections(tmp_path, model, **given):
    pruners.page(model, tmp_path / "a.html", **given)
    return json.loads((tmp_path / "a.json").read_text())["sections"]


def rows(tmp_path, section):
    """Return the cells of every table of one section, heading and rows."""
    text = (tmp_path / "a.html").read_text()
    part = text.partition(f'<section id="{section}"')[2].partition("</section>")[0]
    page = read_text(part.partition(">")[2])
    found = []
    for element in page.elements:
        if element.tag == "tr":
            found.append([])
        elif element.tag in ("td", "th"):
            found[-1].append(element.said)
    return found


def read_text(text):
    from .looking import Page

    return Page(text)


def test_the_summary_names_what_each_number_comes_from(tmp_path):
    weights = making.model()
    dense = {name: array.copy() for name, array in weights.items()}
    pruners.attach(weights, pruners.Rule(sparsity=0.5))
    found = sections(tmp_path, weights, dense=dense)["summary"]
    assert [(each["name"], each["parameters"], each["nonzeros"]) for each in found["models"]] == [
        ("dense", 1802, 1802),
        ("masked", 1802, 1802 - 896),
    ]
    assert rows(tmp_path, "summary")[:3] == [
        ["model", "parameters", "non-zeros", "bytes of layers", "from"],
        ["dense", "1,802", "1,802", "7,168", "counted in the model"],
        ["masked", "1,802", "906", "7,168", "counted in the model"],
    ]
    assert "nothing is faster without kernels that skip them" in read(tmp_path / "a.html").sections["summary"]


def test_what_was_measured_goes_before_what_was_counted(tmp_path):
    found = sections(tmp_path, making.model(), dense=making.model(), measurement=making.MEASUREMENT)
    dense, now, small = found["summary"]["models"]
    assert (dense["nonzeros"], dense["file"], dense["latency"], dense["accuracy"]) == (1800, 7400, 2.5, 0.91)
    assert dense["bytes"] == 7168
    assert dense["source"] == "measured, latency in onnx; bytes of layers counted"
    assert (now["name"], now["latency"]) == ("as it is", None)
    assert (small["file"], small["latency"], small["macs"]) == (2900, None, None)
    said = read(tmp_path / "a.html").sections["summary"]
    assert "No faster here: small in onnx." in said
    assert "no operator for it" in said
    assert "2.4 to 2.6" in said
    assert "On processor a <fast> one." in said


def test_a_removed_model_is_known_by_its_parameters(tmp_path):
    found = sections(tmp_path, making.model(), removal=making.REMOVAL)["summary"]
    assert [(each["name"], each["parameters"], each["macs"]) for each in found["models"]] == [
        ("dense", 4000, 90_000),
        ("removed", 1802, 30_000),
    ]
    assert found["models"][1]["bytes"] == 7168
    said = read(tmp_path / "a.html").sections["summary"]
    assert "no faster here: 2.00 ms (1.90 to 2.10) before, 1.99 ms (1.90 to 2.10) after" in said
    other = {**making.REMOVAL, "parameters": {"before": 1802, "after": 900}, "latency": None}
    found = sections(tmp_path, making.model(), removal=other)["summary"]
    assert [each["name"] for each in found["models"]] == ["dense", "as it is", "removed"]


def test_channels_are_told_before_and_after(tmp_path):
    sections(tmp_path, making.model(), removal=making.REMOVAL)
    table = rows(tmp_path, "channels")
    assert table[1] == ["conv.weight", "0.50", "32", "16", "1", "-1,000", "-5,000", ""]
    assert table[2] == ["b.weight", "1.00", "8", "8", "2", "0", "0", "a size in the code <b>"]
    assert table[-1] == ["fc.weight", "is returned by the model"]
    assert "24 of 40 channels stay, chosen by fpgm." in read(tmp_path / "a.html").sections["channels"]


def test_a_real_removal_is_taken_as_it_is(tmp_path):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8 * 36, 4)
    )
    removal = pruners.remove(network, "filter-norm", sparsity=0.5, example_inputs=(torch.ones(2, 1, 8, 8),))
    found = sections(tmp_path, removal.model, removal=removal)
    assert [each["name"] for each in found["summary"]["models"]] == ["dense", "removed"]
    assert found["summary"]["models"][1]["parameters"] == removal.parameters.after
    assert found["channels"]["groups"][0]["kept"] == 4
    assert rows(tmp_path, "channels")[1][2:4] == ["8", "4"]


def test_exported_files_are_told_in_every_runtime(tmp_path):
    found = sections(tmp_path, making.model(), exported=[making.EXPORTED, {**making.EXPORTED, "path": "b"}])
    assert found["exported"]["files"][0] == making.EXPORTED
    last = found["summary"]["models"][1:]
    assert [(each["name"], each["file"], each["latency"]) for each in last] == [
        ("exported: small <1>.onnx", 2000, 1.98),
        ("exported: b", 2000, 1.98),
    ]
    table = rows(tmp_path, "exported")
    ending = ["onnx", "2,000", "7,500", "onnxruntime", "2e-07", "2", "1.98", "no faster"]
    assert table[1] == ["small <1>.onnx", *ending]
    assert table[2][4:] == ["openvino", "3e-07", "", "", ""]
    assert "No faster here in ONNX Runtime." in read(tmp_path / "a.html").sections["exported"]


def test_a_real_export_is_taken_as_it_is(tmp_path):
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(8, 4))
    exported = pruners.export(model, tmp_path / "m.pt2", torch.ones(1, 8), to="pt2", measure=3)
    found = sections(tmp_path, model, exported=exported)
    assert found["exported"]["files"] == [exported.to_dict()]
    assert found["summary"]["models"][-1]["file"] == exported.bytes


def test_layers_have_their_bars_and_numbers(tmp_path):
    weights = making.model()
    pruning = pruners.attach(weights, pruners.Rule("conv", sparsity=0.5))
    found = sections(tmp_path, pruning)["layers"]
    assert [row["sparsity"] for row in found["layers"]] == [0.5, 0.0]
    assert rows(tmp_path, "layers")[1][:4] == ["conv.weight", "0.5000", "0.5000", "1,152"]
    assert rows(tmp_path, "layers")[2][:4] == ["fc.weight", "0.0000", "dense", "640"]
    assert 'style="width: 50.0%"' in (tmp_path / "a.html").read_text()


def test_masks_lie_with_neighbouring_inputs_side_by_side():
    mask = np.zeros((2, 4, 1, 3), bool)
    mask[1, :, 0, 2] = [True, False, True, True]
    drawn = flat(mask)
    assert drawn.shape == (2, 12)
    assert drawn[1, 8:].tolist() == [True, False, True, True]
    assert drawn.sum() == 3
    assert flat(np.ones(5, bool)).shape == (1, 5)


def test_a_picture_of_many_weights_has_the_exact_fraction_of_each_cell():
    mask = np.random.default_rng(0).random((7, 11)) < 0.4
    found = shares(mask, 3, 4)
    assert found.shape == (3, 3)
    for row in range(3):
        for column in range(3):
            part = mask[3 * row : 3 * row + 3, 4 * column : 4 * column + 4]
            assert found[row, column] == pytest.approx(part.mean())


def pixels(text, which):
    """Return the opacity of a picture of the page, 0 to 255."""
    import base64
    import io
    import re

    from matplotlib.image import imread

    data = re.findall(r"base64,([A-Za-z0-9+/=]+)", text)[which]
    return (imread(io.BytesIO(base64.b64decode(data)))[..., 3] * 255).round().astype(int)


def test_every_weight_of_a_small_mask_is_a_pixel_and_nm_is_seen(tmp_path):
    weights = making.model()
    pruning = pruners.attach(weights, pruners.Rule("fc", pattern="nm", sparsity=0.5))
    sections(tmp_path, pruning, layers="fc")
    drawn = pixels((tmp_path / "a.html").read_text(), 0)
    assert drawn.shape == (10, 64)
    assert ((drawn > 0) == (weights["fc.weight"] != 0)).all()
    assert set(np.unique(drawn)) == {0, 255}
    assert ((drawn > 0).reshape(10, 16, 4).sum(-1) == 2).all()


def test_a_large_mask_is_thinned_out_and_says_so(tmp_path):
    weights = {"w": np.zeros((700, 800), np.float32)}
    weights["w"][:350] = 1
    sections(tmp_path, weights)
    text = (tmp_path / "a.html").read_text()
    drawn = pixels(text, 0)
    assert drawn.shape == (234, 400)
    assert (drawn[:116] == 255).all() and (drawn[117:] == 0).all()
    assert 160 <= drawn[116, 0] <= 175  # two of three rows are kept
    assert "A cell is 3 by 2 weights, as strong as the fraction kept; 50.00% kept." in text
    assert pixels(text, 1).shape == (32, 128)


def test_mask_numbers(tmp_path):
    weights = {"w": np.ones((3, 4, 2))}
    weights["w"][0] = 0
    weights["w"][:, 1] = 0
    (found,) = sections(tmp_path, weights)["masks"]["layers"]
    assert found["kept"] == 12
    assert found["kept_per_output"] == [0, 6]
    assert (found["outputs_pruned"], found["inputs_pruned"]) == (1, 1)


def test_histograms_count_every_weight_and_cut_where_magnitude_does(tmp_path):
    weights = making.model()
    dense = {name: array.copy() for name, array in weights.items()}
    pruning = pruners.attach(weights, pruners.Rule("fc", sparsity=0.75))
    (found,) = sections(tmp_path, pruning, dense=dense)["scores"]["histograms"]
    assert (sum(found["kept"]), sum(found["pruned"])) == (160, 480)
    assert found["cut"] == np.sort(np.abs(dense["fc.weight"]), axis=None)[479]
    assert found["below"] == 1.0
    assert found["edges"][-1] == np.abs(dense["fc.weight"]).max()


def test_where_another_pruner_chose_the_cut_is_not_clean(tmp_path):
    weights = making.model()
    dense = {name: array.copy() for name, array in weights.items()}
    pruning = pruners.attach(weights, pruners.Rule("fc", pruner="random", sparsity=0.5))
    scores = pruners.scores(dense, "level", match="fc")
    split, ranked = sections(tmp_path, pruning, dense=dense, scores=scores)["scores"]["histograms"]
    assert 0.3 < split["below"] < 0.7
    assert (ranked["what"], ranked["below"], sum(ranked["pruned"])) == ("score", 1.0, 320)


def test_without_the_dense_model_only_what_is_kept_is_drawn(tmp_path):
    weights = making.model()
    pruning = pruners.attach(weights, pruners.Rule("fc", sparsity=0.75))
    weights["fc.weight"][pruning.masks["fc.weight"]] = np.inf
    weights["fc.weight"][0, :] = 1.0
    (found,) = sections(tmp_path, pruning)["scores"]["histograms"]
    assert sum(found["pruned"]) == 0 and found["cut"] is None
    assert sum(found["kept"]) + found["left_out"] == 160
    assert found["left_out"] > 0
    assert "are not finite and not drawn" in read(tmp_path / "a.html").sections["scores"]


def test_scores_of_channels_are_cut_by_pruned_channels(tmp_path):
    weights = {"w": np.arange(1.0, 41.0).reshape(8, 5)}
    weights["w"][:3] = 0
    scores = {"w": np.arange(8.0)}
    found = sections(tmp_path, weights, scores=scores)["scores"]["histograms"][-1]
    assert (sum(found["pruned"]), found["cut"]) == (3, 2.0)


def test_history_lists_masks_and_records_in_the_order_of_time(tmp_path):
    sections(tmp_path, making.session(making.model()))
    table = rows(tmp_path, "history")
    assert table[0] == ["step", "sparsity", "accuracy", "loss"]
    assert [row[0] for row in table[1:]] == ["0", "0", "1", "2", "2", "3", "4", "4"]
    assert table[6] == ["3", table[5][1], "0.87", "nan"]
    said = read(tmp_path / "a.html").sections["history"]
    assert "Masks were computed 3 times; accuracy, loss recorded 5 times." in said
    assert "loss was nan at step 3." in said


def test_epochs_are_called_epochs(tmp_path):
    ramp = pruners.schedule("linear", start=0, stop=2)
    pruning = pruners.attach(making.model(), pruners.Rule(sparsity=0.5, schedule=ramp))
    for epoch in range(4):
        pruning.epoch(epoch)
    found = sections(tmp_path, pruning)["history"]
    assert found["time"] == "epochs"
    assert rows(tmp_path, "history")[0][0] == "epoch"
    assert "No metric was recorded" in read(tmp_path / "a.html").sections["history"]


def test_a_long_history_is_thinned_out_on_the_page_only(tmp_path):
    pruning = pruners.attach(making.model(), pruners.Rule(sparsity=0.5))
    for step in range(500):
        pruning.record(loss=step)
    found = sections(tmp_path, pruning)["history"]
    assert len(found["records"]) == 500
    assert len(rows(tmp_path, "history")) == 201
    assert rows(tmp_path, "history")[-1][-1] == "499"
    assert "200 of 501 entries" in read(tmp_path / "a.html").sections["history"]


def test_sensitivity_is_a_row_per_layer_in_the_colour_of_its_line(tmp_path):
    weights = making.model()
    found = making.scan(weights)
    assert sections(tmp_path, weights, sensitivities=found)["sensitivity"] == found.to_dict()
    table = rows(tmp_path, "sensitivity")
    assert table[0] == ["layer", "weights", "0.5", "0.9"]
    assert table[2] == ["fc.weight", "640", *(f"{metric:.4g}" for metric in found.layers[1].metrics)]
    text = (tmp_path / "a.html").read_text()
    assert 'style="background: var(--c1)"></span>fc.weight' in text


def test_a_metric_that_is_nan_is_said_and_not_drawn(tmp_path):
    values = making.scan(making.model()).to_dict()
    values["layers"][0]["metrics"][1] = None
    values["skipped"] = {"x.weight": "too narrow"}
    sections(tmp_path, making.model(), sensitivities=values)
    assert rows(tmp_path, "sensitivity")[1][-1] == "not a number"
    assert "x.weight: not measured, too narrow" in read(tmp_path / "a.html").sections["sensitivity"]
