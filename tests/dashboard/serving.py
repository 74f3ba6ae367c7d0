"""A real HTTP server for the API's routes, in a thread."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route


@contextmanager
def serving(routes: Sequence[Route]) -> Iterator[str]:
    """Serve routes on a free port until the block ends, and give the address."""
    config = uvicorn.Config(
        Starlette(routes=list(routes)), port=0, log_level="error", lifespan="off", ws="none"
    )
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    running.should_exit = True
    thread.join(10)
