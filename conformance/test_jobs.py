import time

import firecrest
import pytest
from firecrest.FirecrestException import JobTimeoutException

from conftest import SYSTEM
from sandbox import eventually

LONG = "#!/bin/sh\nexec sleep 600\n"


def running(client, job: str) -> None:
    eventually(lambda: client.job_info(SYSTEM, job)[0]["status"]["state"] == "RUNNING", f"job {job} does not run")


def test_submit(client, home, tmp_path):
    script = "#!/bin/sh\necho \"$GREETING from $(pwd)\"\n"
    (tmp_path / "local.sh").write_text(script)
    (home / "remote.sh").write_text(script)
    for given in ({"script_str": script}, {"script_local_path": str(tmp_path / "local.sh")},
                  {"script_remote_path": str(home / "remote.sh")}):
        job = client.submit(SYSTEM, str(home), env_vars={"GREETING": "hello"}, account="proj", **given)["jobId"]
        [done] = client.wait_for_job(SYSTEM, job)
        assert done["status"] == {"state": "COMPLETED", "stateReason": done["status"]["stateReason"], "exitCode": 0, "interruptSignal": 0}
        assert done["account"] == "proj" and done["workingDirectory"] == str(home)
        assert (home / f"slurm-{job}.out").read_text() == f"hello from {home}\n"
    with pytest.raises(firecrest.UnexpectedStatusException, match="This does not look like a batch script"):
        client.submit(SYSTEM, str(home), script_str="echo no shebang\n")
    with pytest.raises(ValueError):
        client.submit(SYSTEM, str(home))


def test_submit_to_partition_and_reservation(client, home):
    try:
        job = client.submit(SYSTEM, str(home), script_str="#!/bin/sh\n", partition="debug")["jobId"]
    except TypeError:
        pytest.skip("this release of the client cannot name a partition")
    assert client.wait_for_job(SYSTEM, job)[0]["partition"] == "debug"
    with pytest.raises(firecrest.UnexpectedStatusException, match="[Rr]eservation"):
        client.submit(SYSTEM, str(home), script_str="#!/bin/sh\n", reservation="no-such-reservation")


def test_failed_job(client, home):
    job = client.submit(SYSTEM, str(home), script_str="#!/bin/sh\nexit 3\n")["jobId"]
    assert client.wait_for_job(SYSTEM, job)[0]["status"]["exitCode"] == 3


def test_lists(client, home):
    client.set_api_version("2.6.0")  # the client knows some filters from then on only, the sandbox always
    job = client.submit(SYSTEM, str(home), script_str="#!/bin/sh\n#SBATCH --job-name=listed\n")["jobId"]
    client.wait_for_job(SYSTEM, job)
    assert job in [j["jobId"] for j in client.job_info(SYSTEM)]
    assert job in [j["jobId"] for j in client.job_info(SYSTEM, allusers=True, account="proj")]
    assert client.job_info(SYSTEM, account="no-such-account") == []
    try:
        named = client.job_info(SYSTEM, name="listed", time_window="1h")
    except TypeError:
        return  # releases before 3.9 cannot filter by these
    assert {j["name"] for j in named} == {"listed"}


def test_unknown_job(client):
    with pytest.raises(firecrest.UnexpectedStatusException, match="Job not found"):
        client.job_info(SYSTEM, "99999999")
    with pytest.raises(firecrest.UnexpectedStatusException, match="Invalid job id specified") as failure:
        client.cancel_job(SYSTEM, "99999999")
    assert failure.value.responses[-1].status_code == 500


def test_array(client, home):
    job = client.submit(SYSTEM, str(home), script_str="#!/bin/sh\n#SBATCH --array=0-2\nexit $SLURM_ARRAY_TASK_ID\n")["jobId"]
    ended = ("COMPLETED", "FAILED")
    tasks = eventually(
        lambda: all(t["status"]["state"] in ended for t in client.job_info(SYSTEM, job)) and client.job_info(SYSTEM, job),
        "the array does not end")
    assert {t["jobId"]: t["status"]["exitCode"] for t in tasks} == {f"{job}_{i}": i for i in range(3)}


def test_metadata_attach_cancel(client, home):
    job = client.submit(SYSTEM, str(home), script_str=LONG)["jobId"]
    running(client, job)
    [metadata] = client.job_metadata(SYSTEM, job)
    assert metadata["script"] == LONG and metadata["standardOutput"] == str(home / f"slurm-{job}.out")
    client.attach_to_job(SYSTEM, job, f"touch {home}/attached")
    assert (home / "attached").exists()
    with pytest.raises(firecrest.UnexpectedStatusException) as failure:
        client.attach_to_job(SYSTEM, job, "false")
    assert failure.value.responses[-1].status_code == 500
    client.cancel_job(SYSTEM, job)
    assert client.wait_for_job(SYSTEM, job)[0]["status"]["state"] == "CANCELLED by 1000"


def test_waiting_has_a_limit(client, home):
    job = client.submit(SYSTEM, str(home), script_str=LONG)["jobId"]
    with pytest.raises(JobTimeoutException):
        client.wait_for_job(SYSTEM, job, timeout=0.5)
    assert client.wait_for_job(SYSTEM, job)[0]["status"]["state"].startswith("CANCELLED")


def test_new_job_may_be_unknown(client, sandbox, home):
    asked = time.monotonic()
    job = client.submit("lag", str(home), script_str="#!/bin/sh\n")["jobId"]
    status = sandbox.raw("GET", f"/compute/lag/jobs/{job}")[0]
    if status != 200 or time.monotonic() - asked < 1:  # else this machine is too slow to see it
        assert status == 404
    assert client.wait_for_job("lag", job)[0]["status"]["state"] == "COMPLETED"
