"""Runs ip, tc and their like: one place for errors that say which command failed, and why."""
import json
import subprocess


class TestbedError(Exception):
    """What was attempted, why it failed, what to do; shown to the user as it is."""


def run(*words, check=True, text=None):
    """The finished process of a command. TestbedError if it fails."""
    words = [str(word) for word in words]
    try:
        done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise TestbedError(f"there is no program '{words[0]}' here (Debian: apt-get install iproute2)") from None
    if check and done.returncode != 0:
        problem = (done.stderr or done.stdout).strip()
        raise TestbedError(f"{' '.join(words)} failed: {problem}" + (f"\nwhile running:\n{text}" if text else ""))
    return done


def output(*words, check=True):
    return run(*words, check=check).stdout


def output_json(*words):
    """What `ip -j` and `tc -j` say; they print nothing for an empty list."""
    return json.loads(output(*words) or "[]")


def set_options(sets):
    """Of eddl-sim, from texts KEY=VALUE."""
    return [word for text in sets for word in ("--set", text)]


def batch(program, namespace, lines):
    """Many lines for ip or tc in one namespace, by one process."""
    run(program, "-n", namespace, "-batch", "-", text="\n".join(lines) + "\n")
