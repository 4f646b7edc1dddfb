# SPDX-License-Identifier: Apache-2.0
"""Runs kazoo's own test suite against a server that is not started from jars.

kazoo's harness composes a `java -cp ...` line. This pytest plugin replaces only
the way a server is started and awaited: the same configuration goes into a
zoo.cfg, the same -D properties into SERVER_JVMFLAGS, and the command in SUT is
run on it. TLS and SASL are left out of the configuration; the tests that need
them, or an ensemble, are listed with a reason in exclusions.txt and deselected.
"""
import os
import shlex
import socket
import subprocess
import time

import pytest

from kazoo.testing import common

START_TIMEOUT = 60
CONFIG = """\
tickTime=2000
dataDir={data}
clientPort={port}
maxClientCnxns=0
admin.enableServer=false
{more}
"""


def _run(self):
    if self.running:
        return
    data = os.path.join(self.working_path, "data")
    os.makedirs(data, exist_ok=True)
    cfg = os.path.join(self.working_path, "zoo.cfg")
    with open(cfg, "w") as f:
        f.write(
            CONFIG.format(
                data=data,
                port=self.client_port,
                more="\n".join(self.configuration_entries),
            )
        )
    flags = ["-Dfile.encoding=UTF-8", "-Dreadonlymode.enabled=true"]
    env = dict(os.environ)
    env["SERVER_JVMFLAGS"] = " ".join(
        flags + list(self.java_system_properties)
    )
    log = os.path.join(
        os.environ["INTEROP_OUT"], "server-%d.log" % self.client_port
    )
    with open(log, "ab") as out:
        self.process = subprocess.Popen(
            shlex.split(os.environ["SUT"]) + [cfg],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=env,
        )
    self._running = True


def _await(server):
    """Waits until the server answers on its client port."""
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        if server.process.poll() is not None:
            raise RuntimeError(
                "server ended with %d" % server.process.returncode
            )
        try:
            with socket.create_connection(
                (server.host, server.client_port), 1
            ) as s:
                s.sendall(b"srvr")
                if s.makefile("rb").read().startswith(b"Zookeeper version"):
                    return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise RuntimeError("server not up in %d s" % START_TIMEOUT)
        time.sleep(0.02)


def _start(self):
    for server in self:
        server.run()
    for server in self:
        _await(server)


common.ManagedZooKeeper.run = _run
common.ZookeeperCluster.start = _start
common.ZookeeperCluster.perform_ssl_certs_generation = lambda self: None


@pytest.fixture(autouse=True)
def _line_up(request):
    """Lets each thread of test_rw_lock line up before the next one starts.

    The test starts a reader and a writer at once and expects the reader to come
    first; nothing in it makes it so, and now and then it does not, on any server.
    """
    if request.node.nodeid.endswith("KazooLockTests::test_rw_lock"):
        make = request.instance.make_thread

        def make_thread(target, args):
            thread = make(target=target, args=args)
            name, lock, _ = args
            start = thread.start

            def start_and_line_up():
                start()
                deadline = time.monotonic() + START_TIMEOUT
                while name not in lock.contenders():
                    assert time.monotonic() < deadline
                    time.sleep(0.01)

            thread.start = start_and_line_up
            return thread

        request.instance.make_thread = make_thread
    yield


def _exclusions():
    path = os.path.join(os.path.dirname(__file__), "exclusions.txt")
    with open(path) as f:
        for line in f:
            name, _, reason = line.partition("#")
            if name.strip():
                assert reason.strip(), "exclusion without a reason: " + line
                yield name.strip(), reason.strip()


def pytest_configure(config):
    # Each worker has a server of its own, on a port of its own.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    base = int(os.environ["INTEROP_PORT"])
    os.environ["ZOOKEEPER_PORT_OFFSET"] = str(base + 10 * int(worker[2:]))


def pytest_collection_modifyitems(config, items):
    excluded = dict(_exclusions())
    used = set()
    for item in items:
        name = item.nodeid.split("/")[-1]
        for part in (name, name.rpartition("::")[0], name.split("::")[0]):
            if part in excluded:
                used.add(part)
                item.add_marker(
                    pytest.mark.skip(reason="excluded: " + excluded[part])
                )
                break
    if not config.option.keyword and used != set(excluded):
        stale = ", ".join(sorted(set(excluded) - used))
        raise pytest.UsageError("exclusions.txt: there is no test " + stale)


def pytest_terminal_summary(terminalreporter):
    if os.environ.get("PYTEST_XDIST_WORKER"):
        return
    n = {k: len(v) for k, v in terminalreporter.stats.items()}
    with open(os.path.join(os.environ["INTEROP_OUT"], "summary"), "w") as f:
        f.write(
            "%d passed, %d failed, %d skipped\n"
            % (
                n.get("passed", 0),
                n.get("failed", 0) + n.get("error", 0),
                n.get("skipped", 0),
            )
        )
