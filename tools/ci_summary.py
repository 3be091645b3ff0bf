"""Print what nox --report wrote, the last line in the form `sessions: N passed, N failed`."""

import argparse
import json
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description="Sum up a report of nox.")
    parser.add_argument("report", type=Path)
    sessions = json.loads(parser.parse_args().report.read_text(encoding="utf-8"))["sessions"]
    for session in sessions:
        name = (session.get("signatures") or [session["name"]])[0]
        seconds = session.get("duration")
        print(f"{session['result']:8} {name}" + ("" if seconds is None else f" {seconds:.0f} s"))
    passed = sum(session["result"] == "success" for session in sessions)
    print(f"sessions: {passed} passed, {len(sessions) - passed} failed")
    return 0 if sessions and passed == len(sessions) else 1


if __name__ == "__main__":
    sys.exit(main())
