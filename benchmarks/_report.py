"""Says on what a benchmark ran and keeps its table."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import torch

from engine.version import code_version

RESULTS = Path(__file__).parent / "results"


def report(name: str, title: str, table: str, device: torch.device) -> None:
    """Print a benchmark's table and write it to ``benchmarks/results/<name>-<device>.md``."""
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    text = (
        f"# {title}\n\n{table}\n\n"
        f"{datetime.now(UTC):%Y-%m-%d}, Detour {code_version()}, torch {torch.__version__}, "
        f"Python {platform.python_version()}, {hardware}, {torch.get_num_threads()} threads.\n"
    )
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}-{device.type}.md").write_text(text, encoding="utf-8")


def _processor() -> str:
    """Return the processor's name and how many cores this process may use."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()} ({os.cpu_count()} cores)"
