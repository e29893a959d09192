"""A backend on another computer: through a real ssh server on this one, which sees the files under another path."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[str]:
    """An ssh command that reaches this computer as "box"; without an ssh server, a program that does as ssh would."""
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    if _SSHD is None or shutil.which("ssh") is None:
        program = tmp_path / "ssh"
        program.write_text('#!/bin/sh\nwhile [ "$1" != box ]; do shift; done; shift; exec sh -c "$*"\n')
        program.chmod(0o755)
        yield str(program)
        return
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / name)], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (keys / "server").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {keys / 'host'}\nPidFile {keys / 'pid'}\n"
        f"AuthorizedKeysFile {keys / 'user.pub'}\nStrictModes no\nPasswordAuthentication no\nUsePAM no\n"
    )
    (keys / "client").write_text(
        f"Host box\n HostName 127.0.0.1\n Port {port}\n IdentityFile {keys / 'user'}\n IdentitiesOnly yes\n"
        f" UserKnownHostsFile {keys / 'known'}\n StrictHostKeyChecking no\n"
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where the server wants to be locked in
    server = subprocess.Popen([_SSHD, "-D", "-e", "-f", str(keys / "server")], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"ssh -F {keys / 'client'}"
    finally:
        server.terminate()
        server.wait(10)


def test_a_backend_behind_ssh(package, run_script, ssh, tmp_path):
    here = tmp_path / "here"
    (here / "plate").mkdir(parents=True)
    for picture in sorted((ROOT / "assets" / "sample" / "plate").glob("*.jpg"))[:2]:
        shutil.copy(picture, here / "plate")
    (tmp_path / "there").symlink_to(here)
    remote = f'env PYTHONPATH={ROOT / "backend"} OMP_NUM_THREADS=1 "{sys.executable}" -m facequery'
    printed = run_script(
        "remote.py", package, here, tmp_path / "there", f"{ssh} -T -o BatchMode=yes box '{remote}'", checkout=False
    )
    assert printed.count(" good") == 3, printed
