"""
Every check of this repository, in virtual environments of its own. `nox --list` shows them.

Packages are found on disk: adding a plugin or a backend is adding a folder.
"""

import os
import re
import shutil
from pathlib import Path

import nox
from packaging.requirements import Requirement

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_missing_interpreters = True  # else a missing Python is a silent skip
nox.options.tags = ["test"]  # what a bare `nox`, and so `make test`, runs

ROOT = Path(__file__).parent
PLUGINS = sorted(path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("plugins/*/pyproject.toml"))
EXAMPLES = sorted(
    path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/examples/*/pyproject.toml")
)
BACKENDS = sorted(path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("backends/*/pyproject.toml"))
RUNTIMES = sorted(path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("runtimes/*/pyproject.toml"))
REFERENCE = "backends/numpy"
WITH_TORCH = [
    f"core/src/pruners/{name}.py" for name in ("exporting", "measuring/call", "removing")
]  # their examples need it
TORCH = "backends/torch"
CALLBACKS = [f"{TORCH}/src/pruners_torch/{name}.py" for name in ("lightning", "transformers")]
MXNET = "backends/mxnet"
CONFORMANCE = "tests/conformance"
RESULTS = "build/conformance"  # what came of every check, a file for each framework
WITH_DEMO = "core[demo]"
PACKAGES = ["core", *PLUGINS, *BACKENDS, *RUNTIMES, CONFORMANCE]
ALGORITHMS = ["core", *PLUGINS, REFERENCE, CONFORMANCE]
SOURCES = [f"{package}/src" for package in [*PACKAGES, *EXAMPLES]]
TESTS = {
    TORCH: ["tests/zoo", "tests/examples"],
    MXNET: ["tests/zoo/gluon", "tests/examples", "tests/docs/test_mxnet.py"],
}
"""What a framework's session runs beside what all of them run."""

BUILD = ["hatchling", "editables"]
PUBLISH = ["build", "nox", "packaging", "pytest", "pyyaml", "twine"]
LINT = ["mypy", "numpydoc", "pandas-stubs", "ruff", "types-PyYAML"]
NETWORKS = ["torchvision", "timm"]
NETWORKS_NEED = ["huggingface-hub", "pillow", "pyyaml", "safetensors"]
PAGES = ["sybil>=10"]
GALLERY_USES = ["level", "linear"]
DOCS = ["latex2mathml", "mkdocs-material", "mkdocstrings-python", "numpydoc", *PAGES]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def settings(package: str) -> dict:
    """Return what a package says about itself."""
    return nox.project.load_toml(ROOT / package / "pyproject.toml")


def python_of(backend: str) -> str:
    return settings(backend)["tool"]["pruners"]["python"]


def shares(package: str) -> bool:
    """Return whether a package can be installed beside all others: no backend with ``alone = true``."""
    return not settings(package).get("tool", {}).get("pruners", {}).get("alone", False)


TOGETHER = [package for package in PACKAGES if shares(package)]


def constraints(*backends: str) -> list[str]:
    return [part for backend in backends for part in ("--constraint", f"{backend}/constraints.txt")]


def install(session: nox.Session, packages: list[str], *extra: str) -> None:
    """Install packages of this tree as they lie here, and what they need, in one resolution."""
    session.install(*BUILD)
    backends = [path for package in packages if (path := package.partition("[")[0]) in BACKENDS]
    editable = [part for package in packages for part in ("--editable", package)]
    session.install("--no-build-isolation", *constraints(*backends), *editable, *extra)
    session.run("python", "-m", "pip", "freeze", "--exclude-editable")  # a wrong pin shows in the log


def install_networks(session: nox.Session) -> None:
    """Install the packages of networks that the zoo runs, beside the PyTorch that is there."""
    pinned = constraints(TORCH)
    session.install(*pinned, *NETWORKS_NEED)
    session.install("--no-deps", *pinned, *NETWORKS)  # torchvision asks for one build of PyTorch


def tests_of(packages: list[str]) -> list[str]:
    return [f"{package}/tests" for package in packages if (ROOT / package / "tests").is_dir()]


def pytest(session: nox.Session, *arguments: str) -> None:
    session.run("python", "-m", "pytest", *arguments, *session.posargs, env=ONE_THREAD)


def doctests(session: nox.Session, backend: str, packages: list[str]) -> None:
    """Run the examples in docstrings: of everything beside the reference, of the backend elsewhere."""
    if backend == REFERENCE:
        ignored = [f"--ignore={path}" for path in ("core/src/pruners/demo", *WITH_TORCH)]
        pytest(session, "--doctest-modules", *ignored, *[f"{package}/src" for package in packages])
    else:
        ignored = [f"--ignore={path}" for path in CALLBACKS]
        pytest(
            session,
            "--doctest-modules",
            *ignored,
            f"{backend}/src",
            *(WITH_TORCH if backend == TORCH else ()),
        )


def lowest(package: str) -> dict[str, str]:
    """Return the oldest series of every requirement of a package: "attrs>=23.2" gives "attrs==23.2.*"."""
    found = {}
    for text in settings(package)["project"]["dependencies"]:
        requirement = Requirement(text)
        bounds = [each.version for each in requirement.specifier if each.operator == ">="]
        if bounds and not requirement.name.startswith("pruners"):
            found[requirement.name] = f"{requirement.name}=={bounds[0]}.*"
    return found


def build_wheels(session: nox.Session, packages: list[str] = PACKAGES) -> str:
    """Build packages; return a file of constraints, so that none of these is taken from elsewhere."""
    dist = Path(session.virtualenv.location).resolve() / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.install(*BUILD)
    for package in packages:
        pip = ("pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(dist))
        session.run(*pip, f"./{package}")
    session.run("pip", "uninstall", "--quiet", "--yes", *BUILD)
    return only_from(dist, dist)


def only_from(dist: Path, folder: Path) -> str:
    """Write a file of constraints into a folder: every distribution of `dist` is taken from there."""
    built = folder / "built.txt"
    built.write_text("".join(f"{distribution(wheel)} @ {wheel.as_uri()}\n" for wheel in dist.glob("*.whl")))
    return str(built)


def distribution(wheel: Path) -> str:
    return wheel.name.split("-")[0].replace("_", "-")


def clean(session: nox.Session, name: str, *install: str) -> str:
    """Make an environment that no other session has touched, and install into it; return its programs."""
    folder = Path(session.virtualenv.location) / name
    session.run("python", "-m", "venv", "--clear", "--without-pip", str(folder))
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = ("python", "-m", "pip", "--python", str(programs / "python"))  # Python's own may be too old
    for command in (("install", "--quiet", *install), ("check",), ("freeze",)):  # shows from where each comes
        session.run(*pip, *command)
    return str(programs)


def use(session: nox.Session, built: list[str], output: Path) -> None:
    """Install what is published, beside PyTorch and beside MXNet, and run it."""
    together = [f"pruners-{Path(each).name}" for each in TOGETHER if each != "core"]
    programs = clean(session, "clean-torch", *built, *constraints(TORCH), "pruners[torch,demo]", *together)
    session.run(f"{programs}/pruners", "list", external=True)
    for part in ((), ("--channels",)):
        shortest = ("--seeds", "1", "--epochs", "2", "--output", str(output))
        session.run(f"{programs}/pruners", "demo", *part, *shortest, env=ONE_THREAD, external=True)
    programs = clean(session, "clean-mxnet", *built, *constraints(MXNET), "pruners[mxnet]")
    session.run(f"{programs}/pruners", "list", external=True)
    example = first_example(f"{MXNET}/README.md")
    session.run(f"{programs}/python", "-c", example, env=ONE_THREAD, external=True)


def first_example(page: str) -> str:
    """Return the first Python block of a page."""
    return re.search(r"^```python\n(.*?)^```$", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)[1]


@nox.session(python="3.11", tags=["test"])
def lint(session: nox.Session) -> None:
    """Style, formatting, types."""
    install(session, TOGETHER, *LINT)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy", *SOURCES)


def define_framework(backend: str) -> None:
    """Define the session of one framework: core, algorithms, reference and this backend together."""
    packages = list(dict.fromkeys([*ALGORITHMS, backend]))
    name = Path(backend).name
    core = "core" if backend == REFERENCE else WITH_DEMO  # the reference alone shows what works without

    def framework(session: nox.Session) -> None:
        install(session, [core, *packages[1:]], *(PAGES if backend == MXNET else ()))
        if backend == TORCH:
            install_networks(session)
        results = ROOT / RESULTS / f"{name}.jsonl"
        results.unlink(missing_ok=True)
        session.env["PRUNERS_CONFORMANCE_RESULTS"] = str(results)
        pytest(session, *tests_of(packages), "tests/matrix", *TESTS.get(backend, ()))
        doctests(session, backend, packages)

    framework.__doc__ = f"Core, algorithms, conformance and matrix on {name}, no other framework installed."
    nox.session(framework, name=name, python=python_of(backend), tags=["test"])


for each in BACKENDS:
    define_framework(each)


@nox.session(python="3.11", tags=["test"])
def callbacks(session: nox.Session) -> None:
    """What trains with Lightning and Hugging Face's Trainer and logs to TensorBoard, beside the real ones."""
    install(session, [*ALGORITHMS, f"{TORCH}[lightning,transformers]"], "tensorboard")
    pytest(session, f"{TORCH}/tests/test_callbacks.py", "core/tests/report_pages/test_tensorboard.py")
    pytest(session, "--doctest-modules", *CALLBACKS)


@nox.session(python="3.11", tags=["test"])
def distributed(session: nox.Session) -> None:
    """Masks, checkpoints and failures on 1, 2 and 4 processes, and on a graphics card where there is one."""
    install(session, [*ALGORITHMS, TORCH], "rich", "scikit-learn")
    pytest(session, "tests/distributed")


@nox.session(python="3.11", tags=["test"])
def runtimes(session: nox.Session) -> None:
    """Exported files in the runtimes they are deployed to: ONNX Runtime, OpenVINO, torch.export."""
    install(session, [*ALGORITHMS, f"{TORCH}[onnx]", *RUNTIMES])
    pytest(session, "tests/runtimes", *tests_of(RUNTIMES))
    pytest(session, "--doctest-modules", *[f"{each}/src" for each in RUNTIMES])


@nox.session(python="3.11", tags=["test"])
def oldest(session: nox.Session) -> None:
    """Core, algorithms and the reference backend on the oldest libraries they promise to run on."""
    pins = {name: pin for package in ALGORITHMS for name, pin in lowest(package).items()}
    pins["numpy"] = "numpy==1.23.5"  # 1.22 has no wheel for Python 3.11
    file = Path(session.virtualenv.location) / "oldest.txt"
    file.write_text("\n".join(sorted(pins.values())))
    install(session, ALGORITHMS, "--constraint", str(file))
    pytest(session, *tests_of(ALGORITHMS))


@nox.session(python="3.11", tags=["test"])
def across(session: nox.Session) -> None:
    """PyTorch and MXNet in one process: the same arrays give the same masks, channels and tables."""
    install(session, [WITH_DEMO, *PLUGINS, *BACKENDS, CONFORMANCE])
    pytest(session, "tests/across")


@nox.session(python="3.11", tags=["test"])
def wheels(session: nox.Session) -> None:
    """What users install: wheels, in a clean environment; the README's example, the tutorial's package."""
    pinned = ["--constraint", build_wheels(session), *constraints(TORCH, REFERENCE)]
    session.install(*pinned, "pruners[torch]", "pruners-conformance")
    session.run("python", "-c", first_example("README.md"), env=ONE_THREAD)
    session.run("pruners", "list")
    session.install(*pinned, "./docs/tutorial/pruners-smallest", "nox")
    pytest(session, "docs/tutorial/pruners-smallest/tests", "tests/packaging")
    published = [f"tests/release/test_{each}.py" for each in ("versions", "workflow", "wheels")]
    pytest(session, *published, "--built", str(Path(pinned[1]).parent))
    session.install(*pinned, "./docs/tutorial/pruners-mininet")
    pytest(session, "docs/tutorial/pruners-mininet/tests")


@nox.session(python="3.11", tags=["test"])
def gallery(session: nox.Session) -> None:
    """The packages of docs/examples, built and installed as anybody's: their tests, READMEs, the gallery."""
    needed = ["core", *(f"plugins/{name}" for name in GALLERY_USES), REFERENCE, TORCH, CONFORMANCE]
    pinned = ["--constraint", build_wheels(session, needed), *constraints(TORCH, REFERENCE)]
    session.install(*pinned, *(f"./{example}[test]" for example in EXAMPLES), *PAGES)
    session.install(*pinned, "pruners-torch", "pruners-numpy", *(f"pruners-{name}" for name in GALLERY_USES))
    session.run("pruners", "list")
    pytest(session, *tests_of(EXAMPLES), "tests/gallery")
    pytest(session, "--doctest-modules", *(f"{example}/src" for example in EXAMPLES))


@nox.session(python="3.11", tags=["test"])
def authoring(session: nox.Session) -> None:
    """What authors get: each package that `pruners new` writes, two plugin APIs, in a clean environment."""
    install(session, ["core", REFERENCE, CONFORMANCE])
    pytest(session, "tests/authoring")


@nox.session(python=python_of(MXNET), tags=["test"])
def wheels_mxnet(session: nox.Session) -> None:
    """The same with MXNet, which needs an older NumPy: the example of the backend's page."""
    pinned = ["--constraint", build_wheels(session), *constraints(MXNET)]
    session.install(*pinned, "pruners[mxnet]")
    session.run("python", "-c", first_example(f"{MXNET}/README.md"), env=ONE_THREAD)
    session.run("pruners", "list")


@nox.session(python="3.11", tags=["test"])
def docs(session: nox.Session) -> None:
    """Build the site without a warning, run every example in it, check every public docstring."""
    packages = [f"{TORCH}[lightning,onnx,transformers]" if each == TORCH else each for each in TOGETHER[1:]]
    install(session, [WITH_DEMO, *packages], *DOCS)
    quiet = {"NO_MKDOCS_2_WARNING": "1"}  # an announcement of the theme's, not about this site
    session.run("mkdocs", "build", "--strict", env=quiet)
    pytest(session, "tests/docs", "--ignore=tests/docs/test_mxnet.py")


@nox.session(python="3.11")
def release(session: nox.Session) -> None:
    """Build into dist/ what is published, check it, install it as users do, run the demo."""
    dist, here = ROOT / "dist", Path(session.virtualenv.location).resolve()
    shutil.rmtree(dist, ignore_errors=True)
    session.install(*BUILD, *PUBLISH)
    for package in PACKAGES:  # the wheel is built from the source distribution
        session.run("python", "-m", "build", "--no-isolation", "--outdir", str(dist), package, silent=True)
    session.run("twine", "check", "--strict", *map(str, sorted(dist.iterdir())))
    from_tree = Path(build_wheels(session)).parent
    pytest(session, "tests/release", "--built", str(dist), "--from-tree", str(from_tree))
    use(session, ["--constraint", only_from(dist, here)], here / "demo")


@nox.session(python="3.11", reuse_venv=True)
def version(session: nox.Session) -> None:
    """Write a version into all that names it: `nox -s version -- 0.2.0`."""
    session.run("python", "-m", "tests.release.versions", *session.posargs)


@nox.session(python="3.11", reuse_venv=True)
def demo(session: nox.Session) -> None:
    """Train, prune to 90 %, compare: real data, under three minutes."""
    install(session, [WITH_DEMO, *PLUGINS, "backends/torch"])
    session.run("pruners", "demo", *session.posargs, env=ONE_THREAD)


@nox.session(python="3.11", reuse_venv=True)
def zoo(session: nox.Session) -> None:
    """Remove half of the channels of every network of the zoo, with proof; write docs/coverage.md."""
    install(session, ["core", *PLUGINS, TORCH])
    install_networks(session)
    page = ("--page", "docs/coverage.md")
    session.run("python", "-m", "tests.zoo", *page, *session.posargs, env=ONE_THREAD)


@nox.session(python=python_of(MXNET), reuse_venv=True)
def zoo_mxnet(session: nox.Session) -> None:
    """Remove half of the channels of Gluon's vision model zoo, with proof; write docs/coverage-mxnet.md."""
    install(session, ["core", *PLUGINS, MXNET])
    page = ("--page", "docs/coverage-mxnet.md")
    session.run("python", "-m", "tests.zoo.gluon", *page, *session.posargs, env=ONE_THREAD)


@nox.session(python="3.11", reuse_venv=True)
def conformance(session: nox.Session) -> None:
    """Put what the sessions of the frameworks wrote about each check together in docs/conformance.json."""
    install(session, ["core"])
    found = sorted(str(path) for path in (ROOT / RESULTS).glob("*.jsonl"))
    session.run("python", "docs/_hooks/conformance.py", *found)


@nox.session(python="3.11", reuse_venv=True)
def benchmarks(session: nox.Session) -> None:
    """Time selection, the mask step, removal, files and runtimes, each beside what else there is."""
    install(session, ["core", *PLUGINS, f"{TORCH}[onnx]", REFERENCE, *RUNTIMES])
    install_networks(session)
    session.install("--no-deps", "torch-pruning==1.6.1")  # it asks for libraries that nothing here uses
    session.run("python", "-m", "benchmarks", *session.posargs, env=ONE_THREAD)


@nox.session(python=python_of(MXNET), reuse_venv=True)
def benchmarks_mxnet(session: nox.Session) -> None:
    """Time the mask step on MXNet."""
    install(session, ["core", *PLUGINS, MXNET])
    session.run("python", "benchmarks/mask_step_mxnet.py", *session.posargs, env=ONE_THREAD)
