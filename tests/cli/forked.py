"""A command in a process that is forked from one that has imported all it needs: what it does, without its start-up."""

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(
    [
        "lmkit.cli.app",
        "lmkit.run",
        "lmkit.run.demo",
        "lmkit.testing.conformance",
        "lmkit_bert.fill_mask",
        "lmkit_bert.bert",
    ]
)


def run(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], text: str | None
) -> CompletedProcess[str]:
    """What `lmkit ARGUMENT ...` says in `folder`, given `text` on standard input."""
    with tempfile.TemporaryDirectory() as name:
        streams = [Path(name, stream) for stream in ("stdin", "stdout", "stderr")]
        streams[0].write_text(text or "")
        process = _PROCESSES.Process(target=_main, args=(arguments, folder, dict(environment), streams))
        process.start()
        process.join()
        said, told = (stream.read_text() if stream.exists() else "" for stream in streams[1:])
    return CompletedProcess(arguments, process.exitcode, said, told)


def _main(arguments: Sequence[str], folder: Path, environment: Mapping[str, str], streams: Sequence[Path]) -> None:
    for number, stream in enumerate(streams):
        opened = os.open(stream, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
        for number, mode in enumerate("rww")
    )
    sys.stderr.reconfigure(line_buffering=True)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["lmkit", *arguments]
    from lmkit.cli import main

    main()
