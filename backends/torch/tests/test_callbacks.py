"""Callbacks of training frameworks, with the real ones: sessions run, end, and resume bit for bit."""

from __future__ import annotations

import importlib

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import pruners

torch.set_num_threads(1)
RULE = pruners.Rule("*", sparsity=0.8, schedule=pruners.schedule("agp", start=0, stop=12, every=2))
STEPS = [0, 2, 4, 6, 8, 10, 12]
pytestmark = pytest.mark.filterwarnings("ignore")  # what these frameworks warn of is not our subject


@pytest.fixture
def lightning(operators):
    """Return Lightning, which imports torchvision where that is installed."""
    return pytest.importorskip("lightning.pytorch")


@pytest.fixture
def transformers(operators):
    return pytest.importorskip("transformers")


def callbacks(framework: str):
    return importlib.import_module(f"pruners_torch.{framework}").PruningCallback


def examples(count: int = 64) -> TensorDataset:
    draw = torch.Generator().manual_seed(1)
    return TensorDataset(torch.randn(count, 16, generator=draw), torch.randint(4, (count,), generator=draw))


def lightning_fit(lightning, folder, epochs, callback, *, checkpoint=None, **options):
    class Classifier(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))

        def training_step(self, batch, index):
            return cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)

    torch.manual_seed(0)
    model = Classifier()
    trainer = lightning.Trainer(
        max_epochs=epochs, callbacks=[callback], accelerator="cpu", default_root_dir=folder, logger=False,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False, **options,
    )  # fmt: skip
    trainer.fit(model, DataLoader(examples(), batch_size=16), ckpt_path=checkpoint)
    return model, trainer


def zeros(model: nn.Module) -> list[int]:
    """Zeros of every weight with two axes or more."""
    return [int((each == 0).sum()) for each in model.parameters() if each.ndim > 1]


def test_lightning_prunes_and_lets_go(lightning, tmp_path):
    callback = callbacks("lightning")(RULE)
    model, trainer = lightning_fit(lightning, tmp_path, 4, callback)
    assert [update.step for update in callback.pruning.log] == STEPS
    assert zeros(model) == [409, 102]  # 0.8 of 512 and of 128, rounded down
    with pytest.raises(pruners.StateError, match="finished"):
        callback.pruning.step()


def test_lightning_resumes_in_the_middle_of_a_schedule(lightning, tmp_path):
    whole, _ = lightning_fit(lightning, tmp_path, 4, callbacks("lightning")(RULE))
    _, trainer = lightning_fit(lightning, tmp_path, 2, callbacks("lightning")(RULE))
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    callback = callbacks("lightning")(RULE)
    resumed, _ = lightning_fit(lightning, tmp_path, 4, callback, checkpoint=tmp_path / "half.ckpt")
    assert [update.step for update in callback.pruning.log] == STEPS
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_lightning_counts_accumulated_batches_once(lightning, tmp_path):
    callback = callbacks("lightning")(RULE)
    lightning_fit(lightning, tmp_path, 2, callback, accumulate_grad_batches=2)
    assert callback.pruning.time == 4


def test_lightning_counts_epochs(lightning, tmp_path):
    rule = pruners.Rule("*", sparsity=0.5, schedule=pruners.schedule("linear", stop=2))
    callback = callbacks("lightning")(rule, per="epoch")
    model, _ = lightning_fit(lightning, tmp_path, 3, callback)
    assert [update.step for update in callback.pruning.log] == [0, 1, 2]
    assert zeros(model) == [256, 64]


def huggingface_fit(transformers, folder, callback, *, resume=None):
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.BertConfig(vocab_size=50, max_position_embeddings=16, **shape)
    model = transformers.BertForSequenceClassification(config)
    draw = torch.Generator().manual_seed(2)
    data = [
        {"input_ids": torch.randint(50, (8,), generator=draw), "labels": torch.tensor(index % 2)}
        for index in range(32)
    ]
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), max_steps=12, per_device_train_batch_size=4, save_strategy="steps",
        save_steps=6, report_to=[], disable_tqdm=True, use_cpu=True, seed=1,
    )  # fmt: skip
    trainer = transformers.Trainer(model, arguments, train_dataset=data, callbacks=[callback])
    trainer.train(resume_from_checkpoint=resume)
    return model


def test_hugging_face_prunes_and_resumes(transformers, tmp_path):
    callback = callbacks("transformers")(RULE)
    whole = huggingface_fit(transformers, tmp_path, callback)
    assert [update.step for update in callback.pruning.log] == STEPS
    query = whole.bert.encoder.layer[0].attention.self.query.weight
    assert int((query == 0).sum()) == 204  # 0.8 of 256, rounded down
    again = callbacks("transformers")(RULE)
    resumed = huggingface_fit(transformers, tmp_path, again, resume=str(tmp_path / "checkpoint-6"))
    assert [update.step for update in again.pruning.log] == STEPS
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_hugging_face_says_where_a_session_is_missing(transformers, tmp_path):
    huggingface_fit(transformers, tmp_path, callbacks("transformers")(RULE))
    (tmp_path / "checkpoint-6" / "pruning.json").unlink()
    with pytest.raises(pruners.StateError, match=r"no session in .*checkpoint-6.*resume_from"):
        huggingface_fit(
            transformers, tmp_path, callbacks("transformers")(RULE), resume=str(tmp_path / "checkpoint-6")
        )


@pytest.mark.parametrize("framework", ["lightning", "transformers"])
def test_per_is_step_or_epoch(operators, framework):
    pytest.importorskip(framework)
    with pytest.raises(pruners.OptionError, match="per must be 'step' or 'epoch', got 'batch'"):
        callbacks(framework)(RULE, per="batch")
