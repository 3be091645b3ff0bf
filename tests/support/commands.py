"""Commands run to their end, with what they said in the message where they fail."""

import subprocess


def run(*command, fails=False, **options):
    """Output of a command, stdout and stderr, that must succeed (or fail)."""
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        **options,
    )
    assert (done.returncode != 0) == fails, f"{command}: exit code {done.returncode}\n{done.stdout}"
    return done.stdout
