"""The guides for users of earlier tools: every parameter of a tool has a row, and both sides are there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from pages import ROOT, regions

FOLDER = ROOT / "docs/coming-from"
PARAMETERS = {
    "nni": """
        sparsity op_types 'default' op_names op_partial_names exclude initial_sparsity final_sparsity
        start_epoch end_epoch frequency total_sparsity sparsity_per_layer max_sparsity_per_layer balance_gran
        sparse_ratio op_names_re exclude_op_names global_group_id max_sparse_ratio min_sparse_ratio
        sparse_threshold dependency_group_id granularity target_names
        LevelPruner AGP_Pruner SensitivityPruner update_epoch tf.get_default_graph() model_graph compress()
        export_model ModelSpeedup sess mode="nni"
    """,
    "torch-prune": """
        module name amount n dim importance_scores parameters pruning_method mask
        l1_unstructured random_unstructured ln_structured random_structured global_unstructured
        custom_from_mask identity remove is_pruned BasePruningMethod PruningContainer
    """,
    "torch-pruning": """
        model example_inputs importance global_pruning pruning_ratio pruning_ratio_dict max_pruning_ratio
        iterative_steps iterative_pruning_ratio_scheduler ignored_layers round_to isomorphic
        in_channel_groups out_channel_groups num_heads prune_num_heads prune_head_dims head_pruning_ratio
        head_pruning_ratio_dict customized_pruners unwrapped_parameters root_module_types forward_fn
        output_transform channel_groups ch_sparsity ch_sparsity_dict interactive regularize pruning_history
        group_reduction normalizer
    """,
    "paddle": """
        dynamic_pruning sparsity_upper_bound interval_pass end_pass pruning sparsity_ratio ParamAttr
        update_hooks param_attr img_conv fc prune_vars axis sensitive eval_func sen_file target_vars skip_vars
        sensitive_prune align restore model mode threshold ratio local_sparsity prune_params_type
        skip_params_func stable_iterations pruning_iterations tunning_iterations pruning_steps initial_ratio
        resume_iteration step() update_params() total_sparse summarize_weights
    """,
    "moffett": """
        model pretrain_step pretrian_step sparse_step frequency prune_dict restore_sparsity fix_sparsity
        balance="fix" balance="none" prune_device prepare() prune() sparsity()
        SGDSparse AdamSparse NAGSparse NadamSparse MomentumOptimizerSparse target_sparsity keywords_no_sparse
        special_sparsity_dict sparse_block init_sparsity enable_channel_balance finetune resume
        L1_regularization
    """,
    "maskimpt": """
        MaskFPGM MaskFilterNorm MaskThiNet MaskAPoZ model rate_keep_norm_per_layer rate_dist_per_layer
        norm keep_rate dataloader ratio pre_layer use_cuda input_shape current_epoch skip_tail_conv_fp
        skip_tail_conv_cp extra_skip_fp_module_name extra_skip_cp_module_name make() do_mask() if_zero()
        generate_pruned_model() mask.model ModuleList
    """,
    "sensetime": """
        model distributed forbidden_list flops_lambda min_keep_ratio name_nchannel_dict prune_conv_pre_fc
        rebuild_model batch to_loss_fn optimizer prune_num continue cut_multi trim_targets param_group_func
        modified sum_flops name_flops save_model_def load_model_def model_def torch.backends.cudnn.benchmark
    """,
    "tfmot": """
        to_prune pruning_schedule block_size block_pooling_type pruning_policy sparsity_m_by_n
        ConstantSparsity target_sparsity begin_step end_step frequency PolynomialDecay initial_sparsity
        final_sparsity power PrunableLayer.get_prunable_weights UpdatePruningStep PruningSummaries
        strip_pruning prune_scope PruneForLatencyOnXNNPack
    """,
}


def explained(path: Path) -> str:
    """Return the code in the tables of a page, one piece a line."""
    rows = re.findall(r"^\|.*", path.read_text(), re.MULTILINE)
    return "\n".join(code for row in rows for code in re.findall(r"`([^`]+)`", row))


def names(tool: str, name: str) -> bool:
    """Return whether a row of a page has a parameter, as a whole word."""
    return bool(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", explained(FOLDER / f"{tool}.md")))


@pytest.mark.parametrize(
    ("tool", "name"), [(tool, name) for tool, listed in PARAMETERS.items() for name in listed.split()]
)
def test_a_parameter_is_explained(tool, name):
    assert names(tool, name)


def test_a_missing_parameter_is_found():
    assert not names("nni", "sparse_rati")
    assert not names("nni", "no_such_key")


def test_every_page_is_listed_and_has_its_parameters():
    pages = {path.stem for path in FOLDER.glob("*.md")} - {"index"}
    assert pages == set(PARAMETERS)
    index = (FOLDER / "index.md").read_text()
    assert not [page for page in pages if f"]({page}.md" not in index]
    site = (ROOT / "mkdocs.yml").read_text()
    assert not [page for page in pages if f"coming-from/{page}.md" not in site]


@pytest.mark.parametrize("tool", PARAMETERS)
def test_both_sides_are_shown_and_the_right_one_runs(tool):
    grids = re.findall(
        r'<div class="grid" markdown>\n\n(.*?)\n</div>', (FOLDER / f"{tool}.md").read_text(), re.DOTALL
    )
    assert len(grids) >= 4
    for grid in grids:
        left, right = re.findall(r"^```(py|python) title=\"([^\"]+)\"$", grid, re.MULTILINE)
        assert left[1] != "Pruners"
        assert right == ("python", "Pruners")


@pytest.mark.parametrize("tool", PARAMETERS)
def test_what_was_typed_is_python(tool):
    for region in regions(FOLDER / f"{tool}.md"):
        if region.lexemes["language"] == "py":
            compile(region.lexemes["source"], tool, "exec")
