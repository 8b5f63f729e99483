"""Start a step of your own: a package with a step, a kernel and a test, like examples/own_step under another name.

python scripts/new_step.py mask_stripes ~/mask_stripes
"""

import re
import sys
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "own_step"


def main(name, folder):
    """Copy the example to folder, the step called NAME (small letters and underscores)."""
    folder = Path(folder).expanduser()
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise SystemExit(f"{name}: a step's name is made of small letters, digits and underscores")
    if folder.exists():
        raise SystemExit(f"{folder}: is there already")
    words = name.split("_")
    names = {
        "flag_low_counts": f"{name}_kernel", "gpucal_flag_low": f"gpucal_{name}",
        "gpucal-flag-low": f"gpucal-{'-'.join(words)}",
        "test_flag_low": f"test_{name}", "flag_low": name, "FlagLow": "".join(word.capitalize() for word in words),
        "Flag low": " ".join(words).capitalize(),
    }  # fmt: skip
    pattern = re.compile("|".join(sorted(names, key=len, reverse=True)))

    def renamed(text):
        return pattern.sub(lambda found: names[found[0]], text)

    for file in sorted(EXAMPLE.rglob("*")):
        if file.suffix in (".toml", ".py", ".cu", ".md"):
            target = folder / renamed(str(file.relative_to(EXAMPLE)))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(renamed(file.read_text()))
            print(target)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
