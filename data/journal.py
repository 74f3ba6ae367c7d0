"""The durable live tail of a job: an Arrow stream in which every flushed batch is acknowledged."""

import os
from pathlib import Path

import pyarrow as pa

from data.durable import refused, sync_folder
from data.errors import LabError


class JournalWriter:
    """Appends record batches to a new Arrow IPC stream; a batch counts once `append` has returned.

    Batches are serialized in memory and written whole. When the disk refuses one, the file is cut back to the
    last acknowledged batch, so that half a batch never hides those that follow.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.schema = schema
        self.bytes = 0
        """Length of the acknowledged stream."""
        try:
            self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except OSError as error:
            raise refused(error, "A journal", path) from error
        try:
            self._write(schema.serialize())
            sync_folder(path.parent)
        except OSError as error:
            os.close(self._handle)
            path.unlink(missing_ok=True)
            raise refused(error, "A journal", path) from error

    def append(self, batch: pa.RecordBatch) -> None:
        """Write a batch and wait until it is on the disk.

        Raises:
            ValueError: the batch has other columns than the journal, or the journal is closed.
            LabError: the disk is full or refuses; the batch is not acknowledged and the journal is as before.
        """
        if batch.schema != self.schema:
            raise ValueError(f"`batch` must have the journal's columns {self.schema}; got {batch.schema}.")
        if self._handle < 0:
            raise ValueError(f"The journal `{self.path}` is closed.")
        try:
            self._write(batch.serialize())
        except OSError as error:
            raise refused(error, "A batch of rows", self.path) from error

    def _write(self, message: pa.Buffer) -> None:
        left = memoryview(message)
        try:
            while left:
                left = left[os.write(self._handle, left) :]
            os.fsync(self._handle)
        except OSError:
            os.ftruncate(self._handle, self.bytes)
            os.lseek(self._handle, self.bytes, os.SEEK_SET)
            raise
        self.bytes += message.size

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def read_journal(path: Path) -> pa.Table:
    """Return the whole batches of a journal, mapped from the file; a torn last batch is left out.

    Whatever follows the last whole batch is what a torn write left, be it anything: it was not acknowledged.
    The table stays readable after the file's name is gone. A journal torn within its first message, the
    columns, gives a table without columns.

    Raises:
        FileNotFoundError: there is no such journal (any more).
        LabError: the file is not an Arrow stream at all, or is damaged before its last whole batch.
    """
    if path.stat().st_size == 0:
        return pa.table({})
    with pa.memory_map(str(path)) as file:
        content = pa.BufferReader(file.read_buffer())
    batches: list[pa.RecordBatch] = []
    schema: pa.Schema | None = None
    end = 0
    try:
        schema = pa.ipc.read_schema(content)
        while True:
            end = content.tell()
            batches.append(pa.ipc.read_record_batch(pa.ipc.read_message(content), schema))
    except EOFError:
        pass  # the stream ends between two messages
    except (pa.ArrowInvalid, OSError) as error:
        # A kill within the first message differs from a strange file: Arrow says that bytes are missing.
        if schema is None and not _torn(error):
            raise _damaged(path, f"is not an Arrow stream ({error})") from error
    if schema is None:
        return pa.table({})
    if _goes_on(content, end, schema):
        raise _damaged(path, f"cannot be read at byte {end:,}, and there are rows after that")
    return pa.Table.from_batches(batches, schema)


def _goes_on(content: pa.BufferReader, end: int, schema: pa.Schema) -> bool:
    """Whether there is a whole batch somewhere after the place where reading came to its end."""
    content.seek(end)
    rest = content.read_buffer()
    text, place = bytes(rest), 0
    while (place := text.find(_MARK, place + 1)) >= 0:
        if place % _ALIGNMENT:
            continue
        try:
            pa.ipc.read_record_batch(pa.ipc.read_message(pa.BufferReader(rest.slice(place))), schema)
        except (pa.ArrowInvalid, OSError, EOFError):
            continue
        return True
    return False


def _damaged(path: Path, what: str) -> LabError:
    remedy = "Restore it from a backup, or move it away to go on without its rows."
    return LabError("A journal is damaged", f"`{path}` {what}.", remedy)


_MARK, _ALIGNMENT = b"\xff\xff\xff\xff", 8
"""With these bytes, at such a multiple, every message of an Arrow stream begins."""


_TORN = (
    "Expected to be able to read",
    "Expected to read",
    "Corrupted message, only",
    "Corrupted metadata length",
    "Tried reading schema message, was null",
)


def _torn(error: Exception) -> bool:
    return any(sign in str(error) for sign in _TORN)
