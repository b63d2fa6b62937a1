"""Has others judge the API of `fcflow serve`: its description, and its answers to what the description allows and forbids."""

import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import urllib.request

from openapi_spec_validator import validate
from prometheus_client.parser import text_string_to_metric_families

HERE = pathlib.Path(__file__).parent
PATIENCE = 60  # seconds


class Server:
    """`fcflow serve` on the sandbox, with a run that has jobs behind it and waits for a person."""

    def __init__(self, root: pathlib.Path):
        self.state = root / "state"
        (root / "workflows").mkdir()
        (root / "workflows" / "probe.yaml").write_text((HERE / "probe.yaml").read_text())
        self.log = (root / "log").open("w+")
        self.process = subprocess.Popen(
            [os.environ["FCFLOW"], "serve", "--sandbox", "--state-dir", self.state, "--workflows", root / "workflows", "--listen", "127.0.0.1:0"],
            env={"PATH": os.environ["PATH"], "HOME": str(root), "XDG_RUNTIME_DIR": str(root)}, stdout=self.log, stderr=self.log, cwd=root,
        )
        self.url = self.until("the server answers", lambda: json.loads((self.state / "serve" / "server.json").read_text())["url"]).rstrip("/")
        self.token = json.loads((self.state / "serve" / "tokens.json").read_text())["full"]
        self.run = self.until("a run begins", lambda: json.loads(self.ask("/v1/runs", {"workflow": "probe"}))["id"])
        self.until("its jobs have ended", lambda: json.loads(self.ask(f"/v1/runs/{self.run}/results"))["tables"][0]["rows"][2]["state"] == "succeeded" or None)

    def ask(self, path: str, body=None) -> str:
        request = urllib.request.Request(
            self.url + path, data=json.dumps(body).encode() if body else None,
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.read().decode()

    def until(self, what: str, ask):
        deadline, last = time.monotonic() + PATIENCE, None
        while time.monotonic() < deadline:
            try:
                if (found := ask()) is not None:
                    return found
            except (OSError, ValueError, KeyError, IndexError) as problem:
                last = problem
            time.sleep(0.1)
        self.log.seek(0)
        raise TimeoutError(f"not so: {what} ({last})\n{self.log.read()}")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)


def names(run: str) -> str:
    """Which run, steps and schedules there are, for whoever makes up requests."""
    return f"""
[parameters]
"path.id" = "{run}"
"path.step" = "compute"
"path.workflow" = "probe"
"query.unit" = "compute/1"

# Whether a body makes sense depends on the workflow and on the state of the run.
[[operations]]
include-method = "POST"
checks.positive_data_acceptance.enabled = false

# So does a span of time on the schedule.
[[operations]]
include-path-regex = "/backfill$"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-path-regex = "^/v1/schedules/"

[operations.parameters]
"path.id" = "yearly"

[[operations]]
include-path-regex = "^/v1/systems/"

[operations.parameters]
"path.name" = "cluster"

[[operations]]
include-path-regex = "^/v1/workflows/"

[operations.parameters]
"path.name" = "probe"
"""


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        server = Server(root)
        try:
            return judge(server, root)
        finally:
            server.stop()


def judge(server: Server, root: pathlib.Path) -> int:
    description = json.loads(server.ask("/v1/openapi.json"))
    validate(description)
    print(f"ok   the description: OpenAPI {description['openapi']}, {len(description['paths'])} paths")
    families = list(text_string_to_metric_families(server.ask("/metrics")))
    samples = sum(len(f.samples) for f in families)
    print(f"ok   the metrics: {len(families)} families, {samples} samples")
    config = root / "schemathesis.toml"
    config.write_text(names(server.run))
    # One seed for all machines: what is found by chance is looked for by hand, with SEED=random.
    seed = os.environ.get("SEED", "1")
    if seed == "random":
        seed = str(random.randrange(1 << 32))
    print(f"seed {seed}")
    # Streams go on, and are read by the tests in Go.
    fuzzed = subprocess.run(
        [pathlib.Path(sys.executable).parent / "schemathesis", "--config-file", config, "run", server.url + "/v1/openapi.json",
         "--header", f"Authorization: Bearer {server.token}", "--exclude-path-regex", "/(events|logs)$", "--max-examples", "30", "--seed", seed, "--no-color"],
        cwd=root, capture_output=True, text=True, timeout=600,
    )
    print(fuzzed.stdout + fuzzed.stderr if fuzzed.returncode else "ok   " + fuzzed.stdout.split("SUMMARY")[-1])
    return fuzzed.returncode


if __name__ == "__main__":
    sys.exit(main())
