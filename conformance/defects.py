"""What is known to be wrong with the official client itself.

Each entry has a test of its name in test_defects.py, which fails when the client
no longer does so, and which shows with a raw request that the sandbox is right.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Defect:
    name: str
    fact: str
    never: tuple[str, ...] = ()  # methods that cannot come back well because of it


DEFECTS = [
    Defect(
        "wormhole_receive",
        "receives with `wormhole receive --code CODE`, but the program takes the code as an argument and has no such option",
        ("ExternalDownload.receive_file_wormhole", "AsyncExternalDownload.receive_file_wormhole"),
    ),
    Defect(
        "wormhole_send",
        "sends with the code in the server's reply to an upload, but there the code comes from the client and no release repeats it",
        ("ExternalUpload.send_file_wormhole", "AsyncExternalUpload.send_file_wormhole"),
    ),
    Defect(
        "wormhole_upload",
        "takes an upload for failed unless the job's log has words that no wormhole job writes, though the file has arrived",
    ),
    Defect(
        "streamer_download",
        "takes the closing message of a stream for data: the file gets 98 bytes too many and its checksum is not compared",
    ),
    Defect(
        "streamer_upload",
        "tries each address of a stream once and swallows every error: an upload that reaches nobody returns as if it were done",
    ),
    Defect(
        "wait_for_job",
        "cannot wait when the first answer is an error other than 404: it fails for want of a variable",
    ),
    Defect(
        "download_link",
        "asks for the size of a link itself, and so fetches a link to a large file directly, which is over the limit of the server",
    ),
    Defect(
        "cli_chown",
        "sends null for the one of owner and group that is not given to the command, which servers refuse",
    ),
    Defect(
        "correlation_id",
        "offers correlation ids of any form, but servers take UUIDs only and answer anything else with an empty 400",
    ),
]


def by_name() -> dict[str, str]:
    """What can never succeed, and the fact."""
    return {method: defect.fact for defect in DEFECTS for method in defect.never}
