"""Mounting and unmounting: messages, signals, exit statuses, who may."""

import ctypes
import errno
import json
import os
import pty
import signal
import subprocess
import threading

import pytest

import harness
import watchdog
from files import GONE, PR_SET_CHILD_SUBREAPER, libc, opened, refused
from harness import QUIVERFS, Store, is_mounted, quiverfs, run, until
from namespace import hold_namespace
from ordinary_user import NOBODY, device_mode, ordinary_user_words
from peer import Peer

SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


class Background:
    """A mount with its daemon in the background, which becomes a child of ours."""

    def __init__(self, store, point, options=()):
        libc.prctl(PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0)
        self.store, self.point = store, point
        self.size = store.size
        point.mkdir(exist_ok=True)
        self.reports = store.folder / "sanitizer"
        self.reports.mkdir(exist_ok=True)
        words = ["mount", store.path, point] + (["-o", ",".join(options)] if options else [])
        done = quiverfs(*words, env=harness.sanitized_environment(self.reports))
        assert (done.stdout, done.stderr) == ("", "")
        self.pid = int((store.path / "LOCK").read_text().split()[1])
        watchdog.watch(self.pid)

    def end(self):
        """Wait for the daemon: it must end with 0, and the store be well."""
        code = harness.wait_for_exit(self.pid)
        watchdog.forget(self.pid)
        self.pid = None
        reports = [report.read_text() for report in self.reports.iterdir()]
        assert (code, reports) == (0, [])
        assert not is_mounted(self.point)
        self.store.check()

    def take_away(self):
        subprocess.run(["umount", "-l", self.point], stderr=subprocess.DEVNULL, check=False)
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            watchdog.forget(self.pid)


@pytest.fixture
def store(tmp):
    return Store(tmp)


@pytest.fixture
def background(store, tmp):
    """Makes mounts in the background, of `store` unless told otherwise."""
    made = []

    def make(options=(), of=store, point=None):
        made.append(Background(of, point or tmp / "mnt", options))
        return made[-1]

    yield make
    for mounted in made:
        mounted.take_away()
    libc.prctl(PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(0), 0, 0, 0)


# ---- it works, and only then returns ----------------------------------------------


def test_it_works_when_mount_returns(background, tmp, rng):
    for number in range(10):
        mounted = background()
        path = mounted.point / "vectors" / str(number)
        data = rng.randbytes(mounted.size)
        path.write_bytes(data)
        assert path.read_bytes() == data
        run("umount", mounted.point)
        # a command at once waits for the daemon
        assert json.loads(quiverfs("status", mounted.store.path, "--json").stdout)["count"] \
            == number + 1
        mounted.end()


def test_the_daemon_lets_go_of_the_terminal_and_the_folder(background, tmp):
    mounted = background()
    proc = f"/proc/{mounted.pid}"
    assert os.readlink(f"{proc}/cwd") == "/"
    assert [os.readlink(f"{proc}/fd/{fd}") for fd in range(3)] == ["/dev/null"] * 3
    assert os.getpgid(mounted.pid) == mounted.pid
    run("umount", mounted.point)
    mounted.end()


def in_a_terminal(store, point):
    """A session with a terminal, which mounts and goes on: its leader and our end of it."""
    leader, terminal = pty.fork()
    if leader == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup(1) has had ignored
        subprocess.run([QUIVERFS, "mount", store.path, point], check=True)
        os.write(1, b"ready")
        os.execlp("sleep", "sleep", "100")
    said = b""
    while not said.endswith(b"ready"):
        said += os.read(terminal, 1000)
    assert said == b"ready"
    return leader, terminal


def test_the_daemon_outlives_the_terminal(store, tmp, rng):
    """It stays in the session, to be scheduled with it, and is nothing to its terminal."""
    point = tmp / "mnt"
    point.mkdir()
    leader, terminal = in_a_terminal(store, point)
    try:
        pid = int((store.path / "LOCK").read_text().split()[1])
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            ids = [int(word) for word in file.read().rsplit(")", 1)[1].split()[2:5]]
        assert ids == [pid, leader, 0]  # process group, session, terminal
        os.close(terminal)  # it hangs up
        assert os.waitstatus_to_exitcode(os.waitpid(leader, 0)[1]) == -signal.SIGHUP
        data = rng.randbytes(store.size)
        (point / "vectors" / "1").write_bytes(data)
        assert (point / "vectors" / "1").read_bytes() == data
    finally:
        subprocess.run(["umount", point], check=False)
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the daemon goes on")
    store.check()


def test_what_the_system_shows_of_it(background):
    mounted = background(options=["nosuid", "nodev", "noexec", "noatime"])
    line = next(line for line in open("/proc/self/mountinfo") if f" {mounted.point} " in line)
    assert " fuse.quiverfs " in line
    assert f" {mounted.store.path} " in line
    for option in ("nosuid", "nodev", "noexec", "noatime", "default_permissions"):
        assert option in line
    assert str(mounted.pid) in (mounted.store.path / "LOCK").read_text()
    assert str(mounted.point) in (mounted.store.path / "LOCK").read_text()
    run("umount", mounted.point)
    mounted.end()


@pytest.mark.parametrize("name", ["with space", "comma,comma", "back\\slash", "ünï", "quote\"s",
                                  "percent%20", "tab\there"])
def test_names_of_every_kind(background, tmp, name, rng):
    store = Store(tmp, name="store " + name)
    mounted = background(of=store, point=tmp / ("mnt " + name))
    path = mounted.point / "vectors/1"
    data = rng.randbytes(store.size)
    path.write_bytes(data)
    assert path.read_bytes() == data
    # both names find it
    for target in (mounted.point, store.path):
        assert json.loads(quiverfs("status", target, "--json").stdout)["count"] == 1
    os.kill(mounted.pid, signal.SIGTERM)
    harness.wait_for_exit(mounted.pid)
    mounted.pid = None
    assert os.listdir(mounted.point) == []
    store.check()


def test_relative_paths(store, tmp):
    (tmp / "here").mkdir()
    quiverfs("mount", "store", "here", cwd=tmp)
    assert is_mounted(tmp / "here")
    run("umount", "here", cwd=tmp)
    quiverfs("status", store.path)


def test_two_mounts_side_by_side(background, tmp, rng):
    one = background()
    two = background(of=Store(tmp, name="other"), point=tmp / "mnt2")
    (one.point / "vectors/1").write_bytes(bytes(one.size))
    assert os.listdir(two.point / "vectors") == []
    for mounted in (one, two):
        run("umount", mounted.point)
        mounted.end()


@pytest.mark.parametrize("wish", ["auto", "on", "off"])
def test_the_transport_is_chosen_and_told(background, io_uring, wish):
    if wish == "on" and io_uring:
        pytest.skip(io_uring)
    mounted = background(options=["io_uring=" + wish])
    text = (mounted.point / "control/stats").read_text()
    stats = dict(line.split(" ", 1) for line in text.splitlines())
    assert stats["transport"] == ("dev_fuse" if wish == "off" or io_uring else "io_uring")
    assert stats["transport_reason"]
    shown = quiverfs("status", mounted.point).stdout
    assert stats["transport_reason"] in shown
    run("umount", mounted.point)
    mounted.end()


# ---- it does not work, and says why ----------------------------------------------------


def fails(*words, says, status=1, **options):
    done = quiverfs("mount", *words, status=status, **options)
    for part in says:
        assert str(part) in done.stderr, done.stderr
    assert done.stdout == ""
    return done


@pytest.mark.parametrize("foreground", [[], ["-f"]])
def test_refusals_say_why(store, tmp, foreground):
    point = tmp / "mnt"
    point.mkdir()
    full = tmp / "full"
    full.mkdir()
    (full / "file").write_text("mine")
    fails(tmp / "missing", point, *foreground, says=[tmp / "missing", "No such file"])
    fails(full, point, *foreground, says=[full])
    fails(full / "file", point, *foreground, says=[full / "file"])
    fails(store.path, tmp / "nowhere", *foreground, says=[tmp / "nowhere"])
    fails(store.path, full, *foreground, says=[full, "empty"])
    fails(store.path, full / "file", *foreground, says=[full / "file"])
    fails(store.path, store.path, *foreground, says=[store.path])
    fails(store.path, store.path / "wal", *foreground, says=[store.path])
    for option in ("nonsense", "uid=", "uid=nobody-of-this-name", "umask=9", "umask=1777",
                   "durability=never", "commit=-1", "autocompact=101", "io_uring=maybe", "remount"):
        fails(store.path, point, *foreground, "-o", option, says=[option.split("=")[0]],
              status=2)
    assert not is_mounted(point)
    assert not is_mounted(full)
    store.check()


def test_a_store_in_use_names_process_and_mount(background, store, tmp):
    mounted = background()
    (tmp / "other").mkdir()
    fails(store.path, tmp / "other", says=[store.path, mounted.pid, mounted.point])
    fails(store.path, tmp / "other", "-f", "-o", "ro", says=[mounted.pid, mounted.point])
    assert os.listdir(tmp / "other") == []
    run("umount", mounted.point)
    mounted.end()


def test_a_mount_point_in_use(background, tmp):
    mounted = background()
    other = Store(tmp, name="other")
    fails(other.path, mounted.point, says=[mounted.point])
    (mounted.point / "vectors/1").write_bytes(bytes(mounted.size))
    run("umount", mounted.point)
    mounted.end()


def test_a_damaged_store_is_not_mounted(store, tmp):
    (tmp / "mnt").mkdir()
    os.truncate(store.path / "vectors.npy", 100)
    done = fails(store.path, tmp / "mnt", says=[store.path])
    assert "vectors.npy" in done.stderr
    assert not is_mounted(tmp / "mnt")


# ---- the end --------------------------------------------------------------------------


@pytest.fixture
def heard_hangup():
    """A daemon in the foreground leaves SIGHUP ignored where it was, as by nohup(1)."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("heard_hangup")
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("kind", ["background", "foreground"])
def test_a_signal_ends_it_in_order(stores, background, number, kind, rng):
    """Mode none: only the checkpoint at the end keeps what was written."""
    if kind == "background":
        mounted = background(options=["durability=none"])
        pid, store = mounted.pid, mounted.store
    else:
        mounted = stores.mount(stores.create(name="other"), name="mnt2",
                               options=["durability=none"])
        pid, store = mounted.pid, mounted.store
    data = {vector: rng.randbytes(mounted.size) for vector in range(20)}
    for vector, value in data.items():
        (mounted.point / "vectors" / str(vector)).write_bytes(value)
    os.kill(pid, number)
    if kind == "background":
        mounted.end()
    else:
        assert mounted.ended() == []
        assert not is_mounted(mounted.point)
        store.check()
    again = stores.mount(store, name="mnt3")
    assert again.stats()["replayed"] == "0"
    for vector, value in data.items():
        assert again.get(vector) == value


@pytest.mark.needs_root("makes namespaces")
def test_a_signal_while_another_namespace_has_the_mount(stores, rng):
    """As a container or a service has that was started while the store was mounted."""
    mounted = stores.mount(options=["durability=none"])
    data = rng.randbytes(mounted.size)
    mounted.put(1, data)
    holder = hold_namespace()
    try:
        os.kill(mounted.pid, signal.SIGTERM)
        assert mounted.ended() == []
        assert not is_mounted(mounted.point)
        assert "another mount namespace" in mounted.log_text()
    finally:
        holder.stdin.close()
        holder.wait()
    mounted.store.check()
    again = stores.mount(mounted.store)
    assert again.stats()["replayed"] == "0"
    assert again.get(1) == data


def test_a_signal_while_files_are_open(background, rng, tmp):
    mounted = background()
    folder = mounted.point / "vectors"
    data = rng.randbytes(mounted.size)
    (folder / "1").write_bytes(data)
    with opened(folder / "1", os.O_RDONLY) as reader, \
            opened(folder / "2", os.O_WRONLY | os.O_CREAT) as writer:
        os.write(writer, b"half")
        os.kill(mounted.pid, signal.SIGTERM)
        mounted.end()
        with refused(*GONE, errno.EIO, errno.EINVAL):
            os.close(writer)
        with refused(*GONE, errno.EIO):
            os.pread(reader, 100, 0)
    mounted = background()
    assert os.listdir(mounted.point / "vectors") == ["1"]
    assert (mounted.point / "vectors/1").read_bytes() == data
    run("umount", mounted.point)
    mounted.end()


def test_a_signal_while_all_are_writing(background, rng):
    mounted = background()
    folder, size = mounted.point / "vectors", mounted.size
    done = []

    def write():
        for vector in range(10**6):
            try:
                with open(folder / str(vector), "wb") as file:
                    file.write(vector.to_bytes(4, "little") * (size // 4))
            except OSError:
                return
            done.append(vector)

    thread = threading.Thread(target=write)
    thread.start()
    until(lambda: len(done) > 100, "nothing is written")
    os.kill(mounted.pid, signal.SIGTERM)
    thread.join()
    mounted.end()
    mounted = background()
    found = set(map(int, os.listdir(mounted.point / "vectors")))
    assert set(done) <= found
    for vector in found:
        data = (mounted.point / "vectors" / str(vector)).read_bytes()
        assert data == vector.to_bytes(4, "little") * (size // 4)
    run("umount", mounted.point)
    mounted.end()


def test_umount_of_a_busy_mount(background):
    mounted = background()
    with opened(mounted.point / "vectors", os.O_RDONLY):
        done = run("umount", mounted.point, status=None)
        assert done.returncode != 0
        assert b"busy" in done.stderr
        (mounted.point / "vectors/1").write_bytes(bytes(mounted.size))
    run("umount", mounted.point)
    mounted.end()


def test_a_lazy_umount_ends_with_the_last_file(background):
    mounted = background()
    path = mounted.point / "vectors/1"
    path.write_bytes(bytes(mounted.size))
    with opened(path, os.O_RDWR) as fd:
        run("umount", "-l", mounted.point)
        assert not is_mounted(mounted.point)
        os.pwrite(fd, b"x" * mounted.size, 0)
        assert os.pread(fd, mounted.size, 0) == b"x" * mounted.size
        os.close(fd)
    mounted.end()
    mounted = background()
    assert path.read_bytes() == b"x" * mounted.size
    run("fusermount3", "-u", mounted.point)
    mounted.end()


def test_mounting_again_at_once(background, rng):
    for number in range(5):
        mounted = background()
        (mounted.point / "vectors" / str(number)).write_bytes(rng.randbytes(mounted.size))
        pid, mounted.pid = mounted.pid, None
        run("umount", mounted.point)
        again = background()  # waits for the one that is ending
        assert len(os.listdir(again.point / "vectors")) == number + 1
        assert harness.wait_for_exit(pid) == 0
        watchdog.forget(pid)
        run("umount", again.point)
        again.end()


# ---- ordinary users ---------------------------------------------------------------------


@pytest.fixture
def theirs(stores, store, tmp, ordinary_user):
    """A mount of the user nobody."""
    (tmp / "mnt").mkdir()
    run("chown", "-R", "nobody:nogroup", store.path, tmp / "mnt")
    os.chmod(store.path, 0o700)
    run(*ordinary_user_words, QUIVERFS, "status", store.path)

    def make(options=()):
        return stores.mount(store, options=options, **ordinary_user)

    return make


def test_an_ordinary_user_mounts_and_unmounts(theirs, rng):
    if not os.path.lexists("/etc/mtab"):
        pytest.skip("fusermount3 does not unmount without /etc/mtab")
    mnt = theirs()
    user = Peer(uid=NOBODY, gid=NOBODY)
    data = rng.randbytes(mnt.size)
    try:
        user.call("chmod", str(mnt.vectors), 0o755)
    except OSError:
        pass  # it belongs to whoever made the store
    line = next(line for line in open("/proc/self/mountinfo") if f" {mnt.point} " in line)
    assert f"user_id={NOBODY}" in line
    assert "nosuid" in line
    assert "allow_other" not in line
    # nobody else may look into it, not even root
    with refused(errno.EACCES):
        os.listdir(mnt.point)
    stranger = Peer(uid=12345, gid=12345)
    with refused(errno.EACCES):
        stranger.call("listdir", str(mnt.point))
    stranger.close()
    assert user.call("listdir", str(mnt.vectors)) == []
    assert user.read(mnt.control_folder / "count") == b"0\n"
    user.write(mnt.control_folder / "put", (1).to_bytes(8, "little") + data)
    assert user.read(mnt.path(1)) == data
    user.close()
    run(*ordinary_user_words, "fusermount3", "-u", mnt.point)
    assert mnt.ended() == []
    mnt.store.check()


def test_a_signal_ends_an_ordinary_users_mount(theirs):
    mnt = theirs()
    os.kill(mnt.pid, signal.SIGTERM)
    assert mnt.ended() == []
    assert not is_mounted(mnt.point)


def test_allow_other_needs_the_administrators_consent(store, tmp, theirs):
    if "\nuser_allow_other" in "\n" + (open("/etc/fuse.conf").read()
                                       if os.path.exists("/etc/fuse.conf") else ""):
        pytest.skip("/etc/fuse.conf lets every user do so")
    done = run(*ordinary_user_words, QUIVERFS, "mount", store.path, tmp / "mnt", "-o",
               "allow_other", status=1)
    assert b"user_allow_other" in done.stderr
    assert not is_mounted(tmp / "mnt")


@pytest.mark.needs_root("looks at an ordinary user's mount")
def test_a_user_without_the_device_hears_so(store, tmp):
    (tmp / "mnt").mkdir()
    run("chown", "-R", "nobody:nogroup", store.path, tmp / "mnt")
    with device_mode(0o600):
        done = run(*ordinary_user_words, QUIVERFS, "mount", store.path, tmp / "mnt", status=1)
    assert b"/dev/fuse" in done.stderr


def test_a_store_of_somebody_else(store, tmp, ordinary_user):
    (tmp / "mnt").mkdir()
    run("chown", "nobody:nogroup", tmp / "mnt")
    done = run(*ordinary_user_words, QUIVERFS, "mount", store.path, tmp / "mnt", status=1)
    assert b"ermission denied" in done.stderr
    assert str(store.path).encode() in done.stderr
