"""A process that writes rows, checkpoints and facts while the database goes away and comes back.

Says what was acknowledged, a line each: `job N`, `note N`, `rows N`.
"""

import sys
import time

import numpy as np

from data.checkpoints import save
from data.store import open_store
from data.traces import TraceWriter


def main() -> None:
    root, seconds, name = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    store = open_store(root)
    job = store.catalog.create_job("train", "study", {"writer": name}).id
    runs = np.array(
        store.catalog.start_runs(job, "study", [(name, seed, {}) for seed in range(4)], 1000, "cpu")
    )
    end = time.monotonic() + seconds
    count = 0
    with TraceWriter(store, job, ["loss"], seal_bytes=10_000) as writer:
        while time.monotonic() < end:
            steps = np.repeat(np.arange(5 * count, 5 * count + 5), 4)
            loss = (np.tile(runs, 5) * 7 + steps).astype(float)
            writer.write(np.tile(runs, 5), steps, steps / 10, steps / 4, {"loss": loss})
            told = [f"rows {writer.flush()}"]
            store.catalog.heartbeat(job, count, 1000, 1.0, "going")
            other = store.catalog.create_job("fit", "study", {"writer": name, "number": count}).id
            told.append(f"job {other}")
            save(store, job, "state", count, [], {"at": np.full(3, count)}, stack=0)
            store.catalog.tag_runs((int(run) for run in runs[:1]), add=[f"{name}-{count}"])
            told.append(f"note {count}")
            sys.stdout.write("\n".join(told) + "\n")
            sys.stdout.flush()
            count += 1
    store.catalog.finish_job(job, "done")


if __name__ == "__main__":
    main()
