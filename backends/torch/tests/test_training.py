"""Zeros that stay: through every optimizer, accumulation, clipping, mixed precision, compilation."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from torch import nn

import pruners

torch.set_num_threads(1)

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=1e-2),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-2),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-2),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-2, weight_decay=1e-2, amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=1e-1),
    "adamw-foreach": lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=1e-1, foreach=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=1e-2, momentum=0.9),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=1e-2),
}


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 36, 16),
        nn.ReLU(),
        nn.Linear(16, 4),
    )


def batches(count: int, seed: int = 1):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        yield torch.randn(8, 1, 8, 8, generator=generator), torch.randint(4, (8,), generator=generator)


def train(model, optimizer, pruning, count, seed=1, check=None):
    for x, y in batches(count, seed):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        if pruning is not None:
            pruning.step()
        if check is not None:
            check()


def positive_zeros(pruning, model) -> None:
    parameters = dict(model.named_parameters())
    for name, mask in pruning.masks.items():
        pruned = parameters[name].detach()[~mask]
        assert torch.equal(pruned, torch.zeros_like(pruned)), name
        assert not torch.signbit(pruned).any(), f"{name} has -0.0"


AGP = {"start": 2, "stop": 8, "every": 2}


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("given", [True, False], ids=["optimizer given", "step alone"])
def test_zeros_stay_zero(kind, given):
    model = network()
    optimizer = OPTIMIZERS[kind](model.parameters())
    rule = pruners.Rule("*", sparsity=0.75, schedule=pruners.schedule("agp", **AGP))
    pruning = pruners.attach(model, rule, optimizer if given else None)
    train(model, optimizer, pruning, 14, check=lambda: positive_zeros(pruning, model))
    rates = pruning.sparsity()
    for name, mask in pruning.masks.items():
        assert int((~mask).sum()) == int(0.75 * mask.numel())
        assert rates.layers[name] >= int(0.75 * mask.numel()) / mask.numel()
    assert [update.step for update in pruning.log] == [2, 4, 6, 8]


def test_weights_are_zero_the_moment_the_optimizer_has_stepped():
    model = network()
    optimizer = OPTIMIZERS["momentum"](model.parameters())
    pruning = pruners.attach(model, pruners.Rule(sparsity=0.5), optimizer)
    for x, y in batches(3):
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        positive_zeros(pruning, model)


def test_optimizer_state_is_cleared_where_a_mask_changes():
    model = network()
    optimizer = OPTIMIZERS["adam"](model.parameters())
    pruning = pruners.attach(
        model, pruners.Rule("4", sparsity=0.5, schedule=pruners.schedule("constant", at=4)), optimizer
    )
    train(model, optimizer, pruning, 4)
    mask = pruning.masks["4.weight"]
    state = optimizer.state[model[4].weight]
    for key in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"):
        assert not state[key][~mask].any()
        assert state[key][mask].any()
    assert state["step"] == 4


def test_accumulation_and_clipping():
    model = network()
    optimizer = OPTIMIZERS["momentum"](model.parameters())
    pruning = pruners.attach(model, pruners.Rule(sparsity=0.9), optimizer)
    for index, (x, y) in enumerate(batches(9)):
        (nn.functional.cross_entropy(model(x), y) / 3).backward()
        if index % 3 == 2:
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            pruning.step()
            optimizer.zero_grad()
            positive_zeros(pruning, model)
    assert pruning.time == 3


def test_masked_gradients_leave_only_kept_weights_in_the_norm():
    plain, masked = network(), network()
    norms = []
    for model, option in ((plain, False), (masked, True)):
        optimizer = OPTIMIZERS["sgd"](model.parameters())
        pruning = pruners.attach(model, pruners.Rule(sparsity=0.9), optimizer, mask_gradients=option)
        for x, y in batches(2):
            nn.functional.cross_entropy(model(x), y).backward()
        for name, mask in pruning.masks.items():
            gradient = dict(model.named_parameters())[name].grad
            assert bool(gradient[~mask].any()) is not option
            assert gradient[mask].any()
        norms.append(nn.utils.clip_grad_norm_(model.parameters(), 1.0))
        pruning.finish()
        nn.functional.cross_entropy(model(x), y).backward()
        assert gradient[~mask].any(), "finish() must take the gradient hooks off"
    assert norms[1] < norms[0]


def test_mixed_precision_with_a_gradient_scaler():
    model = network()
    optimizer = OPTIMIZERS["momentum"](model.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**120, growth_interval=2)
    pruning = pruners.attach(model, pruners.Rule(sparsity=0.8), optimizer)
    for x, y in batches(6):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = nn.functional.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        pruning.step()
        positive_zeros(pruning, model)
    assert pruning.time == 6


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_other_precisions(dtype):
    model = nn.Linear(32, 16).to(dtype)
    optimizer = OPTIMIZERS["momentum"](model.parameters())
    pruning = pruners.attach(model, pruners.Rule(sparsity=0.5), optimizer)
    for _ in range(3):
        model(torch.randn(4, 32, dtype=dtype)).float().square().mean().backward()
        optimizer.step()
        pruning.step()
        positive_zeros(pruning, model)
    assert int((~pruning.masks["weight"]).sum()) == 256


def test_infinite_and_nan_pruned_weights_become_plus_zero():
    model = nn.Linear(4, 2)
    pruning = pruners.attach(model, pruners.Rule(sparsity=0.5))
    mask = pruning.masks["weight"]
    with torch.no_grad():
        model.weight[~mask] = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0])
    pruning.step()
    positive_zeros(pruning, model)


def test_a_compiled_model_is_opened_at_the_users_module():
    model = network()
    compiled = torch.compile(model, backend="eager")
    optimizer = OPTIMIZERS["momentum"](model.parameters())
    pruning = pruners.attach(compiled, pruners.Rule(sparsity=0.8), optimizer)
    assert set(pruning.masks) == {"0.weight", "4.weight", "6.weight"}
    train(compiled, optimizer, pruning, 3, check=lambda: positive_zeros(pruning, model))


def test_tied_weights_are_one_layer_under_either_name():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(12, 8)
            self.head = nn.Linear(8, 12, bias=False)
            self.head.weight = self.embedding.weight

        def forward(self, x):
            return self.head(self.embedding(x))

    for name in ("head.weight", "embedding.weight", "head", "*"):
        model = Tied()
        optimizer = OPTIMIZERS["adamw"](model.parameters())
        pruning = pruners.attach(model, pruners.Rule(name, sparsity=0.5), optimizer)
        assert list(pruning.masks) == ["embedding.weight"]
        model(torch.arange(12)).square().mean().backward()
        optimizer.step()
        pruning.step()
        assert model.head.weight is model.embedding.weight
        assert int((model.head.weight == 0).sum()) == 48
    assert pruners.attach(Tied(), {"head.weight": 0.25}).sparsity().total == 0.25


def test_frozen_parameters_and_several_groups():
    model = network()
    model[0].weight.requires_grad_(False)
    optimizer = torch.optim.SGD(
        [{"params": model[4].parameters(), "lr": 0.5}, {"params": model[6].parameters()}],
        lr=0.1,
        momentum=0.9,
    )
    pruning = pruners.attach(model, pruners.Rule(sparsity=0.5), optimizer, mask_gradients=True)
    kept = model[0].weight.clone()
    train(model, optimizer, pruning, 3, check=lambda: positive_zeros(pruning, model))
    assert torch.equal(kept, model[0].weight) and not model[0].weight.requires_grad


def test_two_optimizers():
    model = network()
    both = [
        torch.optim.SGD(model[:4].parameters(), lr=0.1),
        torch.optim.AdamW(model[4:].parameters(), lr=0.1),
    ]
    pruning = pruners.attach(model, pruners.Rule(sparsity=0.5), both)
    for x, y in batches(2):
        nn.functional.cross_entropy(model(x), y).backward()
        for optimizer in both:
            optimizer.step()
        positive_zeros(pruning, model)


def test_attention_with_packed_projections_trains_and_stays_sparse():
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True)
    optimizer = OPTIMIZERS["adamw"](model.parameters())
    pruning = pruners.attach(model, pruners.Rule(sparsity=0.5), optimizer)
    assert {"self_attn.in_proj_weight", "self_attn.out_proj.weight"} <= set(pruning.masks)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(2, 5, 16)).square().mean().backward()
        optimizer.step()
        pruning.step()
        positive_zeros(pruning, model)
    with torch.no_grad():  # the fused inference path reads out_proj.weight without calling its forward
        model.eval()
        x = torch.randn(2, 5, 16)
        before = model(x)
        model.self_attn.out_proj.weight.zero_()
        assert not torch.equal(before, model(x))


@pytest.mark.parametrize("kind", ["momentum", "adamw"])
@pytest.mark.parametrize("pruner", ["level", "random", "sensitivity"])
@pytest.mark.parametrize("drive", ["step", "epoch"])
def test_an_interrupted_run_equals_an_uninterrupted_one(kind, pruner, drive, tmp_path):
    def start():
        model = network()
        optimizer = OPTIMIZERS[kind](model.parameters())
        rule = pruners.Rule(
            sparsity=0.8,
            pruner=pruner,
            schedule=pruners.schedule("agp", start=1, stop=7, every=1),
            rounding="round",
        )
        return model, optimizer, pruners.attach(model, rule, optimizer)

    def go(parts, epochs):
        model, optimizer, pruning = parts
        for number in epochs:
            if drive == "epoch":
                pruning.epoch(number)
            train(model, optimizer, pruning, 2, seed=number)

    whole = start()
    go(whole, range(5))

    parts = start()
    go(parts, range(3))
    saved = {
        "model": parts[0].state_dict(),
        "optimizer": parts[1].state_dict(),
        "pruning": parts[2].state_dict(),
    }
    torch.save(saved, tmp_path / "checkpoint.pt")
    loaded = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    resumed = start()
    resumed[0].load_state_dict(loaded["model"])
    resumed[1].load_state_dict(loaded["optimizer"])
    resumed[2].load_state_dict(json.loads(json.dumps(loaded["pruning"])))
    go(resumed, range(3, 5))

    for (name, one), two in zip(whole[0].state_dict().items(), resumed[0].state_dict().values(), strict=True):
        assert torch.equal(one, two), name
    for one, two in zip(whole[1].state.values(), resumed[1].state.values(), strict=True):
        assert all(torch.equal(torch.as_tensor(one[key]), torch.as_tensor(two[key])) for key in one)
    assert whole[2].state_dict() == resumed[2].state_dict()
    assert whole[2].sparsity().total > 0.3


def test_fine_tuning_a_sparse_model_keeps_its_zeros():
    model = network()
    pruners.prune(model, "level", sparsity=0.7)
    zeros = {name: p.detach() == 0 for name, p in model.named_parameters() if p.ndim > 1}
    optimizer = OPTIMIZERS["momentum"](model.parameters())
    pruning = pruners.attach(model, keep="zeros", optimizer=optimizer)
    train(model, optimizer, pruning, 4)
    for name, zero in zeros.items():
        assert torch.equal(dict(model.named_parameters())[name] == 0, zero)
    state = pruning.state_dict()
    again = pruners.attach(model, keep="zeros")
    again.load_state_dict(state)
    assert again.time == 4


def test_restore_starts_the_schedule_from_todays_sparsity():
    model = network()
    pruners.prune(model, "random", sparsity=0.5)
    zeros = {name: p.detach() == 0 for name, p in model.named_parameters() if p.ndim > 1}
    optimizer = OPTIMIZERS["momentum"](model.parameters())
    rule = pruners.Rule(sparsity=0.9, schedule=pruners.schedule("linear", start=0, stop=4, every=1))
    pruning = pruners.attach(model, rule, optimizer, restore=True)
    reached = [pruning.sparsity().total]
    for seed in range(4):
        train(model, optimizer, pruning, 1, seed=seed)
        reached.append(pruning.sparsity().total)
    assert reached == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9], abs=0.002)
    for name, zero in zeros.items():
        assert (dict(model.named_parameters())[name][zero] == 0).all(), "today's zeros must stay"


def test_a_restored_session_resumes_from_the_sparsity_it_began_with():
    def start(model):
        rule = pruners.Rule(sparsity=0.9, schedule=pruners.schedule("linear", start=0, stop=8, every=1))
        return pruners.attach(model, rule, restore=True)

    model = network()
    pruners.prune(model, "random", sparsity=0.5)
    whole = start(model)
    for _ in range(4):
        whole.step()
    state, halfway = whole.state_dict(), copy.deepcopy(model)
    resumed = start(halfway)
    resumed.load_state_dict(state)
    for session in (whole, resumed):
        for _ in range(4):
            session.step()
    assert whole.state_dict() == resumed.state_dict()


def test_finish_leaves_an_ordinary_model():
    model = network()
    names, kinds = list(model.state_dict()), [type(module) for module in model.modules()]
    optimizer = OPTIMIZERS["momentum"](model.parameters())
    pruning = pruners.attach(model, pruners.Rule(sparsity=0.5), optimizer, mask_gradients=True)
    train(model, optimizer, pruning, 2)
    assert pruning.finish() is model
    assert list(model.state_dict()) == names
    assert [type(module) for module in model.modules()] == kinds
    assert not optimizer._optimizer_step_post_hooks
    assert all(not (p._post_accumulate_grad_hooks or {}) for p in model.parameters())
    train(model, optimizer, None, 2)
    assert int((model[4].weight == 0).sum()) < model[4].weight.numel() // 2
    for call in (pruning.step, lambda: pruning.epoch(3), pruning.finish):
        with pytest.raises(pruners.StateError, match="finished"):
            call()
    copy.deepcopy(model)


class Explodes:
    unit = "weight"

    def __init__(self, after: int) -> None:
        self.after, self.calls = after, 0

    def scores(self, view):
        self.calls += 1
        scores = {name: view.ops.abs(weight) for name, weight in view.weights.items()}
        if self.calls > self.after:
            raise ZeroDivisionError("third-party bug")
        return scores


class Nan(Explodes):
    def scores(self, view):
        self.calls += 1
        bad = 0.0 if self.calls <= self.after else float("nan")
        return {
            name: view.ops.abs(w) + (bad if name == "4.weight" else 0.0) for name, w in view.weights.items()
        }


class Writes(Explodes):
    def scores(self, view):
        self.calls += 1
        for name, weight in view.weights.items():
            if self.calls > self.after and name == "4.weight":
                weight.mul_(0.5)
        return {name: view.ops.abs(w) for name, w in view.weights.items()}


class Shape(Explodes):
    def scores(self, view):
        self.calls += 1
        cut = slice(None) if self.calls <= self.after else slice(1)
        return {name: view.ops.abs(w)[cut] for name, w in view.weights.items()}


@pytest.mark.parametrize(
    ("pruner", "error", "message"),
    [
        (
            Explodes,
            pruners.PrunerFailed,
            r"'Explodes' failed at layer '6\.weight': ZeroDivisionError: third-party bug",
        ),
        (Nan, pruners.ScoreError, r"pruner 'Nan', .*'4\.weight'.*(nan|NaN)"),
        (Writes, pruners.ReadOnlyError, r"mul_.*would write to '4\.weight'"),
        (Shape, pruners.ScoreError, r"pruner 'Shape', layer '0\.weight': scores have shape"),
    ],
)
@pytest.mark.parametrize("after", [0, 1], ids=["at attach", "in the middle"])
def test_a_failing_pruner_changes_nothing(pruner, error, message, after):
    model = network()
    optimizer = OPTIMIZERS["adam"](model.parameters())
    train(model, optimizer, None, 2)
    rule = pruners.Rule(
        pruner=pruner(after), sparsity=0.8, schedule=pruners.schedule("linear", start=0, stop=3, every=1)
    )
    if after == 0:
        state = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
        with pytest.raises(error, match=message):
            pruners.attach(model, rule, optimizer)
    else:
        pruning = pruners.attach(model, rule, optimizer)
        state = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
        before = pruning.state_dict()
        with pytest.raises(error, match=message):
            pruning.step()
        assert pruning.state_dict() == before
    after_state = (model.state_dict(), optimizer.state_dict())
    for name, tensor in state[0].items():
        assert torch.equal(tensor, after_state[0][name]), name
    for index, slots in state[1]["state"].items():
        for key, tensor in slots.items():
            assert torch.equal(tensor, after_state[1]["state"][index][key]), (index, key)
    if after == 0:
        assert not optimizer._optimizer_step_post_hooks


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            lambda: {"rules": pruners.Rule(sparsity=1.0)},
            pruners.OptionError,
            r"must be a fraction in \[0, 1\)",
        ),
        (
            lambda: {"rules": pruners.Rule(sparsity=0.5, pruner="levell")},
            pruners.UnknownName,
            "Did you mean 'level'",
        ),
        (lambda: {"rules": pruners.Rule("conv9", sparsity=0.5)}, pruners.RuleError, "matches no layer"),
        (lambda: {"rules": pruners.Rule()}, pruners.RuleError, "has no sparsity"),
        (lambda: {"rules": None}, pruners.RuleError, "give rules"),
        (lambda: {"rules": pruners.Rule(sparsity=0.5), "keep": "zeros"}, pruners.RuleError, "leave"),
        (lambda: {"keep": "ones"}, pruners.OptionError, "keep must be 'zeros'"),
        (
            lambda: {"rules": pruners.Rule(sparsity=0.5), "optimizer": 3},
            pruners.OptionError,
            "torch.optim.Optimizer",
        ),
        (lambda: {"rules": pruners.Rule(sparsity=0.5, schedule="agp")}, pruners.PrunersError, "stop|agp"),
        (lambda: {"rules": pruners.Rule(sparsity=0.5, rounding="up")}, pruners.RuleError, "up"),
        (
            lambda: {"rules": pruners.Rule(sparsity=0.5, scope="model", normaliser="l9")},
            pruners.RuleError,
            "l9",
        ),
        (lambda: {"rules": pruners.Rule(sparsity=0.5, budget="ekr")}, pruners.RuleError, "ekr"),
    ],
)
def test_a_bad_request_changes_nothing(arguments, error, message):
    model = network()
    state = copy.deepcopy(model.state_dict())
    with pytest.raises(error, match=message):
        pruners.attach(model, **arguments())
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())


def test_steps_and_epochs_do_not_mix_silently():
    rule = pruners.Rule(sparsity=0.5)
    pruning = pruners.attach(network(), rule)
    pruning.step()
    with pytest.raises(pruners.StateError, match=r"epoch\(1\) after 1 steps"):
        pruning.epoch(1)
    pruning = pruners.attach(network(), rule)
    pruning.epoch(2)
    pruning.step()
    assert pruning.time == 2
    with pytest.raises(pruners.StateError, match="must not go back"):
        pruning.epoch(1)


def test_a_lazy_module_says_to_run_it_first():
    with pytest.raises(pruners.OptionError, match=r"'weight' has no shape yet; run the model once"):
        pruners.prune(nn.LazyLinear(4), "level", sparsity=0.5)


def test_a_meta_model_has_no_values_to_prune():
    with torch.device("meta"):
        model = nn.Linear(4, 4)
    with pytest.raises(pruners.OptionError, match="meta device"):
        pruners.prune(model, "level", sparsity=0.5)


def test_a_mask_takes_one_byte_per_weight():
    model = nn.Sequential(nn.Linear(64, 64, bias=False), nn.Conv2d(8, 8, 3, bias=False))
    pruning = pruners.attach(model, pruners.Rule(sparsity=0.5), torch.optim.SGD(model.parameters(), lr=0.1))
    for name, mask in pruning._masks.items():
        kept = pruning._keeper._masks[name]
        assert kept.element_size() == 1
        assert kept.data_ptr() == mask.ctypes.data, "session and keeper must share one mask"


def test_the_masks_a_session_hands_out_are_copies():
    model = network()
    pruning = pruners.attach(model, pruners.Rule(sparsity=0.5))
    for mask in pruning.masks.values():
        mask.zero_()
    pruning.step()
    assert pruning.sparsity().total == pytest.approx(0.5, abs=0.001)
