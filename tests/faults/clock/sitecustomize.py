"""Has the kernel's boot time follow a clock that is set, as it does with a real one."""

import os
from pathlib import Path

import psutil

_SECONDS = {"s": 1, "m": 60, "h": 3600}


def _shifted(real=psutil._pslinux.boot_time):
    told = Path(os.environ["FAKETIME_TIMESTAMP_FILE"]).read_text().strip()
    return real() + float(told[:-1]) * _SECONDS[told[-1]]


psutil._pslinux.boot_time = _shifted
