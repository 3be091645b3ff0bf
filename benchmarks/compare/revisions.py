"""Revisions of a git repository, and their files in a folder of their own."""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.compare.errors import CompareError


@dataclass(frozen=True)
class Revision:
    """A commit, or a commit with the uncommitted changes of the working tree."""

    name: str
    commit: str
    changes: bytes = b""

    @property
    def key(self) -> str:
        """What the built files depend on."""
        dirt = f"-dirty-{hashlib.sha256(self.changes).hexdigest()[:12]}" if self.changes else ""
        return self.commit + dirt

    def __str__(self) -> str:
        short = self.commit[:10] + (" with uncommitted changes" if self.changes else "")
        return short if self.commit.startswith(self.name) else f"{self.name} ({short})"


@dataclass(frozen=True)
class Repository:
    """The repository that holds a folder."""

    root: Path

    @classmethod
    def around(cls, folder: Path) -> "Repository":
        done = _git(folder, "rev-parse", "--show-toplevel")
        if done.returncode:
            raise CompareError(f"{folder}: not inside a git repository")
        return cls(Path(done.stdout.decode().strip()))

    def resolve(self, name: str) -> Revision:
        """The commit that a name means."""
        done = _git(self.root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if done.returncode:
            raise CompareError(
                f"unknown revision: got {name!r}, expected a commit, branch or tag of {self.root}"
            )
        return Revision(name, done.stdout.decode().strip())

    def changed_files(self) -> list[str]:
        """Tracked files that differ from the commit checked out; untracked files are not the commit's."""
        output = self._must("status", "--porcelain", "--untracked-files=no")
        return [line[3:] for line in output.decode(errors="replace").splitlines()]

    def with_changes(self, revision: Revision) -> Revision:
        """The commit checked out together with what `git diff HEAD` shows."""
        return Revision(revision.name, revision.commit, self._must("diff", "--binary", "HEAD"))

    def export(self, revision: Revision, folder: Path) -> None:
        """Put the files of a revision into a new folder.

        A clone that shares the objects: it has the tags that version tools ask for, and unlike a worktree it
        leaves no trace in the repository.
        """
        self._must("clone", "--quiet", "--shared", "--no-checkout", str(self.root), str(folder))
        clone = Repository(folder)
        clone._must("-c", "advice.detachedHead=false", "checkout", "--quiet", "--detach", revision.commit)
        if revision.changes:
            clone._must("apply", "--whitespace=nowarn", "-", given=revision.changes)

    def _must(self, *arguments: str, given: bytes = b"") -> bytes:
        done = _git(self.root, *arguments, given=given)
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
            raise CompareError(f"git {arguments[0]}: {lines[-1]}")
        return done.stdout


def _git(folder: Path, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], input=given, capture_output=True, check=False
    )
