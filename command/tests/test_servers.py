"""The lines of docs/recipes/readiness.md, each on a free port and on a taken one; and what the default readiness says of a taken port."""

from __future__ import annotations

import os
import pathlib
import re
import shlex
import shutil
import socket

import pytest
from daemons import House, Said, house, wait_gone
from fetched import REPOSITORY, debian, venv

__all__ = ["house"]

PAGE = REPOSITORY / "docs/recipes/readiness.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON_PACKAGES = ("gunicorn==27.0.1", "uvicorn==0.54.0", "flask==3.1.3")

APPLICATIONS = {
    "hello.py": """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]

async def asgi(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})
""",
    "hello_flask.py": """
from flask import Flask
app = Flask(__name__)

@app.route("/")
def hello():
    return "hello"
""",
    "hello.js": 'require("http").createServer((_, answer) => answer.end("hello")).listen(Number(process.argv[2]), "127.0.0.1");',
    "Hello.java": """
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;

public class Hello {
    public static void main(String[] arguments) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])), 0);
        server.createContext("/", exchange -> {
            exchange.sendResponseHeaders(200, 5);
            exchange.getResponseBody().write("hello".getBytes());
            exchange.close();
        });
        server.start();
    }
}
""",
}

NGINX = """
pid nginx.pid;
events {}
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server { listen 127.0.0.1:PORT; location / { return 200 "hello"; } }
}
"""

# What makes the application of the line fail at its start.
BROKEN = {
    "hello.py": "import nonesuch",
    "hello_flask.py": "import nonesuch",
    "hello.js": 'require("nonesuch");',
    "Hello.java": "public class Hello { nonesuch }",
}

# By the program in the line: its exit status then. That of http.server has no application.
BROKEN_STATUS = {"gunicorn": 1, "uvicorn": 1, "flask": 2, "nginx": 1, "node": 1, "java": 1}

# By the program in the line: its exit status on a taken port.
STATUS = {"python3": 1, "gunicorn": 1, "uvicorn": 3, "flask": 1, "nginx": 1, "node": 1, "java": 1}


def line_of(program: str) -> list[str]:
    """The words behind `daemonctx start`."""
    lines = [line for block in BLOCK.findall(PAGE.read_text()) for line in block.splitlines()]
    found = [words for words in map(shlex.split, lines) if program in words]
    assert len(found) == 1, f"one line of {PAGE.name} starts {program}"
    assert found[0][:2] == ["daemonctx", "start"]
    return found[0][2:]


def test_every_line_of_the_page_is_tried() -> None:
    lines = [line for block in BLOCK.findall(PAGE.read_text()) for line in block.splitlines()]
    assert len(lines) == len(STATUS)


class Server:
    """A server as the page starts it, in the test's folder and on a port of its own."""

    def __init__(self, house: House, program: str) -> None:
        self.house, self.program = house, program
        self.path, self.configuration = os.environ["PATH"], NGINX
        if program in ("gunicorn", "uvicorn", "flask"):
            self.path = f"{venv(*PYTHON_PACKAGES)}:{self.path}"
        elif program == "nginx":
            # Its libraries are those of every Debian: libc, libcrypt, pcre2, openssl, zlib.
            self.path = f"{pathlib.Path(debian('usr/sbin/nginx', 'nginx', 'nginx-common', 'libpcre2-8-0')).parent}:{self.path}"
        elif not shutil.which(program):
            pytest.skip(f"no {program}")
        for folder in ("app", "nginx/logs", "log"):
            (house.folder / folder).mkdir(parents=True)
        for name, text in APPLICATIONS.items():
            (house.folder / "app" / name).write_text(text)

    def break_application(self) -> None:
        for name, text in BROKEN.items():
            (self.house.folder / "app" / name).write_text(text)
        self.configuration = "nonesuch;"

    def start(self, port: int, line: list[str] | None = None) -> Said:
        (self.house.folder / "nginx/nginx.conf").write_text(self.configuration.replace("PORT", str(port)))
        there = str(self.house.folder)
        replaced = [word.replace("8000", str(port)).replace("/srv", there).replace("/var/log", f"{there}/log")
                    for word in line or line_of(self.program)]
        environment = {**os.environ, "PATH": self.path, "HOME": there, "PYTHONDONTWRITEBYTECODE": "1"}
        return self.house.start(*replaced, env=environment)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.mark.parametrize("program", STATUS)
def test_a_server_is_ready_when_it_serves(house: House, program: str) -> None:
    server = Server(house, program)
    port = free_port()
    server.start(port).is_(0, "started")
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert b"200" in answer.split(b"\r\n")[0]
    house.stop().is_(0, "stopped")


@pytest.mark.parametrize("program", STATUS)
def test_a_taken_port_is_the_servers_status(house: House, program: str) -> None:
    server = Server(house, program)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = server.start(taken.getsockname()[1])
    said.is_(STATUS[program], "", "before it was ready")
    assert house.command("status", "--pidfile", house.pid_path, "--quiet").returncode == 3


@pytest.mark.parametrize("program", BROKEN_STATUS)
def test_an_application_that_fails_to_load_is_the_servers_status(house: House, program: str) -> None:
    server = Server(house, program)
    server.break_application()
    server.start(free_port()).is_(BROKEN_STATUS[program], "", "before it was ready")


@pytest.mark.parametrize("notify", ["listen:127.0.0.1:8000", "systemd"])
def test_gunicorn_listens_before_it_loads_the_application(house: House, notify: str) -> None:
    """The reason for --preload in its line."""
    server = Server(house, "gunicorn")
    server.break_application()
    line = [notify if word.startswith("listen:") else word for word in line_of("gunicorn")]
    server.start(free_port(), line).is_(1, "", "before it was ready")
    server.start(free_port(), [word for word in line if word != "--preload"]).is_(0, "started")
    wait_gone(house.pid())
    house.stop().is_(0)
