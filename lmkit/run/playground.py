"""playground: a page on this machine alone, where a run's model answers.

    browser --GET /--> page --GET /tasks--> what the run can do --POST /ask--> an answer, as `lmkit predict` gives it

It listens on the loopback address.  A request has to name that address as its host, so that no other site's name leads
here, and a page that asks has to come from it; what is asked is JSON of bounded size, and nothing of it is run.
"""

from __future__ import annotations

import json
import math
import secrets
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from importlib import resources
from typing import Any

import attrs

from lmkit.config import describe
from lmkit.errors import FitError, LmkitError, RunError
from lmkit.interfaces import Task
from lmkit.run.run import Run
from lmkit.spelling import did_you_mean

HOST = "127.0.0.1"
_LARGEST = 200_000
"""Bytes of what may be asked."""
_SHOWN = {"show_tokens": True}
"""Fields of a task's Config that the page would have so, where a task has them."""

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


def app(run: Run, *, port: int) -> App:
    """The playground of a run as an ASGI application; raises FitError where starlette is not installed."""
    try:
        from starlette.applications import Starlette
        from starlette.concurrency import run_in_threadpool
        from starlette.requests import Request
        from starlette.responses import HTMLResponse, JSONResponse, Response
        from starlette.routing import Route
    except ImportError:
        raise FitError("the playground is served by starlette and uvicorn: pip install 'lmkit[playground]'") from None
    hosts = {f"{name}:{port}" for name in (HOST, "localhost")}
    if port == 80:  # which browsers leave out
        hosts |= {HOST, "localhost"}
    one_at_a_time = threading.Lock()
    template = (resources.files("lmkit.templates") / "playground.html.in").read_text(encoding="utf-8")

    def refused(request: Request) -> Response | None:
        """Whoever does not come from the page itself is sent away."""
        origin = request.headers.get("origin")
        if request.headers.get("host") not in hosts:
            return JSONResponse({"error": "this page is for this machine alone"}, status_code=403)
        if origin is not None and origin not in {f"http://{host}" for host in hosts}:
            return JSONResponse({"error": "another page may not ask here"}, status_code=403)
        return None

    async def page(request: Request) -> Response:
        if no := refused(request):
            return no
        nonce = secrets.token_urlsafe(16)
        policy = f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'"
        headers = {
            "Content-Security-Policy": f"{policy}; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        return HTMLResponse(template.replace("NONCE", nonce), headers=headers)

    async def tasks(request: Request) -> Response:
        return refused(request) or JSONResponse({"run": run.folder.name, "tasks": offered(run)})

    async def ask(request: Request) -> Response:
        if no := refused(request):
            return no
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return JSONResponse({"error": "expected JSON"}, status_code=415)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _LARGEST:
                return JSONResponse({"error": f"expected at most {_LARGEST:,} bytes"}, status_code=413)
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError):
            return JSONResponse({"error": "expected JSON"}, status_code=400)

        def work() -> dict[str, Any]:
            with one_at_a_time:
                return answered(run, asked)

        try:
            return JSONResponse(_plain(await run_in_threadpool(work)))
        except LmkitError as error:
            return JSONResponse({"error": _sayable(str(error))}, status_code=400)
        except Exception as error:  # a plugin's own
            return JSONResponse({"error": _sayable(f"{type(error).__name__}: {error}")}, status_code=500)

    return Starlette(routes=[Route("/", page), Route("/tasks", tasks), Route("/ask", ask, methods=["POST"])])


def offered(run: Run) -> list[dict[str, Any]]:
    """Each task that reads the run's head: its name, the columns of its rows and the numbers that may be set."""
    found = []
    for name in run.able():
        with suppress(LmkitError, TypeError):  # it needs what this tokenizer, or a Config without arguments, has not
            found.append(dict(_told(run.task(name))))
    return found


def _told(task: Task) -> Iterator[tuple[str, Any]]:
    config = getattr(task, "config", None) or task.Config()
    kind: Any = type(config)
    sentences = describe(kind)
    values = [(f.alias, getattr(config, f.name), sentences.get(f.alias, "")) for f in attrs.fields(kind)]
    yield "name", task.name
    yield "verb", task.verb
    columns = [(value, says) for name, value, says in values if name.endswith("column") and isinstance(value, str)]
    yield "columns", [{"column": value, "says": says} for value, says in columns]
    numbers = [one for one in values if isinstance(one[1], (int, float)) and one[0] not in _SHOWN]
    yield "options", [{"name": name, "value": value, "says": says} for name, value, says in numbers]


def answered(run: Run, asked: Any) -> dict[str, Any]:
    """The answer to one row; raises FitError or ConfigError for what cannot be asked."""
    if not isinstance(asked, Mapping) or not isinstance(asked.get("task"), str):
        raise FitError("expected a task's name and a row")
    row, options = asked.get("row"), asked.get("options", {})
    if not isinstance(row, (str, Mapping)) or not isinstance(options, Mapping):
        raise FitError("expected a row, or a text, and options")
    for key, value in options.items():  # a path of this machine is not for a page to say
        if not isinstance(value, (int, float)):
            raise FitError(f"options: expected numbers, got {key} = {str(value)[:40]!r}")
    known = attrs.fields_dict(run.task(asked["task"]).Config)
    if unknown := sorted(options.keys() - known.keys()):
        raise FitError(f"options: {', '.join(unknown)} unknown.{did_you_mean(unknown[0], known)}")
    chosen = {**{key: value for key, value in _SHOWN.items() if key in known}, **options}
    [answer] = run.predict([row], task=asked["task"], **chosen)
    return dict(answer) if isinstance(answer, Mapping) else {"answer": answer}


def _sayable(text: str) -> str:
    """Half a surrogate pair, which a request may have, is nothing that UTF-8 can say."""
    return text.encode("utf-8", "backslashreplace").decode()


def _plain(value: Any) -> Any:
    """What JSON can say."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, str):
        return _sayable(value)
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def serve(run: Run, *, port: int, ready: Callable[[str], None]) -> None:
    """Serve until interrupted; `ready` is told the address. Raises RunError where the port is taken."""
    try:
        import uvicorn
    except ImportError:
        raise FitError("the playground is served by starlette and uvicorn: pip install 'lmkit[playground]'") from None
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        listening.close()
        raise RunError(f"port {port} cannot be had: {error.strerror}. Another one: --port {port + 1}") from None
    listening.listen(128)  # before anybody is told where
    taken = listening.getsockname()[1]
    config = uvicorn.Config(app(run, port=taken), log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
    ready(f"http://{HOST}:{taken}/")
    with suppress(KeyboardInterrupt):  # which is how it ends
        uvicorn.Server(config).run(sockets=[listening])
