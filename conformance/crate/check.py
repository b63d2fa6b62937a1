"""Runs workflows on the sandbox, exports each run, and has the validator judge the crates."""

import importlib.util
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import requests
import requests_cache
import urllib3

HERE = pathlib.Path(__file__).parent
PROFILE = "provenance-run-crate-0.5"  # includes Workflow Run, Process Run, Workflow RO-Crate and RO-Crate 1.1
SECRET = "k4n4ri-of-the-crate"

# From which steps on a run is done again, each time of the run before; the rest is imported.
AGAIN = {"flow": ["simulate", "fetch"], "experiment": ["simulate"]}

# What the profiles recommend and our crates do not have, with the reason.
MISSING = {
    ("process-run-crate-0.5", "The SoftwareApplication id SHOULD be an absolute URI"): "the workflow is a file of the crate",
    ("workflow-ro-crate-1.0", "The Main Workflow SHOULD comply with Bioschemas ComputationalWorkflow profile version 1.0 or later"):
        "that wants an author and a license of the workflow, which nobody states",
    ("workflow-run-crate-0.5", "FormalParameter SHOULD be referenced from a data entity or PropertyValue via exampleOfWork"):
        "a run that failed has not all outputs",
    ("ro-crate-1.1", "The `publisher` property of a `Root Data Entity` SHOULD be an `Organization`"): "who publishes it is decided later",
    ("ro-crate-1.1", "The author SHOULD have an organizational affiliation."): "a run knows a user and a host",
    ("ro-crate-1.1", "The author SHOULD have a Contextual Entity which specifies the organizational `affiliation`."): "a run knows a user and a host",
}

# The same of crates of runs with imported instances.
MISSING_IMPORTED = {
    ("process-run-crate-0.5", "The Action SHOULD have an agent that is a Person or Organization"): "by whom it was done the crate of the other run says",
    ("process-run-crate-0.5", "The Action SHOULD have an endTime in ISO 8601 format"): "and when, too",
}


def contexts() -> dict[str, bytes]:
    """The documents that the metadata refers to, which the validator would fetch."""
    package = pathlib.Path(importlib.util.find_spec("rocrate").origin).parent
    return {
        "https://w3id.org/ro/crate/1.1/context": (package / "data" / "ro-crate.jsonld").read_bytes(),
        "https://w3id.org/ro/terms/workflow-run/context": (HERE / "workflow-run.json").read_bytes(),
    }


def fill_cache(cache: pathlib.Path) -> None:
    """Puts the documents where the validator looks when it is offline."""
    session = requests_cache.CachedSession(cache_name=str(cache), backend="sqlite", expire_after=-1)
    for url, text in contexts().items():
        headers = {"Content-Type": "application/ld+json"}
        response = requests.Response()
        response.status_code, response.url, response._content = 200, url, text
        response.headers.update(headers)
        response.request = requests.Request("GET", url).prepare()
        response.raw = urllib3.HTTPResponse(io.BytesIO(text), headers, 200, preload_content=False, request_url=url)
        session.cache.save_response(response)
    session.close()


class Workshop:
    def __init__(self, root: pathlib.Path):
        self.root, self.cache, self.problems = root, root / "cache", []
        fill_cache(self.cache)
        home = root / "home"
        home.mkdir(mode=0o700)
        self.env = {
            "PATH": os.environ["PATH"], "HOME": str(home), "XDG_RUNTIME_DIR": str(root), "FCFLOW_STATE_DIR": str(root / "state"),
            "FCFLOW_SECRET_TOKEN": SECRET, "COLUMNS": "200",
        }

    def fcflow(self, *args) -> subprocess.CompletedProcess:
        return subprocess.run([os.environ["FCFLOW"], *map(str, args)], env=self.env, cwd=self.root, capture_output=True, text=True, timeout=600)

    def crates(self, workflow: pathlib.Path) -> list[pathlib.Path]:
        """The crates of a run, and of those that do a part of it again."""
        run = self.ended(workflow.stem, "run", "--sandbox", workflow)
        made = self.exported(run, workflow.stem)
        for step in AGAIN.get(workflow.stem, []):
            name = f"{workflow.stem}-from-{step}"
            run = self.ended(name, "rerun", run["id"], "--from", step)
            assert any("imported" in unit for s in run["steps"] for unit in s["instances"]), f"{name}: nothing is imported"
            made += self.exported(run, name)
        return made

    def ended(self, name: str, *command) -> dict:
        """What a command says of the run that it has started."""
        ran = self.fcflow(*command, "--output", "json", "--output-dir", self.root / name)
        assert ran.stdout, f"{name} does not run: {ran.stderr}"
        run = json.loads(ran.stdout)
        wanted = "failed" if name == "fails" else "succeeded"
        assert run["state"] == wanted, f"{name}: {run['state']}: {ran.stdout}{ran.stderr}"
        return run

    def exported(self, run: dict, name: str) -> list[pathlib.Path]:
        """The crates of one run: everything in an archive, and what there is without options in a folder."""
        made = []
        for target, options in {name + "-all.zip": ["--logs", "--with-files", "--license", "CC-BY-4.0"], name + "-crate": []}.items():
            done = self.fcflow("runs", "export", run["id"], "-o", target, *options)
            assert done.returncode == 0, done.stderr
            made.append(self.root / target)
        return made

    def validator(self, crate: pathlib.Path, level: str, *options) -> subprocess.CompletedProcess:
        return subprocess.run(
            [pathlib.Path(sys.executable).parent / "rocrate-validator", "--no-interactive", "validate", "--offline", "--cache-path", self.cache,
             "--profile-identifier", PROFILE, "--requirement-severity", level, "--no-paging", *options, crate],
            env=self.env, capture_output=True, text=True, timeout=600,
        )

    def judge(self, crate: pathlib.Path) -> None:
        """What is required must be there, and what is recommended but for what is known to be missing."""
        done = self.validator(crate, "required", "--verbose")
        word = "ok"
        if done.returncode != 0:
            word = "BAD"
            self.problems.append(f"{crate.name}: {done.stdout}{done.stderr}")
        known = "" if crate.suffix == ".zip" else self.wishes(crate)  # of archives it makes no report that can be read
        print(f"{word:4} {crate.name}: {PROFILE}{known}")

    def wishes(self, crate: pathlib.Path) -> str:
        report = self.root / "report.json"
        report.unlink(missing_ok=True)
        done = self.validator(crate, "recommended", "--output-format", "json", "--output-file", report)
        assert report.exists() and report.stat().st_size, f"the validator says nothing of {crate.name}: {done.stdout}{done.stderr}"
        missing = {(issue["check"]["profile"], issue["message"]) for issue in json.loads(report.read_text())["issues"]}
        known = MISSING | MISSING_IMPORTED if "-from-" in crate.name else MISSING
        for profile, message in missing - known.keys():
            self.problems.append(f"{crate.name}: {profile} recommends: {message}")
        return f"; {len(missing)} recommendations are not followed"

    def search(self, crate: pathlib.Path) -> None:
        """No secret is in a crate."""
        for name, content in files_of(crate):
            if SECRET.encode() in content:
                self.problems.append(f"{crate.name}: the secret is in {name}")


def files_of(crate: pathlib.Path):
    """The files of a crate with their contents."""
    if crate.is_dir():
        return [(str(file), file.read_bytes()) for file in crate.rglob("*") if file.is_file()]
    with zipfile.ZipFile(crate) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def main(workflows: list[str]) -> int:
    with tempfile.TemporaryDirectory() as root:
        shop = Workshop(pathlib.Path(root))
        for workflow in workflows:
            for crate in shop.crates(pathlib.Path(workflow).resolve()):
                shop.judge(crate)
                shop.search(crate)
    for problem in shop.problems:
        print(problem)
    return 1 if shop.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
