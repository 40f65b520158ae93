"""The pages in a real browser: nothing is fetched, nothing fails, nothing is wider than the window."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lmkit

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("browser")
    (place / "text.txt").write_text("Robin Hood in greenwood stood, and under a tree was he.\n" * 100)
    recipe: dict[str, Any] = {
        "tokenizer": {"use": "bpe", "vocab_size": 300},
        "data": {"train": [str(place / "text.txt")], "document": "line", "validation": 0.1},
        "encoder": {"use": "qwen3", "layers": 1, "width": 64},
        "objective": {"use": "hybrid"},
        "train": {"steps": 6, "block_tokens": 32, "batch_tokens": 128, "precision": "fp32", "compile": "off"},
    }
    return lmkit.pretrain(recipe, run=place / "run", quiet=True).folder


def opened(browser: Any, address: str, **options: Any) -> tuple[Any, list[str], list[str]]:
    """The page, what its console complains of, and what it asked for."""
    page = browser.new_page(**options)
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    return page, complaints, asked


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_report_is_one_page_at_any_width(browser: Any, run: Path, width: int, scheme: str) -> None:
    path = lmkit.write_report(run)
    size = {"width": width, "height": 900}
    page, complaints, asked = opened(browser, path.as_uri(), viewport=size, color_scheme=scheme)
    assert complaints == []
    assert asked == [path.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("svg").count() == 4
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    ink = page.evaluate("getComputedStyle(document.querySelector('svg text')).fill")
    bright = [sum(map(int, colour[4:-1].split(","))) for colour in (paper, ink)]
    assert (bright[0] > bright[1]) == (scheme == "light")
    page.close()


def test_the_playground_answers_what_is_typed(browser: Any, run: Path) -> None:
    command = [sys.executable, "-m", "lmkit", "playground", str(run), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            address = process.stderr.readline().split("open ")[1].split(" ")[0]
            page, complaints, asked = opened(browser, address)
            page.get_by_role("button", name="completion").click()
            page.fill("textarea", "Robin")
            page.click("#go")
            page.wait_for_selector("#answer mark")
            assert page.locator("#answer .said").first.inner_text().startswith("Robin")
            page.get_by_role("button", name="fill-mask").click()
            page.fill("textarea", "Robin <img src=x onerror=alert(1)> stood")
            page.click("#go")
            page.wait_for_selector("#answer .error")  # it has no mask
            assert page.locator("#answer img").count() == 0
            assert all(url.startswith(address) for url in asked)
            assert complaints == []
            page.close()
        finally:
            process.terminate()
