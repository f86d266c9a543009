"""The bed's command line: make and delete clusters, build their parts.

The kubeconfig is the file that KUBECONFIG names, or else kind's default.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from bed import cache, cluster, golang
from bed.command import BedError, say


def main() -> int:
    arguments = _parser().parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C: tidily
    try:
        arguments.run(arguments)
    except BedError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m bed", description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(required=True)

    create = verbs.add_parser("create", help="create a cluster and wait until it is Ready")
    create.add_argument("name")
    create.add_argument("--config", type=Path, help="a kind configuration (default: one node)")
    create.add_argument("--kubernetes", default="", help="a version (default: the newest tested)")
    create.set_defaults(
        run=lambda a: cluster.create(
            a.name, config=a.config, release=cluster.release_named(a.kubernetes)
        )
    )

    delete = verbs.add_parser("delete", help="delete a cluster")
    delete.add_argument("name")
    delete.set_defaults(run=lambda a: cluster.delete(a.name))

    prepare = verbs.add_parser("prepare", help="see to the engine, the programs, the node image")
    prepare.add_argument("--kubernetes", default="", help="a version (default: the newest tested)")
    prepare.set_defaults(run=lambda a: cluster.prepare(cluster.release_named(a.kubernetes)))

    clear = verbs.add_parser("clear-cache", help="remove all that was built and kept")
    clear.set_defaults(run=lambda _: cache.clear())

    tool = verbs.add_parser("tool", help="print the path of a program, built if need be")
    tool.add_argument("name", choices=sorted(golang.TOOLS))
    tool.set_defaults(run=lambda a: print(golang.tool(a.name)))
    return parser


if __name__ == "__main__":
    sys.exit(main())
