"""The soak itself; see tools/soak."""

import argparse
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

import flat
from load import SHARED_COUNTER
from processes import Redis, Sidecar, Store

CALMS = 8  # in a short run; a long one has one a minute
SETTLE_S = 1.5  # a checkpoint comes at the latest a second after a write
TOOL_S = 120


class Programs:
    def __init__(self, build):
        build = pathlib.Path(build).resolve()
        self.holdfast, self.holdfastd = build / "bin/holdfast", build / "bin/holdfastd"
        self.library = build / "lib/libholdfast.so"


class Soak:
    """A redis-server; a store and a sidecar that live as long as it takes, and one each that are killed again and again."""

    def __init__(self, arguments, directory):
        self.random = random.Random(arguments.seed)
        self.programs = Programs(arguments.build)
        self.redis = Redis(directory / "redis")
        configuration = directory / "configuration.json"
        configuration.write_text('{"redis": {"address": "%s"}}' % self.redis.address)
        common = (self.programs, str(configuration), arguments.seed)
        self.steady = [Store("store", directory / "store", *common), Sidecar("sidecar", directory / "sidecar", *common)]
        self.killed = [Store("kstore", directory / "kstore", *common), Sidecar("ksidecar", directory / "ksidecar", *common)]
        self.owners = self.steady + self.killed
        self.series, self.began = {}, time.monotonic()
        self.outages = self.kills = 0
        self.sound = True

    def elapsed(self):
        return time.monotonic() - self.began

    def tell(self, text, sound=True):
        self.sound = self.sound and sound
        print(f"{'' if sound else 'FAILED: '}{text}", flush=True)

    # ---- load and weather ----

    def start(self):
        self.redis.start()
        for owner in self.owners:
            owner.start()

    def kill_one(self):
        owner = self.random.choice(self.killed)
        owner.kill()
        owner.start()
        owner.go()
        self.kills += 1

    def outage(self):
        end, begin = self.random.choice([(self.redis.freeze, self.redis.thaw), (self.redis.kill, self.redis.start)])
        end()
        time.sleep(self.random.uniform(0.5, 1.5))
        if self.random.random() < 0.5:
            self.kill_one()
        time.sleep(self.random.uniform(0.2, 1.5))
        begin()
        self.outages += 1

    def weather(self, until_s):
        while self.elapsed() < until_s:
            time.sleep(self.random.uniform(1, 3))
            self.random.choice([self.outage, self.kill_one])()

    # ---- calm ----

    def note(self, whose, values):
        for what, value in values.items():
            self.series.setdefault((whose, what), []).append(value)

    def sample(self):
        for owner in self.steady:
            self.note(owner.name, flat.of_process(owner.child.pid))
        self.note("redis-server", {"descriptors": flat.of_process(self.redis.child.pid)["descriptors"]})
        for owner in self.owners:
            self.note(owner.name, {"disk": flat.disk_of(owner.directory)})

    def last(self):
        """The newest sample, in short: memory and resident, descriptors and threads of those that live; the disk of all."""
        parts = []
        for owner in self.steady:
            memory, resident, descriptors, threads = (self.series[owner.name, what][-1] for what in flat.OF_PROCESS)
            parts.append(f"{owner.name} {memory / 1024:.1f}/{resident / 1024:.1f} MiB {descriptors} fds {threads} threads")
        disk = "/".join(f"{self.series[owner.name, 'disk'][-1] / 1024:.1f}" for owner in self.owners)
        return f"{' | '.join(parts)} | disk {disk} MiB"

    def calls(self):
        return sum(tally["calls"] for owner in self.owners for tally in owner.tallies)

    def calm(self):
        before = sum(owner.pause() for owner in self.owners)
        left = sum(owner.drain() for owner in self.owners)
        time.sleep(SETTLE_S)
        self.sample()
        self.tell(
            f"{self.elapsed():5.0f} s  {self.calls():7} calls {self.outages:4} outages {self.kills:4} kills  "
            f"pending {before:5} -> {left} | {self.last()}",
            left == 0,
        )

    def blow(self, minutes):
        calms = max(CALMS, round(minutes))
        for i in range(1, calms + 1):
            for owner in self.owners:
                owner.go()
            self.weather(60 * minutes * i / calms - SETTLE_S)
            self.calm()

    # ---- afterwards ----

    def tool(self, owner, command):
        words = [self.programs.holdfast, "--dir", owner.directory, "--redis", self.redis.address, command]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TOOL_S, text=True)
        return done.returncode, done.stdout.strip().splitlines() or [""]

    def check_tiers(self):
        for owner in self.owners:
            self.tool(owner, "reconcile")  # what others have counted since it was closed
            status, lines = self.tool(owner, "verify")
            text = lines[-1] if status == 0 else " / ".join(lines[-5:])
            self.tell(f"{owner.name}: {text}", status == 0)

    def check_counter(self, key, begun, done):
        value = int(self.redis.client.get(key) or 0)
        unknown = f", and {begun - done} whose process was killed meanwhile" if begun > done else ""
        self.tell(f"{key} is {value}: {done} increments{unknown}", done <= value <= begun)

    def check_counters(self):
        tallies = [tally for owner in self.owners for tally in owner.tallies]
        for owner in self.owners:
            names = [client.load.name for client in owner.clients] if isinstance(owner, Sidecar) else [owner.name]
            for name, tally in zip(names, owner.tallies):
                self.check_counter(f"{name}:count", tally["own_begun"], tally["own_done"])
        self.check_counter(
            SHARED_COUNTER, sum(t["shared_begun"] for t in tallies), sum(t["shared_done"] for t in tallies)
        )

    def check_answers(self):
        for owner in self.owners:
            for client in getattr(owner, "clients", []):
                for answer in sorted(client.answers):
                    self.tell(f"{client.load.name} was answered: {answer}", False)

    def finish(self):
        for owner in self.owners:
            owner.stop()
        for line, sound in flat.judge(self.series):
            self.tell(line, sound)
        self.check_tiers()
        self.check_counters()
        self.check_answers()
        self.redis.stop()


def main():
    parser = argparse.ArgumentParser(prog="tools/soak")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--build", required=True)
    arguments = parser.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="hf-soak-"))
    soak = Soak(arguments, directory)
    soak.start()
    soak.blow(arguments.minutes)
    soak.finish()
    if soak.sound:
        shutil.rmtree(directory)
    print(f"soak: {'PASS' if soak.sound else f'FAILED: seed {arguments.seed}, see {directory}'}")
    sys.exit(0 if soak.sound else 1)


main()
