"""Broken plugins are data: each way of being wrong, installed for real as a fake distribution."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections import OrderedDict
from importlib.metadata import DistributionFinder, MetadataPathFinder
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import pruners
from pruners import discovery, registry
from pruners.cli import main
from pruners.known import PACKAGES

GOOD = """
import pruners

class {cls}:
    unit = "weight"
    def scores(self, view):
        return {{name: view.ops.abs(w) for name, w in view.weights.items()}}

@pruners.hookimpl
def provide_pruners():
    yield pruners.PrunerSpec(name="{name}", factory={cls})
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Write a distribution as pip would leave it, and put its folder on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    written = []

    def write(entry: str, source: str, version: str = "0.3", distribution: str | None = None) -> None:
        distribution = distribution or f"pruners-{entry}"
        module = f"fake_{entry}_{len(written)}"
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(source))
        info = tmp_path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[pruners]\n{entry} = {module}\n")
        written.append(module)

    yield write
    for module in written:
        sys.modules.pop(module, None)


@pytest.fixture
def discover(tmp_path):
    """Discover only what the test installed."""

    def run() -> pruners.Installed:
        context = DistributionFinder.Context(path=[str(tmp_path)])
        found = [
            entry
            for dist in MetadataPathFinder.find_distributions(context)
            for entry in dist.entry_points
            if entry.group == "pruners"
        ]
        return registry.discover(found)

    return run


def only_failure(found: pruners.Installed) -> pruners.Failure:
    assert len(found.failures) == 1, found
    return found.failures[0]


def test_a_good_plugin_is_listed_with_distribution_and_version(install, discover):
    install("smallest", GOOD.format(cls="Smallest", name="smallest"), version="1.2")
    found = discover()
    assert [(p.kind, p.name, p.distribution, p.version) for p in found.plugins] == [
        ("pruner", "smallest", "pruners-smallest", "1.2")
    ]
    assert found.failures == ()


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import sparse_magic", "ModuleNotFoundError: No module named 'sparse_magic'"),
        ("raise SystemExit('no GPU')", "SystemExit: no GPU"),
        ("def oops(:", "SyntaxError"),
        (
            GOOD.format(cls="S", name="smallest").replace("def provide_pruners", "def provide_pruner"),
            "BadPlugin: unknown hook 'provide_pruner'. Did you mean 'provide_pruners'?",
        ),
        (
            GOOD.format(cls="S", name="smallest").replace("@pruners.hookimpl\n", ""),
            "BadPlugin: provide_pruners is ignored; decorate it with @pruners.hookimpl",
        ),
        (GOOD.format(cls="S", name="My Pruner"), "ValueError: 'name' must match regex"),
        (
            GOOD.format(cls="S", name="smallest").replace(
                "def provide_pruners()", "def provide_pruners(extra)"
            ),
            "PluginValidationError",
        ),
        (
            "import pruners\n@pruners.hookimpl\ndef provide_pruners():\n    yield 'level'",
            "BadPlugin: provide_pruners must yield PrunerSpec, it yielded 'level'",
        ),
        (
            "import pruners\n@pruners.hookimpl\ndef provide_pruners():\n    1 / 0\n    yield",
            "ZeroDivisionError: division by zero",
        ),
        (
            "import pruners\n@pruners.hookimpl\ndef provide_pruners():\n"
            "    yield pruners.PrunerSpec(name='x', factory='a:b', needs={'telepathy'})",
            "'needs' has 'telepathy'; a pruner can need activated, activations, consumers, gradients, "
            "inputs, scales",
        ),
        ("VERSION = 1", "implements no hook; decorate one of provide_pruners"),
        (
            "import pruners\n@pruners.hookimpl\ndef provide_pruners():\n    raise SystemExit(3)\n    yield",
            "SystemExit: 3",
        ),
        (
            "import pruners\n@pruners.hookimpl\ndef provide_pruners():\n"
            "    pruners.PrunerSpec(name='x', factory='a:b')",
            "BadPlugin: provide_pruners must yield PrunerSpec, it returned None; use 'yield'",
        ),
        (
            "import pruners\n@pruners.hookimpl\ndef provide_patterns():\n"
            "    return pruners.PatternSpec(name='x', factory='a:b')",
            "BadPlugin: provide_patterns must yield PatternSpec, it returned PatternSpec(name='x'",
        ),
        (
            "import pruners\n@pruners.hookimpl\ndef provide_backends():\n    return 'numpy'",
            "BadPlugin: provide_backends must yield BackendSpec, it returned 'numpy'; use 'yield'",
        ),
    ],
    ids=[
        "import",
        "exit",
        "syntax",
        "misspelled",
        "undecorated",
        "name",
        "arguments",
        "type",
        "raises",
        "needs",
        "no-hook",
        "exit-in-hook",
        "no-yield",
        "returned",
        "text",
    ],
)
def test_what_is_broken_is_recorded_with_its_cause(install, discover, source, cause):
    install("broken", source)
    install("fine", GOOD.format(cls="Fine", name="fine"))
    found = discover()
    failure = only_failure(found)
    assert (failure.distribution, failure.version, failure.entry_point) == ("pruners-broken", "0.3", "broken")
    assert cause in failure.cause
    assert "\n" not in str(failure)
    assert found.names("pruner") == ("fine",)


def test_control_c_in_a_hook_is_no_broken_plugin(install, discover):
    source = (
        "import pruners\n@pruners.hookimpl\ndef provide_pruners():\n    raise KeyboardInterrupt\n    yield"
    )
    install("slow", source)
    with pytest.raises(KeyboardInterrupt):
        discover()


def test_a_hook_without_its_decorator_is_recorded_and_the_others_work(install, discover):
    undecorated = """
def provide_patterns():
    yield pruners.PatternSpec(name="stripes", factory="stripes:Stripes")

def provide_backends():
    yield pruners.BackendSpec(name="frame", factory="frame:Frame")
"""
    install("half", GOOD.format(cls="Half", name="half") + undecorated)
    found = discover()
    assert found.names("pruner") == ("half",)
    assert [failure.cause for failure in found.failures] == [
        f"BadPlugin: provide_{kind} is ignored; decorate it with @pruners.hookimpl"
        for kind in ("patterns", "backends")
    ]


def test_a_hook_imported_from_elsewhere_is_not_taken_for_one_of_the_plugin(install, discover):
    install(
        "smallest", "from pruners.hooks import provide_patterns\n" + GOOD.format(cls="S", name="smallest")
    )
    found = discover()
    assert found.names("pruner") == ("smallest",)
    assert found.failures == ()


def test_what_a_hook_yielded_before_it_failed_stays(install, discover):
    install("early", GOOD.format(cls="Early", name="early") + "    raise SystemExit(3)\n")
    found = discover()
    assert found.names("pruner") == ("early",)
    assert only_failure(found).cause == "SystemExit: 3"


def test_one_name_may_stand_for_a_list_of_one():
    assert pruners.BackendSpec(name="frame", factory="a:b", modules="torch").modules == ("torch",)
    assert pruners.PrunerSpec(name="x", factory="a:b", needs="gradients").needs == {"gradients"}
    with pytest.raises(ValueError, match="'needs' has 'gradient';"):
        pruners.PrunerSpec(name="x", factory="a:b", needs="gradient")


def test_two_packages_with_one_name_are_both_named_and_neither_is_used(install, discover):
    install("smallest", GOOD.format(cls="A", name="smallest"), version="0.1")
    install("other", GOOD.format(cls="B", name="smallest"))
    found = discover()
    message = (
        "pruner 'smallest' is provided by pruners-other 0.3 and pruners-smallest 0.1; uninstall one of them."
    )
    assert found.plugins == ()
    assert {failure.cause for failure in found.failures} == {f"PluginConflict: {message}"}
    assert {failure.distribution for failure in found.failures} == {"pruners-other", "pruners-smallest"}
    with pytest.raises(pruners.PluginConflict, match="uninstall one of them"):
        found.find("pruner", "smallest")


@pytest.mark.parametrize(("times", "often"), [(2, "twice"), (3, "3 times")])
def test_one_package_that_provides_a_name_repeatedly_is_named_once(install, discover, times, often):
    spec = "    yield pruners.PrunerSpec(name='same', factory=Same)\n"
    source = GOOD.format(cls="Same", name="same") + spec * (times - 1)
    install("same", source, version="1.0", distribution="p-same")
    found = discover()
    assert found.plugins == ()
    message = f"pruner 'same' is provided {often} by the package p-same 1.0; it must provide a name once."
    assert only_failure(found).cause == f"PluginConflict: {message}"
    with pytest.raises(pruners.PluginConflict, match=message):
        found.find("pruner", "same")


def test_a_backend_without_its_framework_is_a_failure_that_names_the_module(install, discover):
    install(
        "frame",
        """
        import pruners

        @pruners.hookimpl
        def provide_backends():
            yield pruners.BackendSpec(name="frame", factory="frame_backend:Frame", modules=("no_such_frame",))
        """,
    )
    found = discover()
    assert "backend 'frame' needs the module 'no_such_frame'" in only_failure(found).cause
    with pytest.raises(pruners.BrokenPlugin, match="no_such_frame"):
        found.find("backend", "frame")


RUNTIME = """
import pruners

class Engine:
    \"\"\"Runs nothing.\"\"\"

    def __init__(self, level: int = 3) -> None:
        if not 0 <= level <= 9:
            raise ValueError(f"'level' must be 0 to 9, got {{level}}")
        self.level = level

@pruners.hookimpl
def provide_runtimes():
    yield pruners.RuntimeSpec(name="engine", factory=Engine, format="onnx", modules={modules!r})
"""


def test_runtimes_are_made_by_name_with_their_options(install, discover, monkeypatch):
    install("engine", RUNTIME.format(modules=()))
    found = discover()
    assert found.names("runtime") == ("engine",)
    monkeypatch.setattr(registry, "installed", lambda: found)
    assert pruners.runtime("engine", level=4).level == 4
    with pytest.raises(pruners.OptionError, match="runtime 'engine': 'level' must be 0 to 9, got 12"):
        pruners.runtime("engine", level=12)
    with pytest.raises(pruners.OptionError, match="Did you mean 'level'"):
        pruners.runtime("engine", levl=4)
    with pytest.raises(pruners.UnknownName, match="no runtime named 'engin'. Did you mean 'engine'"):
        pruners.runtime("engin")


def test_a_runtime_without_its_engine_is_a_recorded_failure(install, discover):
    install("engine", RUNTIME.format(modules=("no_such_engine",)))
    found = discover()
    assert "runtime 'engine' needs the module 'no_such_engine'" in only_failure(found).cause
    with pytest.raises(pruners.BrokenPlugin, match="no_such_engine"):
        found.find("runtime", "engine")


def test_a_broken_plugin_asked_for_by_its_entry_point_says_why_and_keeps_the_cause(install, discover):
    install("magic", "import sparse_magic")
    with pytest.raises(pruners.BrokenPlugin, match="sparse_magic") as caught:
        discover().find("pruner", "magic")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_an_unknown_name_suggests_the_nearest_and_lists_what_is_installed(install, discover):
    install("smallest", GOOD.format(cls="A", name="smallest"))
    install("magic", "import sparse_magic")
    with pytest.raises(pruners.UnknownName) as caught:
        discover().find("pruner", "smalest")
    text = str(caught.value)
    assert "no pruner named 'smalest'. Did you mean 'smallest'? Installed: smallest." in text
    assert "pruners-magic 0.3 (magic): ModuleNotFoundError" in text


@pytest.mark.parametrize(
    ("kind", "name", "package"),
    [
        ("pruner", "level", "pruners-level"),
        ("schedule", "agp", "pruners-agp"),
        ("pattern", "nm", "pruners-nm"),
    ],
)
def test_a_first_party_name_that_is_not_installed_says_what_to_install(kind, name, package):
    with pytest.raises(pruners.UnknownName, match=f"pip install {package}"):
        registry.discover([]).find(kind, name)


def test_a_misspelled_first_party_name_says_what_to_install():
    with pytest.raises(pruners.UnknownName, match=r"Did you mean 'level'\? \(pip install pruners-level\)"):
        registry.discover([]).find("pruner", "levl")


def test_every_known_first_party_name_has_its_package():
    for (kind, name), package in PACKAGES.items():
        with pytest.raises(pruners.UnknownName, match=f"pip install {package}"):
            registry.discover([]).find(kind, name)


@pytest.fixture
def pretend(monkeypatch):
    """Make the process see one set of plugins only."""

    def see(found: pruners.Installed) -> None:
        monkeypatch.setattr(registry, "installed", lambda: found)

    return see


def test_options_are_checked_by_name_and_by_value(install, discover, pretend):
    install(
        "power",
        """
        import pruners
        from attrs import field, frozen, validators

        @frozen
        class Power:
            p: float = field(default=2.0, validator=validators.gt(0))
            unit = "weight"
            def scores(self, view):
                return {}

        @pruners.hookimpl
        def provide_pruners():
            yield pruners.PrunerSpec(name="power", factory=Power)
        """,
    )
    pretend(discover())
    assert registry.pruner("power", p=3.0).p == 3.0
    with pytest.raises(pruners.OptionError, match=r"pruner 'power': 'p' must be > 0: 0"):
        registry.pruner("power", p=0)
    with pytest.raises(pruners.OptionError, match=r"'powr'.*Options: p\."):
        registry.pruner("power", powr=1)
    with pytest.raises(pruners.OptionError, match=r"could not convert|not supported|must be"):
        registry.pruner("power", p="big")


def test_a_factory_that_cannot_be_imported_names_the_distribution(install, discover, pretend):
    install(
        "late",
        """
        import pruners

        @pruners.hookimpl
        def provide_pruners():
            yield pruners.PrunerSpec(name="late", factory="no_such_module:Late")
        """,
    )
    pretend(discover())
    with pytest.raises(pruners.BrokenPlugin, match=r"pruner 'late' of pruners-late 0\.3 cannot be loaded"):
        registry.pruner("late")


ODD = """
import pruners

{factory}

@pruners.hookimpl
def provide_pruners():
    yield pruners.PrunerSpec(name="odd", factory={written})
"""


@pytest.mark.parametrize(
    ("factory", "written", "message", "cause"),
    [
        ("", "'fake_exits:Odd'", "cannot be loaded: SystemExit: 3", SystemExit),
        (
            "number = 3",
            "'fake_odd_0:number'",
            "cannot be loaded: BadPlugin: the factory 'fake_odd_0:number' is 3, which cannot be called",
            discovery.BadPlugin,
        ),
        (
            "def make():\n    raise RuntimeError('kaput')",
            "make",
            "cannot be made: RuntimeError: kaput",
            RuntimeError,
        ),
        ("def make():\n    raise SystemExit(4)", "make", "cannot be made: SystemExit: 4", SystemExit),
    ],
    ids=["exit-on-import", "not-callable", "raises", "exits"],
)
def test_a_factory_that_fails_names_plugin_and_distribution(
    install, discover, pretend, tmp_path, factory, written, message, cause
):
    (tmp_path / "fake_exits.py").write_text("raise SystemExit(3)")
    install("odd", ODD.format(factory=factory, written=written))
    pretend(discover())
    with pytest.raises(pruners.BrokenPlugin) as caught:
        registry.pruner("odd")
    assert str(caught.value) == f"pruner 'odd' of pruners-odd 0.3 {message}"
    assert isinstance(caught.value.__cause__, cause)


def test_control_c_in_a_factory_is_no_broken_plugin(install, discover, pretend):
    install("odd", ODD.format(factory="def make():\n    raise KeyboardInterrupt", written="make"))
    pretend(discover())
    with pytest.raises(KeyboardInterrupt):
        registry.pruner("odd")


def test_a_factory_without_a_signature_is_called_with_the_options(install, discover, pretend):
    install("odd", ODD.format(factory="", written="dict"))
    pretend(discover())
    assert registry.pruner("odd", p=2) == {"p": 2}


@pytest.mark.parametrize(
    ("written", "status", "output"),
    [
        ("'fake_exits:Odd'", 2, "pruner 'odd' of pruners-odd 0.3 cannot be loaded: SystemExit: 3"),
        ("dict", 0, "Its options are not known"),
        ("object", 0, "No options."),
    ],
)
def test_info_says_what_it_can_of_an_odd_factory(
    install, discover, pretend, tmp_path, written, status, output
):
    (tmp_path / "fake_exits.py").write_text("raise SystemExit(3)")
    install("odd", ODD.format(factory="", written=written))
    pretend(discover())
    result = CliRunner().invoke(main, ["info", "odd", "--kind", "pruner"])
    assert result.exit_code == status
    assert output in " ".join(result.output.split())


def test_a_model_no_backend_handles_says_what_is_installed():
    with pytest.raises(pruners.NoBackend, match=r"type builtins\.str.*numpy"):
        registry.backend_for("not a model")


class Tensor:
    """As a framework's array: only its module says so."""

    __module__ = "torch._tensor"


class Parameter(Tensor):
    """As a user's own class of tensors."""

    __module__ = "__main__"


class NDArray:
    """As an array of MXNet."""

    __module__ = "mxnet.ndarray.ndarray"


class Block:
    """As a model of MXNet."""

    __module__ = "mxnet.gluon.block"


class Network(Block):
    """As a user's own model."""

    __module__ = "__main__"


ARRAY = np.ones((2, 2))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            {"a": ARRAY, "b": [1.0, 2.0]},
            "builtins.dict. Its entry 'b' is of type builtins.list; every value must be a numpy.ndarray.",
        ),
        (
            OrderedDict(a=ARRAY, s=np.float64(3)),
            "OrderedDict. Its entry 's' is of type numpy.float64; every value must be a numpy.ndarray.",
        ),
        (
            {"fc.weight": Tensor()},
            "Its entry 'fc.weight' is of type torch._tensor.Tensor; "
            "pass the torch.nn.Module itself, not its state_dict.",
        ),
        (
            {"w": Parameter()},
            "type __main__.Parameter; pass the torch.nn.Module itself, not its state_dict.",
        ),
        (
            {"0.weight": NDArray()},
            "of type mxnet.ndarray.ndarray.NDArray; pass the mxnet.gluon.Block itself, not its parameters.",
        ),
        ({}, "It is empty; pass a dict of NumPy arrays by name."),
    ],
    ids=["list", "scalar", "state-dict", "derived", "arrays-of-mxnet", "empty"],
)
def test_a_dict_that_is_no_model_says_which_entry_is_wrong(model, message):
    with pytest.raises(pruners.NoBackend) as caught:
        registry.backend_for(model)
    assert str(caught.value).endswith(message)


def test_a_dict_of_arrays_without_the_backend_of_arrays_says_what_to_install(discover, pretend):
    pretend(discover())
    with pytest.raises(pruners.NoBackend, match="type builtins.dict. pip install pruners-numpy"):
        registry.backend_for({"w": ARRAY})


@pytest.mark.parametrize(
    ("model", "package"),
    [(Tensor(), "pruners-torch"), (Parameter(), "pruners-torch"), (Network(), "pruners-mxnet")],
)
def test_a_model_of_a_framework_without_its_backend_says_what_to_install(discover, pretend, model, package):
    pretend(discover())
    with pytest.raises(pruners.NoBackend, match=f"pip install {package}$"):
        registry.backend_for(model)


def test_listing_loads_no_array_library_and_is_light():
    code = (
        "import json, sys, pruners; found = pruners.installed();"
        "print(json.dumps([sorted(sys.modules), [p.name for p in found.plugins]]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules, names = json.loads(done.stdout)
    assert "numpy" in names, "the numpy backend must be listed, or this proves nothing"
    heavy = {"numpy", "torch", "mxnet", "tensorflow", "paddle", "jax", "rich", "click", "cattrs", "yaml"}
    assert heavy.isdisjoint(modules)


def test_the_public_names_all_exist_and_are_listed():
    for name in pruners.__all__:
        assert getattr(pruners, name) is not None
    assert set(dir(pruners)) == set(pruners.__all__)
    with pytest.raises(AttributeError, match="no attribute 'prunner'"):
        pruners.prunner  # noqa: B018


def test_no_public_function_shares_its_name_with_a_module():
    modules = {path.stem for path in Path(pruners.__file__).parent.iterdir()}
    assert modules.isdisjoint(pruners.__all__)
