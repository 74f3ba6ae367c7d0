"""`python -m engine`: the command line."""

import sys
import traceback

from engine.cli.main import DEFECT, main

if __name__ == "__main__":
    try:
        status = main()
    except Exception:  # noqa: BLE001  # the outermost boundary: shown in full, and told apart by its exit status
        traceback.print_exc()
        status = DEFECT
    sys.exit(status)
