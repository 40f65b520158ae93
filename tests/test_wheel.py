"""What users install: wheels built from source archives, put into a fresh environment, used from another folder.

The fresh environment links to the dependencies installed beside this test, so that nothing is downloaded; lmkit itself
comes from the wheels alone.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECTS = [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that must succeed, outside the checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive and the wheel of every project, each wheel built from its archive."""
    folder = tmp_path_factory.mktemp("archives")
    for project in PROJECTS:
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, project, cwd=folder)
    return folder


@pytest.fixture(scope="session")
def environment(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh virtual environment into which the wheels are installed."""
    fresh = tmp_path_factory.mktemp("fresh") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", fresh, cwd=archives)
    site = next(fresh.glob("lib/python*/site-packages"))
    for entry in Path(pytest.__file__).parent.parent.iterdir():
        if "lmkit" not in entry.name and not (site / entry.name).exists():
            (site / entry.name).symlink_to(entry)
    wheels = sorted(archives.glob("*.whl"))
    options = ("--no-deps", "--no-index", "--no-compile", "--quiet")
    run(sys.executable, "-m", "pip", "--python", fresh / "bin/python", "install", *options, *wheels, cwd=archives)
    return fresh / "bin"


def test_every_wheel_has_types_and_licence_and_nothing_else(archives: Path) -> None:
    wheels = sorted(archives.glob("*.whl"))
    assert len(wheels) == len(PROJECTS)
    for wheel in wheels:
        package, version = wheel.name.split("-")[:2]
        names = zipfile.ZipFile(wheel).namelist()
        information = f"{package}-{version}.dist-info"
        assert f"{package}/py.typed" in names
        assert f"{information}/licenses/LICENSE" in names
        assert {name.split("/")[0] for name in names} == {package, information}
        assert not [name for name in names if "/tests/" in name or "__pycache__" in name]


def test_every_file_of_a_package_is_in_its_wheel(archives: Path) -> None:
    for project in PROJECTS:
        package = project / ("lmkit" if project == ROOT else project.name.replace("-", "_"))
        (wheel,) = archives.glob(f"{package.name}-*.whl")
        files = [path.relative_to(package.parent) for path in package.rglob("*") if path.is_file()]
        wanted = {str(path) for path in files if "__pycache__" not in path.parts}
        assert wanted
        assert wanted <= set(zipfile.ZipFile(wheel).namelist())


def test_source_archives_hold_what_a_wheel_needs_and_no_more(archives: Path) -> None:
    (core,) = archives.glob("lmkit-*.tar.gz")
    with tarfile.open(core) as archive:
        tops = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    assert tops == {".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "lmkit", "pyproject.toml"}


def test_the_installed_library_is_not_the_checkout(environment: Path, tmp_path: Path) -> None:
    code = "import lmkit, sys; print(lmkit.__file__); print(lmkit.__version__); print('torch' in sys.modules)"
    where, version, torch = run(environment / "python", "-c", code, cwd=tmp_path).split()
    assert environment.parent in Path(where).parents
    assert version == "0.1.0"
    assert torch == "False"


def test_the_installed_command_finds_every_plugin(environment: Path, tmp_path: Path) -> None:
    found = json.loads(run(environment / "lmkit", "plugins", "--json", cwd=tmp_path))
    distributions = {component["distribution"] for component in found["components"]}
    assert distributions == {project.name for project in PROJECTS[1:]}
    assert {component["state"] for component in found["components"]} == {"ok"}


def test_the_module_is_the_command(environment: Path, tmp_path: Path) -> None:
    by_module, by_name = (
        json.loads(run(*command, "plugins", "--json", cwd=tmp_path))["components"]
        for command in ((environment / "python", "-m", "lmkit"), (environment / "lmkit",))
    )
    assert by_module
    assert by_module == by_name


def test_a_strangers_package_is_built_installed_checked_and_trained(
    archives: Path, environment: Path, tmp_path: Path
) -> None:
    """examples/your-own-plugin, of which lmkit knows nothing, as its author would publish it."""
    source = tmp_path / "source"
    shutil.copytree(ROOT / "examples" / "your-own-plugin", source)
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path, source, cwd=tmp_path)
    [wheel] = tmp_path.glob("lmkit_ripple-*.whl")
    options = ("--no-deps", "--no-index", "--no-compile", "--quiet", "--target", tmp_path / "site")
    run(sys.executable, "-m", "pip", "install", *options, wheel, cwd=tmp_path)

    def command(*words: str | Path) -> str:
        code = f"import site; site.addsitedir({str(tmp_path / 'site')!r}); from lmkit.cli import main; main()"
        return run(environment / "python", "-c", code, *words, cwd=tmp_path)

    listed = json.loads(command("plugins", "--json"))["components"]
    assert {c["name"] for c in listed if c["distribution"] == "lmkit-ripple"} == {"ripple", "reorder"}
    report = json.loads(command("plugins", "check", "lmkit-ripple", "--json", "--quiet"))
    assert report["passed"], report
    (tmp_path / "book.md").write_text("\n\n".join(["Robin Hood drew his bow, and the sheriff ran."] * 60))
    settings = ["data.train=['book.md']", "tokenizer.vocab_size=300", "train.steps=4", "train.batch_tokens=512"]
    fast = ["encoder.width=32", "train.compile=off", "train.precision=fp32", "train.threads=1"]
    sets = [word for setting in settings + fast for word in ("--set", setting)]
    command("pretrain", source / "pretrain.toml", "--run", "run", "--quiet", *sets)
    answer = json.loads(command("predict", "run", "--task", "fill-mask", "Robin drew his [MASK]."))
    assert len(answer["masks"][0]) == 5
