import firecrest
import pytest
from packaging.version import parse

from conftest import SYSTEM


def test_server_version(client, connect, sandbox):
    assert parse(client.server_version()) >= parse("2.5.6")

    class Nobody:
        def get_access_token(self):
            return "nonsense"

    assert connect(sandbox.url, Nobody()).server_version() == client.server_version()


def test_systems(client):
    systems = client.systems()
    assert systems[0]["name"] == SYSTEM
    assert {fs["path"].rsplit("/", 1)[1] for fs in systems[0]["fileSystems"]} == {"home", "scratch"}
    assert isinstance(systems[0]["dataOperation"]["max_ops_file_size"], int)
    assert systems[0]["dataOperation"]["data_transfer"]["secretAccessKey"] == "**********"


def test_nodes(client):
    nodes = client.nodes(SYSTEM)
    assert [n["name"] for n in nodes] == ["nid001", "nid002", "nid003", "nid004"]
    assert all(isinstance(n["state"], list) and n["state"] for n in nodes)


def test_partitions(client):
    assert [p["name"] for p in client.partitions(SYSTEM)] == ["normal", "debug"]


def test_reservations(client):
    found = {r["name"]: r for r in client.reservations(SYSTEM)}
    assert found.keys() == {"maint", "course"}
    assert found["maint"]["endTime"] - found["maint"]["startTime"] == 3600


def test_userinfo(client):
    info = client.userinfo(SYSTEM)
    assert info["user"] == {"id": "1000", "name": "alice"}
    assert info["group"] == {"id": "100", "name": "users"}


@pytest.mark.parametrize("method", ["nodes", "partitions", "reservations", "userinfo"])
def test_unknown_system(client, method):
    with pytest.raises(firecrest.UnexpectedStatusException) as failure:
        getattr(client, method)("nope")
    assert failure.value.responses[-1].status_code == 404
    assert "System not found" in str(failure.value)


def test_sick_system(client):
    assert client.nodes("sick")
    with pytest.raises(firecrest.UnexpectedStatusException, match="scheduler service .* is unhealthy"):
        client.submit("sick", "/tmp", script_str="#!/bin/sh\n")
