"""The processes of a soak: a redis-server, stores and sidecars, each started, killed and asked for what the soak wants to know."""

import ctypes
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

import redis

from load import Load, Tally

WAIT_S = 30
RATE = 40  # calls a second of each load
PR_SET_PDEATHSIG = 1


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setpgid(0, 0)  # a ^C is for the soak, which ends them


def wait_for(what, look):
    end = time.monotonic() + WAIT_S
    while not look():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {WAIT_S} s: {what}")
        time.sleep(0.02)


class Process:
    """A process that is started with the same words each time."""

    def __init__(self, name, directory):
        self.name, self.directory, self.child = name, pathlib.Path(directory), None
        self.directory.mkdir(mode=0o700, exist_ok=True)

    def launch(self, words, **pipes):
        with open(f"{self.directory}.log", "ab") as log:
            self.child = subprocess.Popen([str(w) for w in words], stderr=log, preexec_fn=die_with_parent, **pipes)

    def kill(self):
        self.child.kill()
        self.child.wait()

    def end(self):
        status = self.child.wait(WAIT_S)
        if status != 0:
            raise RuntimeError(f"{self.name} ended with status {status}: {self.directory}.log")


class Redis(Process):
    """It keeps what it has acknowledged over a kill."""

    def __init__(self, directory):
        super().__init__("redis-server", directory)
        self.socket = self.directory / "redis.sock"
        self.address = f"unix://{self.socket}"
        self.client = redis.Redis(unix_socket_path=str(self.socket), socket_timeout=WAIT_S)

    def start(self):
        self.socket.unlink(missing_ok=True)
        words = ["redis-server", "--port", 0, "--unixsocket", self.socket, "--dir", self.directory, "--save", ""]
        self.launch(words + ["--appendonly", "yes", "--appendfsync", "always", "--logfile", "log"])
        wait_for("redis-server does not answer", self.answers)

    def answers(self):
        try:
            return self.client.ping()
        except redis.RedisError:
            return False

    def freeze(self):
        self.child.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.child.send_signal(signal.SIGCONT)

    def stop(self):
        self.child.terminate()
        self.end()


class Store(Process):
    """A process that uses the library (store.py), with a load of its own."""

    def __init__(self, name, directory, programs, configuration, seed):
        super().__init__(name, directory)
        self.tally_path = f"{directory}.tally"
        self.words = [sys.executable, "-B", pathlib.Path(__file__).with_name("store.py"), programs.library]
        self.words += [directory, configuration, name, self.tally_path]
        self.random = random.Random(f"{seed} {name}")
        self.tallies = [Tally(self.tally_path)]

    def start(self):
        words = self.words + [self.random.random(), RATE]
        self.launch(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.child.stdout.readline() != "open\n":
            raise RuntimeError(f"{self.name} does not open: {self.directory}.log")

    def ask(self, command):
        self.child.stdin.write(command + "\n")
        self.child.stdin.flush()
        return int(self.child.stdout.readline() or -1)

    def pause(self):
        return self.ask("pause")

    def drain(self):
        return self.ask("drain")

    def go(self):
        self.ask("go")

    def stop(self):
        self.child.stdin.close()
        self.end()


class SidecarTarget:
    """What a client of the sidecar does, as a load wants it."""

    def __init__(self, socket):
        self.client = redis.Redis(unix_socket_path=str(socket), socket_timeout=WAIT_S)

    def set(self, key, value, ttl_ms):
        self.client.set(key, value, px=ttl_ms)

    def get(self, key):
        self.client.get(key)

    def delete(self, key):
        self.client.delete(key)

    def increment(self, key):
        self.client.incr(key)


class Client(threading.Thread):
    """A load of its own through the sidecar, which may be away."""

    def __init__(self, name, socket, tally, seed):
        super().__init__(daemon=True)
        self.load = Load(name, SidecarTarget(socket), tally, random.Random(f"{seed} {name}"))
        self.goes, self.rests, self.ended = threading.Event(), threading.Event(), False
        self.answers = set()  # errors that the sidecar has answered

    def is_served(self):
        try:
            return self.load.target.client.ping()
        except redis.RedisError:
            return False

    def step(self):
        try:
            self.load.step()
        except redis.ResponseError as error:
            self.answers.add(str(error))
        except redis.RedisError:  # it was killed: the call may or may not have been done
            wait_for(f"nobody serves {self.load.name}", self.is_served)

    def run(self):
        while True:
            if not self.goes.is_set():
                self.rests.set()
                self.goes.wait()
            if self.ended:
                return
            self.step()
            time.sleep(self.load.pause_s(RATE))

    def pause(self):
        self.rests.clear()
        self.goes.clear()
        if not self.rests.wait(WAIT_S):
            raise TimeoutError(f"a call of {self.load.name} takes longer than {WAIT_S} s")

    def end(self):
        self.ended = True
        self.goes.set()
        self.join(WAIT_S)


class Sidecar(Process):
    """A holdfastd with two clients."""

    def __init__(self, name, directory, programs, configuration, seed):
        super().__init__(name, directory)
        self.socket = self.directory / "holdfastd.sock"
        self.words = [programs.holdfastd, "--dir", directory, "--port", 0, "--unixsocket", self.socket]
        self.words += ["--config", configuration]
        self.tallies = [Tally(f"{directory}.tally{i}") for i in range(2)]
        self.clients = [Client(f"{name}{i}", self.socket, tally, seed) for i, tally in enumerate(self.tallies)]
        for client in self.clients:
            client.start()

    def start(self):
        self.launch(self.words, stdout=subprocess.DEVNULL)
        wait_for(f"{self.name} does not answer", self.answers)

    def ask(self, *words):
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=2 * WAIT_S).execute_command(*words)

    def answers(self):
        try:
            return self.ask("PING")
        except redis.RedisError:
            return False

    def pending(self):
        told = self.ask("HOLDFAST", "PENDING")
        told = dict(zip(told[::2], told[1::2]))
        return told[b"keys"] + told[b"operations"]

    def pause(self):
        for client in self.clients:
            client.pause()
        return self.pending()

    def drain(self):
        if self.ask("HOLDFAST", "WAIT", 1000 * WAIT_S) != 1:
            raise TimeoutError(f"{self.name} has not shared all within {WAIT_S} s")
        return self.pending()

    def go(self):
        for client in self.clients:
            client.goes.set()

    def stop(self):
        for client in self.clients:
            client.end()
        self.child.terminate()
        self.end()
