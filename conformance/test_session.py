import logging
import subprocess
import sys

import firecrest
import pytest

from conftest import SYSTEM


def test_sessions(client):
    assert not client.is_session_closed
    client.close_session()
    assert client.is_session_closed
    client.create_new_session()
    assert not client.is_session_closed
    assert client.systems()


def test_version(client, home):
    client.set_api_version("2.2.5")
    with pytest.raises(firecrest.NotImplementedOnAPIversion):
        client.submit(SYSTEM, str(home), script_str="#!/bin/sh\n", account="proj")
    client.set_api_version("2.5.6")
    assert client.submit(SYSTEM, str(home), script_str="#!/bin/sh\n", account="proj")["jobId"]


def test_log(client, caplog):
    with caplog.at_level(logging.INFO):
        client.log(logging.INFO, "said by the client")
        client.disable_client_logging = True
        client.log(logging.INFO, "said by nobody")
    assert "said by the client" in caplog.text
    assert "said by nobody" not in caplog.text


def test_wrong_secret(connect, sandbox):
    auth = firecrest.ClientCredentialsAuth(sandbox.client_id, "wrong", sandbox.token_url)
    with pytest.raises(firecrest.ClientsCredentialsException):
        connect(sandbox.url, auth).systems()


def test_basic_credentials(connect, sandbox):
    try:
        auth = firecrest.ClientCredentialsAuth(
            sandbox.client_id, sandbox.client_secret, sandbox.token_url, client_auth_method="client_secret_basic")
    except TypeError:
        pytest.skip("this release of the client only posts credentials")
    assert connect(sandbox.url, auth).userinfo(SYSTEM)["user"]["name"] == "alice"


def test_token_command(connect, sandbox):
    auth = firecrest.TokenCommandAuth("echo " + sandbox.token())
    assert connect(sandbox.url, auth).userinfo(SYSTEM)["user"]["name"] == "alice"


def test_rate_limit(connect, gateway):
    client = connect(gateway.url)
    for header in {"Retry-After": "1"}, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, {"RateLimit-Reset": "1"}:
        gateway.requests.clear()
        gateway.refuse("GET", "/status/systems", 429, header)
        assert client.systems()
        assert len(gateway.requests) == 2


def test_rate_limit_without_patience(connect, gateway):
    client = connect(gateway.url)
    client.num_retries_rate_limit = 0
    gateway.refuse("GET", "/status/systems", 429, {"Retry-After": "1"})
    with pytest.raises(firecrest.UnexpectedStatusException) as failure:
        client.systems()
    assert failure.value.responses[-1].status_code == 429 and len(gateway.requests) == 1


def test_module(sandbox, environment):
    """The package can be asked for its release without a server."""
    done = subprocess.run([sys.executable, "-m", "firecrest.cli_script", "--version"], env=environment, capture_output=True, text=True)
    assert firecrest.__version__ in done.stdout
