#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Sends one command to QEMU's monitor and prints the answer as JSON.

qmp.py [--event NAME] [--timeout S] SOCKET COMMAND [ARGUMENTS]

ARGUMENTS is a JSON object. With --event, waits for that event after the
command has been answered. Waits for the socket to appear as well.
"""
import argparse
import json
import socket
import sys
import time


class Monitor:
    """One connection to a QMP socket."""

    def __init__(self, path, timeout):
        self.deadline = time.monotonic() + timeout
        self.socket = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.socket.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                self.left()
                time.sleep(0.05)
        self.file = self.socket.makefile("rw", encoding="utf-8")
        self.read()  # the greeting
        self.events = []
        self.command("qmp_capabilities")

    def left(self):
        """Seconds that are left of the timeout."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            sys.exit("qmp: timed out")
        return left

    def read(self):
        self.socket.settimeout(self.left())
        try:
            line = self.file.readline()
        except TimeoutError:
            sys.exit("qmp: timed out")
        if not line:
            sys.exit("qmp: QEMU has gone")
        return json.loads(line)

    def command(self, name, arguments=None):
        request = {"execute": name}
        if arguments:
            request["arguments"] = arguments
        self.file.write(json.dumps(request) + "\n")
        self.file.flush()
        while True:
            answer = self.read()
            if "event" not in answer:
                return answer
            self.events.append(answer)

    def wait_event(self, name):
        while not any(event["event"] == name for event in self.events):
            self.events.append(self.read())


def main():
    args = argparse.ArgumentParser(description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("socket")
    args.add_argument("command")
    args.add_argument("arguments", nargs="?", type=json.loads)
    args.add_argument("--event")
    args.add_argument("--timeout", type=float, default=30)
    args = args.parse_args()

    monitor = Monitor(args.socket, args.timeout)
    answer = monitor.command(args.command, args.arguments)
    print(json.dumps(answer.get("return", answer.get("error"))))
    if "error" in answer:
        return 1
    if args.event:
        monitor.wait_event(args.event)
    return 0


if __name__ == "__main__":
    sys.exit(main())
