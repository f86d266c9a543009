from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from kubectl_selfhost.cli import completion
from kubectl_selfhost.cli.commands import VERBS


@pytest.fixture
def complete(capsys: pytest.CaptureFixture[str]):
    """Return a function that gives the candidates for the last of some words, and the directive."""

    def typed(*words: str) -> tuple[list[str], str]:
        assert completion.suggest(list(words)) == 0
        *candidates, directive = capsys.readouterr().out.splitlines()
        return [line.partition("\t")[0] for line in candidates], directive

    return typed


def test_nothing_typed_offers_every_verb(complete):
    words = list(dict.fromkeys(verb.split()[0] for verb in VERBS))
    assert complete("") == (words, ":4")


def test_a_group_offers_its_verbs(complete):
    assert complete("credentials", "") == (["status", "renew", "to-secrets", "to-host"], ":4")
    assert complete("credentials", "r") == (["renew"], ":4")
    assert "--if-less-than" in complete("credentials", "renew", "--if")[0]


def test_a_verb_is_completed(complete):
    assert complete("st") == (["status"], ":4")


def test_a_verb_is_described(capsys):
    completion.suggest(["st"])
    assert f"status\t{VERBS['status'][2]}\n" in capsys.readouterr().out


def test_a_verb_is_completed_after_kubectls_flags(complete):
    assert complete("--context", "x", "st") == (["status"], ":4")


def test_options_are_completed(complete):
    assert "--watch" in complete("status", "--w")[0]


@pytest.mark.parametrize("words", [("-o", "j"), ("--output", "j")])
def test_a_value_is_completed(complete, words):
    assert complete("status", *words) == (["json"], ":4")


def test_a_value_after_an_equals_sign_keeps_its_option(complete):
    assert complete("pivot", "--dry-run=c") == (["--dry-run=client"], ":4")


def test_an_argument_is_completed(complete):
    assert complete("completion", "k") == (["kubectl"], ":4")


def test_contexts_come_from_the_kubeconfig(complete, tmp_path, monkeypatch):
    file = tmp_path / "config"
    file.write_text("contexts: [{name: blue}, {name: black}, {name: red}]")
    monkeypatch.setenv("KUBECONFIG", str(file))
    assert complete("status", "--context", "bl") == (["black", "blue"], ":4")


def test_a_broken_kubeconfig_offers_nothing(complete, tmp_path, monkeypatch):
    file = tmp_path / "config"
    file.write_text("contexts: [{")
    monkeypatch.setenv("KUBECONFIG", str(file))
    assert complete("status", "--context", "") == ([], ":4")


def test_a_file_is_left_to_the_shell(complete):
    assert complete("status", "--kubeconfig", "")[1] == ":0"


@pytest.mark.parametrize("words", [("nonsense", ""), ("status", "--nonsense", "x")])
def test_nonsense_offers_nothing(complete, words):
    assert complete(*words)[0] == []


#: How each shell is made to complete "kubectl-selfhost status", once it has read our script.
TYPED = {
    "bash": 'COMP_WORDS=(kubectl-selfhost status "") COMP_CWORD=2; _kubectl_selfhost\n'
    'printf "%s\\n" "${COMPREPLY[@]}"',
    "zsh": '_describe() { print -l -- "${(@)${(@P)2}%%:*}" }\n'
    'words=(kubectl-selfhost status "") CURRENT=3; _kubectl_selfhost',
    "fish": 'complete -C "kubectl-selfhost status " | string replace -r "\\t.*" ""',
}


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """Return a directory with a kubectl-selfhost that answers with the words that it was given."""
    program = tmp_path / "kubectl-selfhost"
    program.write_text('#!/bin/sh\nprintf "<%s>\\tdescribed\\n" "$@"; echo :4\n')
    program.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    "shell",
    [
        pytest.param(
            shell, marks=pytest.mark.skipif(not shutil.which(shell), reason="no such shell")
        )
        for shell in TYPED
    ],
)
def test_a_shells_script_completes(shell: str, stand_in: Path):
    script = f"{completion.SCRIPTS[shell]}\n{TYPED[shell]}"
    environment = {"PATH": f"{stand_in}:/usr/bin:/bin", "HOME": str(stand_in)}
    done = subprocess.run([shell, "-c", script], capture_output=True, text=True, env=environment)
    assert sorted(done.stdout.split()) == ["<>", "<__complete>", "<status>"], done.stderr
