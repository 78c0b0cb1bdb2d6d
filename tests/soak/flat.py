"""What processes and directories hold at calm points, and whether it grows."""

import os
import pathlib
import statistics

WARM_UP = 4  # of so many samples the first one does not count


class Bound:
    """From `first` on a value may grow by a share of it and by so much more."""

    def __init__(self, unit, share, more):
        self.unit, self.share, self.more = unit, share, more

    def limit(self, first):
        return first * (1 + self.share) + self.more


BOUNDS = {
    # What it has allocated. What LMDB notes of its free pages grows with what is kept for an hour, see "disk", and then no more.
    "memory": Bound("KiB", 0.1, 2048),
    # With the pages of LMDB's file that it has looked at, and of its program.
    "resident": Bound("KiB", 0.1, 4096),
    # A connection that is being made, or a client that asks at that moment.
    "descriptors": Bound("", 0, 2),
    # A name that is being looked up.
    "threads": Bound("", 0, 1),
    # A segment of the journal. Acknowledged increments and deletes are kept for an hour, at most 100,000 of them: the share.
    "disk": Bound("KiB", 0.25, 16384),
}


OF_PROCESS = ("memory", "resident", "descriptors", "threads")


def of_process(pid):
    """OF_PROCESS, of one."""
    status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    kib = [int(status[name].split()[0]) for name in ("RssAnon", "VmRSS")]
    return dict(zip(OF_PROCESS, (*kib, len(os.listdir(f"/proc/{pid}/fd")), int(status["Threads"]))))


def disk_of(directory):
    """KiB on the disk, of all files below."""
    return sum(file.lstat().st_blocks for file in pathlib.Path(directory).rglob("*")) // 2


def growth(values):
    """Medians of the first and the last third, behind the warm-up."""
    values = values[(len(values) + WARM_UP - 1) // WARM_UP :]
    third = max(1, len(values) // 3)
    return statistics.median(values[:third]), statistics.median(values[-third:])


def judge(series):
    """Of {(whose, what): values}: a line each, and whether it is flat."""
    for (whose, what), values in sorted(series.items()):
        bound, (first, last) = BOUNDS[what], growth(values)
        limit = bound.limit(first)
        verdict = "flat" if last <= limit else "GROWS"
        yield f"{whose:16} {what:12} {first:9.0f} -> {last:9.0f} (bound {limit:.0f}) {bound.unit:4}{verdict}", last <= limit
