"""python -m tests.bench [latency load burst workers growth limits money profile]: `make bench`.

Measures, prints, and writes each part's section of docs/performance.md. A part that fails is told of in its
section, and does not keep the others from being measured.
"""

import argparse
import asyncio
import logging
import resource
import sys
import tempfile
import traceback
from pathlib import Path
from time import monotonic

import structlog

from tests.bench import burst, growth, latency, limits, load, money, profiled, workers
from tests.bench.figures import Section
from tests.bench.page import write

PARTS = {
    "latency": latency.measure,
    "load": load.measure,
    "burst": burst.measure,
    "workers": workers.measure,
    "growth": growth.measure,
    "limits": limits.measure,
    "money": money.measure,
    "profile": profiled.measure,
}


async def main(names: list[str]) -> int:
    """Measure these parts; the number that failed."""
    failed = 0
    with tempfile.TemporaryDirectory(prefix="bobbin-bench-") as folder:
        for name in names:
            began = monotonic()
            print(f"{name} …", flush=True)
            place = Path(folder) / name
            place.mkdir()
            try:
                section = await PARTS[name](place)
            except Exception as error:  # noqa: BLE001  the other parts go on
                traceback.print_exc()
                failed += 1
                section = Section(name.capitalize(), f"Not measured: {type(error).__name__}.")
            write(name, section)
            print(section.text, *(promise.row for promise in section.promises), sep="\n")
            print(f"{name}: {monotonic() - began:.0f} s", flush=True)
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar=f"{{{','.join(PARTS)}}}")
    chosen = parser.parse_args().parts or list(PARTS)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # both ends of two connections for each answer
    sys.exit(1 if asyncio.run(main(chosen)) else 0)
