"""Fail unless enough lines and enough branches of each part were run; prints one line for each part."""

import json
import sys
import tempfile
from pathlib import Path

from coverage import Coverage

LEAST_PERCENT = {"function": 85.0, "tui": 80.0}


def main() -> int:
    coverage = Coverage()
    coverage.load()
    verdicts = [_enough(coverage, part, least) for part, least in LEAST_PERCENT.items()]
    return int(not all(verdicts))


def _enough(coverage: Coverage, part: str, least: float) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        coverage.json_report(outfile=str(report), include=[f"{part}/*"])
        totals = json.loads(report.read_text(encoding="utf-8"))["totals"]
    lines = _percent(totals["covered_lines"], totals["num_statements"])
    branches = _percent(totals["covered_branches"], totals["num_branches"])
    enough = min(lines, branches) >= least
    verdict = "" if enough else f": less than {least:.0f} %; see `.venv/bin/coverage report -m`"
    print(f"coverage of {part}/: {lines:.1f} % of the lines, {branches:.1f} % of the branches{verdict}")
    return enough


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 100.0


if __name__ == "__main__":
    sys.exit(main())
