"""Every command of the command line, as a user types it."""

import hashlib
import json
import os
import tarfile

import pytest

from conftest import SYSTEM
from sandbox import eventually

ROWS = "".join(f"row {i}\n" for i in range(1, 13))


@pytest.fixture
def file(home):
    (home / "file").write_text(ROWS)
    return home / "file"


def test_status(command):
    assert command("server-version").strip() >= "2.5.6"
    assert json.loads(command("systems"))[0]["name"] == SYSTEM
    assert [n["name"] for n in json.loads(command("get-nodes"))] == ["nid001", "nid002", "nid003", "nid004"]
    assert [r["name"] for r in json.loads(command("get-reservations"))] == ["maint", "course"]
    assert [p["name"] for p in json.loads(command("get-partitions"))] == ["normal", "debug"]
    assert command("id").strip() == "uid=1000(alice) gid=100(users) groups=100(users),2000(proj)"
    assert json.loads(command("id", "--json"))["user"]["name"] == "alice"


def test_program(program, home, tmp_path):
    """The same program as a process of its own, with its exit code."""
    assert program("server-version").strip() >= "2.5.6"
    (tmp_path / "job.sh").write_text("#!/bin/sh\n")
    job = json.loads(program("submit", "--working-dir", home, tmp_path / "job.sh"))["jobId"]
    assert json.loads(program("wait-for-job", job))[0]["status"]["state"] == "COMPLETED"
    assert "No such file or directory" in program("ls", home / "missing", code=1)


def test_errors(command, home):
    assert "System not found" in command("id", "--system", "nope", code=1)
    assert "No such file or directory" in command("ls", home / "missing", code=1)
    assert "token" in command("systems", code=1, FIRECREST_CLIENT_SECRET="wrong")


def test_token_command(command, sandbox):
    nothing = dict.fromkeys(["FIRECREST_CLIENT_ID", "FIRECREST_CLIENT_SECRET", "AUTH_TOKEN_URL"], "")
    assert json.loads(command("systems", FIRECREST_TOKEN_COMMAND="echo " + sandbox.token(), **nothing))[0]["name"] == SYSTEM


def test_files(command, home, file):
    assert [e["name"] for e in json.loads(command("ls", home))] == ["file"]
    command("mkdir", home / "new")
    command("mkdir", "-p", home / "a" / "b")
    assert (home / "a" / "b").is_dir()
    command("symlink", file, home / "link")
    assert os.readlink(home / "link") == str(file)
    assert command("file", file).strip() == "ASCII text"
    assert json.loads(command("stat", file))["size"] == len(ROWS)
    command("chmod", file, "640")
    assert file.stat().st_mode & 0o777 == 0o640
    command("chown", file, "--owner", "alice", "--group", "proj")
    assert {e["name"]: e["group"] for e in json.loads(command("ls", home))}["file"] == "proj"
    assert json.loads(command("checksum", file))["checksum"] == hashlib.sha256(ROWS.encode()).hexdigest()
    assert command("head", file) == "".join(ROWS.splitlines(True)[:10])
    assert command("head", "-n", "-11", file) == "row 1\n"
    assert command("tail", "-n", "+12", file) == "row 12\n"
    assert json.loads(command("tail", "--json", "-c", "3", file))["content"] == "12\n"
    command("rm", "--force", home / "new")
    assert not (home / "new").exists()


def test_moving(command, home, file):
    command("cp", file, home / "copy")
    command("mv", home / "copy", home / "moved")
    assert (home / "moved").read_text() == ROWS
    command("compress", file, home / "out.tar.gz")
    assert tarfile.open(home / "out.tar.gz").getnames() == ["file"]
    (home / "to").mkdir()
    command("extract", home / "out.tar.gz", home / "to")
    assert (home / "to" / "file").read_text() == ROWS
    command("mv", home / "missing", home / "moved", code=1)
    assert (home / "moved").read_text() == ROWS


@pytest.mark.parametrize("size", [1000, 11 << 20])
def test_bytes(command, home, tmp_path, size):
    content = os.urandom(size)
    (tmp_path / "up").write_bytes(content)
    command("upload", tmp_path / "up", home, "file")
    assert (home / "file").read_bytes() == content
    command("download", home / "file", tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == content


def test_jobs(command, home, tmp_path):
    (tmp_path / "job.sh").write_text("#!/bin/sh\necho $GREETING\n")
    job = json.loads(command("submit", "--working-dir", home, "-e", "GREETING=hello", tmp_path / "job.sh"))["jobId"]
    assert json.loads(command("wait-for-job", job))[0]["status"]["state"] == "COMPLETED"
    assert json.loads(command("job-info", job))[0]["jobId"] == job
    assert job in [j["jobId"] for j in json.loads(command("job-info"))]
    assert (home / f"slurm-{job}.out").read_text() == "hello\n"
    assert "Job not found" in command("job-info", "99999999", code=1)

    (home / "long.sh").write_text("#!/bin/sh\nexec sleep 600\n")
    job = json.loads(command("submit", "--working-dir", home, f"remote://{home}/long.sh"))["jobId"]
    assert json.loads(command("job-metadata", job))[0]["jobId"] == job
    eventually(lambda: json.loads(command("job-info", job))[0]["status"]["state"] == "RUNNING", "the job does not run")
    command("attach-to-job", job, f"touch {home}/attached")
    assert (home / "attached").exists()
    command("cancel", job)
    assert json.loads(command("wait-for-job", job))[0]["status"]["state"] == "CANCELLED by 1000"
