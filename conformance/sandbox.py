"""The sandbox as a process, and a gateway in front of it that can turn requests away."""

import http.client
import http.server
import json
import pathlib
import shlex
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request

SITE = pathlib.Path(__file__).parent.parent / "firecrest" / "firecresttest" / "testdata" / "site.json"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Sandbox:
    """`fcflow sandbox`, unmodified, on a site with one system for each thing to be tried."""

    def __init__(self, program: str, root: pathlib.Path, env: dict[str, str]):
        site = json.loads(SITE.read_text())
        for system in site["systems"]:
            if system.get("transfer", {}).get("method") == "streamer":
                first = min(free_port(), 65528)
                system["transfer"]["port_range"] = [first, first + 7]
        root.mkdir(mode=0o700)
        description = root.parent / "site.json"
        description.write_text(json.dumps(site))
        self.log = (root.parent / "sandbox.log").open("w+")
        self.process = subprocess.Popen(
            [program, "sandbox", "--root", root, "--listen", "127.0.0.1:0", "--site", description],
            stdout=subprocess.PIPE, stderr=self.log, text=True, env=env,
        )
        greeting = [self.process.stdout.readline() for _ in range(3)]
        if not greeting[0].startswith("FirecREST sandbox at "):
            self.stop()
            raise RuntimeError(f"the sandbox does not start: {greeting}; {self.output()}")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.env = client_env(root / "client.env")
        self.url = self.env["FIRECREST_URL"]
        self.home = root.resolve() / "home" / site["users"][0]["name"]
        self.client_id = self.env["FIRECREST_CLIENT_ID"]
        self.client_secret = self.env["FIRECREST_CLIENT_SECRET"]
        self.token_url = self.env["AUTH_TOKEN_URL"]

    def output(self) -> str:
        self.log.seek(0)
        return self.log.read()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def token(self) -> str:
        """A token, by hand."""
        form = {"grant_type": "client_credentials", "client_id": self.client_id, "client_secret": self.client_secret}
        request = urllib.request.Request(self.token_url, urllib.parse.urlencode(form).encode())
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["access_token"]

    def raw(self, method: str, path: str, *, query: dict | None = None, body=None, headers: dict | None = None) -> tuple[int, object]:
        """Status and JSON of a request that no client library has a hand in."""
        where = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
        headers = {"Authorization": "Bearer " + self.token(), **(headers or {})}
        if body is not None:
            body, headers["Content-Type"] = json.dumps(body), "application/json"
        try:
            connection.request(method, path + ("?" + urllib.parse.urlencode(query) if query else ""), body, headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        is_json = answer.headers.get("Content-Type") == "application/json"
        return answer.status, json.loads(text) if text and is_json else text


def client_env(file: pathlib.Path) -> dict[str, str]:
    """The variables that the sandbox writes for the official client."""
    variables = {}
    for word in shlex.split(file.read_text()):
        name, assigned, value = word.partition("=")
        if assigned:
            variables[name] = value
    return variables


class Gateway:
    """A proxy that notes requests and answers some of them itself.

    It keeps the Host header of the sandbox, whose presigned URLs then lead past it.
    """

    def __init__(self, target: str):
        self.target = urllib.parse.urlsplit(target)
        self.requests: list[tuple[str, str]] = []
        self.refusals: list[tuple[str, str, int, dict, str]] = []
        gateway = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_any(self):
                gateway.handle(self)

            do_GET = do_POST = do_PUT = do_DELETE = do_any

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def refuse(self, method: str, path: str, status: int, headers: dict | None = None, message: str = "") -> None:
        """Answers the next request whose path ends so."""
        body = json.dumps({"errorType": "error", "message": message, "causedBy": None, "data": None, "user": None})
        self.refusals.append((method, path, status, headers or {}, body))

    def handle(self, request) -> None:
        path = request.path.partition("?")[0]
        self.requests.append((request.command, path))
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        for refusal in self.refusals:
            if refusal[0] == request.command and path.endswith(refusal[1]):
                self.refusals.remove(refusal)
                answer(request, refusal[2], refusal[3], refusal[4].encode())
                return
        connection = http.client.HTTPConnection(self.target.hostname, self.target.port, timeout=60)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in ("host", "connection")}
        try:
            connection.request(request.command, request.path, body or None, headers)
            reply = connection.getresponse()
            answer(request, reply.status, dict(reply.getheaders()), reply.read())
        finally:
            connection.close()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def answer(request, status: int, headers: dict, body: bytes) -> None:
    request.send_response_only(status)
    for name, value in headers.items():
        if name.lower() not in ("content-length", "transfer-encoding", "connection"):
            request.send_header(name, value)
    if status != 204:
        request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body if status != 204 else b"")


def eventually(condition, complaint: str, patience: float = 20):
    """Asks until the answer is yes, and returns it."""
    deadline = time.monotonic() + patience
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(complaint)
        time.sleep(0.05)
