import hashlib
import io
import os

import pytest
from firecrest.FirecrestException import TransferJobFailedException, TransferJobTimeoutException

from conftest import SYSTEM

PART = 5 << 20
CONTENT = os.urandom(11 << 20)


def test_mv(client, home):
    (home / "a b").write_text("x")
    answer = client.mv(SYSTEM, str(home / "a b"), str(home / "moved"))
    assert answer["transferJob"]["system"] == SYSTEM
    assert (home / "moved").read_text() == "x" and not (home / "a b").exists()


def test_cp(client, home):
    (home / "file").write_text("x")
    os.symlink(home / "file", home / "link")
    client.cp(SYSTEM, str(home / "link"), str(home / "followed"), dereference=True)
    client.cp(SYSTEM, str(home / "link"), str(home / "copied"))
    assert not (home / "followed").is_symlink() and (home / "copied").is_symlink()
    assert (home / "followed").read_text() == "x" and os.readlink(home / "copied") == str(home / "file")


def test_without_waiting(client, home):
    (home / "file").write_text("x")
    job = client.cp(SYSTEM, str(home / "file"), str(home / "copy"), blocking=False)["transferJob"]["jobId"]
    assert client.wait_for_job(SYSTEM, job)[0]["name"] == "CopyFiles"
    assert (home / "copy").read_text() == "x"


def test_failure_is_told_by_the_log(client, home):
    with pytest.raises(TransferJobFailedException):
        client.mv(SYSTEM, str(home / "missing"), str(home / "moved"))
    job = client.mv(SYSTEM, str(home / "missing"), str(home / "moved"), blocking=False)["transferJob"]["jobId"]
    status = client.wait_for_job(SYSTEM, job)[0]["status"]
    assert status["state"] == "COMPLETED" and status["exitCode"] == 0


def test_waiting_has_a_limit(client, home):
    (home / "file").write_text("x")
    with pytest.raises(TransferJobTimeoutException):
        client.mv("later", str(home / "file"), str(home / "moved"), timeout=0.1)
    moves = [j for j in client.job_info("later") if j["name"] == "MoveFiles"]
    assert moves and all(j["status"]["state"].startswith("CANCELLED") for j in moves)


def test_account(client, home):
    (home / "file").write_text("x")
    with pytest.raises(Exception, match="Account parameter is required on this system"):
        client.mv("acct", str(home / "file"), str(home / "moved"))
    job = client.mv("acct", str(home / "file"), str(home / "moved"), account="proj2")["transferJob"]["jobId"]
    assert client.job_info("acct", job)[0]["account"] == "proj2"
    assert (home / "moved").read_text() == "x"


def test_round_trip(client, home, tmp_path):
    (tmp_path / "up").write_bytes(CONTENT)
    (home / "file").write_text("what was there before")
    upload = client.upload(SYSTEM, str(tmp_path / "up"), str(home), "file")
    assert len(upload.transfer_data["transferDirectives"]["partsUploadUrls"]) == 3
    assert upload.wormhole_code is None
    assert (home / "file").read_bytes() == CONTENT
    download = client.download(SYSTEM, str(home / "file"), str(tmp_path / "down"))
    assert download.transfer_data["transferDirectives"]["transferMethod"] == "s3"
    assert download.wormhole_code is None
    assert (tmp_path / "down").read_bytes() == CONTENT
    client.rm(SYSTEM, str(home / "file"))


def test_round_trip_by_hand(client, home, tmp_path):
    (tmp_path / "up").write_bytes(CONTENT)
    if hasattr(client.target, "set_maximum_s3_connections"):
        client.set_maximum_s3_connections(2)
    upload = client.upload(SYSTEM, str(tmp_path / "up"), str(home), "file", blocking=False)
    upload.upload_file_to_stage()
    upload.wait_for_transfer_job(timeout=60)
    assert (home / "file").read_bytes() == CONTENT
    download = client.download(SYSTEM, str(home / "file"), str(tmp_path / "down"), blocking=False)
    download.wait_for_transfer_job()
    download.download_file_from_stage(str(tmp_path / "elsewhere"))
    assert (tmp_path / "elsewhere").read_bytes() == CONTENT
    client.rm(SYSTEM, str(home / "file"))


@pytest.mark.parametrize("connect", ["sync"], indirect=True)  # only this client takes objects
def test_upload_of_an_object(client, home):
    client.upload(SYSTEM, io.BytesIO(CONTENT), str(home), "file", file_size=len(CONTENT))
    assert client.checksum(SYSTEM, str(home / "file"))["checksum"] == hashlib.sha256(CONTENT).hexdigest()
    client.upload(SYSTEM, io.BytesIO(b"small"), str(home), "small", file_size=5)
    assert (home / "small").read_text() == "small"


def test_what_is_missing_is_not_staged(sandbox, home):
    body = {"source_path": str(home / "missing"), "transfer_directives": {"transferMethod": "s3"}}
    status, answer = sandbox.raw("POST", f"/filesystem/{SYSTEM}/transfer/download", body=body)
    assert status == 404 and "No such file or directory" in answer["message"]


@pytest.mark.parametrize("method", ["streamer", "wormhole"])
def test_method_of_the_system(sandbox, home, method):
    body = {"path": str(home / "file"), "transfer_directives": {"transfer_method": method, "wormholeCode": "1-a-b"}}
    status, answer = sandbox.raw("POST", f"/filesystem/{SYSTEM}/transfer/upload", body=body)
    assert status == 400 and answer["message"] == "Requested transfer method is not available."
