import asyncio
import inspect
import os
import pathlib
import shutil
import socket
import subprocess
import sys

import firecrest
import firecrest.cli2
import firecrest.v2
import pytest
import typer.testing

import defects
from sandbox import Gateway, Sandbox, eventually, free_port
from surface import CLASSES, Usage, everything

SYSTEM = "alps"


def pytest_configure(config):
    config.usage = Usage()
    config.usage.watch()


def pytest_collection_modifyitems(items):
    """What was used is looked at when everything else is done."""
    items.sort(key=lambda item: item.fspath.basename == "test_surface.py")


def complete(config) -> bool:
    """Whether all tests are run, not some that were asked for."""
    return config.args_source is not pytest.Config.ArgsSource.ARGS and not config.option.keyword


def pytest_terminal_summary(terminalreporter, config):
    if not complete(config):
        return
    usage = config.usage
    known = defects.by_name()
    terminalreporter.section("methods and commands")
    for name in everything():
        good, bad = usage.good[name], usage.bad[name]
        word = "ok" if good else "defect" if name in known else "MISSING"
        reason = f"; {known[name]}" if name in known else ""
        terminalreporter.line(f"{word:8} {name:45} {good:3} well, {bad:2} with an error{reason}")


@pytest.fixture(scope="session")
def usage(pytestconfig) -> Usage:
    return pytestconfig.usage


@pytest.fixture(scope="session")
def environment(mailbox) -> dict[str, str]:
    """The environment of programs: those of the virtual environment come first."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("FIRECREST_", "AUTH_TOKEN"))}
    env["PATH"] = str(pathlib.Path(sys.executable).parent) + os.pathsep + env["PATH"]
    if mailbox:
        env["WORMHOLE_RELAY_URL"] = mailbox
        env["WORMHOLE_TRANSIT_HELPER"] = "tcp:127.0.0.1:9"  # nobody there: both sides are on this machine
    os.environ.clear()
    os.environ.update(env)
    return env


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory, environment):
    served = Sandbox(os.environ["FCFLOW"], tmp_path_factory.mktemp("sandbox") / "root", environment)
    yield served
    served.stop()


@pytest.fixture
def gateway(sandbox):
    between = Gateway(sandbox.url)
    yield between
    between.close()


@pytest.fixture
def authorization(sandbox):
    return firecrest.ClientCredentialsAuth(sandbox.client_id, sandbox.client_secret, sandbox.token_url)


class Blocking:
    """A client, or a transfer of one, whose coroutines are awaited at once."""

    def __init__(self, target, loop):
        self.__dict__.update(target=target, loop=loop)

    def __getattr__(self, name):
        value = getattr(self.target, name)
        if not callable(value):
            return value

        def call(*args, **kwargs):
            result = value(*args, **kwargs)
            if inspect.isawaitable(result):
                result = self.loop.run_until_complete(result)
            return Blocking(result, self.loop) if isinstance(result, tuple(CLASSES)) else result

        return call

    def __setattr__(self, name, value):
        setattr(self.target, name, value)


@pytest.fixture(params=["sync", "async"])
def connect(request, authorization):
    """Makes clients of either kind, for a base URL."""
    kind = firecrest.v2.Firecrest if request.param == "sync" else firecrest.v2.AsyncFirecrest
    loop = asyncio.new_event_loop()
    made = []

    def connect(url, auth=authorization):
        client = Blocking(kind(firecrest_url=url, authorization=auth), loop)
        made.append(client)
        return client

    yield connect
    for client in made:
        client.close_session()
    loop.close()


@pytest.fixture
def client(connect, sandbox):
    return connect(sandbox.url)


@pytest.fixture
def home(sandbox, request) -> pathlib.Path:
    """A directory of the test on the system, which is one on this machine too."""
    name = "".join(c if c.isalnum() else "-" for c in f"{request.module.__name__}-{request.node.name}")
    path = sandbox.home / name
    path.mkdir()
    return path


@pytest.fixture(scope="session")
def program(sandbox, environment, usage, tmp_path_factory):
    """Runs the program with a command, wants an exit code, and returns what it printed."""
    env = {**environment, **sandbox.env, "FIRECREST_SYSTEM": SYSTEM, "COLUMNS": "1000"}
    cwd = tmp_path_factory.mktemp("cwd")

    def run(*args, code=0, **variables) -> str:
        done = subprocess.run(
            ["firecrest", *map(str, args)], env={**env, **variables}, cwd=cwd, capture_output=True, text=True, timeout=120,
        )
        usage.ended(f"firecrest {args[0]}", done.returncode == 0)
        assert done.returncode == code, f"firecrest {args}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    return run


@pytest.fixture(scope="session")
def command(sandbox, environment, usage):
    """Does what program does, within this process: starting one takes longer than most commands."""
    env = {**sandbox.env, "FIRECREST_SYSTEM": SYSTEM}
    runner = typer.testing.CliRunner()
    firecrest.cli2.console.width = 1000

    def run(*args, code=0, **variables) -> str:
        with usage.paused():  # its methods are called by the command, not by a test
            done = runner.invoke(firecrest.cli2.app, [*map(str, args)], prog_name="firecrest", env={**env, **variables})
        usage.ended(f"firecrest {args[0]}", done.exit_code == 0)
        assert done.exit_code == code, f"firecrest {args}: {done.exit_code}: {done.output}"
        return done.stdout

    return run


@pytest.fixture(scope="session")
def mailbox(tmp_path_factory):
    """The URL of a wormhole mailbox on this machine, or None without the program for it."""
    program = pathlib.Path(sys.executable).parent / "twist"
    if not program.exists() or not shutil.which("wormhole", path=str(program.parent)):
        yield None
        return
    port, cwd = free_port(), tmp_path_factory.mktemp("mailbox")
    with (cwd / "log").open("w") as log:
        process = subprocess.Popen(
            [program, "wormhole-mailbox", f"--port=tcp:{port}:interface=127.0.0.1"], cwd=cwd, stdout=log, stderr=log)

    def listening():
        assert process.poll() is None, (cwd / "log").read_text()
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0

    eventually(listening, "the mailbox does not listen")
    yield f"ws://127.0.0.1:{port}/v1"
    process.terminate()
    process.wait()
