"""What every test of the core and of the plugins shares: one thread, no network, a cache of its own, real data by name.

The environment is set before anything imports torch or transformers, which read it once.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # workers share the cores; more threads would only wait for each other
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import pytest

ROOT = Path(__file__).parent
DATA = Path(os.environ.get("LMKIT_DATA", ROOT / "../shared/data")).resolve()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("data") and not DATA.is_dir():
        pytest.skip(f"no folder {DATA}: LMKIT_DATA says where the real data is")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The real data; a test that asks for it is marked `data`."""
    return DATA


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """A run sets torch's threads for its whole process; the next test starts with one again."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
