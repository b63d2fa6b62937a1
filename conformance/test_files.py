import hashlib
import os
import tarfile

import firecrest
import pytest

from conftest import SYSTEM

ROWS = "".join(f"row {i}\n" for i in range(1, 13))


def status(failure) -> int:
    return failure.value.responses[-1].status_code


def test_list_files(client, home):
    (home / "file").write_text("12345")
    (home / ".hidden").touch()
    (home / "sub").mkdir()
    (home / "sub" / "child").touch()
    os.symlink(home / "file", home / "link")
    found = {e["name"]: e for e in client.list_files(SYSTEM, str(home))}
    assert found.keys() == {"file", "sub", "link"}
    assert found["file"]["size"] == "5" and found["file"]["user"] == "alice"
    assert found["link"]["type"] == "l" and found["link"]["linkTarget"] == str(home / "file")
    names = {e["name"] for e in client.list_files(SYSTEM, str(home), show_hidden=True, recursive=True)}
    assert names == {".hidden", "file", "link", "sub", "sub/child"}
    found = {e["name"]: e for e in client.list_files(SYSTEM, str(home), numeric_uid=True, dereference=True)}
    assert found["link"]["type"] == "-" and found["file"]["user"] == "1000"
    with pytest.raises(firecrest.UnexpectedStatusException, match="No such file or directory") as failure:
        client.list_files(SYSTEM, str(home / "missing"))
    assert status(failure) == 404


def test_head_and_tail(client, home):
    path = home / "rows"
    path.write_text(ROWS)
    assert client.head(SYSTEM, str(path)) == {
        "content": "".join(ROWS.splitlines(True)[:10]), "contentType": "lines", "startPosition": 0, "endPosition": 10}
    assert client.head(SYSTEM, str(path), num_bytes=4)["content"] == "row "
    assert client.head(SYSTEM, str(path), num_lines=11, exclude_trailing=True)["content"] == "row 1\n"
    assert client.tail(SYSTEM, str(path))["content"] == "".join(ROWS.splitlines(True)[2:])
    assert client.tail(SYSTEM, str(path), num_lines=2)["startPosition"] == -2
    assert client.tail(SYSTEM, str(path), num_lines=12, exclude_beginning=True)["content"] == "row 12\n"
    for method in client.head, client.tail:
        with pytest.raises(ValueError):
            method(SYSTEM, str(path), num_lines=1, num_bytes=1)
        with pytest.raises(firecrest.UnexpectedStatusException) as failure:
            method(SYSTEM, str(home))
        assert status(failure) == 500


def test_view(client, home):
    (home / "file").write_text("some words\n")
    assert client.view(SYSTEM, str(home / "file")) == "some words\n"
    (home / "big").write_bytes(b"x" * (5 << 20))
    with pytest.raises(firecrest.UnexpectedStatusException) as failure:
        client.view(SYSTEM, str(home / "big"))
    assert status(failure) == 413


def test_checksum(client, home):
    (home / "file").write_text("some words\n")
    assert client.checksum(SYSTEM, str(home / "file")) == {
        "algorithm": "SHA256", "checksum": hashlib.sha256(b"some words\n").hexdigest()}


def test_file_type(client, home):
    (home / "file").write_text("some words\n")
    assert client.file_type(SYSTEM, str(home / "file")) == "ASCII text"
    assert client.file_type(SYSTEM, str(home)) == "directory"
    assert "No such file or directory" in client.file_type(SYSTEM, str(home / "missing"))


def test_stat(client, home):
    (home / "file").write_text("12345")
    os.symlink("file", home / "link")
    stat = client.stat(SYSTEM, str(home / "file"))
    assert stat["size"] == 5 and len(stat) == 10 and all(isinstance(v, int) for v in stat.values())
    assert client.stat(SYSTEM, str(home / "link"))["size"] == len("file")
    assert client.stat(SYSTEM, str(home / "link"), dereference=True) == client.stat(SYSTEM, str(home / "file"))


def test_chmod(client, home):
    (home / "file").touch(0o644)
    assert client.chmod(SYSTEM, str(home / "file"), "750")["permissions"] == "rwxr-x---"
    assert (home / "file").stat().st_mode & 0o777 == 0o750
    with pytest.raises(firecrest.UnexpectedStatusException) as failure:
        client.chmod(SYSTEM, str(home / "missing"), "750")
    assert status(failure) == 404


def test_chown(client, home):
    (home / "file").touch()
    changed = client.chown(SYSTEM, str(home / "file"), owner="alice", group="proj")
    assert (changed["name"], changed["user"], changed["group"]) == (str(home / "file"), "alice", "proj")
    with pytest.raises(firecrest.UnexpectedStatusException, match="Operation not permitted") as failure:
        client.chown(SYSTEM, str(home / "file"), owner="root", group="")
    assert status(failure) == 403


def test_mkdir(client, home):
    assert client.mkdir(SYSTEM, str(home / "new"))["type"] == "d"
    assert client.mkdir(SYSTEM, str(home / "a" / "b"), create_parents=True)["name"] == str(home / "a" / "b")
    with pytest.raises(firecrest.UnexpectedStatusException, match="File exists") as failure:
        client.mkdir(SYSTEM, str(home / "new"))
    assert status(failure) == 400


def test_symlink(client, home):
    (home / "file").touch()
    assert client.symlink(SYSTEM, str(home / "file"), str(home / "link"))["output"]["linkTarget"] == str(home / "file")
    assert os.readlink(home / "link") == str(home / "file")


def test_rm(client, home):
    (home / "a" / "b").mkdir(parents=True)
    assert client.rm(SYSTEM, str(home / "a")) is None
    assert not (home / "a").exists()
    with pytest.raises(firecrest.UnexpectedStatusException) as failure:
        client.rm(SYSTEM, str(home / "a"))
    assert status(failure) == 404


@pytest.mark.parametrize("compression", ["none", "gzip", "bzip2", "xz"])
def test_compress_and_extract(client, home, compression):
    (home / "r").mkdir()
    (home / "r" / "x.txt").write_text("x")
    (home / "r" / "y.bin").write_text("y")
    client.compress(SYSTEM, str(home / "r"), str(home / "out"), compression=compression)
    assert sorted(tarfile.open(home / "out").getnames()) == ["r", "r/x.txt", "r/y.bin"]
    client.compress(SYSTEM, str(home / "r"), str(home / "some"), match_pattern=r".*/x\.txt")
    assert tarfile.open(home / "some").getnames() == ["./r/x.txt"]
    (home / "to").mkdir()
    client.extract(SYSTEM, str(home / "out"), str(home / "to"), compression=compression)
    assert (home / "to" / "r" / "x.txt").read_text() == "x"


def test_small_files(client, home, tmp_path):
    content = bytes(range(256)) * 100
    (tmp_path / "up").write_bytes(content)
    assert client.upload(SYSTEM, str(tmp_path / "up"), str(home), "file") is None
    assert (home / "file").read_bytes() == content
    assert client.download(SYSTEM, str(home / "file"), str(tmp_path / "down")) is None
    assert (tmp_path / "down").read_bytes() == content
    with pytest.raises(FileNotFoundError):
        client.download(SYSTEM, str(home / "missing"), str(tmp_path / "down"))
    with pytest.raises(firecrest.UnexpectedStatusException) as failure:
        client.upload(SYSTEM, str(tmp_path / "up"), str(home / "missing"), "file")
    assert status(failure) == 404


def test_what_takes_too_long_becomes_a_job(connect, gateway, home):
    client = connect(gateway.url)
    (home / "r").mkdir()
    (home / "r" / "x.txt").write_text("x")
    (home / "to").mkdir()
    timeout = "Command execution timeout limit exceeded."
    gateway.refuse("POST", "/ops/compress", 408, message=timeout)
    client.compress(SYSTEM, str(home / "r"), str(home / "out"))
    assert sorted(tarfile.open(home / "out").getnames()) == ["r", "r/x.txt"]
    gateway.refuse("POST", "/ops/extract", 408, message=timeout)
    client.extract(SYSTEM, str(home / "out"), str(home / "to"))
    assert (home / "to" / "r" / "x.txt").read_text() == "x"
    gateway.refuse("DELETE", "/ops/rm", 408, message=timeout)
    assert client.rm(SYSTEM, str(home / "r"))["transferJob"]["jobId"]
    assert not (home / "r").exists()
    sent = [path.rsplit("/transfer/", 1)[1] for _, path in gateway.requests if "/transfer/" in path]
    assert sent == ["compress", "extract", "rm"]
