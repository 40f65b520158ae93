"""Make the pictures of the gallery: real commands in a terminal of 110 columns, real pages in a browser.

    python docs/gallery/make.py [--minutes 2]

Needs chromium, and `pip install 'lmkit[browser,playground,report]' pyte`.
"""

from __future__ import annotations

import argparse
import fcntl
import html
import os
import pty
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyte
from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).parent
COLUMNS, LINES = 110, 34
RECIPE = """
[tokenizer]
use = "bpe"
vocab_size = 3000
[data]
train = ["{book}"]
document = "paragraph"
validation = 0.03
[encoder]
use = "qwen3"
layers = 3
width = 192
[objective]
use = "hybrid"
[train]
minutes = {minutes}
block_tokens = 64
batch_tokens = 2048
evaluate_every_steps = 40
"""
COLOURS = {
    "default": "#d8dee9",
    "black": "#2e3440",
    "red": "#e06c75",
    "green": "#98c379",
    "brown": "#e5c07b",
    "yellow": "#e5c07b",
    "blue": "#61afef",
    "magenta": "#c678dd",
    "cyan": "#56b6c2",
    "white": "#d8dee9",
}


def terminal(folder: Path, *words: str, until: str = "") -> pyte.Screen:
    """The screen behind a command; or, with `until`, when it first shows that and some seconds have gone."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    child, master = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.environ.update(TERM="xterm-256color", COLUMNS=str(COLUMNS), LINES=str(LINES))
        os.execv(sys.executable, [sys.executable, "-m", "lmkit", *words])
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    stream.feed(f"$ lmkit {' '.join(words)}\r\n".encode())
    taken: pyte.Screen | None = None
    seen = ""
    while True:
        try:
            content = os.read(master, 65536)
        except OSError:  # the command has ended
            break
        if not content:
            break
        stream.feed(content)
        seen += content.decode("utf-8", "replace")
        if until and until in seen and taken is None and any("step" in line for line in screen.display[-8:]):
            taken = copied(screen)
    os.waitpid(child, 0)
    return taken or screen


def copied(screen: pyte.Screen) -> pyte.Screen:
    """The same, as it stands."""
    other = pyte.Screen(COLUMNS, LINES)
    for number in range(LINES):
        for column in range(COLUMNS):
            other.buffer[number][column] = screen.buffer[number][column]
    return other


def colour(name: str) -> str:
    return COLOURS.get(name.removeprefix("bright"), f"#{name}" if len(name) == 6 else COLOURS["default"])


def spans(screen: pyte.Screen) -> Iterator[str]:
    """The lines of a screen as HTML, without empty ones at its end."""
    last = max((n for n, line in enumerate(screen.display) if line.strip()), default=0)
    for number in range(last + 1):
        cells = []
        for column in range(COLUMNS):
            cell: Any = screen.buffer[number][column]
            style = f"color:{colour(cell.fg)}" + (";font-weight:bold" if cell.bold else "")
            if cell.bg != "default":
                style += f";background:{colour(cell.bg)}"
            cells.append(f'<span style="{style}">{html.escape(cell.data)}</span>')
        yield "".join(cells)


def picture_of(browser: Browser, screen: pyte.Screen, name: str) -> None:
    lines = "\n".join(spans(screen))
    page = browser.new_page(viewport={"width": 1000, "height": 300}, device_scale_factor=1.5)
    page.set_content(
        f'<body style="margin:0;background:#1e222a;width:max-content"><pre style="margin:0;padding:16px;'
        f'font:14px/1.35 DejaVu Sans Mono,monospace">{lines}</pre>'
    )
    page.locator("pre").screenshot(path=str(HERE / f"{name}.png"))
    page.close()


def page_of(browser: Browser, address: str, name: str, *, dark: bool = False, height: int = 1500) -> None:
    scheme: Any = "dark" if dark else "light"
    page = browser.new_page(viewport={"width": 1000, "height": height}, color_scheme=scheme)
    page.goto(address)
    page.screenshot(path=str(HERE / f"{name}.png"))
    page.close()


def playground(browser: Browser, folder: Path) -> None:
    command = [sys.executable, "-m", "lmkit", "playground", "runs/hybrid", "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = process.stderr.readline().split("open ")[1].split(" ")[0]
        page = browser.new_page(viewport={"width": 1000, "height": 760})
        page.goto(address)
        page.get_by_role("button", name="fill-mask").click()
        page.fill("textarea", "Robin Hood drew his <|mask|> and went into the forest.")
        page.click("#go")
        page.wait_for_selector("#answer .said")
        time.sleep(0.5)
        page.screenshot(path=str(HERE / "playground.png"))
        process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=2.0)
    minutes = parser.parse_args().minutes
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        folder = Path(temporary)
        shutil.copy(str(files("lmkit") / "demo" / "robin_hood.md"), folder / "book.md")
        (folder / "run.toml").write_text(RECIPE.format(book="book.md", minutes=minutes))
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        picture_of(browser, terminal(folder, "data", "inspect", "run.toml", "--examples", "1"), "inspect")
        picture_of(browser, terminal(folder, "check", "run.toml"), "check")
        training = terminal(folder, "pretrain", "run.toml", "--run", "runs/hybrid", until="step 160  validation")
        picture_of(browser, training, "training")
        terminal(folder, "pretrain", "run.toml", "--run", "runs/causal", "--set", "objective.use=clm")
        compared = terminal(folder, "compare", "runs/hybrid", "runs/causal", "--out", "both.html")
        picture_of(browser, compared, "compare")
        terminal(folder, "report", "runs/hybrid")
        report = (folder / "runs" / "hybrid" / "report.html").as_uri()
        page_of(browser, report, "report-light")
        page_of(browser, report, "report-dark", dark=True)
        playground(browser, folder)
        browser.close()


if __name__ == "__main__":
    main()
