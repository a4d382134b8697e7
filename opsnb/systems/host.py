"""The machine: where programs run and files are read, its disks and its memory.

A target's host is this machine or one behind ssh. Both are read in the same way: programs by
argv, files by their tail, so that what is above this module has one parser for both. Over ssh
Linux is expected; this machine may be anything that psutil knows.
"""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import partial
from pathlib import Path, PurePosixPath

import psutil

from opsnb.check import check
from opsnb.errors import BadAnswer, TimedOut, Unreachable
from opsnb.model import Finding, Row, Status, Threshold, worst
from opsnb.redaction import safe_url
from opsnb.target import LOCAL, Target

SYSTEM = "host"
_CALL_S = 5.0
_CPU_S = 1.0
_IN_FOLDER = 'cd "$1" && shift && exec "$@"'
_GIB = 2**30
_SSH_FAILED = 255
_FAILURE = re.compile(r"\b(fail\w*|error|fatal)\b", re.IGNORECASE)
_NOT_STARTED = (126, 127)  # by the convention of shells, `env` and `timeout`


class ProgramMissing(BadAnswer):
    """The host has no such program, or cannot start it."""


class ProgramFailed(BadAnswer):
    """The program ended with a non-zero exit code.

    `said` is the last line of its complaint, `output` what it printed all the same.
    """

    def __init__(self, system: str, message: str, said: str, output: str) -> None:
        super().__init__(system, message)
        self.said = said
        self.output = output


@dataclass(frozen=True)
class Host:
    """The machine of a target, on behalf of one check of `system`.

    What fails is reported as a failure of `system`, except that a machine which cannot be
    reached is one of the "host", so that it is one cause for all that is read there. Nothing
    starts after `ends` (on time.monotonic), so that a check which was given up ends by itself.
    """

    address: str
    system: str
    connect_s: float
    ends: float

    @property
    def is_local(self) -> bool:
        """Say whether it is this machine."""
        return self.address == LOCAL

    @property
    def name(self) -> str:
        """Where it is, fit for a message."""
        return "this machine" if self.is_local else safe_url(self.address)

    def run(self, argv: Sequence[str], limit_s: float = _CALL_S) -> str:
        """Return what a program prints within `limit_s` seconds.

        Raises ProgramMissing, ProgramFailed (a non-zero exit), TimedOut, Unreachable.
        """
        return self._output(argv, limit_s).decode(errors="replace")

    def run_in(self, folder: str, argv: Sequence[str], limit_s: float = _CALL_S) -> str:
        """Return what a program prints that runs in `folder`; raises as `run`."""
        words = ["sh", "-c", _IN_FOLDER, "sh", self.expand(folder), *argv]
        return self._output(words, limit_s, Path(argv[0]).name).decode(errors="replace")

    def has(self, program: str) -> bool:
        """Say whether `program` is on the host's PATH, or is a program there by its path."""
        if self.is_local:
            return shutil.which(program) is not None
        try:
            return bool(self.run(["sh", "-c", 'command -v "$1"', "sh", program]))
        except BadAnswer:
            return False

    def has_process(self, pid: int) -> bool:
        """Say whether a process has the id `pid`."""
        if self.is_local:
            return psutil.pid_exists(pid)
        try:
            self.run(["test", "-d", f"/proc/{pid}"])
        except BadAnswer:
            return False
        return True

    def clock(self) -> tuple[datetime, tzinfo | None]:
        """Return the host's own time in UTC, and its zone; None is this process's zone.

        Over ssh the zone is the offset of this moment, so that stamps without a zone that were
        written before a change to or from summer time are an hour off.
        """
        if self.is_local:
            return datetime.now(UTC), None
        answer = self.run(["date", "+%s %z"])
        match = re.fullmatch(r"(\d+) ([+-])(\d\d)(\d\d)\s*", answer)
        if match is None:
            raise BadAnswer(self.system, f"`date` on {self.name} answers {answer.strip()!r}.")
        offset = timedelta(hours=int(match[3]), minutes=int(match[4]))
        zone = timezone(-offset if match[2] == "-" else offset)
        return datetime.fromtimestamp(int(match[1]), UTC), zone

    def expand(self, path: str) -> str:
        """Return `path` with a leading `~/` as the home folder, where ssh starts anyway."""
        return str(Path(path).expanduser()) if self.is_local else path.removeprefix("~/")

    def names_in(self, folder: str) -> list[str]:
        """Return the names of what is in `folder`. Raises ServiceError."""
        if self.is_local:
            try:
                return os.listdir(folder)  # noqa: PTH208 - names, as `ls` gives them
            except OSError as error:
                raise self._unreadable(folder, error.strerror) from error
        return self._read(folder, ["ls", "-A", "--", folder]).decode(errors="replace").splitlines()

    def tail(self, path: str, size: int) -> bytes:
        """Return the last `size` bytes of a file, all of it when it is smaller."""
        if self.is_local:
            return self._local_part(path, size, from_end=True)
        return self._read(path, ["tail", "-c", str(size), "--", path])

    def head(self, path: str, size: int) -> bytes:
        """Return the first `size` bytes of a file, all of it when it is smaller."""
        if self.is_local:
            return self._local_part(path, size, from_end=False)
        return self._read(path, ["head", "-c", str(size), "--", path])

    def _local_part(self, path: str, size: int, *, from_end: bool) -> bytes:
        try:
            # A pipe or a device would block or never end.
            if not stat.S_ISREG(Path(path).stat().st_mode):
                raise self._unreadable(path, "not a regular file")
            with Path(path).open("rb") as file:
                if from_end:
                    file.seek(max(0, file.seek(0, os.SEEK_END) - size))
                return file.read(size)
        except OSError as error:
            raise self._unreadable(path, error.strerror) from error

    def _read(self, path: str, argv: Sequence[str]) -> bytes:
        try:
            return self._output(argv, _CALL_S)
        except ProgramFailed as error:
            raise self._unreadable(path, error.said.rpartition(": ")[2]) from error

    def _unreadable(self, path: str, why: str | None) -> BadAnswer:
        return BadAnswer(self.system, f"{path} on {self.name} cannot be read: {why}.")

    def _output(self, argv: Sequence[str], limit_s: float, called: str = "") -> bytes:
        """Run a program, and map what can go wrong: the only place where that is done.

        `called` is its name where another one starts it.
        """
        program = called or Path(argv[0]).name
        limit_s = min(limit_s, self.ends - time.monotonic())
        if limit_s <= 0:
            raise TimedOut(self.system, f"There was no time left for `{program}` on {self.name}.")
        try:
            code, out, err = _finish(self._argv(argv, limit_s), limit_s)
        except subprocess.TimeoutExpired:
            raise TimedOut(
                self.system, f"`{program}` on {self.name} did not finish within {limit_s:.1f} s."
            ) from None
        except OSError as error:
            missing = program if self.is_local else "ssh"
            raise ProgramMissing(
                self.system, f"`{missing}` cannot be started here: {error.strerror}."
            ) from error
        said = _complaint(err) or _complaint(out) or f"exit code {code}"
        if code == _SSH_FAILED and not self.is_local:
            raise Unreachable(SYSTEM, f"{self.name} cannot be reached: {said}.{_ssh_mend(said)}")
        if code in _NOT_STARTED:
            raise ProgramMissing(
                self.system, f"`{program}` cannot be started on {self.name}: {said}."
            )
        if code != 0:
            message = f"`{program}` on {self.name} failed: {said}."
            raise ProgramFailed(self.system, message, said, out.decode(errors="replace"))
        return out

    def _argv(self, argv: Sequence[str], limit_s: float) -> list[str]:
        if self.is_local:
            return list(argv)
        options = (
            "-T",
            "-o",
            "BatchMode=yes",
            "-o",
            f"ConnectTimeout={max(1, self.connect_s):.0f}",
        )
        # What hangs over there would outlive the ssh that is ended here, so it is bounded there.
        bounded = ("timeout", "-s", "KILL", str(math.ceil(limit_s) + 1), *argv)
        # ssh hands its words to a shell; quoted, they arrive there as the words they are.
        return ["ssh", *options, "--", self.address.rstrip("/"), shlex.join(bounded)]


def host_of(target: Target, system: str = SYSTEM, limit_s: float = 9.0) -> Host:
    """Return the target's machine, to be read for `limit_s` seconds on behalf of `system`."""
    return Host(target.host, system, target.time_limit_s, time.monotonic() + limit_s)


def _finish(argv: list[str], limit_s: float) -> tuple[int, bytes, bytes]:
    """Run a program to its end; at the time limit end it with all that it has started."""
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=limit_s)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode, out, err


def _complaint(output: bytes) -> str:
    """Return the line that says what went wrong: the last that speaks of it, else the last."""
    lines = output.decode(errors="replace").strip().splitlines()
    bad = [line for line in lines if _FAILURE.search(line)] or lines
    return bad[-1].strip().rstrip(".") if bad else ""


def _ssh_mend(said: str) -> str:
    if "Host key verification" in said:
        return " Log in once by hand and accept its host key."
    if "Permission denied" in said:
        return " Put a key that it accepts into the ssh agent; passwords are not asked for."
    return ""


@check(probes=SYSTEM)
def reachable(target: Target) -> Finding:
    """The machine answers."""
    host = host_of(target)
    vitals = _local_vitals() if host.is_local else _remote_vitals(host)
    up = timedelta(seconds=int(vitals.uptime_s))
    load = ", ".join(f"{value:.2f}" for value in vitals.load)
    return Finding(
        status=Status.OK,
        message=f"{vitals.name} is up for {up}, load {load} on {vitals.cores} cores.",
        rows=[
            {
                "name": vitals.name,
                "uptime_s": int(vitals.uptime_s),
                "load_1m": vitals.load[0],
                "load_5m": vitals.load[1],
                "load_15m": vitals.load[2],
                "cores": vitals.cores,
            }
        ],
    )


@check(needs=(SYSTEM,))
def disk(target: Target) -> Finding:
    """Disk space.

    Of every file system that can fill up, also of one in memory that the target's logs are on.
    """
    host = host_of(target)
    used = [host.expand(path) for path in (*target.logs, *target.access_logs)]
    volumes, silent = _local_volumes(used) if host.is_local else (_remote_volumes(host, used), [])
    if not volumes:
        raise BadAnswer(SYSTEM, f"No file system of {host.name} could be measured.")
    return _disk_finding(volumes, silent, target.threshold("disk_used_percent"))


@check(needs=(SYSTEM,))
def memory(target: Target) -> Finding:
    """Memory."""
    host = host_of(target)
    state = _local_memory() if host.is_local else _remote_memory(host)
    return _memory_finding(state, target.threshold("memory_used_percent"))


@check(needs=(SYSTEM,))
def cpu(target: Target) -> Finding:
    """Processor.

    How busy it is within a second, all cores together.
    """
    host = host_of(target)
    look = _local_ticks if host.is_local else partial(_remote_ticks, host)
    before = look()
    time.sleep(_CPU_S)
    return _cpu_finding(before, look(), target.threshold("cpu_used_percent"))


# ---- the machine ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Vitals:
    name: str
    uptime_s: float
    load: tuple[float, float, float]
    cores: int


def _local_vitals() -> _Vitals:
    return _Vitals(
        name=os.uname().nodename,
        uptime_s=time.time() - psutil.boot_time(),
        load=psutil.getloadavg(),
        cores=psutil.cpu_count() or 1,
    )


def _remote_vitals(host: Host) -> _Vitals:
    files = ("sys/kernel/hostname", "loadavg", "uptime", "stat")
    return parse_vitals(host.run(["cat", *(f"/proc/{file}" for file in files)]))


def parse_vitals(text: str) -> _Vitals:
    """Return what /proc's hostname, loadavg, uptime and stat say, one after the other."""
    try:
        name, load, uptime, *counters = text.splitlines()
        one, five, fifteen = (float(word) for word in load.split()[:3])
        cores = sum(bool(re.match(r"cpu\d", line)) for line in counters)
        return _Vitals(name, float(uptime.split()[0]), (one, five, fifteen), cores)
    except (ValueError, IndexError):
        raise BadAnswer(SYSTEM, "The host's /proc is not that of a Linux machine.") from None


# ---- processor --------------------------------------------------------------------------------

_TICKS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_IDLE = ("idle", "iowait")


def _local_ticks() -> dict[str, float]:
    times = psutil.cpu_times()
    return {name: getattr(times, name, 0.0) for name in _TICKS}


def _remote_ticks(host: Host) -> dict[str, float]:
    return parse_ticks(host.run(["head", "-n", "1", "/proc/stat"]))


def parse_ticks(text: str) -> dict[str, float]:
    """Return the processor's time by kind, as the first line of /proc/stat has it."""
    name, *ticks = text.split()
    if name != "cpu" or len(ticks) < len(_TICKS):
        raise BadAnswer(SYSTEM, "The host's /proc/stat is not that of a Linux machine.")
    return {kind: float(value) for kind, value in zip(_TICKS, ticks, strict=False)}


def _cpu_finding(before: dict[str, float], after: dict[str, float], limits: Threshold) -> Finding:
    spent = {name: after[name] - before[name] for name in _TICKS}
    total = sum(spent.values()) or 1.0
    busy = 100 * (1 - sum(spent[name] for name in _IDLE) / total)
    shares = {name: round(100 * ticks / total, 1) for name, ticks in spent.items()}
    message = f"{busy:.0f}% of the processor is busy"
    if shares["iowait"] >= 1 or shares["steal"] >= 1:
        message += f", {shares['iowait']:g}% waits for disks, {shares['steal']:g}% goes to others"
    # Beside the limits for what is busy, what is idle would look like an alert.
    rows: list[Row] = [
        {"kind": name, "percent": share} for name, share in shares.items() if name != "idle"
    ]
    return Finding.measured(round(busy, 1), limits, f"{message}.", rows=rows)


# ---- disks ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Volume:
    """A mounted file system; sizes in bytes. `inodes` is 0 where they are without number."""

    device: str
    kind: str
    mount: str
    size: int = 0
    used: int = 0
    free: int = 0
    inodes: int = 0
    inodes_free: int = 0

    @property
    def used_percent(self) -> float:
        """As df counts it: of what ordinary users may use, without the share kept for root."""
        usable = self.used + self.free
        return 100 * self.used / usable if usable else 0.0

    @property
    def inodes_percent(self) -> float | None:
        """None where there is no limit to them."""
        return 100 * (self.inodes - self.inodes_free) / self.inodes if self.inodes else None


# Always full by nature: read-only images, of which a snap mounts one each.
_IMAGES = frozenset(("squashfs", "iso9660", "udf", "erofs", "cramfs", "romfs"))
# Views of the kernel, of memory, or of a file system that is listed anyway.
_VIRTUAL = frozenset(
    (
        *("tmpfs", "devtmpfs", "ramfs", "rootfs", "overlay", "aufs", "fuse-overlayfs"),
        *("fuse.fuse-overlayfs", "proc", "sysfs", "devpts", "devfs", "cgroup", "cgroup2"),
        *("securityfs", "debugfs", "tracefs", "configfs", "pstore", "bpf", "mqueue"),
        *("hugetlbfs", "autofs", "binfmt_misc", "efivarfs", "fusectl", "rpc_pipefs", "nsfs"),
        *("selinuxfs", "binder", "fuse.lxcfs", "fuse.portal", "fuse.gvfsd-fuse"),
    )
)
# What a container engine mounts over a container's files, from the disk of its host.
_CONTAINER_FILES = frozenset(("/etc/hosts", "/etc/hostname", "/etc/resolv.conf"))


def real_volumes(mounted: Iterable[Volume], used: Iterable[str] = ()) -> list[Volume]:
    """Return those that can fill up, each device once, by the shortest of its mount points.

    The root is always one of them: in a container it is an overlay. So is each that one of the
    paths `used` is on.
    """
    by_length = sorted(mounted, key=lambda volume: len(volume.mount))
    wanted = {"/", *(_mount_of(path, by_length) for path in used)}
    chosen: dict[str, Volume] = {}
    for volume in by_length:
        virtual = volume.kind in _VIRTUAL and volume.mount not in wanted
        if virtual or volume.kind in _IMAGES or volume.mount in _CONTAINER_FILES:
            continue
        # A device without a path ("none", "overlay") says nothing about being the same one.
        key = volume.device if "/" in volume.device else volume.mount
        chosen.setdefault(key, volume)
    return sorted(chosen.values(), key=lambda volume: volume.mount)


def _mount_of(path: str, by_length: Sequence[Volume]) -> str:
    holding = (each.mount for each in by_length if PurePosixPath(path).is_relative_to(each.mount))
    return max(holding, key=len, default="/")


def _local_volumes(used: Iterable[str]) -> tuple[list[Volume], list[str]]:
    """Return this machine's volumes, and the mount points that do not answer.

    A network file system whose server is gone hangs whoever asks, so each is asked on its own.
    """
    mounted = real_volumes(
        (
            Volume(part.device, part.fstype, part.mountpoint)
            for part in psutil.disk_partitions(all=True)
        ),
        [os.path.realpath(path) for path in used],
    )
    measured: dict[str, Volume | None] = {}

    def measure(volume: Volume) -> None:
        measured[volume.mount] = _measured(volume)

    threads = [threading.Thread(target=measure, args=(volume,), daemon=True) for volume in mounted]
    for thread in threads:
        thread.start()
    ends = time.monotonic() + _CALL_S
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    volumes = [volume for mount in mounted if (volume := measured.get(mount.mount))]
    return volumes, [volume.mount for volume in mounted if volume.mount not in measured]


def _measured(volume: Volume) -> Volume | None:
    """Return `volume` with its sizes; None when this user may not look, or it has none."""
    try:
        usage, inodes = psutil.disk_usage(volume.mount), os.statvfs(volume.mount)
    except OSError:
        return None
    if not usage.total:
        return None
    return Volume(
        volume.device,
        volume.kind,
        volume.mount,
        usage.total,
        usage.used,
        usage.free,
        inodes.f_files,
        inodes.f_ffree,
    )


def _remote_volumes(host: Host, used: Iterable[str]) -> list[Volume]:
    space, inodes = _df(host, "-PkT"), _df(host, "-PiT")
    return real_volumes(parse_df(space, inodes), used)


def _df(host: Host, options: str) -> str:
    try:
        return host.run(["df", options])
    except ProgramFailed as error:
        if not error.output:
            raise
        return error.output  # one mount that this user may not look at fails the whole command


_DF_LINE = re.compile(
    r"(?P<device>.*?)\s+(?P<kind>\S+)\s+(?P<size>\d+)\s+(?P<used>-?\d+)\s+(?P<free>-?\d+)"
    r"\s+(?:\d+%|-)\s+(?P<mount>/.*)"
)


def parse_df(space: str, inodes: str) -> list[Volume]:
    """Return what `df -PkT` and `df -PiT` print."""
    counts = {
        match["mount"]: (int(match["size"]), int(match["free"])) for match in _df_lines(inodes)
    }
    return [
        Volume(
            match["device"],
            match["kind"],
            match["mount"],
            int(match["size"]) * 1024,
            int(match["used"]) * 1024,
            int(match["free"]) * 1024,
            *counts.get(match["mount"], (0, 0)),
        )
        for match in _df_lines(space)
        if int(match["size"])
    ]


def _df_lines(text: str) -> list[re.Match[str]]:
    return [match for line in text.splitlines() if (match := _DF_LINE.fullmatch(line))]


def _disk_finding(volumes: list[Volume], silent: list[str], limits: Threshold) -> Finding:
    fullest = max(volumes, key=lambda volume: volume.used_percent)
    message = (
        f"{fullest.mount} is the fullest file system: {fullest.used_percent:.0f}% used, "
        f"{fullest.free / _GIB:.1f} GiB free."
    )
    scarce = [volume for volume in volumes if _judge_inodes(volume, limits) is not Status.OK]
    for volume in scarce:
        message += f" {volume.mount} has {volume.inodes_percent:.0f}% of its inodes used."
    if silent:
        message += f" {', '.join(silent)} did not answer within {_CALL_S:g} s."
    rows: list[Row] = [
        {
            "mount": volume.mount,
            "device": volume.device,
            "type": volume.kind,
            "size_bytes": volume.size,
            "used_bytes": volume.used,
            "free_bytes": volume.free,
            "used_percent": round(volume.used_percent, 1),
            "inodes_percent": _rounded(volume.inodes_percent),
            "status": worst(_judgements(volume, limits)),
        }
        for volume in volumes
    ]
    statuses = [row["status"] for row in rows] + [Status.UNKNOWN for _ in silent]
    finding = Finding.measured(round(fullest.used_percent, 1), limits, message, rows=rows)
    return finding.model_copy(update={"status": worst(statuses)})


def _judgements(volume: Volume, limits: Threshold) -> tuple[Status, Status]:
    return limits.judge(volume.used_percent), _judge_inodes(volume, limits)


def _judge_inodes(volume: Volume, limits: Threshold) -> Status:
    percent = volume.inodes_percent
    return Status.OK if percent is None else limits.judge(percent)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


# ---- memory -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Memory:
    """In bytes."""

    total: int
    available: int
    swap_total: int
    swap_free: int


def _local_memory() -> _Memory:
    ram, swap = psutil.virtual_memory(), psutil.swap_memory()
    return _Memory(ram.total, ram.available, swap.total, swap.free)


def _remote_memory(host: Host) -> _Memory:
    return parse_meminfo(host.run(["cat", "/proc/meminfo"]))


def parse_meminfo(text: str) -> _Memory:
    """Return what /proc/meminfo says."""
    kib = {match[1]: int(match[2]) * 1024 for match in re.finditer(r"(?m)^(\w+):\s+(\d+) kB", text)}
    try:
        return _Memory(
            *(kib[name] for name in ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree"))
        )
    except KeyError as missing:
        raise BadAnswer(SYSTEM, f"The host's /proc/meminfo has no {missing.args[0]}.") from None


def _memory_finding(state: _Memory, limits: Threshold) -> Finding:
    used = state.total - state.available
    percent = 100 * used / state.total
    swap_used = state.swap_total - state.swap_free
    message = (
        f"{percent:.0f}% of memory is used: {used / _GIB:.1f} of {state.total / _GIB:.1f} GiB, "
        f"{state.available / _GIB:.1f} GiB available."
    )
    rows = [_memory_row("RAM", state.total, used, limits.judge(percent))]
    if state.swap_total:
        message += f" Swap holds {swap_used / _GIB:.1f} of {state.swap_total / _GIB:.1f} GiB."
        rows.append(_memory_row("swap", state.swap_total, swap_used, Status.OK))
    return Finding.measured(round(percent, 1), limits, message, rows=rows)


def _memory_row(name: str, total: int, used: int, status: Status) -> Row:
    return {
        "memory": name,
        "size_bytes": total,
        "used_bytes": used,
        "free_bytes": total - used,
        "used_percent": round(100 * used / total, 1),
        "status": status,
    }
