"""Write tests/data/golden_features.json, the numbers that tests/unit/encoders/test_golden_features.py compares with.

    python tools/golden_features.py

Refuses while numbers have changed and their version in expclip_cache/encoders/versions.py has not been raised.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/support"))

from golden_numbers import GOLDEN, as_json, regenerated


def main() -> None:
    """Measure everything and write the file."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.is_file() else None
    GOLDEN.write_text(as_json(regenerated(golden)), encoding="utf-8")
    print(f"wrote {GOLDEN}")


if __name__ == "__main__":
    main()
