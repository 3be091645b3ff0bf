"""Processes that tests interrupt."""

import signal


def heed_interrupts() -> None:
    """For `preexec_fn`: a shell in the background starts its jobs, and all their children, deaf to SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
