"""`python -m engine`: the command line."""

import os
import sys
import traceback

from engine.cli.main import DEFECT, main

if __name__ == "__main__":
    # Read when torch loads its threads. By default they spin while they wait: two trainings on two cores took
    # 185 s each that way and 14 s this way.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        status = main()
    except Exception:  # noqa: BLE001  # the outermost boundary: shown in full, and told apart by its exit status
        traceback.print_exc()
        status = DEFECT
    sys.exit(status)
