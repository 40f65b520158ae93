"""How long a new Python takes: `python -m benchmarks.starting.imports ARGUMENT ...` runs `python ARGUMENT ...`."""

import json
import os
import resource
import subprocess
import sys
import time

TIMES = 7


def main() -> None:
    command = [sys.executable, *sys.argv[1:]]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    seconds = []
    for turn in range(TIMES + 1):
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        if turn:  # the first reads the files from disk
            seconds.append(time.perf_counter() - begun)
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "work": 1, "peak_mb": peak_mb, "config": {"python": command[1:]}}))


if __name__ == "__main__":
    main()
