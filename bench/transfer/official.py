"""Moves a file with the official client: upload|download SYSTEM LOCAL DIRECTORY NAME."""

import os
import sys

import firecrest
import firecrest.v2

way, system, local, directory, name = sys.argv[1:]
login = firecrest.ClientCredentialsAuth(
    os.environ["FIRECREST_CLIENT_ID"], os.environ["FIRECREST_CLIENT_SECRET"], os.environ["AUTH_TOKEN_URL"])
client = firecrest.v2.Firecrest(os.environ["FIRECREST_URL"], authorization=login)
if way == "upload":
    client.upload(system, local, directory, name)
else:
    client.download(system, f"{directory}/{name}", local)
