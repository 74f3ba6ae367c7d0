"""Whom a fault meets: a run that logs itself to the server, and somebody who looks at pages and data."""

import json
import random
import threading
import time
import urllib.error
import urllib.request
from typing import Any

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from data.errors import LabError
from engine.log import Run

PAGES = ("studies", "runs", "traces", "train", "upload", "admin")
# What nobody should be told: that nothing is known of what went wrong.
UNCLEAR = ("The server refused", "Not understood", "The job failed unexpectedly", "This is no Detour server")


def value(study: str, step: int) -> float:
    """Return what a run logs at a step."""
    return random.Random(f"{study}{step}").random()


class Logging(threading.Thread):
    """A training loop elsewhere that logs to the server, and remembers what it was told is safe."""

    def __init__(self, address: str, token: str, study: str) -> None:
        super().__init__(daemon=True)
        self._where, self.study = (address, token), study
        self.acknowledged = self.logged = -1
        """Last step that is safe, and last that was logged; each from 0 on."""
        self.told: list[LabError] = []
        self.ended = False
        self._enough = threading.Event()
        self.start()

    def run(self) -> None:
        while (run := self._begun()) is None:
            time.sleep(0.2)
        while not self._enough.is_set():
            for _ in range(5):
                self.logged += 1
                run.log(self.logged, loss=value(self.study, self.logged))
            try:
                run.flush()
                self.acknowledged = self.logged
            except LabError as error:
                self.told.append(error)
            time.sleep(0.4)
        until = time.monotonic() + 90
        while not self.ended and time.monotonic() < until:
            try:
                run.finish()
                self.ended = True
            except LabError as error:
                self.told.append(error)
                time.sleep(0.3)

    def _begun(self) -> Run | None:
        address, token = self._where
        try:
            return Run(self.study, "A", 0, address, token=token, flush_seconds=1e9)
        except LabError as error:
            self.told.append(error)
            return None

    def finish(self) -> None:
        """Have it log no more and end; `ended` says whether it could."""
        self._enough.set()
        self.join(120)


def ask(address: str, path: str, token: str) -> tuple[int, bytes]:
    """Return the status and content of an answer; status 0 where there is no server.

    Raises:
        LabError: the server's own.
    """
    request = urllib.request.Request(address + path, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        content = error.read()
        try:
            told = json.loads(content)
            raise LabError(told["title"], told["message"], told["remedy"]) from None
        except (ValueError, KeyError, TypeError):
            return error.code, content
    except OSError:
        return 0, b""


def page(address: str, name: str, study: str = "") -> tuple[list[str], list[str]]:
    """Draw a page as a browser has it drawn; return what went wrong unexpectedly, and clear errors.

    Raises:
        OSError, websockets.WebSocketException: the server is not there, or went away meanwhile.
    """
    ask = BackMsg()
    ask.rerun_script.query_string = f"study={study}" if study else ""
    ask.rerun_script.page_name = name
    unclear, clear = [], []
    where = address.replace("http", "ws") + "/_stcore/stream"
    with connect(where, subprotocols=[Subprotocol("streamlit")], max_size=None, open_timeout=60) as tab:
        tab.send(ask.SerializeToString())
        while True:
            told = ForwardMsg()
            content = tab.recv(120)
            assert isinstance(content, bytes)
            told.ParseFromString(content)
            kind = told.WhichOneof("type")
            if kind == "script_finished":
                return unclear, clear
            if kind == "delta" and told.delta.WhichOneof("type") == "new_element":
                element: Any = told.delta.new_element
                if element.WhichOneof("type") == "exception":
                    unclear.append(f"{element.exception.type}: {element.exception.message}")
                elif element.WhichOneof("type") == "alert" and element.alert.format == element.alert.ERROR:
                    said = str(element.alert.body)
                    (unclear if "could not be drawn" in said else clear).append(said)


class Reader(threading.Thread):
    """Somebody who looks at one thing after the other, whatever happens."""

    def __init__(self, address: str, token: str, seed: int) -> None:
        super().__init__(daemon=True)
        self._address, self._token, self._chance = address, token, random.Random(seed)
        self.studies: list[str] = []
        self.unclear: list[str] = []
        """What was said that tells nobody anything."""
        self._enough = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._enough.is_set():
            study = self._chance.choice(self.studies) if self.studies else ""
            if self._chance.random() < 0.5:
                self._look(self._chance.choice(PAGES), study)
            else:
                paths = [
                    "/api/studies",
                    "/api/jobs",
                    *([f"/api/studies/{study}/rows.parquet"] if study else []),
                ]
                self._ask(self._chance.choice(paths))
            self._enough.wait(self._chance.uniform(2, 6))

    def _look(self, name: str, study: str) -> None:
        try:
            unclear, _ = page(self._address, name, study)
        except (OSError, TimeoutError, websockets.WebSocketException):
            return
        self.unclear += [f"page {name}: {one}" for one in unclear]

    def _ask(self, path: str) -> None:
        try:
            status, content = ask(self._address, path, self._token)
        except LabError as error:
            if error.title in UNCLEAR:
                self.unclear.append(f"{path}: {error}")
            return
        if status not in (0, 200, 502, 503):
            self.unclear.append(f"{path}: {status} {content[:200]!r}")

    def stop(self) -> None:
        """Look at nothing more."""
        self._enough.set()
        self.join(130)
