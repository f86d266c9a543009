"""The zipapp's first module: it finds or makes the unpacked copy, and runs the copy.

shiv's own module does the same, but takes longer than the rest of a --help, leaves the copies of
former versions behind, and ends in a traceback if the home directory can't be written. shiv still
does the unpacking. If there can be no copy, the program runs from the archive itself, only slower.

Any Python must be able to read this file, even 2.7, to report that it is too old.
"""

import os
import sys

BUILD = "@BUILD@"  # filled in by packaging/zipapp.py: shiv's digest of all that is packed
NAME = "kubectl-selfhost"
COPIED = "start.py"  # this file's name in the copy


def start():
    if sys.version_info < (3, 10):
        sys.exit(too_old())
    archive = os.path.abspath(os.path.dirname(__file__))
    if os.path.basename(__file__) == COPIED:  # start.sh found the copy, and names its own place
        archive = sys.argv[0] = sys.argv.pop(1)
    sys.path[0] = archive
    home = cache_home()
    place = unpacked(home) or unpack(archive, home) or archive
    sys.path[0] = os.path.join(place, "site-packages")
    from kubectl_selfhost.__main__ import main

    main()


def too_old():
    return (
        "error: kubectl-selfhost needs Python 3.10 or newer; %s is Python %d.%d\n"
        "hint: Install a newer one: it is found by itself in the PATH, or through "
        "KUBECTL_SELFHOST_PYTHON." % ((sys.executable,) + tuple(sys.version_info[:2]))
    )


def cache_home():
    """Return the directory where copies are kept, by the XDG base directory specification;
    SHIV_ROOT overrides it.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return os.environ.get("SHIV_ROOT") or os.path.join(base, NAME, "unpacked")


def unpacked(home):
    """Return the copy of this build, if there is one and only the user may write it: who writes it
    decides what runs.

    This process locks the copy until it ends, so that nobody removes the copy meanwhile.
    """
    place = os.path.join(home, "%s_%s" % (NAME, BUILD))
    try:
        handle = os.open(place, os.O_RDONLY)
        hold(handle)
        held, there = os.fstat(handle), os.stat(place)
    except OSError:
        return None
    ours = there.st_uid == os.geteuid() and not there.st_mode & 0o022
    return place if ours and held.st_ino == there.st_ino else None


def hold(handle):
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # a file system without locks: nobody gets the exclusive lock, either
        pass


def unpack(archive, home):
    """Make the copy of this build and remove those of others; return None if this can't be done."""
    import zipfile
    from pathlib import Path

    from _bootstrap import extract_site_packages

    place = Path(home, "%s_%s" % (NAME, BUILD))
    try:
        os.makedirs(home, mode=0o700, exist_ok=True)
        if os.path.exists(str(place)):
            return None  # not ours alone
        before = os.umask(0o022)
        try:
            with zipfile.ZipFile(archive) as content:
                extract_site_packages(content, place)
                copy_this(content, place)
        finally:
            os.umask(before)
        remove_others(home)
    except (OSError, zipfile.BadZipFile):
        return None
    return unpacked(home)


def copy_this(content, place):
    """Put this file into the copy, whole at once: whoever sees the file there runs it."""
    partial = place / ("%s.%d" % (COPIED, os.getpid()))
    partial.write_bytes(content.read("__main__.py"))
    partial.replace(place / COPIED)


def remove_others(home):
    """Remove the copies of other builds, except copies that somebody is running."""
    import fcntl
    import shutil

    for name in os.listdir(home):
        path = os.path.join(home, name)
        if not name.startswith(NAME + "_") or BUILD in name:
            continue
        try:
            handle = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            removed = path + ".removed"
            os.rename(path, removed)
            shutil.rmtree(removed, ignore_errors=True)
            os.unlink(os.path.join(home, ".%s_lock" % name))
        except OSError:
            continue  # in use, or gone already
        finally:
            os.close(handle)


if __name__ == "__main__":
    start()
