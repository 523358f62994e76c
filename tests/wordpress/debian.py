"""Sees to it that the Debian packages are there which the tests of this folder start.

Exits with 77 where they are missing and only root, or another system, could have them, and with 1 where it fails.

Other tests name the packages that they start: `python tests/wordpress/debian.py chromium`.

MariaDB and PHP are taken without the packages that would run them as services of the system. nginx and Varnish
have no such package, so Debian's own switch against starting what is being installed is set meanwhile (invoke-rc.d(8)).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

PACKAGES = (
    "chromium",
    "libnginx-mod-http-brotli-filter",
    "mariadb-server-core",
    "nginx",
    "php",
    "php-cgi",
    "php-mysql",
    "util-linux",
    "varnish",
    "wordpress",
    "wordpress-theme-twentytwentythree",
    "xdotool",
    "xvfb",
)
NEEDS_ROOT = 77
"""The exit code that test runners know as "skipped"."""
POLICY = Path("/usr/sbin/policy-rc.d")


def find_missing(packages: Sequence[str]) -> list[str]:
    """Those of the packages that are not installed.

    Raises:
        FileNotFoundError: where this is no Debian.
    """
    command = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\n", *packages]
    shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    installed = {line.partition(" ")[2] for line in shown.splitlines() if line.startswith("installed ")}
    return [package for package in packages if package not in installed]


@contextlib.contextmanager
def no_service_started() -> Iterator[None]:
    """Inside the block installing starts nothing; a machine's own policy for that is left as it is."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def main(packages: Sequence[str]) -> str | int:
    """What failed, as `sys.exit` takes it; 0 for nothing."""
    try:
        missing = find_missing(packages)
    except FileNotFoundError:
        print("it needs Debian's packages, and dpkg to look for them")
        return NEEDS_ROOT
    if not missing:
        return 0
    install = ["apt-get", "install", "--yes", "-qq", "--no-install-recommends", *missing]
    if os.geteuid() != 0:
        print(f"it needs root: apt-get install {' '.join(missing)}")
        return NEEDS_ROOT
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with no_service_started():
        for step in (["apt-get", "update", "-qq"], install):
            done = subprocess.run(step, env=environment, stdout=subprocess.PIPE, text=True, check=False)
            if done.returncode != 0:
                return f"{' '.join(step)} failed with {done.returncode}:\n{done.stdout}"
    still = find_missing(packages)
    return f"still not installed: {', '.join(still)}" if still else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or PACKAGES))
