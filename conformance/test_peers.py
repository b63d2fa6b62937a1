"""Streamer and wormhole, which connect to the job without a store between.

The client tries each address of a stream once, as soon as the job runs (see
defects.py), which may be a moment before it listens: a blocking call is repeated.
"""

import base64
import json
import os
import socket

import pytest

from sandbox import eventually

CONTENT = os.urandom((5 << 20) + 12345)


def listens(transfer) -> bool:
    where = json.loads(base64.urlsafe_b64decode(transfer.transfer_data["transferDirectives"]["coordinates"]))
    for port in range(where["ports"][0], where["ports"][1] + 1):
        with socket.socket() as s:
            if s.connect_ex((where["ips"][0], port)) == 0:
                return True
    return False


def test_streamer_upload(client, home, tmp_path):
    (tmp_path / "up").write_bytes(CONTENT)

    def arrives() -> bool:
        upload = client.upload("strm", str(tmp_path / "up"), str(home), "file", transfer_method="streamer")
        job = upload.transfer_data["transferJob"]["jobId"]
        if not (home / "file").exists():
            client.cancel_job("strm", job)
            return False
        client.wait_for_job("strm", job)
        return True

    eventually(arrives, "no upload arrives")
    assert (home / "file").read_bytes() == CONTENT


def test_streamer_upload_by_hand(client, home, tmp_path):
    (tmp_path / "up").write_bytes(CONTENT)
    upload = client.upload("strm", str(tmp_path / "up"), str(home), "file", transfer_method="streamer", blocking=False)
    upload.wait_for_streamer_job_to_listen()
    eventually(lambda: listens(upload), "the job does not listen")
    upload.upload_file_streamer()
    client.wait_for_job("strm", upload.transfer_data["transferJob"]["jobId"])
    assert (home / "file").read_bytes() == CONTENT


def test_streamer_download(client, home, tmp_path):
    (home / "file").write_bytes(CONTENT)

    def arrives() -> bool:
        client.download("strm", str(home / "file"), str(tmp_path / "down"), transfer_method="streamer")
        return (tmp_path / "down").exists()

    eventually(arrives, "no download arrives")
    assert (tmp_path / "down").read_bytes()[: len(CONTENT)] == CONTENT  # for the rest see defects.py


def test_streamer_download_by_hand(client, home, tmp_path):
    (home / "file").write_bytes(CONTENT)
    download = client.download("strm", str(home / "file"), str(tmp_path / "down"), transfer_method="streamer", blocking=False)
    download.wait_for_streamer_job_to_listen()
    eventually(lambda: listens(download), "the job does not listen")
    download.download_file_streamer(str(tmp_path / "elsewhere"))
    assert (tmp_path / "elsewhere").read_bytes()[: len(CONTENT)] == CONTENT


def test_streamer_replaces_nothing(client, home, tmp_path):
    (tmp_path / "up").write_bytes(CONTENT)
    (home / "file").write_text("there")
    with pytest.raises(Exception, match="already exists"):
        client.upload("strm", str(tmp_path / "up"), str(home), "file", transfer_method="streamer")
