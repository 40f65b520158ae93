"""The playground: a real server on loopback, which answers its own page and nobody else."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import lmkit


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs")
    (place / "text.txt").write_text("Robin Hood in greenwood stood, and under a tree was he.\n" * 100)
    recipe: dict[str, Any] = {
        "tokenizer": {"use": "bpe", "vocab_size": 300},
        "data": {"train": [str(place / "text.txt")], "document": "line"},
        "encoder": {"use": "qwen3", "layers": 1, "width": 64},
        "objective": {"use": "hybrid"},
        "train": {"steps": 2, "block_tokens": 32, "batch_tokens": 128, "precision": "fp32", "compile": "off"},
    }
    lmkit.pretrain(recipe, run=place / "hybrid", quiet=True)
    return place


@pytest.fixture(scope="module")
def server(runs: Path) -> Iterator[int]:
    """The port on which `lmkit playground` answers."""
    command = [sys.executable, "-m", "lmkit", "playground", "hybrid", "--port", "0"]
    with subprocess.Popen(command, cwd=runs, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("hybrid: open http://127.0.0.1:"), line + process.stderr.read()
        yield int(line.split("127.0.0.1:")[1].split("/")[0])
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in (0, 130)
        assert "Traceback" not in process.stderr.read()


def request(
    port: int, path: str, asked: Any = None, *, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    sent = body if body is not None else None if asked is None else json.dumps(asked).encode()
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    if sent is not None:
        told.setdefault("Content-Type", "application/json")
    with closing(connection):
        connection.request("GET" if sent is None else "POST", path, body=sent, headers=told)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read().decode()


def test_the_page_runs_its_own_script_only(server: int) -> None:
    status, headers, page = request(server, "/")
    assert status == 200
    policy = headers["content-security-policy"]
    nonce = policy.split("script-src 'nonce-")[1].split("'")[0]
    assert page.count(f'nonce="{nonce}"') == 2
    assert "default-src 'none'" in policy
    assert "NONCE" not in page
    assert "http" not in page.replace("http-equiv", "")  # nothing is fetched from elsewhere
    assert request(server, "/")[1]["content-security-policy"] != policy


def test_it_says_what_the_run_can_do(server: int) -> None:
    found = json.loads(request(server, "/tasks")[2])
    assert found["run"] == "hybrid"
    tasks = {task["name"]: task for task in found["tasks"]}
    assert {"fill-mask", "completion"} <= tasks.keys()
    assert tasks["fill-mask"]["columns"][0]["column"] == "text"
    assert {"name": "top_k", "value": 5}.items() <= tasks["fill-mask"]["options"][0].items()


def test_it_answers_as_predict_does(server: int, runs: Path) -> None:
    run = lmkit.load(runs / "hybrid")
    asked = {"task": "fill-mask", "row": "Robin [MASK] stood", "options": {"top_k": 3}}
    status, _, said = request(server, "/ask", asked)
    assert status == 200, said
    [wanted] = run.predict([asked["row"]], task="fill-mask", top_k=3)
    assert json.loads(said)["text"] == wanted["text"]
    assert len(json.loads(said)["masks"][0]) == 3
    drawn = json.loads(request(server, "/ask", {"task": "completion", "row": "Robin", "options": {"seed": 2}})[2])
    assert "".join(part["text"] for part in drawn["drawn"]) == drawn["completion"]
    assert all(0 < part["probability"] <= 1 for part in drawn["drawn"])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"task": "no-such", "row": "a"}, 'no task named "no-such"'),
        ({"task": "completion", "row": 3}, "expected a row, or a text, and options"),
        ({"task": "completion", "row": "a", "options": {"temprature": 1}}, 'Did you mean "temperature"'),
        (
            {"task": "completion", "row": "a", "options": {"max_new_tokens": "x"}},
            "expected numbers, got max_new_tokens",
        ),
        (["completion"], "expected a task's name and a row"),
    ],
)
def test_what_cannot_be_asked_is_told(server: int, asked: Any, message: str) -> None:
    status, _, said = request(server, "/ask", asked)
    assert status == 400
    assert message in json.loads(said)["error"]


def test_nobody_else_is_answered(server: int) -> None:
    asked = {"task": "completion", "row": "Robin"}
    assert request(server, "/", Host="evil.example")[0] == 403
    assert request(server, "/tasks", Host=f"evil.example:{server}")[0] == 403
    assert request(server, "/ask", asked, Origin="http://evil.example")[0] == 403
    assert request(server, "/ask", asked, Origin="null")[0] == 403
    assert request(server, "/ask", asked, Origin=f"http://127.0.0.1:{server}")[0] == 200
    assert request(server, "/ask", body=b"task=completion", Content_Type="text/plain")[0] == 415
    assert request(server, "/ask", body=b"{")[0] == 400
    assert request(server, "/ask", body=b"[" * 100_000)[0] == 400
    assert request(server, "/ask", body=b'"' + b"a" * 300_000 + b'"')[0] == 413
    assert request(server, "/../../etc/passwd")[0] == 404


def test_a_port_that_is_taken_is_told(server: int, runs: Path) -> None:
    command = [sys.executable, "-m", "lmkit", "playground", "hybrid", "--port", str(server)]
    done = subprocess.run(command, cwd=runs, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert (
        done.stderr == f"error: port {server} cannot be had: Address already in use. Another one: --port {server + 1}\n"
    )
