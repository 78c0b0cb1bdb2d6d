"""A program that uses the library: a load on a store of its own until its standard input ends.

Usage: store.py LIBRARY DIRECTORY CONFIGURATION NAME TALLY SEED RATE

Each line on standard input is answered by one on standard output: `pause` and `go` stop the load and let it go on, `pending` tells
how many changes wait for Redis, `drain` waits until none does. At the end of the input the store is closed.
"""

import ctypes
import random
import select
import sys

from load import Load, Tally

DRAIN_MS = 60000
NOT_FOUND = 1


class Slice(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("len", ctypes.c_size_t)]


class Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class SetOptions(ctypes.Structure):
    _fields_ = [
        ("ttl_ms", ctypes.c_int64),
        ("deadline_ms", ctypes.c_int64),
        ("keep_ttl", ctypes.c_bool),
        ("no_ttl", ctypes.c_bool),
    ]


class Pulse(ctypes.Structure):
    _fields_ = [
        ("link", ctypes.c_int),
        ("pending", ctypes.c_uint64),
        ("shared_ops", ctypes.c_uint64),
        ("replayed_ops", ctypes.c_uint64),
    ]


def of(data):
    data = data.encode() if isinstance(data, str) else data
    return Slice(data, len(data))


class Store:
    """A store, as the load and the commands want it."""

    def __init__(self, library, directory, configuration):
        self.lib = ctypes.CDLL(library)
        self.lib.hf_errmsg.restype = ctypes.c_char_p
        self.lib.hf_config_options.restype = ctypes.c_void_p
        config, self.handle = ctypes.c_void_p(), ctypes.c_void_p()
        self.call("hf_config_load", configuration.encode(), ctypes.byref(config))
        options = ctypes.c_void_p(self.lib.hf_config_options(config))
        self.call("hf_open", directory.encode(), options, ctypes.byref(self.handle))
        self.lib.hf_config_free(config)

    def call(self, name, *arguments):
        rc = getattr(self.lib, name)(*arguments)
        if rc not in (0, NOT_FOUND):
            raise RuntimeError(f"{name}: {rc}: {self.lib.hf_errmsg().decode()}")
        return rc

    def set(self, key, value, ttl_ms):
        options = ctypes.byref(SetOptions(ttl_ms=ttl_ms)) if ttl_ms else None
        self.call("hf_set", self.handle, of(key), of(value), options, None)

    def get(self, key):
        value = Buffer()
        if self.call("hf_get", self.handle, of(key), ctypes.byref(value), None) == 0:
            self.lib.hf_buf_release(ctypes.byref(value))

    def delete(self, key):
        self.call("hf_delete", self.handle, of(key), None)

    def increment(self, key):
        self.call("hf_incr", self.handle, of(key), ctypes.c_int64(1), ctypes.byref(ctypes.c_int64()), None)

    def pending(self):
        pulse = Pulse()
        self.call("hf_pulse", self.handle, ctypes.byref(pulse))
        return pulse.pending

    def drain(self):
        self.call("hf_drain", self.handle, DRAIN_MS)

    def close(self):
        self.call("hf_close", self.handle)


def answer(store, command):
    if command == "drain":
        store.drain()
    print(store.pending(), flush=True)
    return command


def run(store, load, rate):
    goes = True
    while True:
        readable, _, _ = select.select([sys.stdin], [], [], load.pause_s(rate) if goes else None)
        if readable:
            line = sys.stdin.readline()
            if not line:
                return
            command = answer(store, line.strip())
            goes = command == "go" or (goes and command != "pause")
        elif goes:
            load.step()


def main():
    library, directory, configuration, name, tally, seed, rate = sys.argv[1:]
    store = Store(library, directory, configuration)
    print("open", flush=True)
    run(store, Load(name, store, Tally(tally), random.Random(seed)), float(rate))
    store.close()


main()
