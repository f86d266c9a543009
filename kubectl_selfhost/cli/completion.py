"""``kubectl selfhost completion``, and the answers to the scripts that it prints.

kubectl (from 1.26) completes a plugin's words by running ``kubectl_complete-<plugin>`` from the
PATH. That program answers as cobra's programs do: each candidate on a line, a tab, a description,
and at the end a directive. krew links one program for each plugin, so this verb prints the second
program, and a person saves it by hand. All scripts call ``kubectl-selfhost __complete``.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from kubectl_selfhost.cli.commands import GROUPS, VERBS
from kubectl_selfhost.cli.suggestions import among
from kubectl_selfhost.errors import SelfhostError

#: cobra's ShellCompDirectiveNoFileComp and its default, which lets the shell offer files.
NO_FILES, FILES = 4, 0

_FILE_OPTIONS = ("--kubeconfig",)

_KUBECTL = """\
#!/bin/sh
# Completes `kubectl selfhost` for kubectl's own completion (kubectl 1.26 and newer).
# Keep it in the PATH as an executable named kubectl_complete-selfhost:
#   kubectl selfhost completion kubectl > ~/.local/bin/kubectl_complete-selfhost
#   chmod +x ~/.local/bin/kubectl_complete-selfhost
exec kubectl selfhost __complete "$@"
"""

_BASH = """\
# Completes kubectl-selfhost in bash:  source <(kubectl selfhost completion bash)
# For `kubectl selfhost` see: kubectl selfhost completion kubectl
_kubectl_selfhost() {
    local line words=("${COMP_WORDS[@]:1:COMP_CWORD}")
    COMPREPLY=()
    while IFS= read -r line; do
        case "$line" in
            :0) compopt -o default ;;
            :*) ;;
            *) COMPREPLY+=("${line%%$'\\t'*}") ;;
        esac
    done < <(kubectl-selfhost __complete "${words[@]}" 2>/dev/null)
}
complete -F _kubectl_selfhost kubectl-selfhost
"""

_ZSH = """\
#compdef kubectl-selfhost
# Completes kubectl-selfhost in zsh:  source <(kubectl selfhost completion zsh)
# For `kubectl selfhost` see: kubectl selfhost completion kubectl
_kubectl_selfhost() {
    local line directive
    local -a candidates
    while IFS= read -r line; do
        case "$line" in
            :*) directive="$line" ;;
            *) candidates+=("${${line//:/\\\\:}/$'\\t'/:}") ;;
        esac
    done < <(kubectl-selfhost __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    _describe 'kubectl selfhost' candidates
    [[ "$directive" == :0 ]] && _files
}
(( $+functions[compdef] )) && compdef _kubectl_selfhost kubectl-selfhost
"""

_FISH = """\
# Completes kubectl-selfhost in fish:  kubectl selfhost completion fish | source
# For `kubectl selfhost` see: kubectl selfhost completion kubectl
function __kubectl_selfhost
    set -l words (commandline -opc) (commandline -ct)
    kubectl-selfhost __complete $words[2..] 2>/dev/null | string match -v -r '^:'
end
complete -c kubectl-selfhost -f -a '(__kubectl_selfhost)'
"""

SCRIPTS = {"kubectl": _KUBECTL, "bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def completion(
    shell: Annotated[
        str, typer.Argument(help="kubectl, bash, zsh or fish.", autocompletion=among(SCRIPTS))
    ],
) -> None:
    """Print the completion script for kubectl, bash, zsh or fish.

    The script for kubectl is a small program. Save the program in the PATH as
    kubectl_complete-selfhost: then kubectl's own completion continues after "kubectl selfhost". The
    other scripts complete kubectl-selfhost.
    """
    if shell not in SCRIPTS:
        raise SelfhostError(
            f"there is no completion for {shell}", f"Choose one of {', '.join(SCRIPTS)}."
        )
    sys.stdout.write(SCRIPTS[shell])


def suggest(words: list[str]) -> int:
    """Print what can replace the last of ``words``. Return 0, even if there is nothing to print."""
    *before, incomplete = words or [""]
    try:
        candidates, directive = _candidates(before, incomplete)
    except Exception:  # a message would appear in the middle of what the person types
        candidates, directive = [], NO_FILES
    for value, line in candidates:
        sys.stdout.write(f"{value}\t{line}\n" if line else f"{value}\n")
    sys.stdout.write(f":{directive}\n")
    return 0


def _candidates(before: list[str], incomplete: str) -> tuple[list[tuple[str, str]], int]:
    from kubectl_selfhost.cli.words import spelled_out

    words = spelled_out([*before, "VERB"])
    if words[0] == "VERB":
        return _verbs("", incomplete), NO_FILES
    if words[0] in GROUPS:
        return _verbs(f"{words[0]} ", incomplete), NO_FILES
    ahead = spelled_out(before)
    if ahead[0] not in VERBS:
        return [], NO_FILES
    return _options(ahead[0], ahead[1:], incomplete)


def _verbs(group: str, incomplete: str) -> list[tuple[str, str]]:
    """Return the next words of the verbs that begin with ``group``, each once."""
    found: dict[str, str] = {}
    for verb, (_, _, line) in VERBS.items():
        if verb.startswith(group + incomplete):
            word, *more = verb[len(group) :].split()
            found.setdefault(word, "" if more else line)
    return list(found.items())


def _options(verb: str, before: list[str], incomplete: str) -> tuple[list[tuple[str, str]], int]:
    """Return the values of the option or argument that ``incomplete`` begins, or the names of
    options.
    """
    from kubectl_selfhost.cli.options import command

    made = command(verb)
    prefix = ""
    if incomplete.startswith("--") and "=" in incomplete:
        name, _, incomplete = incomplete.partition("=")
        before, prefix = [*before, name], f"{name}="
    options = {name: p for p in made.params for name in p.opts if name.startswith("-")}
    last = options.get(before[-1]) if before else None
    context = made.make_context(verb, list(before), resilient_parsing=True)
    if last is not None and not getattr(last, "is_flag", False):
        items = last.shell_complete(context, incomplete)
        files = FILES if before[-1] in _FILE_OPTIONS else NO_FILES
        return [(prefix + str(item.value), item.help or "") for item in items], files
    if incomplete.startswith("-"):
        items = made.shell_complete(context, incomplete)
    else:
        free = (p for p in made.params if p.param_type_name == "argument")
        items = [i for p in free for i in p.shell_complete(context, incomplete)]
    return [(str(i.value), (i.help or "").split(". ")[0]) for i in items], NO_FILES
