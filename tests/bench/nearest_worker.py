"""One of those who are asked, in a process of its own: on the processors it is given, and at the
priority of the threads with which quiverfs compares, so that all wait for the machine alike.

usage: nearest_worker.py LIBQUIVER WHO PROCESSORS NICE

Reads a request a line, JSON, and answers each with one.
"""

import json
import os
import statistics
import sys
import threading
import time

NEAR_ENOUGH = 1 + 1e-4  # of a distance in single precision


def processor_clock(pid):
    """The clock that tells how much processor time a process has used (clock_getcpuclockid(3))."""
    return (~pid << 3) | 2


class Watch:
    """What calls take by the clock, and of the processors, by this process and `others`."""

    def __init__(self, others=()):
        self.clocks = [time.CLOCK_PROCESS_CPUTIME_ID, *map(processor_clock, others)]

    def used(self):
        return sum(time.clock_gettime_ns(clock) for clock in self.clocks)

    def time(self, call, times):
        """Medians of so many calls."""
        clock, processors = [], []
        for _ in range(times):
            used, before = self.used(), time.monotonic_ns()
            call()
            clock.append(time.monotonic_ns() - before)
            processors.append(self.used() - used)
        return {"ns": statistics.median(clock), "cpu": statistics.median(processors)}

    def once(self, call):
        return self.time(call, 1)


class Asking(threading.Thread):
    """Asks one question after the other until it is told to stop."""

    def __init__(self, ask):
        super().__init__()
        self.ask = ask
        self.until = threading.Event()
        self.count = 0
        self.failed = None
        self.began = time.monotonic_ns()

    def run(self):
        try:
            while not self.until.is_set():
                self.ask()
                self.count += 1
        except OSError as error:
            self.failed = error

    def stop(self):
        self.until.set()
        self.join()
        if self.failed:
            raise self.failed
        return {"ns": (time.monotonic_ns() - self.began) / max(1, self.count), "ops": self.count}


class Asked:
    """Whoever is asked for the nearest."""

    def __init__(self):
        self.watch = Watch()
        self.made = None  # of nearest_sets, what there is to search in
        self.asking = None
        self.cpus = sorted(os.sched_getaffinity(0))

    def answer(self, questions, k, **how):
        """The distances, and the IDs: a row for each question, nearest first."""
        raise NotImplementedError

    def ask(self, count, k, times, **how):
        questions = self.made.questions(count, 0)
        took = self.watch.time(lambda: self.answer(questions, k, **how), times)
        return {**took, "ids": [int(one) for one in self.answer(questions[:1], k, **how)[1][0]]}

    def ask_each(self, count, k, turn, **how):
        """Fresh questions one by one: their distances, and what one takes in the middle."""
        took, far = [], []
        for row in self.made.questions(count, turn):
            took.append(self.watch.once(
                lambda: far.append(self.answer(row[None], k, **how)[0][0])))
        return {"distances": [[float(one) for one in row] for row in far],
                **{clock: statistics.median(one[clock] for one in took) for clock in took[0]}}

    def ask_on(self, k):
        """From now on all the time; returns at once."""
        questions = self.made.questions(1, 0)
        self.asking = Asking(lambda: self.answer(questions, k))
        self.asking.start()

    def stop_asking(self):
        return self.asking.stop()

    def pin(self, threads):
        """All of this process to so many processors, 0 for all; how many."""
        for thread in map(int, os.listdir("/proc/self/task")):
            os.sched_setaffinity(thread, self.cpus[-threads:])
        return threads or len(self.cpus)


def recall(found, exact):
    """How many are as near as the last of the exact ones: of the same distance any will do."""
    near = sum(distance <= best[-1] * NEAR_ENOUGH + 1e-9
               for one, best in zip(found, exact) for distance in one)
    return near / sum(map(len, exact))


def each(took, count):
    return {clock: took[clock] / count for clock in took}


def find(who):
    """Imported no earlier, since a library may count the processors when it is loaded."""
    import nearest_ours
    import nearest_peers
    import nearest_sets
    return {"sets": nearest_sets.Maker, **nearest_ours.WHO, **nearest_peers.WHO}[who]


def serve(who):
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(who, request.pop("do"))(**request)
            answer = answer if isinstance(answer, dict) else {}
        except Exception as error:  # whatever it is, it is told, and the next may go well
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def main():
    library, who, processors, nice = sys.argv[1:]
    os.sched_setaffinity(0, map(int, processors.split(",")))
    os.nice(int(nice))
    try:
        served = find(who)(library)
    except (ImportError, OSError) as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return
    print("{}", flush=True)
    serve(served)


if __name__ == "__main__":
    main()
