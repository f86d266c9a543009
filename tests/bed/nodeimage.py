"""The node image, made without any image registry: Debian, kind's own base files, Go modules.

The first build takes minutes; the result stays in the cache, and in the container engine.
``noderoot`` says what is in it.
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bed import archive, cache, command, golang, noderoot, versions
from bed.command import BedError, output, run, say, succeeds, told
from bed.versions import Release

_NAME = "kubectl-selfhost/node"


def tag(release: Release) -> str:
    """Return the image's name, with a key of all that goes into the image."""
    return f"{_NAME}:{release.kubernetes}-{_key(release)}"


def known(release: Release) -> bool:
    """Return whether the image was built before: then nobody needs to ask for the published image."""
    return (cache.root() / _place(release)).exists()


def present(release: Release) -> str:
    """Return the image's name when the container engine has the image; build it now if needed."""
    if succeeds(["docker", "image", "inspect", tag(release)]):
        return tag(release)
    with cache.lock("import"):
        if not succeeds(["docker", "image", "inspect", tag(release)]):
            file = cache.keep(_place(release), lambda target: _build(release, target)) / "image.tar"
            with told("loading the node image into the container engine", "20 s"):
                output(["docker", "load", "--input", file], timeout=600)
            _forget_others(release)
    return tag(release)


def _forget_others(release: Release) -> None:
    """Remove earlier node images of ``release``, a gigabyte each.

    The engine keeps images that a cluster runs.
    """
    for place in (cache.root() / "node").glob(f"{release.kubernetes}-*"):
        if place != cache.root() / _place(release):
            shutil.rmtree(place)
    listing = ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", _NAME]
    for image in output(listing).split():
        if image.startswith(f"{_NAME}:{release.kubernetes}-") and image != tag(release):
            succeeds(["docker", "image", "rm", image], timeout=60)


def load_balancer(release: Release) -> None:
    """Give kind's load balancer image a local stand-in, if the node image is local too."""
    image, label = versions.LOAD_BALANCER_IMAGE, "kubectl-selfhost.bed"
    form = '{{index .Config.Labels "' + label + '"}}'
    ask = ["docker", "image", "inspect", "--format", form, image]
    if succeeds(ask) and output(ask).strip() in (tag(release), ""):  # ours, or the real one
        return
    say("making the load balancer's image from the node image (it has Debian's haproxy)")
    container = output(["docker", "create", tag(release)]).strip()
    try:
        # Docker takes an empty entry point for none given, and keeps the node's.
        changes = ["--change", 'ENTRYPOINT ["/usr/bin/env"]']
        changes += ["--change", f"LABEL {label}={tag(release)}"]
        output(["docker", "commit", *changes, container, image])
    finally:
        output(["docker", "rm", "--volumes", container])


def _place(release: Release) -> str:
    """Return the image's directory in the cache, relative to the root."""
    return f"node/{release.kubernetes}-{_key(release)}"


def _key(release: Release) -> str:
    recipes = [recipe.key() for recipe in noderoot.recipes(release)]
    files = [noderoot.FILES / name for name in sorted(os.listdir(noderoot.FILES))]
    makers = [Path(noderoot.__file__), Path(archive.__file__)]
    return cache.key(recipes, _debian_key(), *files, *makers)


def _debian_key() -> str:
    return cache.key(versions.DEBIAN, noderoot.PACKAGES)


def _build(release: Release, target: Path) -> None:
    if os.geteuid():
        raise BedError("building the node image needs root (debootstrap, chroot): use sudo")
    if os.uname().machine != "x86_64":
        raise BedError("without an image registry in reach the node image is built for amd64 only")
    recipes = noderoot.recipes(release)
    parts = all((cache.root() / recipe.place()).exists() for recipe in recipes)
    expect = "30 s" if parts else "10 minutes on 2 cores"
    with told(f"making the node image of {release.kubernetes} from packages", expect):
        debian = _parts(recipes)
        with told("putting the node image together", "20 s"):
            noderoot.assemble(release, debian / "root", target)
            archive.wrap(target / "image.tar", tag(release), target / "layer.tar", noderoot.CONFIG)


def _parts(recipes: list[golang.Recipe]) -> Path:
    """Build ``recipes``, the longest first, and Debian's root; return Debian's directory.

    debootstrap waits for the network and for dpkg, Go for the CPUs: so the two run at a time.
    """
    pool = ThreadPoolExecutor(2)
    try:
        jobs = [pool.submit(golang.built, recipes[0])]
        debian = pool.submit(cache.keep, f"debian/{_debian_key()}", _debootstrap)
        jobs += [pool.submit(golang.built, recipe) for recipe in recipes[1:]]
        for job in jobs:
            job.result()
        return debian.result()
    except BaseException:
        command.stop_all()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _debootstrap(target: Path) -> None:
    from bed import engine

    engine.install({"debootstrap": "debootstrap"})
    log = cache.logs() / "debootstrap.log"
    log.unlink(missing_ok=True)
    include = ",".join(noderoot.PACKAGES)
    # In a mount namespace of its own: its end removes what an interrupted run has mounted.
    argv = ["unshare", "--mount", "debootstrap", "--variant=minbase", f"--include={include}"]
    with told(f"fetching Debian {versions.DEBIAN} for the node's root", "1 to 2 minutes"):
        run([*argv, versions.DEBIAN, target / "root"], log=log, what="debootstrap")
    root = target / "root"
    for waste in (
        "var/cache/apt",
        "var/lib/apt/lists",
        "var/log",
        "usr/share/doc",
        "usr/share/man",
    ):
        shutil.rmtree(root / waste, ignore_errors=True)
        (root / waste).mkdir()
    shutil.rmtree(root / "usr/share/locale", ignore_errors=True)
