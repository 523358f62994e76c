"""What a change has to pass: `nox` runs all of it, `nox -s NAME` one part, `nox -l` lists the parts.

Each session has an environment with no more in it than it declares, kept between runs. In each, the
package is built and installed from the tree: what is tested is what a user gets.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "virtualenv"  # comes with nox, needs nothing of the machine
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = [
    "lint",
    "docs",
    "examples",
    "wordpress",
    "soak",
    "reliability",
    "scale",
    "browser",
    "ecosystem",
    "container",
    "tests",  # whose summary is read last
]

RELIABILITY = ("tests/network", "tests/hostile", "tests/state")
"""What weighs and times calls, and so runs without the coverage's weight."""

APART = ("tests/wordpress", "tests/ecosystem", "tests/scale")
"""What needs other programs, and so has sessions of its own."""

SKIPPED = 77
"""How debian.py and build_image.py exit where the machine, or the user's rights, are not enough."""

NO_BROWSER = "there is no Chromium, Chrome or Edge; as root: apt-get install chromium"

BROWSERS = ("chromium", "chromium-headless-shell", "libatomic1")
"""Debian's packages, the last for Playwright's driver. The browsers differ in needs: both are tested."""

WITHOUT_BROWSER = (
    "--ignore=tests/browser",
    "--deselect=tests/state/test_secrets.py::test_no_secret_is_in_what_is_logged_of_a_browser_that_works",
)
"""Leaves out all tests that run one."""

IS_ROOT = sys.platform != "win32" and os.geteuid() == 0
MAY_LEAVE_OUT = not IS_ROOT and not os.environ.get("CI")
"""Whether a session may be skipped for want of Debian's packages, which root alone can install."""

LEFT_OUT: list[str] = []
"""What was skipped, and what it needs; said once more at the end of the last session."""

SIDE_BY_SIDE = ("--numprocesses=2", "--dist=loadfile")
"""Two processes, each with whole files of tests: one works while a test in the other one waits."""

ORDER = {"CHATGPTT_CASE_ORDER": str(random.randrange(10**6))}
"""The order in which recorded cases are met: a new one each time, the same for both processes."""

ECOSYSTEM = {
    "g4f": (".[demo]", "g4f>=8.8.6"),
    "llm": (".[llm]",),
    "llm_old": (".", "llm<0.32"),  # too old for the plugin
    "openai": ("openai>=2", "langchain-openai>=1", "litellm", "pydantic-ai-slim[openai]>=1"),
    "llama_index": ("llama-index-llms-openai-like>=0.5",),  # may need an older openai
}
"""Programs that take chatgptt or speak to it, each with what its environment needs. The newest are tried."""

NODE = ("openai", "ai", "@ai-sdk/openai", "@ai-sdk/openai-compatible")
"""Programs of Node that speak to it."""

PYPROJECT = nox.project.load_toml("pyproject.toml")


def install(session: nox.Session, *groups: str, extras: str = "demo") -> None:
    """Install a wheel built of this tree, with its extras and the dependency groups named."""
    session.install(f".[{extras}]", *nox.project.dependency_groups(PYPROJECT, *groups))


def install_packages(session: nox.Session, *packages: str) -> None:
    """Install these packages of Debian (none: WordPress and what it needs), or skip where only root could."""
    codes = [0, SKIPPED] if MAY_LEAVE_OUT else [0]
    said = session.run("python", "tests/wordpress/debian.py", *packages, silent=True, success_codes=codes)
    if said:
        session.skip(leave_out(session.name, str(said)))


def install_browsers(session: nox.Session) -> None:
    """Install both kinds of Chromium on Debian as root; elsewhere the project's command finds or gets one."""
    session.run("python", "tests/wordpress/debian.py", *BROWSERS, success_codes=[0, 1, SKIPPED])
    session.run("chatgptt", "install-browser", success_codes=[0, 1] if MAY_LEAVE_OUT else [0])


def lacks_browser(session: nox.Session, *, needs_window: bool = False) -> bool:
    """Whether there is no browser, and it may be done without."""
    code = f"print(maybe_browser(needs_window={needs_window}))"
    found = session.run(
        "python", "-c", f"from chatgptt.browser.installed import maybe_browser; {code}", silent=True
    )
    return MAY_LEAVE_OUT and str(found).strip() == "None"


def without_browser(session: nox.Session) -> tuple[str, ...]:
    """Options of pytest that leave out what runs a browser, where there is none."""
    if not lacks_browser(session):
        return ()
    leave_out(f"the browser in {session.name}", NO_BROWSER)
    return WITHOUT_BROWSER


def leave_out(what: str, why: str) -> str:
    """Note what is skipped, to be said at the end; gives the words."""
    LEFT_OUT.append(f"NOT TESTED: {what}: {why.strip()}")
    return LEFT_OUT[-1]


def install_apart(session: nox.Session, name: str, *packages: str) -> str:
    """Install the newest of these packages in an environment beside the session's; gives its Python."""
    folder = Path(session.virtualenv.location).with_name(f"ecosystem-{name}")
    python = str(folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))
    if not Path(python).exists():
        session.run(sys.executable, "-m", "virtualenv", "--quiet", str(folder), external=True)
    newest = ("install", "--quiet", "--upgrade", "--upgrade-strategy=eager")
    session.run(python, "-m", "pip", *newest, *packages, external=True)
    return python


def install_node(session: nox.Session) -> str:
    """Install the newest packages of Node in a folder beside the session's environment; gives the folder."""
    folder = Path(session.virtualenv.location).with_name("ecosystem-node")
    folder.mkdir(exist_ok=True)
    quiet = ("install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder))
    session.run("npm", *quiet, *(f"{name}@latest" for name in NODE), external=True)
    return str(folder)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format, types and the direction of imports."""
    install(session, "dev", extras="demo,serve,socks,llm,celery")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    session.run("lint-imports", "--no-logo", env={"PYTHONPATH": "src"})


@nox.session
def examples(session: nox.Session) -> None:
    """Run every file in examples/ with nothing installed but what a user has; each must exit with 0."""
    install(session)
    for example in sorted(Path("examples").glob("*.py")):
        with TemporaryDirectory() as state:
            session.run("python", str(example), env={"CHATGPTT_STATE_DIR": state})


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation in docs/_site; a warning or a link that leads nowhere fails."""
    install(session, "docs", extras="celery")
    shutil.rmtree("docs/_site", ignore_errors=True)
    strictly = ("--fail-on-warning", "--keep-going", "--quiet", "--fresh-env")
    session.run("sphinx-build", *strictly, "--doctree-dir", session.create_tmp(), "docs", "docs/_site")
    session.run("python", "docs/check_links.py", "docs/_site")


@nox.session
def tests(session: nox.Session) -> None:
    """Test the built package, browser included, with branch coverage; `-- -k retry` runs some, without."""
    install(session, "test", extras="demo,serve,socks")
    install_browsers(session)
    left = without_browser(session)
    coverage = [] if left else ["--cov", "--cov-report=term"]  # its bound holds for all tests
    session.run(
        "pytest",
        *(f"--ignore={folder}" for folder in (*APART, *RELIABILITY)),
        *left,
        *(session.posargs or [*coverage, *SIDE_BY_SIDE]),
        env=ORDER,
    )
    for words in LEFT_OUT:
        session.warn(words)


@nox.session
def reliability(session: nox.Session) -> None:
    """Break the network, the disk and every reply, and see what is promised in docs/reliability.md."""
    install(session, "test", extras="demo,socks")
    install_browsers(session)
    session.run("pytest", *without_browser(session), *(session.posargs or RELIABILITY))


@nox.session
def scale(session: nox.Session) -> None:
    """Ask from many processes that share a Redis of Debian; installs it where it is root."""
    install(session, "test", extras="demo,celery")
    install_packages(session, "redis-server")
    session.run("pytest", "--scale", *(session.posargs or ["tests/scale"]))


@nox.session
def browser(session: nox.Session) -> None:
    """Test the browser rung in a whole Chromium; `tests` uses a headless shell where there is one."""
    install(session, "test", extras="demo,socks")
    install_browsers(session)
    if lacks_browser(session, needs_window=True):
        session.skip(leave_out(session.name, NO_BROWSER))
    session.run(
        "pytest", "--whole-browser", *(session.posargs or ["tests/browser", *SIDE_BY_SIDE]), env=ORDER
    )


@nox.session
def ecosystem(session: nox.Session) -> None:
    """Drive the programs that take chatgptt, as processes against the demo site."""
    install(session, "test", extras="demo,serve")
    pythons = {
        f"CHATGPTT_{name.upper()}_PYTHON": install_apart(session, name, *packages)
        for name, packages in ECOSYSTEM.items()
    }
    node = {"CHATGPTT_NODE_FOLDER": install_node(session)} if shutil.which("npm") else {}
    session.run("pytest", "--ecosystem", *(session.posargs or ["tests/ecosystem"]), env=pythons | node)


@nox.session(venv_backend="none")
def container(session: nox.Session) -> None:
    """Build the Containerfile and ask in it, where podman, docker or buildah works."""
    said = session.run(sys.executable, "tests/build_image.py", silent=True, success_codes=[0, SKIPPED])
    if str(said).startswith("no image"):
        session.skip(leave_out(session.name, str(said)))


@nox.session
def httpx2(session: nox.Session) -> None:
    """Test with httpx2, which continues httpx, by the alias for `httpx` that it makes itself."""
    install(session, "test", extras="demo,socks")
    session.install("httpx2[socks]")
    packages = session.run(
        "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", silent=True
    )
    # In a .pth file, since tests start programs of their own.
    alias = "import httpx2; httpx2.alias_httpx()\n"
    (Path(str(packages).strip()) / "httpx2_alias.pth").write_text(alias, encoding="utf-8")
    session.run(
        "pytest",
        "-W=ignore::pytest.PytestAssertRewriteWarning",  # the alias has loaded anyio before pytest
        *(session.posargs or ["--ignore=tests/wordpress", "--ignore=tests/browser"]),
    )


@nox.session
def fixtures(session: nox.Session) -> None:
    """Replay every recorded case through the whole client, and print the catalogue."""
    install(session, "test", extras="demo,socks")
    session.run("pytest", *(session.posargs or ["tests/recordings"]))
    session.run("python", "tests/recordings/table.py")


@nox.session
def wordpress(session: nox.Session) -> None:
    """Ask a real WordPress, of Debian's packages, on loopback; installs what is missing where it is root."""
    install(session, "test")
    install_packages(session)
    session.run("pytest", "--wordpress", *(session.posargs or ["tests/wordpress"]))


@nox.session
def soak(session: nox.Session) -> None:
    """Ask 10,000 questions, some with faults, and account for each; `-- --hour` goes on for an hour."""
    install(session)
    session.run("python", "-m", "soak", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session
def bench(session: nox.Session) -> None:
    """Measure everything beside its peers, and write docs/performance.md; `-- answers` prints one part."""
    install(session, "bench")
    install_browsers(session)
    session.run("python", "bench/run.py", *session.posargs)


@nox.session
def pictures(session: nox.Session) -> None:
    """Make the pictures of docs/pictures from the real commands; `-- ask` makes one."""
    install(session, "test")
    install_browsers(session)
    session.run("python", "docs/pictures/make.py", *session.posargs)


@nox.session
def recordings(session: nox.Session) -> None:
    """Read recorded pages and replies of real sites: `nox -s recordings -- FOLDER`."""
    if not session.posargs:
        session.error("name a folder of recordings: nox -s recordings -- FOLDER")
    install(session)
    session.run("python", "tests/check_recordings.py", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Fuzz the readers of foreign bytes, guided by coverage: `nox -s fuzz -- 60` for 60 seconds each."""
    install(session, "fuzz")
    session.run("python", "tests/fuzz/fuzz.py", *session.posargs, env={"PYTHONPATH": "tests"})
