"""Asks PyPI's advisories about every pinned package: 1 where one is known to be weak, 0 where none is.

What cannot be asked (no network, an index without advisories) is said, and is no failure.
"""

import json
import subprocess
import sys
from pathlib import Path

_FILES = ("requirements.txt", "requirements-dev.txt")
_SECONDS = 120


def _main() -> int:
    listed = [f"--requirement={name}" for name in _FILES if Path(name).exists()]
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--disable-pip",
        "--require-hashes",
        "--format=json",
        *listed,
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603
        packages = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        return _say("audit skipped: PyPI's advisories cannot be asked from here")
    asked = [package for package in packages if "skip_reason" not in package]
    weak = [
        f"{each['name']} {each['version']}: {', '.join(v['id'] for v in each['vulns'])}"
        for each in asked
        if each["vulns"]
    ]
    if not asked:
        return _say("audit skipped: this package index has no advisories")
    _say("\n".join(weak or [f"{len(asked)} of {len(packages)} packages asked about: no weakness is known"]))
    return int(bool(weak))


def _say(words: str) -> int:
    print(words)  # noqa: T201  the command's result
    return 0


if __name__ == "__main__":
    sys.exit(_main())
