"""Prints what `make test TESTFLAGS=-json` says, for people.

Reads the events of `go test -json` between other lines. Prints the other
lines, a line for each package, and the output of what failed; at the end
"N passed, N failed", which counts tests and their subtests. A package, or a
step of make, that fails without a failing test counts as one failure.
"""

import json
import sys


def main():
    passed = failed = 0
    output = {}  # of each test and package that has not passed
    failing = set()  # packages with a failing test
    broken = None  # last message of make that says it failed

    for line in sys.stdin:
        event = parse(line)
        if event is None:
            print(line, end="")
            if line.startswith("make") and "***" in line:
                broken = line
            continue
        action, package, test = event["Action"], event.get("Package", ""), event.get("Test", "")
        key = package, test
        if action in ("output", "build-output"):
            output.setdefault(key, []).append(event.get("Output", ""))
        elif action == "pass":
            output.pop(key, None)
            if test:
                passed += 1
            else:
                print(f"ok    {package}  {event.get('Elapsed', 0):.1f}s")
        elif action == "skip":
            said = "".join(output.pop(key, []))
            if test:
                print(f"skip  {package} {test}\n{said}", end="")
        elif action in ("fail", "build-fail"):
            print("".join(output.pop(key, [])), end="")
            if test:
                failing.add(package)
                failed += 1
            elif action == "fail":
                print(f"FAIL  {package}  {event.get('Elapsed', 0):.1f}s")
                if package not in failing:
                    failed += 1
                    failing.add(package)
    if broken and not failing:
        failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if broken or failed or not passed else 0


def parse(line):
    """The event on a line, None where it is another line."""
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "Action" in event else None


if __name__ == "__main__":
    sys.exit(main())
