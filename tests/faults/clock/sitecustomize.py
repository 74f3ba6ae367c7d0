"""Has the kernel's boot time follow a clock that is set, as it does with a real one."""

import os
from pathlib import Path

import psutil


def _shifted(real=psutil._pslinux.boot_time):
    return real() + int(Path(os.environ["DETOUR_FAULTS_CLOCK"]).read_text())


psutil._pslinux.boot_time = _shifted
