"""The guest: process 1 of a box. Runs commands and moves files for whoever holds the token.

One file of the standard library for Python 3.8 and later: it is handed to the box as its
command, so any image with python3 will do, and it always fits the server that made the box.

A link is one byte stream to the abstract socket, full of frames:

    length of the payload (u32), type (u8), channel (u32), payload

The first frame of a link is HELLO with the token. Then each REQUEST opens a channel, which
ends with REPLY or ERROR. DATA and END carry bytes up or down a channel; CREDIT allows the
other side so many bytes more; CANCEL gives a channel up.
"""

import array
import collections
import contextlib
import ctypes
import errno
import fcntl
import heapq
import hmac
import json
import os
import pty
import re
import select
import selectors
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import termios
import time

VERSION = 1
HEADER = struct.Struct("!IBI")
OUTPUT_HEADER = struct.Struct("!BQ")
COUNT = struct.Struct("!I")
(HELLO, REQUEST, REPLY, ERROR, HEAD, DATA, END, CREDIT, CANCEL, OUTPUT) = range(1, 11)

KIB = 1024
MIB = 1024 * KIB
MAX_PAYLOAD = 1 * MIB
MAX_JSON = 512 * KIB
CHUNK = 256 * KIB
SMALL_PIECE = 4 * KIB
# What one side may send up a channel before the other side allows more.
WINDOW = 4 * MIB
RING = 1 * MIB
# A process is read on while its best viewer is less than this behind.
MAX_LAG = 256 * KIB
# A link that has more than this unsent gets no more output and no more files.
MAX_UNSENT = 1 * MIB
MAX_LINKS = 32
MAX_STRANGERS = 32
MAX_CHANNELS = 256
MAX_PROCESSES = 256
MAX_BODY = 64 * MIB
# Of the processes in a box so many are told of.
MAX_SHOWN = 256
# So many of the last files that were written are known by their key.
MAX_WRITTEN = 2048
HELLO_SECONDS = 5.0
# What a process wrote to its terminal last is there to be read so soon.
SETTLE_SECONDS = 0.05
MAX_PAUSE = 3600.0
MAX_SECONDS = 10 * 366 * 86400
# The kernel takes no single argument above 128 KiB.
MAX_ARGUMENT = 100 * KIB
MARKER = "SANDBANK_PROCESS"
REST_SECONDS = 0.001
PART = ".sandbank-part-"
FILE_DESCRIPTOR = struct.Struct("i")
TOKEN = "SANDBANK_GUEST_TOKEN"  # noqa: S105 - the name of a variable
# The folder that stands for /, where a box is no more than a folder.
ROOT = "SANDBANK_ROOT"
PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36
STREAMS = ("stdout", "stderr", "pty")
OOM_COUNTER = "/sys/fs/cgroup/memory.events"
if not os.path.exists(OOM_COUNTER):
    OOM_COUNTER = "/sys/fs/cgroup/memory/memory.oom_control"


class Refusal(Exception):
    """An answer of ERROR: a code for programs and a sentence for people."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class BrokenFrame(Exception):
    """The other side does not keep to the protocol: its link ends."""


class FrameDecoder:
    """Cuts a byte stream into frames, whatever pieces it comes in."""

    def __init__(self, max_payload=MAX_PAYLOAD):
        self.max_payload = max_payload
        self.header = b""
        self.pieces = []  # of the payload: views into what was fed, and copies of small ones
        self.missing = 0

    def feed(self, data):
        """Give every frame that is complete now, as (type, channel, payload)."""
        frames, view, at = [], memoryview(data), 0
        while at < len(view):
            if len(self.header) < HEADER.size:
                part = view[at : at + HEADER.size - len(self.header)]
                at += len(part)
                self.header += bytes(part)
                if len(self.header) < HEADER.size:
                    break
                self.missing, kind, _ = HEADER.unpack(self.header)
                if self.missing > self.max_payload or not HELLO <= kind <= OUTPUT:
                    raise BrokenFrame("a frame of %d bytes and type %d" % (self.missing, kind))
            piece = view[at : at + self.missing]
            at += len(piece)
            self.missing -= len(piece)
            self.keep(piece)
            if not self.missing:
                frames.append(self.complete())
        return frames

    def keep(self, piece):
        """Keep a piece; small ones go together, as each alone takes far more than its bytes."""
        if len(piece) >= SMALL_PIECE:
            self.pieces.append(piece)
        elif self.pieces and isinstance(self.pieces[-1], bytearray):
            self.pieces[-1] += piece
        else:
            self.pieces.append(bytearray(piece))

    def complete(self):
        _, kind, channel = HEADER.unpack(self.header)
        payload = b"".join(self.pieces)
        self.header, self.pieces = b"", []
        return kind, channel, payload


# What a request may be answered with, if its arguments make no sense or the kernel says no.
REFUSED = (
    Refusal,
    OSError,
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    RecursionError,
    subprocess.SubprocessError,
)


def frame(kind, channel, payload=b""):
    return HEADER.pack(len(payload), kind, channel) + payload


def encode(value):
    """Write JSON; names of files that are no UTF-8 travel as lone surrogates."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def decode(payload):
    if len(payload) > MAX_JSON:
        raise BrokenFrame("a JSON text of %d bytes" % len(payload))
    try:
        value = json.loads(payload.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BrokenFrame("what should be JSON is none") from error
    if not isinstance(value, dict):
        raise BrokenFrame("a JSON text that is no object")
    return value


# --- Processes ------------------------------------------------------------------------------


class Modes:
    """The modes a terminal was left in by output that is no longer kept.

    DEC private modes, such as the alternate screen (1049) or bracketed paste (2004):
    https://invisible-island.net/xterm/ctlseqs/ctlseqs.html under DECSET.
    """

    CHANGE = re.compile(rb"\x1b\[\?([0-9;]{1,32})([hl])")
    LONGEST = 40

    def __init__(self):
        self.values = {}
        self.rest = b""

    def feed(self, data):
        data = self.rest + bytes(data)
        for match in self.CHANGE.finditer(data):
            for number in match.group(1).split(b";"):
                if number and len(self.values) < 64:
                    self.values[int(number) % 100000] = match.group(2).decode()
        # A change that is cut in two is found with the next piece; one found twice is the same.
        self.rest = data[-self.LONGEST :]

    def preamble(self):
        """Return what brings a fresh terminal into these modes."""
        return "".join("\x1b[?%d%s" % change for change in self.values.items())


class Ring:
    """The newest output of a process, in pieces that know their stream and offset."""

    def __init__(self):
        self.modes = Modes()
        self.starts, self.pieces = [], []
        self.head = 0  # pieces before it are dropped already
        self.kept = 0
        self.end = 0

    @property
    def begin(self):
        return self.end - self.kept

    def add(self, stream, data):
        last = self.pieces[-1] if len(self.pieces) > self.head else None
        if last is not None and last[0] == stream and len(last[1]) < 16 * KIB:
            last[1].extend(data)
        else:
            self.starts.append(self.end)
            self.pieces.append((stream, bytearray(data)))
        self.end += len(data)
        self.kept += len(data)
        while self.kept > RING:
            dropped_stream, dropped = self.pieces[self.head]
            if dropped_stream == "pty":
                self.modes.feed(dropped)
            self.kept -= len(dropped)
            self.pieces[self.head] = None
            self.head += 1
        if self.head > 256 and self.head * 2 > len(self.pieces):
            del self.starts[: self.head], self.pieces[: self.head]
            self.head = 0

    def at(self, offset, limit):
        """Return (stream, offset, bytes) of what stands at or behind an offset."""
        low, high = self.head, len(self.pieces)
        while high - low > 1:
            middle = (low + high) // 2
            if self.starts[middle] <= offset:
                low = middle
            else:
                high = middle
        stream, data = self.pieces[low]
        skip = max(0, offset - self.starts[low])
        return stream, self.starts[low] + skip, bytes(memoryview(data)[skip : skip + limit])


class Process:
    """One command or shell: it outlives links, and is known by the id the server gave it."""

    def __init__(self, guest, spec, script, stdin):
        self.guest = guest
        self.id = spec["id"]
        self.ring = Ring()
        self.attachments = []
        self.exit = None  # what viewers are told, once its own output is drained
        self.status = None  # as waitpid told
        self.ended_at = None  # the offset its own output ends at
        self.timed_out = False
        self.forgotten = False
        self.oom_kills = oom_kills()
        self.room = dict(zip(STREAMS, map(int, spec.get("limits") or ())))
        timeout = seconds_of(spec["timeout"]) if spec.get("timeout") else None
        self.produced = dict.fromkeys(STREAMS, 0)
        self.truncated = False
        self.outputs = {}  # fd: stream
        self.undrained = {}  # fd: what was in the pipe when the main process ended
        self.pty = None
        self.stdin = StdinQueue(guest)
        self.preview = (script or " ".join(spec.get("argv") or ()))[:200]
        self.started_at = time.time()
        self.began = time.monotonic()
        self.birth = clock_ticks()
        self.popen = self.spawn(spec, script, stdin)
        self.pid = self.popen.pid
        raise_oom_score(self.pid)
        if stdin is not None:
            self.stdin.put(stdin)
        if not spec.get("open_stdin") and not spec.get("pty"):
            self.stdin.end()
        if timeout is not None:
            guest.after(timeout, self.time_is_over)
        self.update_reading()

    def spawn(self, spec, script, stdin):
        cwd = self.guest.real(spec.get("cwd") or "/workspace")
        if not os.path.isdir(cwd):
            raise Refusal("not_found", "cwd: there is no folder %s" % spec.get("cwd"))
        environment = dict(self.guest.environment, **spec.get("env") or {})
        environment[MARKER] = self.id
        child_ends = []
        try:
            argv, script_fd = (spec.get("argv"), None) if spec.get("argv") else shell(script)
            if script_fd is not None:
                child_ends.append(script_fd)
            if spec.get("pty"):
                environment.setdefault("TERM", "xterm-256color")
                options = self.open_pty(spec["pty"], child_ends)
            else:
                options = self.open_pipes(stdin is not None or spec.get("open_stdin"), child_ends)
            pass_fds = () if script_fd is None else (script_fd,)
            return subprocess.Popen(
                argv, cwd=cwd, env=environment, pass_fds=pass_fds, bufsize=0, **options
            )
        except REFUSED as error:
            for fd in self.outputs:
                os.close(fd)
            self.outputs = {}
            self.stdin.close()
            raise refusal_of(error) from error
        finally:
            for fd in child_ends:
                os.close(fd)

    def open_pipes(self, with_stdin, child_ends):
        options = {"start_new_session": True, "stdin": subprocess.DEVNULL}
        for stream in ("stdout", "stderr"):
            ours, theirs = os.pipe()
            os.set_blocking(ours, False)
            self.outputs[ours] = stream
            child_ends.append(theirs)
            options[stream] = theirs
        if with_stdin:
            theirs, ours = os.pipe()
            os.set_blocking(ours, False)
            self.stdin.fd = ours
            child_ends.append(theirs)
            options["stdin"] = theirs
        return options

    def open_pty(self, size, child_ends):
        ours, theirs = pty.openpty()
        os.set_blocking(ours, False)
        self.outputs[ours] = "pty"
        self.pty = self.stdin.fd = ours
        self.stdin.shares_fd = True
        child_ends.append(theirs)
        self.resize(size)
        return {"stdin": theirs, "stdout": theirs, "stderr": theirs, "preexec_fn": take_terminal}

    def resize(self, size):
        if self.pty is None:
            raise Refusal("unsupported", "the process has no terminal")
        rows, columns = (min(500, max(1, int(n))) for n in size)
        fcntl.ioctl(self.pty, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    # Output.

    def update_reading(self):
        """Read on while nobody watches, or while one viewer at least keeps up."""
        wanted = not self.attachments or any(
            self.ring.end - viewer.position < MAX_LAG for viewer in self.attachments
        )
        for fd in self.outputs:
            self.guest.set_reader(fd, self.read if wanted else None)

    def read(self, fd):
        try:
            data = os.read(fd, 64 * KIB)
        except BlockingIOError:
            data = None
        except OSError:  # EIO: nobody has the terminal open any more
            data = b""
        if data:
            self.take(self.outputs[fd], data)
        if fd in self.undrained:
            self.undrained[fd] -= len(data or b"")
            if not data or self.undrained[fd] <= 0:
                del self.undrained[fd]
        if data == b"":
            self.close_output(fd)
        self.conclude()
        self.pump()

    def take(self, stream, data):
        self.produced[stream] += len(data)
        room = self.room.get(stream)
        if room is not None:
            self.truncated = self.truncated or len(data) > room
            data = data[:room]
            self.room[stream] = room - len(data)
        if data and not self.forgotten:
            self.ring.add(stream, data)

    def close_output(self, fd):
        self.guest.set_reader(fd, None)
        del self.outputs[fd]
        if fd == self.pty:
            self.stdin.close()
            self.pty = None
        os.close(fd)

    def pump(self):
        for viewer in list(self.attachments):
            viewer.pump()
        self.update_reading()

    # The end.

    def ended(self, status):
        """The main process is gone: what it wrote is in the pipes still, and that is drained."""
        self.status = status
        self.popen.returncode = status
        for fd in list(self.outputs):
            if self.outputs[fd] == "pty":
                self.undrained[fd] = RING
            else:
                waiting = array.array("i", [0])
                fcntl.ioctl(fd, termios.FIONREAD, waiting)
                if waiting[0]:
                    self.undrained[fd] = waiting[0]
        self.stdin.close()
        if self.undrained and not self.attachments:
            for fd in list(self.undrained):
                self.read(fd)
        if self.pty in self.undrained:
            self.guest.after(SETTLE_SECONDS, self.settle)
        self.conclude()
        self.pump()

    def settle(self):
        """Wait no longer for a terminal that children hold open, once there is nothing in it."""
        if self.pty not in self.undrained:
            return
        if select.select([self.pty], [], [], 0)[0]:
            self.guest.after(SETTLE_SECONDS, self.settle)
            return
        del self.undrained[self.pty]
        self.conclude()
        self.pump()

    def conclude(self):
        if self.status is None or self.undrained or self.exit is not None:
            return
        self.ended_at = self.ring.end
        killed_by = os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else None
        self.exit = {
            "exit_code": 128 + killed_by if killed_by else os.WEXITSTATUS(self.status),
            "signal": killed_by,
            "timed_out": self.timed_out,
            "out_of_memory": oom_kills() > self.oom_kills,
            "stdout_bytes": self.produced["stdout"] + self.produced["pty"],
            "stderr_bytes": self.produced["stderr"],
            "truncated": self.truncated,
            "duration": time.monotonic() - self.began,
        }

    def time_is_over(self):
        if self.status is None:
            self.timed_out = True
            self.guest.spawn_task(kill_tree(self.guest, self))

    def info(self):
        return {
            "id": self.id,
            "pid": self.pid,
            "running": self.exit is None,
            "attached": len(self.attachments),
            "exit": self.exit,
            "started_at": self.started_at,
            "oldest_offset": self.ring.begin,
            "next_offset": self.ring.end,
            "command": self.preview,
        }


class StdinQueue:
    """What waits to be written to a process: a pipe or terminal takes it in its own time."""

    def __init__(self, guest):
        self.guest = guest
        self.fd = None
        self.shares_fd = False  # a terminal is read and written through one descriptor
        self.chunks = collections.deque()
        self.ends = False
        self.on_taken = None

    def put(self, data):
        if self.fd is None:
            raise Refusal("closed", "the standard input of the process is closed")
        if data:
            self.chunks.append(memoryview(data))
            self.flush(self.fd)

    def end(self):
        self.ends = True
        if not self.chunks:
            self.close()

    def flush(self, fd):
        while self.chunks:
            try:
                count = os.write(fd, self.chunks[0][: 64 * KIB])
            except BlockingIOError:
                break
            except OSError:
                self.close()
                return
            self.chunks[0] = self.chunks[0][count:]
            if not self.chunks[0]:
                self.chunks.popleft()
            if self.on_taken:
                self.on_taken(count)
        if not self.chunks and self.ends:
            self.close()
            return
        self.guest.set_writer(fd, self.flush if self.chunks else None)

    def drop(self):
        """Forget what was not taken yet; whoever waits for it is told that it was."""
        count = sum(len(chunk) for chunk in self.chunks)
        self.chunks.clear()
        if self.fd is not None:
            self.guest.set_writer(self.fd, None)
        if count and self.on_taken:
            self.on_taken(count)

    def close(self):
        if self.fd is None:
            return
        fd, self.fd = self.fd, None
        self.chunks.clear()
        self.guest.set_writer(fd, None)
        if not self.shares_fd:
            os.close(fd)
        if self.on_taken:
            self.on_taken(-1)


def take_terminal():
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def shell(script):
    """Return the argv that runs a script, and the descriptor it comes in if it is long."""
    bash = "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh"
    if script is None:
        return [bash], None
    encoded = os.fsencode(script)
    if b"\0" in encoded:
        raise Refusal("invalid", "the command holds a NUL character")
    if len(encoded) <= MAX_ARGUMENT:
        return [bash, "-c", encoded], None
    fd = os.memfd_create("script", 0)
    with open(os.dup(fd), "wb") as file:
        file.write(encoded)
    return [bash, "/dev/fd/%d" % fd], fd


def raise_oom_score(pid):
    """Under memory pressure the kernel takes a command before the guest."""
    try:
        with open("/proc/%d/oom_score_adj" % pid, "w") as file:
            file.write("800")
    except OSError:
        pass


def seconds_of(value):
    seconds = float(value)
    if not 0 <= seconds <= MAX_SECONDS:
        raise Refusal("invalid", "a time of %s seconds" % value)
    return seconds


def clock_ticks():
    """Now, as /proc/PID/stat tells when a process was born."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


# --- The kernel's view ----------------------------------------------------------------------


def read_text(path):
    """Read a file of the kernel's; what a process calls itself need not be UTF-8."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def first_number(*paths):
    for path in paths:
        text = read_text(path).strip()
        if text.isdigit():
            return int(text)
    return 0


def oom_kills():
    """How often the kernel killed for want of memory here: the last line says so."""
    last = read_text(OOM_COUNTER).rpartition("oom_kill ")[2].split()
    return int(last[0]) if last and last[0].isdigit() else 0


def cpu_seconds():
    nanoseconds = first_number("/sys/fs/cgroup/cpuacct/cpuacct.usage")
    if nanoseconds:
        return nanoseconds / 1e9
    for line in read_text("/sys/fs/cgroup/cpu.stat").splitlines():
        if line.startswith("usage_usec "):
            return int(line.split()[1]) / 1e6
    return time.process_time()


def living():
    """Return {pid: (parent, session, birth)} of every process that is no zombie."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        # The name in brackets may hold anything, so the fields are counted behind it.
        fields = read_text("/proc/%s/stat" % name).rpartition(")")[2].split()
        if len(fields) > 19 and fields[0] not in "ZX":
            found[int(name)] = (int(fields[1]), int(fields[3]), int(fields[19]))
    return found


def usage_of(pid):
    """Return what a process is and uses; None if it is gone."""
    name, _, rest = read_text("/proc/%d/stat" % pid).partition("(")[2].rpartition(")")
    fields = rest.split()
    if len(fields) < 22:
        return None
    ticks = os.sysconf("SC_CLK_TCK")
    command = read_text("/proc/%d/cmdline" % pid).replace("\0", " ").strip()
    return {
        "pid": pid,
        "command": (command or "[%s]" % name)[:200],
        "cpu_seconds": (int(fields[11]) + int(fields[12])) / ticks,
        "memory_bytes": int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        "seconds": max(0.0, (clock_ticks() - int(fields[19])) / ticks),
    }


def marker_of(pid):
    try:
        with open("/proc/%d/environ" % pid, "rb") as file:
            environment = file.read(256 * KIB)
    except OSError:
        return None
    for entry in environment.split(b"\0"):
        if entry.startswith(MARKER.encode() + b"="):
            return entry.partition(b"=")[2].decode("ascii", "replace")
    return None


def descendants(children, pids):
    pending, seen = list(pids), set()
    while pending:
        pid = pending.pop()
        if pid not in seen:
            seen.add(pid)
            pending += children[pid]
    return seen


def tree_of(guest, process):
    """Return the pids of everything a process started that is alive.

    Its descendants, by their parents, and those of what hangs at the guest and comes from it.
    """
    me, alive = os.getpid(), living()
    alive.pop(me, None)
    children = collections.defaultdict(list)
    for pid, (parent, _, _) in alive.items():
        children[parent].append(pid)
    others = [p for p in guest.processes.values() if p is not process]
    running = [p.pid for p in others if p.status is None and p.pid in alive]
    theirs = descendants(children, running)
    mine = {process.pid} & set(alive) if process.status is None else set()
    # Only what the guest itself inherited or started hangs at it.
    for pid in children[me]:
        if pid not in theirs and comes_from(process, others, pid, *alive[pid][1:]):
            mine.add(pid)
    return descendants(children, mine) - theirs


def comes_from(process, others, pid, session, birth):
    """Tell whether a process started what the guest inherited.

    It has the marker in its environment; or none, and is in the session, or was born while no
    other process was running.
    """
    mark = marker_of(pid)
    if mark is not None:
        return mark == process.id
    if session == process.pid:
        return True
    rivals = [p for p in others if p.birth <= birth and (p.status is None or p.outputs)]
    return birth >= process.birth - 1 and not rivals


def kill_tree(guest, process):
    """Stop the whole tree, so that nothing is born any more, then kill it, until none is left."""
    for _ in range(200):
        stopped = set()
        while True:
            found = tree_of(guest, process) - stopped
            if not found:
                break
            for pid in found:
                send_signal(pid, signal.SIGSTOP)
            stopped |= found
        if not stopped:
            return
        for pid in stopped:
            send_signal(pid, signal.SIGKILL)
        yield 0.002
        guest.reap()


def send_signal(pid, number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


class Handler:
    """What a channel does with what comes up it. By itself: nothing."""

    def on_data(self, data):
        raise BrokenFrame("bytes that nobody asked for")

    def on_end(self):
        pass

    def on_credit(self, count):
        pass

    def on_cancel(self):
        pass

    def pump(self):
        pass


# --- Files ----------------------------------------------------------------------------------

CODES = {
    errno.ENOENT: "not_found",
    errno.EEXIST: "exists",
    errno.EISDIR: "is_a_directory",
    errno.ENOTDIR: "not_a_directory",
    errno.ENOTEMPTY: "not_empty",
    errno.ENOSPC: "no_space",
    errno.EDQUOT: "no_space",
    errno.EFBIG: "no_space",
    errno.EACCES: "permission_denied",
    errno.EPERM: "permission_denied",
    errno.EROFS: "permission_denied",
    errno.EBUSY: "permission_denied",
    errno.ENAMETOOLONG: "invalid",
    errno.ELOOP: "invalid",
    errno.EINVAL: "invalid",
    errno.E2BIG: "too_large",
    errno.EAGAIN: "busy",
    errno.ENOMEM: "busy",
    errno.EMFILE: "busy",
}


def refusal_of(error):
    if isinstance(error, Refusal):
        return error
    if not isinstance(error, OSError):
        return Refusal("invalid", "%s: %s" % (type(error).__name__, error))
    message = os.strerror(error.errno or errno.EIO)
    if error.filename:
        path = os.fsencode(error.filename).decode("utf-8", "replace")
        folder, name = os.path.split(path)
        message = "%s: %s" % (folder if name.startswith(PART) else path, message)
    return Refusal(CODES.get(error.errno, "failed"), message)


def kind_of(mode):
    for test, kind in (
        (stat.S_ISREG, "file"),
        (stat.S_ISDIR, "directory"),
        (stat.S_ISLNK, "symlink"),
    ):
        if test(mode):
            return kind
    return "other"


def describe(path, real, follow=True):
    """Return what a file is. A link that leads nowhere is described itself."""
    try:
        found = os.stat(real, follow_symlinks=follow)
    except FileNotFoundError:
        if not follow:
            raise
        found = os.lstat(real)
    return {
        "path": path,
        "name": os.path.basename(path.rstrip("/")) or "/",
        "kind": kind_of(found.st_mode),
        "size": found.st_size,
        "mode": stat.S_IMODE(found.st_mode),
        "uid": found.st_uid,
        "gid": found.st_gid,
        "modified": found.st_mtime,
        "target": os.readlink(real) if os.path.islink(real) else None,
    }


class Upload(Handler):
    """A file being written: under a name of its own until all of it is there."""

    def __init__(self, channel, arguments, guest):
        self.channel = channel
        self.path = arguments["path"]
        self.real = guest.real(self.path)
        self.size = arguments.get("size")
        self.overwrite = arguments.get("overwrite", True)
        self.mode = arguments.get("mode")
        self.modified = arguments.get("modified")
        self.key = arguments.get("key")
        self.note_written = guest.note_written
        self.temporary = None
        folder = os.path.dirname(self.real)
        if self.path.endswith("/"):
            raise Refusal("invalid", "a file's path does not end with /")
        if arguments.get("make_parents", True):
            os.makedirs(folder, exist_ok=True)
        if os.path.isdir(self.real) and not os.path.islink(self.real):
            raise Refusal("is_a_directory", "there is a folder of that name")
        if not self.overwrite and os.path.lexists(self.real):
            raise Refusal("exists", "there is a file of that name")
        if self.size is not None:
            space = os.statvfs(folder)
            # What is no real file system has no blocks, and says by itself what it takes.
            if space.f_blocks and self.size > space.f_bavail * space.f_frsize:
                raise Refusal("no_space", "no space left for %d bytes" % self.size)
        self.temporary = os.path.join(folder, PART + os.urandom(8).hex())
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self.fd = os.open(self.temporary, flags, 0o600)
        self.taken = self.unacknowledged = 0

    def on_data(self, data):
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self.fd, view) :]
        except OSError as error:
            self.on_cancel()
            raise refusal_of(error) from error
        self.taken += len(data)
        self.unacknowledged += len(data)
        if self.unacknowledged >= WINDOW // 4:
            self.channel.grant(self.unacknowledged)
            self.unacknowledged = 0

    def on_end(self):
        try:
            if self.size is not None and self.size != self.taken:
                raise Refusal("changed", "%d bytes came, %d were meant" % (self.taken, self.size))
            os.fchmod(self.fd, self.mode if self.mode is not None else self.kept_mode())
            if self.modified is not None:
                os.utime(self.fd, (self.modified, self.modified))
            if self.overwrite:
                os.rename(self.temporary, self.real)
            else:
                os.link(self.temporary, self.real, follow_symlinks=False)
                os.unlink(self.temporary)
        except REFUSED as error:
            self.on_cancel()
            raise refusal_of(error) from error
        os.close(self.fd)
        self.temporary = None
        if self.key is not None:
            self.note_written(self.key, self.path)
        self.channel.reply(describe(self.path, self.real, follow=False))

    def kept_mode(self):
        try:
            return stat.S_IMODE(os.lstat(self.real).st_mode) & 0o777
        except FileNotFoundError:
            return 0o644

    def on_cancel(self):
        if self.temporary is not None:
            os.close(self.fd)
            with contextlib.suppress(OSError):
                os.unlink(self.temporary)
            self.temporary = None


class Reader(Handler):
    """A file being read, as fast as the other side allows."""

    def __init__(self, channel, arguments, guest):
        self.channel = channel
        path = arguments["path"]
        real = guest.real(path)
        # Not to be caught by the opening of a pipe that nobody writes to.
        self.fd = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            found = os.fstat(self.fd)
            if stat.S_ISDIR(found.st_mode):
                raise Refusal("is_a_directory", "it is a folder")
            if not stat.S_ISREG(found.st_mode):
                raise Refusal("not_a_file", "it is no regular file")
            self.at = min(int(arguments.get("start") or 0), found.st_size)
            end = arguments.get("end")
            self.end = found.st_size if end is None else min(int(end), found.st_size)
            self.credit = int(arguments.get("credit", WINDOW))
            channel.head(describe(path, real))
        except BaseException:
            os.close(self.fd)
            raise

    def pump(self):
        link = self.channel.link
        while link.open and self.credit > 0 and self.at < self.end and link.unsent <= MAX_UNSENT:
            data = os.pread(self.fd, min(CHUNK, self.credit, self.end - self.at), self.at)
            if not data:
                self.on_cancel()
                raise Refusal("changed", "the file shrank while it was read")
            self.at += len(data)
            self.credit -= len(data)
            link.send(DATA, self.channel.number, data)
        if link.open and self.at >= self.end:
            self.on_cancel()
            self.channel.reply({})

    def on_credit(self, count):
        self.credit += count
        self.pump()

    def on_cancel(self):
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


# --- Links ----------------------------------------------------------------------------------


class Channel:
    """One request on a link, until it is answered."""

    def __init__(self, link, number):
        self.link = link
        self.number = number

    def head(self, value):
        self.link.send(HEAD, self.number, encode(value))

    def grant(self, count):
        self.link.send(CREDIT, self.number, COUNT.pack(count))

    def reply(self, value):
        if self.link.channels.pop(self.number, None) is not None:
            self.link.send(REPLY, self.number, encode(value))

    def refuse(self, refusal):
        if self.link.channels.pop(self.number, None) is not None:
            message = {"code": refusal.code, "message": str(refusal)}
            self.link.send(ERROR, self.number, encode(message))


class Viewer(Handler):
    """Follows the output of a process from an offset on, as fast as the other side allows."""

    def __init__(self, channel, process, since, credit):
        self.channel = channel
        self.process = process
        self.position = process.ring.end if since < 0 else min(since, process.ring.end)
        self.credit = credit
        process.attachments.append(self)

    def pump(self):
        process, ring, link = self.process, self.process.ring, self.channel.link
        while True:
            end = ring.end if process.ended_at is None else process.ended_at
            # Who fell off the ring goes on with the oldest that is kept.
            self.position = max(self.position, min(ring.begin, end))
            if self.position >= end:
                break
            if self.credit <= 0 or link.unsent > MAX_UNSENT:
                return
            limit = min(CHUNK, self.credit, end - self.position)
            stream, offset, data = ring.at(self.position, limit)
            header = OUTPUT_HEADER.pack(STREAMS.index(stream), offset)
            link.send(OUTPUT, self.channel.number, header + data)
            self.position = offset + len(data)
            self.credit -= len(data)
        if process.exit is not None:
            self.on_cancel()
            self.channel.reply(process.exit)

    def on_credit(self, count):
        self.credit += count
        self.pump()
        self.process.update_reading()

    def on_cancel(self):
        if self in self.process.attachments:
            self.process.attachments.remove(self)
            self.process.update_reading()


class Body(Handler):
    """The script and the standard input of a process that is to be started."""

    def __init__(self, channel, size, done):
        if not 0 <= size <= MAX_BODY:
            raise Refusal("too_large", "the command and its input are over %d bytes" % MAX_BODY)
        self.channel, self.size, self.done = channel, size, done
        self.parts, self.taken = [], 0

    def on_data(self, data):
        self.taken += len(data)
        if self.taken > self.size:
            raise BrokenFrame("a body longer than it said")
        self.parts.append(data)
        self.channel.grant(len(data))

    def on_end(self):
        if self.taken != self.size:
            raise BrokenFrame("a body shorter than it said")
        self.done(b"".join(self.parts))


class Typing(Handler):
    """Bytes on their way to the standard input of a process."""

    def __init__(self, channel, process):
        self.channel, self.queue = channel, process.stdin
        if self.queue.fd is None:
            raise Refusal("closed", "the standard input of the process is closed")
        if self.queue.on_taken is not None:
            raise Refusal("busy", "somebody else is writing to the process")
        self.untaken, self.at_end = 0, False
        self.queue.on_taken = self.taken

    def on_data(self, data):
        self.untaken += len(data)
        if self.untaken > WINDOW:
            raise BrokenFrame("more input than was allowed")
        self.queue.put(data)

    def taken(self, count):
        if count < 0:
            self.on_cancel()
            if self.untaken:  # else all that came was taken, and the end may be on its way
                message = "the standard input of the process is closed"
                self.channel.refuse(Refusal("closed", message))
            return
        self.untaken -= count
        self.channel.grant(count)
        self.finish()

    def on_end(self):
        self.at_end = True
        self.finish()

    def finish(self):
        if self.at_end and self.untaken <= 0:
            self.on_cancel()
            self.channel.reply({})

    def on_cancel(self):
        self.queue.on_taken = None


def own_end(fd, flags):
    """Open a pipe that was passed to us anew, so that nobody else can make us wait on it."""
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode):
        return os.open("/proc/self/fd/%d" % fd, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EINVAL, "neither a pipe nor a socket")
    copy = os.dup(fd)
    os.set_blocking(copy, False)
    return copy


class Link:
    """One connection: frames in, frames out, a channel for each request."""

    def __init__(self, guest, connection):
        self.guest = guest
        self.socket = connection
        # Where bytes come from and go to, until a relay hands over its own pipes.
        self.source = self.sink = connection.fileno()
        self.decoder = FrameDecoder()
        self.channels = {}
        self.known = False
        self.queue = collections.deque()
        self.unsent = 0
        self.resting = False
        self.open = True
        guest.set_reader(self.source, self.receive_first)
        guest.after(HELLO_SECONDS, self.expect_hello)

    def expect_hello(self):
        if not self.known:
            self.close()

    def receive_first(self, fd):
        """Take what a relay sends first: its pipes. So no byte has to pass through it."""
        space = socket.CMSG_SPACE(2 * FILE_DESCRIPTOR.size)
        try:
            data, messages, _, _ = self.socket.recvmsg(CHUNK, space)
        except BlockingIOError:
            return
        except OSError:
            data, messages = b"", []
        pipes = [
            passed
            for level, kind, content in messages
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS
            for (passed,) in FILE_DESCRIPTOR.iter_unpack(content)
        ]
        if not pipes:
            self.guest.set_reader(fd, self.receive)
            self.take_bytes(data)
            return
        try:
            if len(pipes) != 2:
                raise OSError
            self.source = own_end(pipes[0], os.O_RDONLY)
            self.sink = own_end(pipes[1], os.O_WRONLY)
        except OSError:
            self.close()
            return
        finally:
            for passed in pipes:
                os.close(passed)
        self.guest.set_reader(fd, self.relay_ended)
        self.guest.set_reader(self.source, self.receive)

    def relay_ended(self, fd):
        self.close()

    def receive(self, fd):
        try:
            data = os.read(self.source, CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.take_bytes(data)

    def take_bytes(self, data):
        if not data:
            self.close()
            return
        try:
            for kind, number, payload in self.decoder.feed(data):
                if self.open:
                    self.take(kind, number, payload)
        except BrokenFrame:
            self.close()
        except Exception as error:
            # Whatever nobody thought of costs this link, and never the box.
            sys.stderr.write("a link ended: %r\n" % error)
            self.close()

    def take(self, kind, number, payload):
        if not self.known:
            self.greet(kind, payload)
        elif kind == REQUEST:
            self.request(number, decode(payload))
        elif number in self.channels:
            channel, handler = self.channels[number]
            try:
                self.hand_over(kind, number, payload, handler)
            except REFUSED as error:
                channel.refuse(refusal_of(error))
        # A channel that was answered already may still get what was on its way to it.

    def hand_over(self, kind, number, payload, handler):
        if kind == DATA:
            handler.on_data(payload)
        elif kind == END:
            handler.on_end()
        elif kind == CREDIT and len(payload) == COUNT.size:
            handler.on_credit(COUNT.unpack(payload)[0])
        elif kind == CANCEL:
            del self.channels[number]
            handler.on_cancel()
        else:
            raise BrokenFrame("a frame of type %d" % kind)

    def greet(self, kind, payload):
        token = decode(payload).get("token") if kind == HELLO else None
        if not isinstance(token, str) or not hmac.compare_digest(
            token.encode("utf-8", "replace"), self.guest.token.encode()
        ):
            raise BrokenFrame("no good token")
        self.known = True
        self.send(HELLO, 0, encode({"version": VERSION, "python": sys.version.split()[0]}))

    def request(self, number, arguments):
        if number in self.channels or len(self.channels) >= MAX_CHANNELS:
            raise BrokenFrame("a channel too many")
        channel = Channel(self, number)
        self.channels[number] = (channel, Handler())
        try:
            operation = self.guest.operations.get(arguments.pop("op", None))
            if operation is None:
                raise Refusal("unsupported", "this guest does not know that operation")
            handler = operation(channel, arguments)
        except REFUSED as error:
            channel.refuse(refusal_of(error))
        else:
            self.go_on(channel, handler)

    def go_on(self, channel, handler):
        """Leave a channel to what handles the rest of it, unless it is closed by now."""
        if handler is None:
            return
        if channel.number not in self.channels:
            handler.on_cancel()
            return
        self.channels[channel.number] = (channel, handler)
        self.pump(channel, handler)

    def pump(self, channel, handler):
        try:
            handler.pump()
        except REFUSED as error:
            channel.refuse(refusal_of(error))

    def send(self, kind, number, payload):
        if not self.open:
            return
        self.queue.append(memoryview(HEADER.pack(len(payload), kind, number)))
        self.queue.append(memoryview(payload))
        self.unsent += HEADER.size + len(payload)
        self.flush(self.sink)

    def flush(self, fd):
        if self.resting:
            return
        before = self.unsent
        try:
            while self.queue:
                pieces = [self.queue[i] for i in range(min(len(self.queue), 64))]
                sent = os.writev(self.sink, pieces)
                self.unsent -= sent
                while sent or (self.queue and not self.queue[0]):
                    first = self.queue[0]
                    if sent < len(first):
                        self.queue[0] = first[sent:]
                        break
                    sent -= len(first)
                    self.queue.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        # A full pipe can be written to as soon as a page of it is free: page by page, and each
        # with a turn of everybody between here and the server. A moment later there are many.
        self.resting = bool(self.queue) and self.unsent < before
        if self.resting:
            self.guest.after(REST_SECONDS, self.end_rest)
        wants = self.queue and not self.resting
        self.guest.set_writer(fd, self.flush_and_go_on if wants else None)

    def end_rest(self):
        self.resting = False
        if self.open:
            self.flush_and_go_on(self.sink)

    def flush_and_go_on(self, fd):
        self.flush(fd)
        if self.open and self.unsent <= MAX_UNSENT // 2:
            for channel, handler in list(self.channels.values()):
                self.pump(channel, handler)
                if isinstance(handler, Viewer):
                    handler.process.update_reading()

    def close(self):
        if not self.open:
            return
        self.open = False
        own = self.socket.fileno()
        for fd in {own, self.source, self.sink}:
            self.guest.set_reader(fd, None)
            self.guest.set_writer(fd, None)
        for fd in {self.source, self.sink} - {own}:
            os.close(fd)
        self.guest.links.discard(self)
        for _, handler in list(self.channels.values()):
            handler.on_cancel()
        self.channels.clear()
        self.queue.clear()
        self.socket.close()


class Guest:
    """The loop, and the operations that a link may ask for."""

    def __init__(self, name, token, root=""):
        self.name, self.token, self.root = name, token, root
        self.selector = selectors.DefaultSelector()
        self.wants = {}
        self.timers, self.timer_count = [], 0
        self.links = set()
        self.processes = collections.OrderedDict()
        self.written = collections.OrderedDict()
        self.deadline = None
        self.environment = clean_environment(root)
        self.operations = {
            name[3:]: getattr(self, name) for name in dir(self) if name.startswith("do_")
        }

    def real(self, path):
        if not isinstance(path, str) or not path.startswith("/") or "\0" in path:
            raise Refusal("invalid", "a path starts with / and holds no NUL character")
        return self.root + path

    # The loop.

    def set_reader(self, fd, callback):
        self.set_wants(fd, 0, callback)

    def set_writer(self, fd, callback):
        self.set_wants(fd, 1, callback)

    def set_wants(self, fd, which, callback):
        wants = self.wants.get(fd, (None, None))
        new = (callback, wants[1]) if which == 0 else (wants[0], callback)
        if new == wants:
            return
        mask = (selectors.EVENT_READ if new[0] else 0) | (selectors.EVENT_WRITE if new[1] else 0)
        if not mask:
            if self.wants.pop(fd, None) is not None:
                self.selector.unregister(fd)
        elif fd in self.wants:
            self.wants[fd] = new
            self.selector.modify(fd, mask)
        else:
            self.wants[fd] = new
            self.selector.register(fd, mask)

    def after(self, seconds, callback):
        self.timer_count += 1
        heapq.heappush(self.timers, (time.monotonic() + seconds, self.timer_count, callback))

    def spawn_task(self, task, done=None):
        """Run a generator bit by bit; it gives the seconds until it wants to go on."""

        def step():
            try:
                pause = next(task)
            except StopIteration:
                if done:
                    done()
            else:
                self.after(pause, step)

        step()

    def run(self):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind("\0" + self.name)
        listener.listen(64)
        listener.setblocking(False)
        self.listener = listener
        self.set_reader(listener.fileno(), self.accept)
        self.watch_children()
        while True:
            for key, mask in self.selector.select(self.pause()):
                reader, writer = self.wants.get(key.fd, (None, None))
                if mask & selectors.EVENT_READ and reader:
                    reader(key.fd)
                writer = self.wants.get(key.fd, (None, None))[1]
                if mask & selectors.EVENT_WRITE and writer:
                    writer(key.fd)
            self.run_timers()

    def pause(self):
        if not self.timers:
            return None
        return min(max(0.0, self.timers[0][0] - time.monotonic()), MAX_PAUSE)

    def run_timers(self):
        now = time.monotonic()
        while self.timers and self.timers[0][0] <= now:
            heapq.heappop(self.timers)[2]()

    def accept(self, fd):
        try:
            connection, _ = self.listener.accept()
        except OSError:  # gone again, or no descriptor left for it
            return
        strangers = sum(not link.known for link in self.links)
        if len(self.links) - strangers >= MAX_LINKS or strangers >= MAX_STRANGERS:
            connection.close()
            return
        connection.setblocking(False)
        self.links.add(Link(self, connection))

    def watch_children(self):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        self.wakeup = (ours, theirs)
        signal.signal(signal.SIGCHLD, lambda number, stack: None)
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        self.set_reader(ours.fileno(), self.woken)

    def woken(self, fd):
        with contextlib.suppress(BlockingIOError):
            self.wakeup[0].recv(4096)
        self.reap()

    def reap(self):
        """Bury every child that died: our own, and the orphans that became ours."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for process in self.processes.values():
                if process.pid == pid and process.status is None:
                    process.ended(status)
                    break

    # Operations: each gets the channel and the arguments, and may return what handles the rest.

    def process(self, arguments):
        process = self.processes.get(arguments["id"])
        if process is None or process.forgotten:
            raise Refusal("not_found", "no such process")
        return process

    def do_start(self, channel, arguments):
        if not isinstance(arguments["id"], str) or not arguments["id"]:
            raise Refusal("invalid", "a process needs an id")
        if arguments["id"] in self.processes:
            raise Refusal("exists", "there is a process of that id")
        script_size, stdin_size = arguments.get("script_size"), arguments.get("stdin_size")
        if script_size is None and stdin_size is None:
            return self.start(channel, arguments, arguments.get("script"), None)

        def start(body):
            script = os.fsdecode(body[:script_size]) if script_size is not None else None
            stdin = body[script_size or 0 :] if stdin_size is not None else None
            viewer = self.start(channel, arguments, script or arguments.get("script"), stdin)
            channel.link.go_on(channel, viewer)

        return Body(channel, (script_size or 0) + (stdin_size or 0), start)

    def start(self, channel, arguments, script, stdin):
        self.forget(arguments.get("forget") or ())
        if not isinstance(script or "", str):
            raise Refusal("invalid", "a script is a text")
        self.make_room()
        credit = int(arguments.get("credit", WINDOW))
        process = Process(self, arguments, script, stdin)
        self.processes[process.id] = process
        if not arguments.get("attach", True):
            channel.reply({"pid": process.pid})
            return None
        return Viewer(channel, process, 0, credit)

    def make_room(self):
        """Drop the process that ended first, if there are too many."""
        if len(self.processes) < MAX_PROCESSES:
            return
        for process in self.processes.values():
            if process.exit is not None and not process.attachments and not process.outputs:
                del self.processes[process.id]
                return
        for process in self.processes.values():
            if process.exit is not None and not process.attachments:
                for fd in list(process.outputs):
                    process.close_output(fd)
                del self.processes[process.id]
                return
        raise Refusal("busy", "%d processes are running" % len(self.processes))

    def do_attach(self, channel, arguments):
        process = self.process(arguments)
        ring = process.ring
        channel.head(
            {
                "pid": process.pid,
                "oldest_offset": ring.begin,
                "next_offset": ring.end,
                "preamble": ring.modes.preamble(),
            }
        )
        credit = int(arguments.get("credit", WINDOW))
        return Viewer(channel, process, int(arguments.get("since", -1)), credit)

    def do_stdin(self, channel, arguments):
        return Typing(channel, self.process(arguments))

    def do_close_stdin(self, channel, arguments):
        self.process(arguments).stdin.end()
        channel.reply({})

    def do_resize(self, channel, arguments):
        self.process(arguments).resize(arguments["size"])
        channel.reply({})

    def do_signal(self, channel, arguments):
        process = self.process(arguments)
        number = getattr(signal, "SIG" + str(arguments["signal"]), None)
        if not isinstance(number, int):
            raise Refusal("invalid", "no such signal")
        if process.status is not None:
            raise Refusal("not_found", "the process has ended")
        if arguments.get("foreground") and process.pty is not None:
            # As a terminal does for Ctrl-C: what was typed ahead is dropped.
            process.stdin.drop()
            os.killpg(os.tcgetpgrp(process.pty), number)
            channel.reply({})
            return
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            send_signal(process.pid, number)
        channel.reply({})

    def do_kill(self, channel, arguments):
        process = self.process(arguments)
        self.spawn_task(kill_tree(self, process), lambda: channel.reply({}))

    def do_forget(self, channel, arguments):
        self.forget(arguments["ids"])
        channel.reply({})

    def forget(self, ids):
        """Drop processes whose end is on record. Output of their children is read on, and lost."""
        for process in [self.processes.get(name) for name in ids]:
            if process is not None and process.exit is not None:
                process.forgotten = True
                process.ring = Ring()
                if not process.outputs:
                    del self.processes[process.id]

    def do_processes(self, channel, arguments):
        known = [p.info() for p in self.processes.values() if not p.forgotten]
        channel.reply({"processes": known})

    def do_process(self, channel, arguments):
        channel.reply(self.process(arguments).info())

    def do_deadline(self, channel, arguments):
        seconds = seconds_of(arguments["seconds"])
        self.deadline = time.clock_gettime(time.CLOCK_BOOTTIME) + seconds
        self.after(seconds, self.at_deadline)
        channel.reply({})

    def at_deadline(self):
        if time.clock_gettime(time.CLOCK_BOOTTIME) >= self.deadline - 0.01:
            os._exit(0)

    def do_usage(self, channel, arguments):
        space = os.statvfs(self.real("/workspace"))
        memory = "/sys/fs/cgroup/memory"
        channel.reply(
            {
                "cpu_seconds": cpu_seconds(),
                "memory_bytes": first_number(
                    "/sys/fs/cgroup/memory.current", memory + "/memory.usage_in_bytes"
                ),
                "memory_limit_bytes": first_number(
                    "/sys/fs/cgroup/memory.max", memory + "/memory.limit_in_bytes"
                ),
                "processes": first_number(
                    "/sys/fs/cgroup/pids.current", "/sys/fs/cgroup/pids/pids.current"
                ),
                "pids_limit": first_number(
                    "/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"
                ),
                "workspace_bytes": (space.f_blocks - space.f_bfree) * space.f_frsize,
                "workspace_limit_bytes": space.f_blocks * space.f_frsize,
                "oom_kills": oom_kills(),
            }
        )

    def do_top(self, channel, arguments):
        """What runs in the box, whoever started it; not the guest itself, and not its relays."""
        found = living()
        children = collections.defaultdict(list)
        for pid, (parent, _, _) in found.items():
            children[parent].append(pid)
        pids = sorted(descendants(children, [os.getpid()]) & set(found) - {os.getpid()})
        seen = [usage_of(pid) for pid in pids[:MAX_SHOWN]]
        channel.reply({"processes": [one for one in seen if one], "total": len(pids)})

    def do_stat(self, channel, arguments):
        path = arguments["path"]
        channel.reply(describe(path, self.real(path), arguments.get("follow", True)))

    def do_list(self, channel, arguments):
        path, after = arguments["path"], arguments.get("after", "")
        limit = min(1000, max(1, int(arguments.get("limit", 1000))))
        real = self.real(path)
        names = sorted(name for name in os.listdir(real) if name > after)
        entries = []
        for name in names[:limit]:
            try:
                where = path.rstrip("/") + "/" + name
                entries.append(describe(where, os.path.join(real, name), follow=False))
            except FileNotFoundError:
                continue
        more = names[limit - 1] if len(names) > limit else None
        channel.reply({"entries": entries, "after": more})

    def do_read(self, channel, arguments):
        return Reader(channel, arguments, self)

    def do_write(self, channel, arguments):
        return Upload(channel, arguments, self)

    def do_written(self, channel, arguments):
        """Say where a file is that was written with a key, for one who missed the answer."""
        path = self.written.get(arguments["key"])
        if path is None:
            raise Refusal("not_found", "no file was written with that key")
        channel.reply(describe(path, self.real(path), follow=False))

    def note_written(self, key, path):
        self.written[key] = path
        while len(self.written) > MAX_WRITTEN:
            self.written.popitem(last=False)

    def do_mkdir(self, channel, arguments):
        real = self.real(arguments["path"])
        if arguments.get("parents", True):
            os.makedirs(real, exist_ok=True)
        else:
            os.mkdir(real)
        channel.reply({})

    def do_move(self, channel, arguments):
        source, target = self.real(arguments["path"]), self.real(arguments["to"])
        self.check_target(source, target, arguments)
        try:
            os.rename(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            shutil.move(source, target)
        channel.reply({})

    def do_copy(self, channel, arguments):
        source, target = self.real(arguments["path"]), self.real(arguments["to"])
        self.check_target(source, target, arguments)
        if os.path.isdir(source):
            if (os.path.realpath(target) + "/").startswith(os.path.realpath(source) + "/"):
                raise Refusal("invalid", "a folder does not go into itself")
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copy2(source, target, follow_symlinks=False)
        channel.reply({})

    def check_target(self, source, target, arguments):
        os.lstat(source)
        if os.path.lexists(target) and not arguments.get("overwrite"):
            raise Refusal("exists", "there is something of that name")

    def do_remove(self, channel, arguments):
        real = self.real(arguments["path"])
        if not os.path.isdir(real) or os.path.islink(real):
            os.unlink(real)
        elif arguments.get("recursive"):
            self.remove_tree(real)
        else:
            os.rmdir(real)
        channel.reply({})

    def remove_tree(self, real):
        """Remove a folder with all in it. What cannot be removed stays alone, and is named."""
        stays = {}

        def keep(function, path, caught):
            if path == real and function is not os.rmdir:
                raise caught[1]
            # That a folder on the way to it is not empty says nothing new.
            if caught[1].errno not in (errno.ENOTEMPTY, errno.ENOENT):
                stays.setdefault(path, caught[1])

        shutil.rmtree(real, onerror=keep)
        if not stays:
            return
        path, error = next(iter(stays.items()))
        said = refusal_of(OSError(error.errno, "", path[len(self.root) :]))
        more = " (and %d more)" % (len(stays) - 1) if len(stays) > 1 else ""
        raise Refusal(said.code, "%s%s; it stays, and the rest was removed" % (said, more))


def clean_environment(root):
    """Return what every command finds in its environment; nothing of ours."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SANDBANK_")}
    kept.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    kept.setdefault("LANG", "C.UTF-8")
    kept.setdefault("SHELL", "/bin/bash")
    if root:
        kept["HOME"] = root + "/home/sandbox"
    return kept


def show_name(title):
    """Show a name in lists of processes, where the command would be this whole program."""
    start, end = (int(n) for n in read_text("/proc/self/stat").rpartition(")")[2].split()[45:47])
    if 0 < start < end:
        ctypes.memset(start, 0, end - start)
        ctypes.memmove(start, title, min(len(title), end - start - 1))


def main():
    name, root = sys.argv[1], os.environ.pop(ROOT, "")
    token = os.environ.pop(TOKEN, "")
    show_name(b"sandbank-guest")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    if os.getpid() != 1:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, stack: None)
    if not token:
        sys.exit("the guest needs a token")
    Guest(name, token, root).run()


if __name__ == "__main__":
    main()
