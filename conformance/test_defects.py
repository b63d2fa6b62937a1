"""One test for each entry of defects.py: what the client does, then that the sandbox is right."""

import asyncio
import base64
import hashlib
import inspect
import json
import os
import subprocess

import firecrest
import pytest
import websockets
from firecrest.FirecrestException import MultipartUploadException, TransferJobFailedException

import defects
from conftest import SYSTEM
from sandbox import eventually
from test_peers import listens

CONTENT = os.urandom(1 << 20)


def test_list():
    names = [d.name for d in defects.DEFECTS]
    shown = [name.removeprefix("test_") for name, value in globals().items() if inspect.isfunction(value) and name.startswith("test_")]
    assert len(names) <= 12
    assert sorted(names) == sorted(set(shown) - {"list"})


def test_wormhole_receive(client, sandbox, mailbox, environment, home, tmp_path):
    if not mailbox:
        pytest.skip("the wormhole program is not installed")
    (home / "file").write_bytes(CONTENT)
    download = client.download("worm", str(home / "file"), str(tmp_path / "down"), transfer_method="wormhole", blocking=False)
    assert download.wormhole_code
    with pytest.raises(MultipartUploadException, match="exit code 2"):
        download.receive_file_wormhole()
    subprocess.run(
        ["wormhole", "receive", "--accept-file", "--output-file", tmp_path / "down", download.wormhole_code],
        env=environment, check=True, capture_output=True, timeout=60)
    assert (tmp_path / "down").read_bytes() == CONTENT


def test_wormhole_send(client, sandbox, home, tmp_path):
    body = {"path": str(home / "file"), "transfer_directives": {"transfer_method": "wormhole", "wormholeCode": "7-a-b-c"}}
    status, reply = sandbox.raw("POST", "/filesystem/worm/transfer/upload", body=body)
    assert status == 201 and reply["transferDirectives"] == {"transferMethod": "wormhole"}
    (tmp_path / "up").write_bytes(CONTENT)
    kind = firecrest.v2.ExternalUpload if isinstance(client.target, firecrest.v2.Firecrest) else firecrest.v2.AsyncExternalUpload
    upload = kind(client.target, reply, str(tmp_path / "up"))
    with pytest.raises(MultipartUploadException, match="Could not find wormhole code"):
        result = upload.send_file_wormhole()
        if inspect.isawaitable(result):
            client.loop.run_until_complete(result)
    client.cancel_job("worm", reply["transferJob"]["jobId"])


def test_wormhole_upload(client, sandbox, mailbox, home, tmp_path):
    if not mailbox:
        pytest.skip("the wormhole program is not installed")
    (tmp_path / "up").write_bytes(CONTENT)
    with pytest.raises(TransferJobFailedException):
        client.upload("worm", str(tmp_path / "up"), str(home), "file", transfer_method="wormhole")
    status, reply = sandbox.raw("GET", "/filesystem/worm/ops/checksum", query={"path": home / "file"})
    assert status == 200 and reply["output"]["checksum"] == hashlib.sha256(CONTENT).hexdigest()


def test_streamer_download(client, sandbox, home, tmp_path):
    (home / "file").write_bytes(CONTENT)
    download = client.download("strm", str(home / "file"), str(tmp_path / "down"), transfer_method="streamer", blocking=False)
    download.wait_for_streamer_job_to_listen()
    eventually(lambda: listens(download), "the job does not listen")
    download.download_file_streamer()
    received = (tmp_path / "down").read_bytes()
    end = json.dumps({"type": "eof", "sha256_hash": hashlib.sha256(CONTENT).hexdigest()}).encode()
    assert received == CONTENT + end and len(end) == 98

    body = {"path": str(home / "file"), "transferDirectives": {"transferMethod": "streamer"}}
    _, reply = sandbox.raw("POST", "/filesystem/strm/transfer/download", body=body)
    messages = asyncio.run(read_stream(reply["transferDirectives"]["coordinates"]))
    first, last = json.loads(messages[0]), json.loads(messages[-1])
    assert first == {"type": "init", "num_chunks": 1, "file_size": len(CONTENT)}
    assert b"".join(messages[1:-1]) == CONTENT and last["sha256_hash"] == hashlib.sha256(CONTENT).hexdigest()


async def read_stream(coordinates: str) -> list[bytes]:
    """All messages of a stream."""
    where = json.loads(base64.urlsafe_b64decode(coordinates))
    headers = {"Authorization": "Bearer " + where["secret"]}
    for _ in range(200):
        for port in range(where["ports"][0], where["ports"][1] + 1):
            try:
                async with websockets.connect(
                    f"ws://{where['ips'][0]}:{port}/", additional_headers=headers, max_size=6_553_600, proxy=None,
                ) as connection:
                    return [message async for message in connection]
            except (OSError, websockets.InvalidStatus, websockets.InvalidMessage):
                continue
        await asyncio.sleep(0.05)
    raise AssertionError("nobody listens for the stream")


def test_streamer_upload(client, sandbox, home, tmp_path):
    (tmp_path / "up").write_bytes(CONTENT)
    upload = client.upload("strm", str(tmp_path / "up"), str(home), "file", transfer_method="streamer", blocking=False)
    job = upload.transfer_data["transferJob"]["jobId"]
    client.cancel_job("strm", job)
    client.wait_for_job("strm", job)
    upload.upload_file_streamer()  # as if it were done
    status, reply = sandbox.raw("GET", "/filesystem/strm/ops/stat", query={"path": home / "file"})
    assert status == 404 and "No such file or directory" in reply["message"]


def test_wait_for_job(client, sandbox):
    with pytest.raises(UnboundLocalError):
        client.wait_for_job("sick", "1")
    status, reply = sandbox.raw("GET", "/compute/sick/jobs/1")
    assert status == 503 and reply["message"] == "The scheduler service for the requested system (sick) is unhealthy."


def test_download_link(client, sandbox, home, tmp_path):
    with (home / "large").open("wb") as large:
        large.truncate(6 << 20)
    os.symlink(home / "large", home / "link")
    with pytest.raises(firecrest.UnexpectedStatusException) as failure:
        client.download(SYSTEM, str(home / "link"), str(tmp_path / "down"))
    assert failure.value.responses[-1].status_code == 413
    for dereference, size in ("false", len(str(home / "large"))), ("true", 6 << 20):
        query = {"path": home / "link", "dereference": dereference}
        status, reply = sandbox.raw("GET", f"/filesystem/{SYSTEM}/ops/stat", query=query)
        assert status == 200 and reply["output"]["size"] == size


def test_cli_chown(command, sandbox, home):
    (home / "file").touch()
    command("chown", home / "file", "--owner", "alice", code=1)
    command("chown", home / "file", "--group", "users", code=1)
    path = f"/filesystem/{SYSTEM}/ops/chown"
    status, reply = sandbox.raw("PUT", path, body={"path": str(home / "file"), "owner": "alice", "group": None})
    assert status == 400 and reply["data"]["fields"][0]["name"] == "group"
    status, _ = sandbox.raw("PUT", path, body={"path": str(home / "file"), "owner": "alice", "group": ""})
    assert status == 200


def test_correlation_id(client, sandbox):
    if not hasattr(firecrest, "correlation_id"):
        pytest.skip("this release of the client has no correlation ids")
    with firecrest.correlation_id("my-workflow-1234"), pytest.raises(Exception):
        client.systems()
    for value, want in {"my-workflow-1234": (400, b""), "3f2504e0-4f89-41d3-9a0c-0305e82c3301": (200, None)}.items():
        status, body = sandbox.raw("GET", "/status/systems", headers={"X-Correlation-ID": value})
        assert status == want[0] and (want[1] is None or body == want[1])
