"""lmkit says which kind each review is, as `lmkit predict` does."""

import json
import time

import lmkit
from benchmarks.answering.subjects import rows_of, subject
from lmkit.cli.memory import keep_freed_memory
from lmkit.cli.waiting import wait_politely

WARM_UP = 64


def main() -> None:
    folder, rows = subject("classifier"), rows_of("test") + rows_of("validation")
    wait_politely()  # as the command does, and the next
    keep_freed_memory()
    run = lmkit.load(folder)
    list(run.predict(rows[:WARM_UP]))
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        answers = list(run.predict(rows))
        seconds.append(time.perf_counter() - begun)
    assert len(answers) == len(rows)
    print(json.dumps({"seconds": seconds, "work": len(rows), "config": {"rows": len(rows), "first": answers[0]}}))


if __name__ == "__main__":
    main()
