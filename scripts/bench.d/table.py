"""The table that a bench prints, holds to its limits, and writes into docs/performance.md."""
import os
import pathlib
import platform

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class Table:
    """The rows; each is held to its limit."""

    def __init__(self):
        self.lines, self.is_fine = [], True

    def head(self, title, *columns):
        for line in ("", f"### {title}", "", f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)):
            self.say(line)

    def row(self, *cells, limit=None, value=None, least=False):
        verdict = ""
        if limit is not None:
            is_fine = value >= limit if least else value <= limit
            self.is_fine &= is_fine
            verdict = f"{'≥' if least else '≤'} {limit:g} {'ok' if is_fine else '**missed**'}"
        self.say(f"| {' | '.join([*cells, verdict])} |")

    def say(self, line):
        self.lines.append(line)
        print(line, flush=True)


def write(name, title, table, command):
    """Puts the table into docs/performance.md, between its marks."""
    file = ROOT / "docs/performance.md"
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = file.read_text() if file.exists() else "# Performance\n"
    if begin not in text:
        text += f"\n## {title}\n\n{begin}\n{end}\n"
    machine = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                    if line.startswith("model name")), platform.machine())
    made = f"Made by `{command}` on {os.cpu_count()} cores of {machine}, Linux {platform.release()}."
    before, after = text.split(begin)[0], text.split(end)[1]
    file.parent.mkdir(exist_ok=True)
    file.write_text(before + "\n".join([begin, made, *table.lines, "", end]) + after)
