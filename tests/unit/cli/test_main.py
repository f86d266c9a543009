from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from kubectl_selfhost.cli import main
from kubectl_selfhost.cli.commands import VERBS
from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.version import __version__

problem: BaseException = Exception()


def fail(connection: ConnectionOptions) -> None:
    """Stand in for a verb that ends as these tests want it."""
    raise problem


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Return a function that runs a verb that raises ``error``, and returns its status and what it
    says on stderr.
    """
    monkeypatch.setitem(VERBS, "fail", (__name__, "fail", "Fail"))

    def run(error: BaseException, *words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys.modules[__name__], "problem", error)
        status = main.run(["fail", *words])
        return status, capsys.readouterr().err

    return run


def process(*words: str, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kubectl_selfhost", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **more)  # type: ignore[call-overload]


def test_an_error_of_ours_is_its_sentence_and_its_hint(ends):
    error = SelfhostError("The node n is full.", "Free some space.")
    assert ends(error) == (1, "error: The node n is full.\nhint: Free some space.\n")


def test_what_steers_a_terminal_is_not_passed_on(ends):
    assert ends(ValueError("\x1b[2Jgone"))[1].startswith(
        "error: unexpected error: ValueError: ^[[2Jgone\n"
    )


def test_ctrl_c_is_one_word(ends):
    assert ends(KeyboardInterrupt()) == (1, "error: interrupted\n")


def test_a_mistake_of_ours_is_a_sentence_without_a_traceback(ends):
    status, said = ends(ZeroDivisionError("division by zero"))
    assert status == 1
    assert "ZeroDivisionError: division by zero" in said
    assert "-v=6" in said
    assert "Traceback" not in said


def test_a_mistake_of_ours_has_its_traceback_when_asked_for(ends):
    assert "Traceback" in ends(ZeroDivisionError(), "-v=6")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stauts"], 'error: unknown command "stauts" for "kubectl selfhost"\nhint: Did you mean'),
        (["--nonsense"], "error: unknown flag: --nonsense\n"),
        (["status", "--nonsense"], "error: unknown flag: --nonsense\n"),
        (["status", "--context"], "error: flag needs an argument: --context\n"),
        (["pivot", "--timeout=5"], "error: invalid value for --timeout: time: missing unit"),
    ],
)
def test_a_wrong_command_line_ends_as_kubectls(words, said, capsys):
    assert main.run(words) == 1
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert "--help' for usage." in err


def test_help_names_every_verb(capsys):
    assert main.run(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {verb} " in out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_each_verbs_help_calls_it_by_kubectls_name(verb, capsys):
    assert main.run([verb, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: kubectl selfhost {verb} ")


@pytest.mark.parametrize("words", [["--version"], ["version"], ["version", "-v=4"]])
def test_the_version_is_told(words, capsys):
    if "-v=4" in words:
        assert main.run(words) == 1  # no option of this verb
        return
    done = process(*words)
    assert (done.returncode, done.stdout) == (0, f"kubectl-selfhost v{__version__}\n")


def test_help_loads_neither_typer_nor_a_verb():
    code = "import sys; sys.argv = ['x', '--help']\nfrom kubectl_selfhost.__main__ import main\n"
    code += "main(); assert not {'typer', 'kubernetes', 'yaml'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.parametrize("verb", VERBS)
def test_a_verbs_help_does_not_load_the_api_client(verb):
    code = f"import sys\nfrom kubectl_selfhost.cli.main import run\nrun(['{verb}', '--help'])\n"
    code += "assert not {'kubernetes', 'yaml', 'http.client'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_reader_that_leaves_is_no_error():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        command = [sys.executable, "-m", "kubectl_selfhost", "completion", "zsh"]
        done = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, timeout=60)
    assert done.stderr == b""


def test_sigterm_ends_as_ctrl_c_does():
    code = """if 1:
        import sys, types, time
        from kubectl_selfhost.cli import commands, main
        def sleep():
            try:
                print("asleep", flush=True)
                # Python sees a signal that comes just before a sleep only after it.
                for _ in range(600):
                    time.sleep(0.1)
            finally:
                print("tidied", flush=True)
        sys.modules["sleeper"] = types.SimpleNamespace(sleep=sleep)
        commands.VERBS["sleep"] = ("sleeper", "sleep", "")
        sys.exit(main.run(["sleep"]))
    """
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "asleep\n"
        child.send_signal(signal.SIGTERM)
        assert child.communicate(timeout=30) == ("tidied\n", "error: stopped by SIGTERM\n")
    assert child.returncode == 1


def test_a_character_that_the_terminal_lacks_is_no_error():
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    code = "from kubectl_selfhost.cli import main; main._set_up_streams(); print('\\u2713')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.stdout == "?\n"
