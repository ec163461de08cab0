"""Every kind of tensor in files, wrappers and devices, and errors that leave a module as it was."""

from __future__ import annotations

import copy
import sys

import pytest
import torch
from pruners_torch import _storage
from torch import nn

import pruners

FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
SMALL = [torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz]
INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32]
NAN = {
    torch.float16: (torch.int16, 0x7E55),
    torch.bfloat16: (torch.int16, 0x7FD5),
    torch.float32: (torch.int32, 0x7FC12345),
    torch.float64: (torch.int64, 0x7FF8123456789ABC),
}


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def contents(model: nn.Module) -> dict:
    named = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    return {name: (tensor.dtype, tuple(tensor.shape), bits(tensor)) for name, tensor in named}


def integers(model: nn.Module) -> dict:
    return {
        (name, each): value
        for name, module in model.named_modules()
        for each, value in vars(module).items()
        if isinstance(value, (int, tuple, list))
    }


def identities(model: nn.Module) -> list:
    """Objects, memory and gradients: everything a failed load must not change."""
    tensors = [*model.parameters(), *model.buffers()]
    found = [
        (id(each), each.data_ptr(), each.stride(), id(each.grad) if each.is_leaf else 0) for each in tensors
    ]
    return [*found, [sorted(module._non_persistent_buffers_set) for module in model.modules()]]


class Holder(nn.Module):
    """Holds one tensor, as a parameter where it can be one."""

    def __init__(self, tensor: torch.Tensor) -> None:
        super().__init__()
        if tensor.is_floating_point():
            self.value = nn.Parameter(tensor, requires_grad=tensor.dtype in FLOATS)
        else:
            self.register_buffer("value", tensor)


def through(tmp_path, tensor: torch.Tensor, fresh: torch.Tensor) -> torch.Tensor:
    pruners.save(Holder(tensor), tmp_path / "one.safetensors")
    return pruners.load(Holder(fresh), tmp_path / "one.safetensors").value


@pytest.mark.parametrize("dtype", [*FLOATS, *SMALL, *INTEGERS, torch.bool, torch.complex64], ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (5,), (2, 3), (2, 3, 4, 5)], ids=str)
@pytest.mark.parametrize("same", [True, False])
def test_every_type_and_shape_comes_back_bit_for_bit(tmp_path, dtype, shape, same):
    torch.manual_seed(0)
    tensor = torch.randint(0, 2 if dtype == torch.bool else 120, shape).to(dtype)
    fresh = torch.zeros(shape if same else [length + 1 for length in shape], dtype=dtype)
    found = through(tmp_path, tensor, fresh)
    assert (found.dtype, found.shape, bits(found)) == (dtype, tensor.shape, bits(tensor))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("length", [6, 4], ids=["in place", "resized"])
def test_the_payload_of_nan_and_the_sign_of_zero_are_kept(tmp_path, dtype, length):
    whole, payload = NAN[dtype]
    tensor = torch.tensor([0.0, -0.0, float("inf"), -float("inf"), 1.0, 2.0], dtype=dtype)
    tensor.view(whole)[4] = payload
    tensor.view(whole)[5] = payload - (1 << 8 * tensor.element_size() - 1)
    found = through(tmp_path, tensor, torch.ones(length, dtype=dtype))
    assert bits(found) == bits(tensor) and found.isnan().sum() == 2


def test_the_file_decides_the_type(tmp_path):
    found = through(tmp_path, torch.ones(3, dtype=torch.bfloat16), torch.zeros(3))
    assert found.dtype == torch.bfloat16 and found.requires_grad and isinstance(found, nn.Parameter)


@pytest.mark.parametrize("channels", [4, 6])
def test_the_memory_format_is_the_model_s_own(tmp_path, channels):
    saved = nn.Conv2d(3, channels, 3)
    fresh = nn.Conv2d(3, 6, 3).to(memory_format=torch.channels_last)
    pruners.save(saved, tmp_path / "a.safetensors")
    pruners.load(fresh, tmp_path / "a.safetensors")
    assert fresh.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(fresh.weight, saved.weight)
    pruners.save(fresh, tmp_path / "b.safetensors")
    back = pruners.load(nn.Conv2d(3, 6, 3), tmp_path / "b.safetensors")
    assert back.weight.is_contiguous() and contents(back) == contents(saved)


def test_strided_expanded_and_conjugated_tensors(tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    for tensor in (base[::2, 1::2], base.T, base[:1].expand(5, 6), torch.complex(base, -base).conj()):
        fresh = torch.zeros(tensor.shape, dtype=tensor.dtype)
        assert torch.equal(through(tmp_path, tensor, fresh), tensor)
        expanded = fresh.flatten()[:1].reshape([1] * tensor.ndim).expand(tensor.shape)
        assert torch.equal(through(tmp_path, tensor, expanded), tensor)


def test_memory_is_kept_where_shape_and_type_stay(tmp_path):
    saved, fresh = nn.Linear(4, 3), nn.Linear(4, 3)
    seen, version = fresh.weight.detach(), fresh.weight._version
    pruners.save(saved, tmp_path / "a.safetensors")
    pruners.load(fresh, tmp_path / "a.safetensors")
    assert seen.data_ptr() == fresh.weight.data_ptr() and torch.equal(seen, saved.weight)
    assert fresh.weight._version > version


def test_distinct_objects_on_the_same_memory_stay_together(tmp_path):
    def build(width: int) -> nn.Module:
        model = nn.ModuleList([nn.Linear(width, 3, bias=False), nn.Linear(width, 3, bias=False)])
        model[1].weight.data = model[0].weight.data
        return model

    pruners.save(build(2), tmp_path / "a.safetensors")
    fresh = pruners.load(build(5), tmp_path / "a.safetensors")
    assert fresh[0].weight is not fresh[1].weight
    assert fresh[0].weight.data_ptr() == fresh[1].weight.data_ptr() and fresh[1].weight.shape == (3, 2)


def test_gradients_of_the_old_size_are_dropped_and_others_kept(tmp_path):
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    small = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    model(torch.ones(1, 4)).sum().backward()
    kept = model[1].weight.grad
    pruners.save(small, tmp_path / "a.safetensors")
    pruners.load(model, tmp_path / "a.safetensors")
    assert model[0].weight.grad is None and model[1].weight.grad is kept
    model(torch.ones(1, 2)).sum().backward()
    assert model[0].weight.grad.shape == (3, 2)


def test_wrappers_are_opened_at_the_user_s_module(tmp_path):
    small = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    for wrap in (nn.DataParallel, lambda model: torch.compile(model, backend="eager")):
        pruners.save(wrap(small), tmp_path / "a.safetensors")
        fresh = nn.Sequential(nn.Linear(4, 7), nn.ReLU())
        wrapped = wrap(fresh)
        wrapped(torch.ones(1, 4))
        assert pruners.load(wrapped, tmp_path / "a.safetensors") is wrapped
        assert contents(fresh) == contents(small)
        assert torch.equal(wrapped(torch.ones(1, 4)), small(torch.ones(1, 4)))


@pytest.fixture
def process_group(tmp_path):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'rendezvous'}", rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(sys.platform == "win32", reason="gloo over a file")
def test_sizes_do_not_change_under_distributed_training(tmp_path, process_group):
    pruners.save(nn.Linear(4, 3), tmp_path / "a.safetensors")
    wrapped = nn.parallel.DistributedDataParallel(nn.Linear(4, 7))
    before = contents(wrapped)
    with pytest.raises(pruners.StateError, match="resized under DistributedDataParallel.*then wrap"):
        pruners.load(wrapped, tmp_path / "a.safetensors")
    assert contents(wrapped) == before
    fitting = nn.parallel.DistributedDataParallel(nn.Linear(4, 3))
    pruners.load(fitting, tmp_path / "a.safetensors")
    fitting(torch.ones(1, 4)).sum().backward()
    pruners.save(fitting, tmp_path / "b.safetensors")
    pruners.load(nn.Linear(4, 3), tmp_path / "b.safetensors")


def network(width: int) -> nn.Module:
    model = nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.Flatten(), nn.LSTM(width * 36, 5))
    model[0](torch.ones(1, 3, 8, 8)).sum().backward()
    return model


def damage(path) -> None:
    """Flip the last bit of a file: the last byte of its last tensor."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_a_damaged_tensor_changes_nothing(tmp_path):
    path = tmp_path / "a.safetensors"
    pruners.save(network(4), path)
    damage(path)
    model = network(6)
    before = contents(model), integers(model), identities(model)
    with pytest.raises(pruners.StateError, match="does not match its checksum"):
        pruners.load(model, path)
    assert (contents(model), integers(model), identities(model)) == before


@pytest.mark.parametrize("function", ["put", "_set", "_fits", "_bring_up_to_date"])
@pytest.mark.parametrize("calls", [0, 1, 2])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_half_way_changes_nothing(tmp_path, monkeypatch, function, calls, error):
    path = tmp_path / "a.safetensors"
    pruners.save(network(4), path)
    model = network(6)
    before = contents(model), integers(model), identities(model)
    calls = 0 if function == "_bring_up_to_date" else calls
    real, left = getattr(_storage, function), [calls]

    def fail(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise error("half way")
        return real(*arguments)

    monkeypatch.setattr(_storage, function, fail)
    with pytest.raises(error, match="half way"):
        pruners.load(model, path)
    assert (contents(model), integers(model), identities(model)) == before


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: nn.Sequential(nn.Conv2d(3, 6, 3)), "the file has tensors '1.bias', '1.num_batches_tracked'"),
        (
            lambda: nn.Sequential(nn.Conv1d(3, 6, 3), *network(6)[1:]),
            r"tensor '0.weight' is F32 \(4, 3, 3, 3\) there",
        ),
    ],
)
def test_another_model_is_refused(tmp_path, other, message):
    pruners.save(network(4), tmp_path / "a.safetensors")
    model = other()
    before = contents(model), integers(model), identities(model)
    with pytest.raises(pruners.StateError, match=message):
        pruners.load(model, tmp_path / "a.safetensors")
    assert (contents(model), integers(model), identities(model)) == before


class Extra(nn.Linear):
    def get_extra_state(self):
        return {"anything": 3}

    def set_extra_state(self, state):
        raise NotImplementedError


def sparse() -> nn.Module:
    model = nn.Module()
    model.register_buffer("adjacency", torch.eye(3).to_sparse())
    return model


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: nn.Linear(3, 2, device="meta"), pruners.StateError, "'weight' is on the meta device"),
        (sparse, pruners.StateError, "'adjacency' is a torch.sparse_coo; only dense"),
        (lambda: nn.Sequential(Extra(3, 2)), pruners.StateError, r"module '0' \(Extra\) keeps extra state"),
        (lambda: nn.LazyLinear(3), pruners.OptionError, "'weight' has no shape yet"),
        (lambda: nn.Linear(2, 2, dtype=torch.complex128), pruners.StateError, "complex128, for which"),
    ],
)
def test_what_cannot_be_stored_is_named(tmp_path, build, error, message):
    with pytest.raises(error, match=message):
        pruners.save(build(), tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def test_integers_of_modules_without_tensors_belong_to_the_structure(tmp_path):
    saved = nn.Sequential(nn.Linear(4, 6), nn.Unflatten(1, (2, 3)))
    fresh = nn.Sequential(nn.Linear(4, 8), nn.Unflatten(1, (2, 4)))
    pruners.save(saved, tmp_path / "a.safetensors")
    pruners.load(fresh, tmp_path / "a.safetensors")
    assert fresh[1].unflattened_size == (2, 3) and fresh(torch.ones(1, 4)).shape == (1, 2, 3)
    with pytest.raises(pruners.StateError, match="has module '1', which the model lacks"):
        pruners.load(nn.Sequential(nn.Linear(4, 8)), tmp_path / "a.safetensors")


def test_training_flags_hooks_and_what_needs_gradients_are_the_model_s_own(tmp_path):
    saved, fresh = nn.Sequential(nn.Linear(4, 3)), nn.Sequential(nn.Linear(4, 5)).eval()
    fresh[0].bias.requires_grad_(False)
    called = []
    fresh[0].register_forward_hook(lambda *_: called.append(1))
    pruners.save(saved, tmp_path / "a.safetensors")
    pruners.load(fresh, tmp_path / "a.safetensors")
    fresh(torch.ones(1, 4))
    assert called and not fresh.training and not fresh[0].bias.requires_grad and fresh[0].weight.requires_grad


def test_an_optimizer_made_before_goes_on_with_the_same_parameters(tmp_path):
    fresh = nn.Linear(4, 5)
    optimizer = torch.optim.SGD(fresh.parameters(), lr=1.0)
    pruners.save(nn.Linear(4, 3), tmp_path / "a.safetensors")
    pruners.load(fresh, tmp_path / "a.safetensors")
    before = copy.deepcopy(fresh)
    fresh(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    assert torch.equal(fresh.weight, before.weight - 1)


def test_shared_memory_stays_shared(tmp_path):
    fresh = nn.Linear(4, 3).share_memory()
    pruners.save(nn.Linear(4, 3), tmp_path / "a.safetensors")
    pruners.load(fresh, tmp_path / "a.safetensors")
    assert fresh.weight.is_shared()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_model_on_the_gpu_is_read_on_the_cpu_and_back(tmp_path):
    def build(width: int, device: str) -> nn.Module:
        torch.manual_seed(width)
        model = nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.Flatten(2), nn.LSTM(36, 5))
        return model.to(device)

    small = build(4, "cuda")
    pruners.save(small, tmp_path / "a.safetensors")
    host, back = build(6, "cpu"), build(6, "cuda")
    pruners.load(host, tmp_path / "a.safetensors")
    pruners.load(back, tmp_path / "a.safetensors")
    assert contents(host) == contents(back) == contents(small)
    assert {each.device.type for each in host.parameters()} == {"cpu"}
    assert {each.device.type for each in back.parameters()} == {"cuda"}
    x = torch.ones(2, 3, 8, 8, device="cuda")
    assert bits(back(x)[0]) == bits(small(x)[0])
