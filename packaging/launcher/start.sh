#!/bin/sh
# kubectl-selfhost is a Python program in one file: behind these lines follows a zip archive.

# Python takes longer to open the archive than to run most of what is in it, so go straight to the
# copy that the first run unpacked (main.py), if it is there and belongs to us.
case "${XDG_CACHE_HOME:-}" in
/*) home="$XDG_CACHE_HOME" ;;
*) home="${HOME:-}/.cache" ;;
esac
copy="${SHIV_ROOT:-$home/kubectl-selfhost/unpacked}/kubectl-selfhost_@BUILD@"
if [ -O "$copy/start.py" ]; then
    set -- "$copy/start.py" "$0" "$@"
else
    set -- "$0" "$@"
fi

# Any Python from 3.10 on will do: the first in the PATH, or $KUBECTL_SELFHOST_PYTHON. The shims of
# pyenv, asdf and the like are passed over, since they start a shell or two before Python.
# -I and -S: what else is installed for that Python, or set for it, is of no concern here.
if [ -n "${KUBECTL_SELFHOST_PYTHON:-}" ]; then
    exec "$KUBECTL_SELFHOST_PYTHON" -I -S "$@"
fi
IFS=:
for directory in $PATH; do
    case "$directory" in
    */shims | [!/]* | "") continue ;;
    esac
    for minor in 14 13 12 11 10; do
        if [ -x "$directory/python3.$minor" ]; then
            unset IFS
            exec "$directory/python3.$minor" -I -S "$@"
        fi
    done
done
unset IFS
if ! command -v python3 >/dev/null; then
    echo "error: kubectl-selfhost needs Python 3.10 or newer, and there is no python3 in the PATH" >&2
    echo "hint: Install Python, or name one with KUBECTL_SELFHOST_PYTHON." >&2
    exit 1
fi
exec python3 -I -S "$@"
