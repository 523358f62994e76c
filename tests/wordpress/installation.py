"""A WordPress of Debian's packages on loopback: MariaDB, PHP, nginx and Varnish as processes of the tests.

All of it lives in one temporary folder: a copy of /usr/share/wordpress, the database, sockets, logs. Nothing of
the system's own services or of /etc is used or changed. Each address that nginx listens on is a site of its own,
for WordPress is told its address by the request; what differs is what stands between it and the client. One
address is Varnish's, which waits for the first byte of a reply for `GATEWAY_PATIENCE` seconds alone.

The processes end with this one, however that ends: the kernel ends them (`setpriv --pdeathsig`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wordpress.processes import run, start, wait_until
from wordpress.traffic import Traffic

_HERE = Path(__file__).parent
_CORE = Path("/usr/share/wordpress")
_MODULES = Path("/usr/lib/nginx/modules")

Generation = Literal["wpaicg", "aipkit", "none"]
Site = Literal[
    "pretty", "plain", "folder", "gzip", "brotli", "hasty", "curt", "cached", "stubborn", "varnish"
]
Fault = Literal[
    "",
    "page dies",
    "page dies half-way",
    "message dies",
    "stream dies",
    "message is late",
    "stream is late",
    "returns without a word",
    "refuses with -1",
]
"""How the site breaks, in the words of the plugin's `breaks()`."""

Stray = Literal["", "early", "sent", "plugin", "byte order mark"]
"""What is printed in front of every reply: a warning of PHP that WordPress does not know of, the same where PHP
buffers nothing and can set no status after it, one of a plugin that shows its warnings, no warning at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What the site is like; the plugin reads it anew for each request."""

    generation: Generation = "wpaicg"
    version: str = "1.9.18"
    streams: bool = True
    nonce_life: int = 86400  # WordPress's own, in seconds
    guest_cookie: bool = False
    members_only: bool = False
    asks_for_consent: bool = False
    focus_in_title: bool = True
    front_page_goes_to: str = ""
    warns: Stray = ""
    breaks: Fault = ""
    breaks_times: int = 1000


@dataclass(frozen=True, slots=True)
class _Server:
    """What makes an address special."""

    tables: Literal["pretty", "plain"] = "pretty"
    path: str = ""
    settings: str = ""
    cache: str = ""


_CACHE = "proxy_cache pages; proxy_cache_valid 200 301 302 1d; proxy_cache_key"
_SERVERS: dict[Site, _Server] = {
    "pretty": _Server(),
    "plain": _Server(tables="plain"),
    "folder": _Server(path="/blog"),
    "gzip": _Server(settings="gzip on; gzip_types *; gzip_min_length 1;"),
    "brotli": _Server(settings="brotli on; brotli_types *; brotli_min_length 1;"),
    "hasty": _Server(settings="keepalive_timeout 1s;"),
    "curt": _Server(settings="keepalive_timeout 0;"),
    "cached": _Server(
        cache=f"{_CACHE} $host$request_uri; proxy_cache_bypass $is_member; proxy_no_cache $is_member;"
    ),
    "stubborn": _Server(cache=f"{_CACHE} $host$uri; proxy_ignore_headers Cache-Control Expires Set-Cookie;"),
}


GATEWAY_PATIENCE = 3
"""Seconds; what the site calls late comes after 10."""


def _server(site: Site) -> _Server:
    return _SERVERS.get(site, _Server())


class WordPress:
    """The running site, under all its addresses.

    Attributes:
        traffic: what arrived there since it was last cleared.
        chat_pages: the ids of the pages that show the chat, by the kind of permalinks.
    """

    def __init__(self, folder: Path, ports: dict[Site, int], chat_pages: dict[str, int]) -> None:
        self._folder = folder
        self._ports = ports
        self.chat_pages = chat_pages
        self.traffic = Traffic(folder / "requests", folder / "answered", self.url("pretty"))
        self.conditions = Conditions()

    def url(self, site: Site, path: str = "/") -> str:
        """An address of the site, below where WordPress is installed."""
        return f"http://127.0.0.1:{self._ports[site]}{_server(site).path}{path}"

    def chat(self, site: Site = "pretty") -> str:
        """The page that shows the chat, as the site itself writes its address."""
        tables = _server(site).tables
        return self.url(site, f"/?page_id={self.chat_pages[tables]}" if tables == "plain" else "/chat/")

    def page(self, name: Literal["members", "consent", "checked"], site: Site = "pretty") -> str:
        """A page with the chat that a guest does not get (walls.php)."""
        return self.url(site, f"/{name}/")

    def ajax(self, site: Site = "pretty") -> str:
        return self.url(site, "/wp-admin/admin-ajax.php")

    def set(self, conditions: Conditions) -> None:
        """Changes what the site is like, from the next request on."""
        self.conditions = conditions
        (self._folder / "broken").unlink(missing_ok=True)
        _replace(self._folder / "conditions.json", json.dumps(dataclasses.asdict(conditions)))

    def clear(self) -> None:
        """An ordinary 1.x site with empty caches, to which nobody has come."""
        self.set(Conditions())
        self.end_maintenance()
        for cached in (self._folder / "cache").iterdir():
            cached.unlink()
        (self._folder / "php-errors").write_bytes(b"")
        self.traffic.clear()

    def begin_maintenance(self, own_page: str | None = None) -> None:
        """What WordPress's updater does; `own_page` is a PHP file that a site may put in its notice's place."""
        if own_page is not None:
            (self._folder / "wordpress/wp-content/maintenance.php").write_text(own_page)
        (self._folder / "wordpress/.maintenance").write_text("<?php $upgrading = time();")

    def end_maintenance(self) -> None:
        (self._folder / "wordpress/.maintenance").unlink(missing_ok=True)
        (self._folder / "wordpress/wp-content/maintenance.php").unlink(missing_ok=True)

    def end_sessions(self, login: str) -> None:
        """Makes a member log in again, wherever the login was."""
        _run_php(self._folder, "pretty", "end_sessions.php", login)

    def php_errors(self) -> str:
        """What PHP has logged since the site was cleared."""
        return (self._folder / "php-errors").read_text()

    def reload_nginx(self) -> None:
        """Replaces nginx's worker, as after a change of its configuration; idle connections are closed."""
        master = int((self._folder / "nginx.pid").read_text())
        before = _children(master)
        os.kill(master, signal.SIGHUP)
        wait_until(lambda: not set(before) & set(_children(master)), "nginx has not replaced its worker")


@contextlib.contextmanager
def installed() -> Iterator[WordPress]:
    """WordPress, installed and running; nothing is left of it behind the block.

    The path of its folder is short: sockets lie in it, whose paths end at 107 characters.
    """
    with (
        tempfile.TemporaryDirectory(prefix="wordpress-", dir="/tmp") as name,
        contextlib.ExitStack() as stack,
    ):
        folder = Path(name)
        _lay_out(folder)
        _start_mariadb(folder, stack)
        chat_pages = {"pretty": _install(folder, "pretty"), "plain": _install(folder, "plain")}
        _start_php(folder, stack)
        ports = _start_nginx(folder, stack)
        ports["varnish"] = _start_varnish(folder, stack, ports["pretty"])
        wordpress = WordPress(folder, ports, chat_pages)
        wordpress.clear()
        yield wordpress


def _lay_out(folder: Path) -> None:
    root = folder / "wordpress"
    shutil.copytree(_CORE, root, ignore=shutil.ignore_patterns(".htaccess", "akismet"))
    shutil.copy(_HERE / "site/wp-config.php", root / "wp-config.php")
    (root / "wp-content/plugins/gpt3-ai-content-generator").symlink_to(_HERE / "plugin")
    (folder / "below").mkdir()
    (folder / "below/blog").symlink_to(root)
    (folder / "cache").mkdir()
    for name in ("requests", "answered", "php-errors"):
        (folder / name).touch()
    _replace(folder / "conditions.json", json.dumps(dataclasses.asdict(Conditions(generation="none"))))
    settings = {
        "display_errors": "0",  # as there; wp-config.php turns it on
        "log_errors": "1",
        "error_log": str(folder / "php-errors"),
        "output_buffering": "4096",  # as in Debian's own
        "sendmail_path": "/bin/true",  # WordPress tells its owner of fatal errors
        "session.save_path": str(folder),
    }
    (folder / "php.ini").write_text("".join(f'{name} = "{value}"\n' for name, value in settings.items()))


def _start_mariadb(folder: Path, stack: contextlib.ExitStack) -> None:
    data = folder / "mariadb"
    run(
        "mariadb-install-db",
        "--no-defaults",
        f"--datadir={data}",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        "--skip-name-resolve",
        *(["--user=root"] if os.geteuid() == 0 else []),
        folder=folder,
    )
    beginning = folder / "beginning.sql"
    beginning.write_text(
        "CREATE DATABASE wordpress;\nCREATE USER wordpress@localhost;\n"
        "GRANT ALL ON wordpress.* TO wordpress@localhost;\n"
    )
    process = start(
        stack,
        folder,
        "mariadbd",
        "--no-defaults",
        f"--datadir={data}",
        f"--socket={folder}/mariadb.sock",
        f"--pid-file={folder}/mariadb.pid",
        f"--log-error={folder}/mariadb-errors",
        f"--init-file={beginning}",
        "--skip-networking",
        "--skip-log-bin",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-buffer-pool-size=32M",
        "--innodb-log-file-size=8M",
        *(["--user=root"] if os.geteuid() == 0 else []),
    )
    log = folder / "mariadb-errors"
    wait_until(lambda: _listens(str(folder / "mariadb.sock")), "MariaDB did not start", log, process)


def _install(folder: Path, tables: Literal["pretty", "plain"]) -> int:
    """Fills the tables of one installation; the id of its chat page."""
    permalinks = "/%postname%/" if tables == "pretty" else ""
    return int(_run_php(folder, tables, "install.php", permalinks))


def _run_php(folder: Path, tables: Literal["pretty", "plain"], script: str, argument: str) -> str:
    """What a script of ours prints, which loads WordPress by itself."""
    environment = {
        "CHAT_BOXES_FOLDER": str(folder),
        "CHAT_BOXES_TABLES": tables,
        "CHAT_BOXES_PATH": "",
        "HTTP_HOST": "127.0.0.1",
        "PATH": os.environ["PATH"],
    }
    command = ("php", "-c", f"{folder}/php.ini", str(_HERE / "site" / script))
    return run(*command, str(folder / "wordpress"), argument, folder=folder, env=environment)


def _start_php(folder: Path, stack: contextlib.ExitStack) -> None:
    environment = {"PHP_FCGI_CHILDREN": "4", "PHP_FCGI_MAX_REQUESTS": "0", "PATH": os.environ["PATH"]}
    process = start(
        stack, folder, "php-cgi", "-c", f"{folder}/php.ini", "-b", f"{folder}/php.sock", env=environment
    )
    log = folder / "php-cgi-output"
    wait_until(lambda: _listens(str(folder / "php.sock")), "PHP did not start", log, process)


def _start_nginx(folder: Path, stack: contextlib.ExitStack) -> dict[Site, int]:
    """The port of each address. Somebody else may take one before nginx does; then it starts with others."""
    for _ in range(4):
        with contextlib.suppress(RuntimeError):
            return _start_nginx_on(_free_ports(), folder, stack)
    return _start_nginx_on(_free_ports(), folder, stack)


def _start_nginx_on(ports: dict[Site, int], folder: Path, stack: contextlib.ExitStack) -> dict[Site, int]:
    fill = {
        "folder": str(folder),
        "modules": str(_MODULES),
        "user": "user root;" if os.geteuid() == 0 else "",
        "servers": "\n".join(_describe(folder, site, port) for site, port in ports.items()),
    }
    text = (_HERE / "site/nginx.conf").read_text()
    for name, value in fill.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    (folder / "nginx.conf").write_text(text)
    log = folder / "nginx-errors"
    process = start(stack, folder, "nginx", "-e", str(log), "-c", f"{folder}/nginx.conf")
    wait_until(lambda: all(_listens(port) for port in ports.values()), "nginx did not start", log, process)
    return ports


def _start_varnish(folder: Path, stack: contextlib.ExitStack, behind: int) -> int:
    """The port of Varnish in front of one of nginx's; it caches nothing."""
    port = _free_ports()["pretty"]
    process = start(
        stack,
        folder,
        "varnishd",
        "-F",
        *("-n", f"{folder}/varnish"),
        *("-a", f"127.0.0.1:{port}"),
        *("-b", f"127.0.0.1:{behind}"),
        *("-p", f"first_byte_timeout={GATEWAY_PATIENCE}"),
        *("-s", "malloc,16m"),
        *("-T", "none"),
        *("-t", "0"),
        *(["-j", "none"] if os.geteuid() == 0 else []),
        env={"PATH": f"{os.environ['PATH']}:/usr/sbin"},
    )
    log = folder / "varnishd-output"
    wait_until(lambda: _listens(port), "Varnish did not start", log, process)
    return port


def _free_ports() -> dict[Site, int]:
    with contextlib.ExitStack() as stack:
        ports: dict[Site, int] = {}
        for site in _SERVERS:
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            ports[site] = listener.getsockname()[1]
        return ports


def _describe(folder: Path, site: Site, port: int) -> str:
    """The server of one address; one with a cache is two, the cache and WordPress behind it."""
    server = _SERVERS[site]
    root = folder / ("below" if server.path else "wordpress")
    unknown = "=404" if server.tables == "plain" else f"{server.path}/index.php?$args"
    wordpress = f"""
        root {root};
        index index.php;
        location / {{
            try_files $uri $uri/ {unknown};
        }}
        set $tables {server.tables};
        set $path "{server.path}";
        location ~ \\.php$ {{
            fastcgi_pass unix:{folder}/php.sock;
        }}"""
    if not server.cache:
        return f"""
    server {{
        listen 127.0.0.1:{port};
        {server.settings}
        location /mark/ {{
            return 204;
        }}{wordpress}
    }}"""
    behind = f"unix:{folder}/{site}.sock"
    return f"""
    server {{
        listen {behind};
        access_log off;{wordpress}
    }}
    server {{
        listen 127.0.0.1:{port};
        proxy_set_header Host $http_host;
        location / {{
            proxy_pass http://{behind};
            {server.cache}
        }}
        location /wp-admin/ {{
            proxy_pass http://{behind};
            proxy_buffering off;
        }}
    }}"""


def _listens(address: int | str) -> bool:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as probe:
        return probe.connect_ex(address if isinstance(address, str) else ("127.0.0.1", address)) == 0


def _children(pid: int) -> Sequence[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    new.replace(path)
