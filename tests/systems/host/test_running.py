"""The machine, read here and over a real ssh: both ways find the same."""

from __future__ import annotations

import contextlib
import getpass
import gzip
import os
import platform
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from opsnb.checks import evidence
from opsnb.config.settings import Limits
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, Misconfigured, TimedOut, Unreachable
from opsnb.model import Finding, Status
from opsnb.systems import host, logs, processes
from opsnb.systems.host import (
    Host,
    ProgramFailed,
    ProgramMissing,
    Volume,
    cgroups,
    df,
    disks,
    host_of,
    ram,
    real_volumes,
)
from opsnb.systems.host import (
    volumes as file_systems,
)
from opsnb.systems.host.settings import HostSettings
from opsnb.systems.processes.settings import Processes
from tests.systems.ssh_stand_in import stand_in

HERE = Target(name="here")
SSHD = Path("/usr/sbin/sshd")
GIB = 2**30


def local(limit_s: float = 9.0) -> Host:
    return host_of(HERE, "logs", limit_s)


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def _wait_until_gone(pids: Iterable[int]) -> None:
    for pid in pids:
        # What has ended may wait for its parent to take note of it.
        with contextlib.suppress(psutil.NoSuchProcess):
            while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.02)


# ---- running programs -------------------------------------------------------------------------


def test_runs_a_program_by_its_words() -> None:
    assert local().run(["printf", "%s|", "a b", "$(id)", "'"]) == "a b|$(id)|'|"


def test_a_program_that_is_missing() -> None:
    with pytest.raises(ProgramMissing, match="`no-such-program` cannot be started"):
        local().run(["no-such-program"])
    assert not local().has("no-such-program")
    assert local().has("sh")


def test_a_program_that_may_not_be_run(tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_text("#!/bin/sh\n")
    with pytest.raises(ProgramMissing, match="Permission denied"):
        local().run([str(file)])


def test_a_program_whose_interpreter_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_text("#!/usr/bin/env no-such-interpreter\n")
    file.chmod(0o755)
    with pytest.raises(ProgramMissing, match="no-such-interpreter"):
        local().run([str(file)])


def test_a_script_of_node_that_fails_is_quoted_with_its_error(tmp_path: Path) -> None:
    said = """cat >&2 <<'END'
/app/node_modules/redis-parser/lib/parser.js:179
    return new ReplyError(string)
ReplyError: OOM command not allowed when used memory > 'maxmemory'.
    at parseError (/app/node_modules/redis-parser/lib/parser.js:179:12)
    at Socket.emit (node:events:524:28) {
  command: { name: 'set', args: [ 'page:1' ] }
}

Node.js v20.20.2
END
exit 1"""
    program = script(tmp_path / "program", said)
    with pytest.raises(ProgramFailed, match=r"failed: ReplyError: OOM command not allowed when"):
        local().run([str(program)])


def test_a_program_that_fails(tmp_path: Path) -> None:
    program = script(tmp_path / "program", "echo half; echo 'it is broken.' >&2; exit 3")
    with pytest.raises(
        ProgramFailed, match=r"`program` on this machine failed: it is broken\.$"
    ) as raised:
        local().run([str(program)])
    assert (raised.value.system, raised.value.output) == ("logs", "half\n")


def test_a_program_that_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    program = script(tmp_path / "program", f"sleep 1000 & echo $! $$ > {pids}; wait")
    with pytest.raises(TimedOut, match=r"did not finish within 1\.0 s"):
        local().run([str(program)], limit_s=1)
    _wait_until_gone(map(int, pids.read_text().split()))


def test_nothing_starts_when_the_time_is_up(tmp_path: Path) -> None:
    program = script(tmp_path / "program", f"touch {tmp_path}/started")
    with pytest.raises(TimedOut, match="no time left"):
        local(limit_s=0).run([str(program)])
    assert not (tmp_path / "started").exists()


# ---- disks ------------------------------------------------------------------------------------


def volume(mount: str, used: int = 1, kind: str = "ext4", device: str = "") -> Volume:
    return Volume(device or f"/dev/{mount}", kind, mount, 100 * GIB, used * GIB, (100 - used) * GIB)


def test_only_real_file_systems_count() -> None:
    mounted = [
        volume("/dev/shm", kind="tmpfs", device="tmpfs"),
        volume("/mnt/bind/of/root", device="/dev/vda1"),
        volume("/", device="/dev/vda1"),
        volume("/boot/efi", kind="vfat"),
        volume("/snap/in/container", 100, kind="fuse.snapfuse", device="snapfuse"),
        Volume("/dev/loop3", "ext4", "/mnt/iso", 1, 1, 0, is_read_only=True),
        volume("/snap/core/1", 100, kind="squashfs", device="/dev/loop0"),
        volume("/mnt/image", device="/dev/loop1"),
        volume("/var/lib/docker/overlay2/x/merged", kind="overlay", device="overlay"),
        volume("/proc", kind="proc", device="proc"),
        volume("/srv", kind="nfs4", device="server:/srv"),
    ]
    assert [v.mount for v in real_volumes(mounted)] == ["/", "/mnt/image", "/srv"]


def test_a_container_shows_its_root() -> None:
    mounted = [
        volume("/", kind="overlay", device="overlay"),
        volume("/etc/hosts", device="/dev/sda1"),
        volume("/etc/resolv.conf", device="/dev/sda1"),
        volume("/data", device="/dev/sda1"),
    ]
    assert [v.mount for v in real_volumes(mounted)] == ["/", "/data"]


def test_memory_counts_where_the_logs_are_on_it() -> None:
    mounted = [volume("/"), *(Volume("tmpfs", "tmpfs", at, 100, 50, 50) for at in ("/run", "/l"))]
    assert [v.mount for v in real_volumes(mounted)] == ["/"]
    assert [v.mount for v in real_volumes(mounted, ["/l/app/x.log"])] == ["/", "/l"]
    assert [v.mount for v in real_volumes(mounted, ["/logs/x.log", "/x.log"])] == ["/"]


def test_the_fullest_disk_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    volumes = [volume("/", 50), volume("/data", 95)]
    monkeypatch.setattr(disks, "_local_volumes", lambda _: (volumes, []))
    finding = host.disk(HERE)
    assert (finding.status, finding.value, finding.unit) == (Status.CRIT, 95.0, "%")
    assert finding.message == "/data is the fullest file system: 95% used, 5.0 GiB free."
    assert [row["status"] for row in finding.rows] == [Status.OK, Status.CRIT]


def test_inodes_run_out_too(monkeypatch: pytest.MonkeyPatch) -> None:
    small = Volume("/dev/a", "ext4", "/mail", 100 * GIB, GIB, 99 * GIB, 1000, 150)
    monkeypatch.setattr(disks, "_local_volumes", lambda _: ([small], []))
    finding = host.disk(HERE)
    assert (finding.status, finding.value) == (Status.WARN, 1.0)
    assert "/mail has 85% of its inodes used." in finding.message


def test_a_mount_that_hangs_is_not_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks, "_local_volumes", lambda _: ([volume("/")], ["/nfs"]))
    finding = host.disk(HERE)
    assert finding.status is Status.UNKNOWN
    assert "/nfs did not respond" in finding.message


def test_disk_agrees_with_df() -> None:
    finding = host.disk(HERE)
    root = next(row for row in finding.rows if row["mount"] == "/")
    line = subprocess.run(["df", "-Pk", "/"], capture_output=True, text=True, check=True)
    percent = int(line.stdout.splitlines()[1].split()[4].rstrip("%"))
    assert abs(root["used_percent"] - percent) <= 1.5  # df rounds up
    assert finding.value == max(row["used_percent"] for row in finding.rows)


DF_SPACE = """Filesystem     Type     1024-blocks     Used Available Capacity Mounted on
udev           devtmpfs     1986548        0   1986548       0% /dev
/dev/sda1      ext4        41152736 12345678  26683928      32% /
//nas/my share cifs         1000000   990000     10000      99% /mnt/my share
portal         fuse.portal        0        0         0       - /run/user/1000/doc
overlay        overlay     41152736 12345678  26683928      32% /var/lib/docker/overlay2/a/merged
"""
DF_INODES = """Filesystem     Type      Inodes  IUsed   IFree IUse% Mounted on
/dev/sda1      ext4     2621440 250000 2371440   10% /
//nas/my share cifs           0      0       0     - /mnt/my share
"""


def test_what_df_prints() -> None:
    root, share = real_volumes(host.parse_df(DF_SPACE, DF_INODES))
    assert root == Volume(
        *("/dev/sda1", "ext4", "/"),
        *(41152736 * 1024, 12345678 * 1024, 26683928 * 1024),
        *(2621440, 2371440),
    )
    assert (share.mount, share.device) == ("/mnt/my share", "//nas/my share")
    assert (share.used_percent, share.inodes_percent) == (99.0, None)


# As BusyBox 1.36 prints `df -Pk`, which knows no -T; and the mounts of such a machine.
BUSYBOX_DF = """Filesystem           1024-blocks    Used Available Capacity Mounted on
overlay               61255492  20447316  37664160  35% /
tmpfs                    65536         0     65536   0% /dev
/dev/sda1             61255492  20447316  37664160  35% /etc/hosts
/dev/sdb1             10255492   9447316    264160  97% /data
/dev/loop4               51712     51712         0 100% /snap/core20/1
//nas/my share         1000000    990000     10000  99% /mnt/my share
"""
MOUNTS = """overlay / overlay rw,relatime,lowerdir=/x 0 0
tmpfs /dev tmpfs rw,nosuid 0 0
/dev/sda1 /etc/hosts ext4 rw,relatime 0 0
/dev/sdb1 /data ext4 rw,relatime 0 0
/dev/loop4 /snap/core20/1 squashfs ro,nodev 0 0
//nas/my\\040share /mnt/my\\040share cifs rw 0 0
"""


def test_what_busybox_prints() -> None:
    found = real_volumes(host.parse_df(BUSYBOX_DF, "", df.parse_mounts(MOUNTS)))
    assert [(v.mount, v.kind) for v in found] == [
        ("/", "overlay"),
        ("/data", "ext4"),
        ("/mnt/my share", "cifs"),
    ]
    assert found[2].device == "//nas/my share"
    assert found[1].inodes_percent is None


def test_a_df_without_types_is_read_over_ssh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = stand_in(tmp_path / "bin", monkeypatch, before="echo Welcome")
    df = f"cat <<'END'\n{BUSYBOX_DF}END"
    script(
        tmp_path / "bin" / "df",
        f'case "$1" in -Pk) {df}\n;; *) echo "unrecognized option" >&2; exit 1;; esac',
    )
    finding = host.disk(far)
    assert (finding.status, finding.rows[0]["mount"]) == (Status.CRIT, "/")
    assert "the inodes, for df there does not count them" in finding.message


def test_a_network_file_system_that_hangs_over_ssh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opsnb.systems.host.running._CALL_S", 0.5)
    far = stand_in(tmp_path / "bin", monkeypatch)
    df = "/bin/df"
    script(tmp_path / "bin" / "df", f'case "$*" in *-l*) exec {df} "$@";; *) sleep 1000;; esac')
    monkeypatch.setattr(disks, "parse_mounts", lambda _: {"/mnt/nas": ("nfs4", False)})
    finding = host.disk(far)
    assert "/mnt/nas did not respond" in finding.message
    assert finding.status is not Status.OK


def test_datasets_of_one_pool_are_one_disk() -> None:
    def dataset(name: str, used: int, free: int) -> Volume:
        return Volume(f"tank/{name}", "zfs", f"/{name}", used + free, used, free)

    pool = file_systems.pools(
        [dataset("a", 40 * GIB, 10 * GIB), dataset("b", 50 * GIB, 10 * GIB), volume("/c")]
    )
    assert [(v.mount, round(v.used_percent)) for v in pool] == [("/a", 90), ("/c", 1)]


def test_subvolumes_are_one_disk() -> None:
    mounted = [volume(at, kind="btrfs", device="/dev/sda2") for at in ("/", "/home", "/var")]
    assert [v.mount for v in real_volumes(mounted)] == ["/"]


# ---- memory -----------------------------------------------------------------------------------


MEMINFO = """MemTotal:       16000000 kB
MemFree:          500000 kB
MemAvailable:    2000000 kB
SwapTotal:       4000000 kB
SwapFree:        3000000 kB
HugePages_Total:       0
"""


def test_memory_that_is_not_available_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ram, "_memory", lambda _: host.parse_meminfo(MEMINFO))
    finding = host.memory(HERE)
    assert (finding.value, finding.status) == (87.5, Status.WARN)
    assert finding.message == (
        "88% of memory is used: 13.4 of 15.3 GiB, 1.9 GiB available. Swap holds 1.0 of 3.8 GiB."
    )
    assert [row["memory"] for row in finding.rows] == ["RAM", "swap"]
    strict = Target(name="here", thresholds={"memory_used_percent": Limits(warn=50, crit=60)})
    assert host.memory(strict).status is Status.CRIT


def test_a_proc_that_is_not_linux() -> None:
    with pytest.raises(BadAnswer, match="has no MemTotal"):
        host.parse_meminfo("")
    with pytest.raises(BadAnswer):
        host.parse_vitals("vm\n")


OLD_MEMINFO = """MemTotal:       1000 kB
MemFree:         100 kB
Buffers:          50 kB
Cached:          300 kB
SReclaimable:     20 kB
Shmem:            70 kB
"""


def test_a_kernel_that_does_not_say_what_is_available() -> None:
    with evidence.collected() as gaps:
        found = host.parse_meminfo(OLD_MEMINFO)
    assert (found.available, found.swap_total) == (400 * 1024, 0)
    assert [gap.is_extra for gap in gaps] == [True]


# ---- containers -------------------------------------------------------------------------------

V2, V1 = "/sys/fs/cgroup", "/sys/fs/cgroup/memory"
TOTAL = 16 * GIB


def group(at: str, limit: str, used: int, inactive: int = 0, **more: str) -> dict[str, str]:
    """Return the files of a group of version 2 as Linux 6.1 has them."""
    return {
        f"{at}/memory.max": f"{limit}\n",
        f"{at}/memory.current": f"{used}\n",
        f"{at}/memory.stat": f"anon 1\ninactive_file {inactive}\nactive_file 5\n",
        **{f"{at}/{name.replace('_', '.')}": text for name, text in more.items()},
    }


def test_a_container_has_the_memory_of_its_group() -> None:
    found = cgroups.memory(group(V2, str(GIB), 900 * 2**20, 400 * 2**20), TOTAL)
    assert found == cgroups.Memory(GIB, 500 * 2**20, 0, 0)
    assert cgroups.memory(group(V2, "max", 5), TOTAL) is None
    assert cgroups.memory(group(V2, str(2 * TOTAL), 5), TOTAL) is None
    assert cgroups.memory({}, TOTAL) is None


def test_the_smallest_limit_above_a_group_counts() -> None:
    files = {
        **group(f"{V2}/kubepods/pod1/box", "max", 3),
        **group(f"{V2}/kubepods/pod1", str(GIB), 2),
        **group(f"{V2}/kubepods", str(8 * GIB), 4),
    }
    assert cgroups.memory(files, TOTAL) == cgroups.Memory(GIB, 2, 0, 0)


def test_the_first_version_of_groups() -> None:
    files = {
        f"{V1}/memory.limit_in_bytes": f"{GIB}\n",
        f"{V1}/memory.usage_in_bytes": "1000\n",
        f"{V1}/memory.stat": "inactive_file 1\ntotal_inactive_file 400\n",
    }
    assert cgroups.memory(files, TOTAL) == cgroups.Memory(GIB, 600, 0, 0)
    unlimited = files | {f"{V1}/memory.limit_in_bytes": "9223372036854771712\n"}
    assert cgroups.memory(unlimited, TOTAL) is None


def test_a_limit_whose_use_cannot_be_read_is_told() -> None:
    with evidence.collected() as gaps:
        assert cgroups.memory({f"{V2}/memory.max": f"{GIB}\n"}, TOTAL) is None
    assert "memory.current cannot be read" in gaps[0].reason


@pytest.mark.parametrize(
    ("membership", "asked"),
    [
        ("0::/\n", []),
        ("0::/init.scope\n", []),
        ("0::/../other\n", []),
        ("0::/docker/f00\n", [f"{V2}/memory.max", f"{V2}/docker/memory.max"]),
        ("9:memory:/docker/f00\n0::/\n", [f"{V1}/docker/f00/memory.limit_in_bytes"]),
    ],
)
def test_the_group_is_that_of_the_first_process(membership: str, asked: list[str]) -> None:
    files = {"/proc/1/cgroup": membership}
    reads: list[list[str]] = []

    class Recorded:
        def texts(self, paths: list[str]) -> dict[str, str]:
            reads.append(list(paths))
            return {path: files[path] for path in paths if path in files}

    cgroups.read(Recorded())  # type: ignore[arg-type]
    assert f"{V2}/memory.max" in reads[0]
    assert len(reads) == (2 if asked else 1)
    assert set(asked) <= set(reads[-1])


def test_a_container_has_the_processor_of_its_group() -> None:
    files = {f"{V2}/cpu.max": "150000 100000\n", f"{V2}/cpu.stat": "usage_usec 2500000\nx 1\n"}
    assert cgroups.processor(files, 8) == cgroups.Processor(1.5, 2.5)
    assert cgroups.processor(files, 1) is None
    assert cgroups.processor(files | {f"{V2}/cpu.max": "max 100000\n"}, 8) is None
    first = {
        "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
        "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        "/sys/fs/cgroup/cpuacct/cpuacct.usage": "3000000000\n",
    }
    assert cgroups.processor(first, 8) == cgroups.Processor(0.5, 3.0)
    first["/sys/fs/cgroup/cpu/cpu.cfs_quota_us"] = "-1\n"
    assert cgroups.processor(first, 8) is None


# ---- the machine ------------------------------------------------------------------------------


def test_reachable_names_this_machine() -> None:
    finding = host.reachable(HERE)
    assert finding.status is Status.OK
    assert platform.node() in finding.message
    assert finding.rows[0]["cores"] == os.cpu_count()


# ---- ssh --------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Target, Path]]:
    """A target behind a real sshd on loopback, and the folder of the ssh that reaches it.

    That ssh is the system's own with a configuration of the test's, so that no key and no host
    of the developer takes part.
    """
    if not (SSHD.exists() and shutil.which("ssh")):
        if os.environ.get("CI"):
            pytest.fail("This needs OpenSSH: apt-get install openssh-server openssh-client")
        pytest.skip(f"{SSHD} or ssh is not installed")
    folder = tmp_path_factory.mktemp("ssh")
    for key in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True
        )
    port = _free_port()
    (folder / "known_hosts").write_text(
        f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}", encoding="utf-8"
    )
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nUsePAM no\n"
        "PermitRootLogin prohibit-password\nPasswordAuthentication no\n"
        "MaxStartups 100\n"
    )
    (folder / "config").write_text(
        f"UserKnownHostsFile {folder}/known_hosts\nIdentityFile {folder}/user\nIdentitiesOnly yes\n"
    )
    binaries = folder / "bin"
    binaries.mkdir()
    script(binaries / "ssh", f'exec {shutil.which("ssh")} -F {folder}/config "$@"')
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # to where sshd confines itself
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [str(SSHD), "-D", "-e", "-f", f"{folder}/sshd_config"], stderr=log
        )
    try:
        _wait_for(port, process, folder / "log")
        host = f"ssh://{getpass.getuser()}@127.0.0.1:{port}"
        target = Target(name="far", host=host, time_limit_s=20)  # each program is a login
        yield target, binaries
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(500):
        if process.poll() is not None:
            pytest.fail(f"sshd ended: {log.read_text()}")
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    pytest.fail(f"sshd does not listen: {log.read_text()}")


@pytest.fixture
def far(sshd: tuple[Target, Path], monkeypatch: pytest.MonkeyPatch) -> Target:
    target, binaries = sshd
    monkeypatch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")
    return target


def test_nothing_is_pasted_into_the_far_shell(far: Target, tmp_path: Path) -> None:
    words = ["a b", f"$(touch {tmp_path}/hit)", f"; touch {tmp_path}/hit", "'", '"', "*", "", "~"]
    assert host_of(far).run(["printf", "%s|", *words]) == "|".join([*words, ""])
    assert list(tmp_path.iterdir()) == []


def test_reachable_over_ssh(far: Target) -> None:
    here, there = host.reachable(HERE), host.reachable(far)
    assert there.status is Status.OK
    assert there.rows[0]["name"] == here.rows[0]["name"]
    assert there.rows[0]["cores"] == here.rows[0]["cores"]
    assert abs(there.rows[0]["uptime_s"] - here.rows[0]["uptime_s"]) < 60


def test_disk_over_ssh_is_the_same(far: Target) -> None:
    here, there = host.disk(HERE), host.disk(far)
    same = ("mount", "device", "type", "size_bytes")
    assert [[row[key] for key in same] for row in there.rows] == [
        [row[key] for key in same] for row in here.rows
    ]
    for mine, theirs in zip(here.rows, there.rows, strict=True):
        assert theirs["used_percent"] == pytest.approx(mine["used_percent"], abs=2)
        assert theirs["inodes_percent"] == pytest.approx(mine["inodes_percent"], abs=2)


def test_memory_over_ssh_is_the_same(far: Target) -> None:
    here, there = host.memory(HERE), host.memory(far)
    assert there.value == pytest.approx(here.value, abs=10)
    assert [row["size_bytes"] for row in there.rows] == [row["size_bytes"] for row in here.rows]


def test_logs_over_ssh_are_the_same(far: Target, tmp_path: Path) -> None:
    def entry(minutes: int, text: str) -> str:
        return f"{(datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()} {text}\n"

    log = tmp_path / "my app's.log"
    log.write_text(entry(5, "ERROR new") + "    at error\n")
    log.with_name(f"{log.name}.1").write_text(entry(20, "ERROR older"))
    log.with_name(f"{log.name}.2.gz").write_bytes(
        gzip.compress((entry(90, "ERROR too old") + entry(40, "ERROR packed")).encode())
    )

    def errors(target: Target) -> Finding:
        return logs.errors(target.changed(logs=(str(log),)))

    here, there = errors(HERE), errors(far)
    assert (here.value, here.message, here.rows) == (there.value, there.message, there.rows)
    assert there.value == 3
    for each in tmp_path.iterdir():
        each.unlink()
    with pytest.raises(BadAnswer, match="cannot be read: No such file or directory"):
        errors(far)


def test_open_logs_over_ssh_are_the_same(far: Target, tmp_path: Path) -> None:
    log = tmp_path / "my app's (old) [1].log"
    log.touch()
    os.utime(log, (time.time() - 90 * 86_400,) * 2)
    there = far.changed(logs=(str(tmp_path / "app.log"),))
    assert logs.clear(there).planned == 1
    with log.open():
        assert logs.clear(there).planned == 0
        assert "1 stays because a process holds it open" in logs.clear(there).summary


def test_local_times_over_ssh_are_those_of_the_far_zone(
    far: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamp = subprocess.run(["date", "+%F %T"], capture_output=True, text=True, check=True).stdout
    log = tmp_path / "app.log"
    log.write_text(f"{stamp.strip()} ERROR boom\n")
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        finding = logs.errors(far.changed(logs=(str(log),)))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert finding.value == 1


def test_processes_over_ssh(far: Target, tmp_path: Path) -> None:
    listing = '[{"name":"app","pm2_env":{"status":"online"}}]'
    command = script(tmp_path / "pm2", f"echo '{listing}'")
    settings = Processes(names=("app",), command=str(command))
    assert processes.up(far.changed(processes=settings)).status is Status.OK
    missing = Processes(names=("app",), command=str(tmp_path / "none"))
    with pytest.raises(Misconfigured, match=re.escape("[targets.far.processes]")):
        processes.up(far.changed(processes=missing))


def test_programs_over_ssh(far: Target, tmp_path: Path) -> None:
    there = host_of(far, "processes")
    assert there.has("sh")
    assert not there.has("no-such-program")
    with pytest.raises(ProgramMissing):
        there.run(["no-such-program"])
    with pytest.raises(ProgramFailed, match="it is broken"):
        there.run([str(script(tmp_path / "program", "echo it is broken >&2; exit 3"))])


def test_a_program_that_hangs_over_ssh_is_ended_there(far: Target, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    program = script(tmp_path / "program", f"sleep 1000 & echo $! $$ > {pids}; wait")
    with pytest.raises(TimedOut) as raised:
        host_of(far, "processes").run([str(program)], limit_s=2)
    assert raised.value.system == "processes"
    _wait_until_gone(map(int, pids.read_text().split()))


def test_a_host_that_is_not_there_is_one_cause() -> None:
    target = Target(name="gone", host=f"ssh://127.0.0.1:{_free_port()}")
    for check in (host.reachable, host.disk, host.memory, logs.errors, processes.up):
        with pytest.raises(Unreachable, match="Connection refused") as raised:
            check(target)
        assert raised.value.system == "host"
        assert "host" in (check.probes, *check.needs)


def test_a_login_that_is_refused_says_the_mend(far: Target) -> None:
    user = HostSettings.of(far).address.removeprefix("ssh://").partition("@")[0]
    stranger = far.changed(host=HostSettings.of(far).address.replace(f"{user}@", "no-such-user@"))
    with pytest.raises(Misconfigured, match="Put a key that it accepts into the ssh agent"):
        host.reachable(stranger)


def test_an_unknown_host_key_says_the_mend(far: Target) -> None:
    alias = far.changed(host=HostSettings.of(far).address.replace("127.0.0.1", "localhost"))
    with pytest.raises(Misconfigured, match="accept its host key"):
        host.reachable(alias)


def test_a_host_cannot_be_an_option(tmp_path: Path) -> None:
    target = Target(name="t", host=f"ssh://-oProxyCommand=touch%20{tmp_path}/hit")
    with pytest.raises(Unreachable):
        host.reachable(target)
    assert list(tmp_path.iterdir()) == []
