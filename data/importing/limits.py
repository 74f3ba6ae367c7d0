"""How much of other people's files the lab takes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of one import; whatever goes beyond one is refused by name.

    Attributes:
        file_bytes: of a given file.
        expanded_bytes: of all that archives unpack to.
        ratio: of an archive's unpacked to its packed bytes, once it unpacks to more than `small_bytes`.
        small_bytes: up to which any ratio is harmless.
        entries: files in all, unpacked ones included.
        nesting: archives within archives.
        rows: in all.
        columns: of a table, and metrics of a study.
        runs: of a study.
        name: characters of the name of a metric, arm, run or file.
        memory_bytes: that DuckDB may use; beyond it, it writes to the disk.
        process_bytes: of memory that reading may take on top of what the process has.
    """

    file_bytes: int = 8 << 30
    expanded_bytes: int = 16 << 30
    ratio: int = 200
    small_bytes: int = 64 << 20
    entries: int = 20_000
    nesting: int = 2
    rows: int = 200_000_000
    columns: int = 2_000
    runs: int = 10_000
    name: int = 200
    memory_bytes: int = 512 << 20
    process_bytes: int = 4 << 30


LIMITS = Limits()
