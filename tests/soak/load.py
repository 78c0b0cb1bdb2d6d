"""A load at a steady pace on a bounded set of keys, and a tally of it that outlives kill -9."""

import mmap
import os
import struct

KEYS = 400
VALUE_MAX = 800
SHARED_COUNTER = "all:count"


class Tally:
    """Numbers in a file that is mapped: what was noted stays when the process is killed."""

    NAMES = ("own_begun", "own_done", "shared_begun", "shared_done", "calls")
    SIZE = 8 * len(NAMES)

    def __init__(self, path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(fd, self.SIZE)
        self.map = mmap.mmap(fd, self.SIZE)
        os.close(fd)

    def __getitem__(self, name):
        return struct.unpack_from("<q", self.map, 8 * self.NAMES.index(name))[0]

    def add(self, name):
        struct.pack_into("<q", self.map, 8 * self.NAMES.index(name), self[name] + 1)


class Load:
    """Makes one random call after the other on `target`, which has set, get, delete and increment.

    An increment that is begun and not done may or may not have been counted; any other may not be missing, nor be there twice.
    """

    def __init__(self, name, target, tally, random):
        self.name, self.target, self.tally, self.random = name, target, tally, random

    def step(self):
        self.tally.add("calls")
        chance = self.random.random()
        if chance < 0.6:
            self.set()
        elif chance < 0.8:
            self.target.get(self.key())
        elif chance < 0.88:
            self.target.delete(self.key())
        elif chance < 0.97:
            self.count("own", self.own_counter())
        else:
            self.count("shared", SHARED_COUNTER)

    def own_counter(self):
        return f"{self.name}:count"

    def key(self):
        return f"{self.name}:{self.random.randrange(KEYS)}"

    def set(self):
        ttl_ms = self.random.randrange(200, 20000) if self.random.random() < 0.25 else None
        self.target.set(self.key(), self.random.randbytes(self.random.randrange(VALUE_MAX)), ttl_ms)

    def count(self, which, key):
        self.tally.add(f"{which}_begun")
        self.target.increment(key)
        self.tally.add(f"{which}_done")

    def pause_s(self, rate):
        """Until the next step, at `rate` steps a second."""
        return self.random.expovariate(rate)
