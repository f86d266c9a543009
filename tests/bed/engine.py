"""The container engine: found, or installed and started.

Only on a machine without systemd (a container, a small virtual machine) the bed starts ``dockerd``
itself. If root lacks CAP_SYS_RESOURCE there, dockerd runs its containers through ``files/runtime``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from bed import cache
from bed.command import BedError, output, run, say, succeeds

CAP_SYS_RESOURCE = 24
RUNTIME = Path(__file__).parent / "files" / "runtime"
START = 60.0  # seconds that an engine may take to answer


def ready() -> None:
    """Wait until an engine answers; install and start one if there is none."""
    if not shutil.which("docker"):
        _need_root("Docker is not installed")
        install({"dockerd": "docker.io"})
    with cache.lock("engine"):
        if not _answers():
            _start()
    _check_privileged()


def published_image(image: str) -> bool:
    """Return whether the registry that has ``image`` can be reached from here; wait 10 s at most."""
    return succeeds(["docker", "manifest", "inspect", image], timeout=10)


def cgroup_version() -> int:
    """Return the version of cgroups that containers see: 1 or 2."""
    answer = output(["docker", "info", "--format", "{{.CgroupVersion}}"]).strip()
    return int(answer or 1)


def install(programs: dict[str, str]) -> None:
    """Install the Debian package of each program (``{program: package}``) that is missing."""
    missing = sorted({pkg for program, pkg in programs.items() if not shutil.which(program)})
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise BedError(
            f"install {' and '.join(missing)} first; this is no Debian, apt-get is missing"
        )
    _need_root(f"{' and '.join(missing)} must be installed")
    say(f"installing {', '.join(missing)} with apt-get (about 1 minute) ...")
    log = cache.logs() / "apt.log"
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with cache.lock("apt"):
        run(["apt-get", "update"], log=log, what="apt-get update")
        argv = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
        run(argv, log=log, what="apt-get install", env=environment)


def _answers() -> bool:
    try:
        output(["docker", "version", "--format", "{{.Server.Version}}"], timeout=20)
    except BedError as error:
        if "permission denied" in str(error):
            raise BedError("you may not use Docker: join its group, or use sudo") from None
        return False
    return True


def _start() -> None:
    if os.environ.get("DOCKER_HOST"):
        raise BedError(
            "DOCKER_HOST names a container engine that doesn't answer: start it, or unset it"
        )
    _need_root("no container engine is running")
    names = {"dockerd": "docker.io", "containerd": "containerd", "runc": "runc"}
    install(names | {"iptables": "iptables"})
    if Path("/run/systemd/system").is_dir():
        say("no container engine is running: starting docker.service")
        output(["systemctl", "start", "docker"])
    else:
        _start_by_hand()
    deadline = time.monotonic() + START
    while not _answers():
        if time.monotonic() > deadline:
            raise BedError(f"the container engine didn't answer within {START:.0f} s; see {_log()}")
        time.sleep(0.2)


def _start_by_hand() -> None:
    argv = ["dockerd"]
    how = ""
    if not _has_sys_resource():
        argv += ["--add-runtime", f"selfhost-bed={_runtime()}", "--default-runtime", "selfhost-bed"]
        how = ", without CAP_SYS_RESOURCE, which root lacks here"
    # A dockerd that was killed leaves its pid file, and a later process may have got its number.
    Path("/var/run/docker.pid").unlink(missing_ok=True)
    say(f"no container engine is running: starting dockerd{how} (log: {_log()}); it stays running")
    _log().parent.mkdir(parents=True, exist_ok=True)
    with _log().open("a") as log:
        subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
        )
    _raise_watch_limits()


def _runtime() -> Path:
    """Return the wrapper's copy in the cache, so that the engine outlives this source tree."""

    def build(target: Path) -> None:
        shutil.copy(RUNTIME, target / "runtime")

    return cache.keep(f"runtime/{cache.key(RUNTIME)}", build) / "runtime"


def _raise_watch_limits() -> None:
    """Raise the limits of inotify: several clusters need more instances than most kernels allow
    (kind's advice).
    """
    for name, least in (("max_user_instances", 1024), ("max_user_watches", 524288)):
        limit = Path("/proc/sys/fs/inotify") / name
        if int(limit.read_text()) < least:
            say(f"setting fs.inotify.{name} to {least}")
            limit.write_text(str(least))


def _check_privileged() -> None:
    """Report early, in words that name the cause, what would make kind fail."""
    if _has_sys_resource() or os.geteuid():
        return
    info = json.loads(output(["docker", "info", "--format", "{{json .}}"]))
    if info["DefaultRuntime"] == "runc":
        raise BedError(
            "the running container engine can't start privileged containers: root lacks "
            "CAP_SYS_RESOURCE here; stop it, then this starts one that can"
        )


def _has_sys_resource() -> bool:
    status = Path("/proc/self/status").read_text()
    bounding = next(line for line in status.splitlines() if line.startswith("CapBnd:"))
    return bool(int(bounding.split()[1], 16) >> CAP_SYS_RESOURCE & 1)


def _log() -> Path:
    return cache.logs() / "dockerd.log"


def _need_root(why: str) -> None:
    if os.geteuid():
        raise BedError(f"{why}, and that needs root: use sudo, or set it up and try again")
