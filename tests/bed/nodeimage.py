"""The node image, made without any image registry: Debian, kind's own base files, Go modules.

Making takes minutes the first time; the result stays in the cache, and in the container engine.
``noderoot`` says what is in it.
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bed import archive, cache, command, golang, noderoot, versions
from bed.command import BedError, output, run, say, succeeds, told


def tag() -> str:
    """The image's name, with a key of all that goes into it."""
    return f"kubectl-selfhost/node:{versions.KUBERNETES}-{_key()}"


def known() -> bool:
    """Whether it was built before: then nobody needs to ask for the published one."""
    return (cache.root() / f"node/{_key()}").exists()


def present() -> str:
    """The node image in the container engine: as it is, from the cache, or built now."""
    if succeeds(["docker", "image", "inspect", tag()]):
        return tag()
    with cache.lock("import"):
        if not succeeds(["docker", "image", "inspect", tag()]):
            file = cache.keep(f"node/{_key()}", _build) / "image.tar"
            with told("loading the node image into the container engine", "20 s"):
                output(["docker", "load", "--input", file], timeout=600)
            _forget_others()
    return tag()


def _forget_others() -> None:
    """Remove earlier node images, a gigabyte each; the engine keeps those that a cluster runs."""
    for place in (cache.root() / "node").iterdir():
        if place.name != _key():
            shutil.rmtree(place)
    name = tag().partition(":")[0]
    for image in output(
        ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", name]
    ).split():
        if image != tag():
            succeeds(["docker", "image", "rm", image], timeout=60)


def load_balancer() -> None:
    """Give kind's load balancer image a local stand-in, where the node image is local too."""
    image, label = versions.LOAD_BALANCER_IMAGE, "kubectl-selfhost.bed"
    form = '{{index .Config.Labels "' + label + '"}}'
    ask = ["docker", "image", "inspect", "--format", form, image]
    if succeeds(ask) and output(ask).strip() in (tag(), ""):  # ours, or the real one
        return
    say("making the load balancer's image from the node image (it has Debian's haproxy)")
    container = output(["docker", "create", tag()]).strip()
    try:
        # An empty entry point would be taken for none given, and the node's would stay.
        changes = ["--change", 'ENTRYPOINT ["/usr/bin/env"]', "--change", f"LABEL {label}={tag()}"]
        output(["docker", "commit", *changes, container, image])
    finally:
        output(["docker", "rm", "--volumes", container])


def _key() -> str:
    recipes = [recipe.key() for recipe in noderoot.RECIPES]
    files = [noderoot.FILES / name for name in sorted(os.listdir(noderoot.FILES))]
    makers = [Path(noderoot.__file__), Path(archive.__file__)]
    return cache.key(recipes, _debian_key(), *files, *makers)


def _debian_key() -> str:
    return cache.key(versions.DEBIAN, noderoot.PACKAGES)


def _build(target: Path) -> None:
    if os.geteuid():
        raise BedError("building the node image needs root (debootstrap, chroot): use sudo")
    if os.uname().machine != "x86_64":
        raise BedError("without an image registry in reach the node image is built for amd64 only")
    parts = all((cache.root() / recipe.place()).exists() for recipe in noderoot.RECIPES)
    expect = "30 s" if parts else "10 minutes on 2 cores"
    with told("making the node image from Debian and Go packages", expect):
        debian = _parts()
        with told("putting the node image together", "20 s"):
            noderoot.assemble(debian / "root", target)
            archive.wrap(target / "image.tar", tag(), target / "layer.tar", noderoot.CONFIG)


def _parts() -> Path:
    """Build what the image is made of; returns Debian's directory.

    debootstrap waits for the network and for dpkg, Go for the CPUs: so two things at a time.
    """
    pool = ThreadPoolExecutor(2)
    try:
        jobs = [pool.submit(golang.built, golang.KUBERNETES)]  # the longest
        debian = pool.submit(cache.keep, f"debian/{_debian_key()}", _debootstrap)
        others = [recipe for recipe in noderoot.RECIPES if recipe != golang.KUBERNETES]
        jobs += [pool.submit(golang.built, recipe) for recipe in others]
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
    # In a mount namespace of its own: what an interrupted run has mounted goes with it.
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
