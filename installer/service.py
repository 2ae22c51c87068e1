# SPDX-License-Identifier: Apache-2.0
"""delfin-all in the background: start it, see it ready, know it again, stop it."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path

from installer.checkout import Checkout, fingerprint
from installer.console import Problem, RunLog, last_lines, shield
from installer.environment import Environment, clean_variables
from installer.processes import Process, listener, port_is_free
from installer.state import State

READY_SECONDS = 60
STOP_SECONDS = 15
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # we only ever talk to this machine


class Service:
    """The one delfin-all process of a state directory."""

    def __init__(self, checkout: Checkout, environment: Environment, state: State):
        self.checkout = checkout
        self.environment = environment
        self.state = state

    def process(self) -> Process | None:
        """The running process, if the one in the pid file is still that very process."""
        try:
            noted = json.loads(self.state.pid_file.read_text())
            process = Process(noted['pid'], noted['started'], noted['boot'])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return process if process.alive() else None

    def program(self) -> str:
        """A fingerprint of the code, the environment and the configuration a running service has loaded."""
        return fingerprint([*self.checkout.program_files(), self.environment.stamp_file, self.state.conf])

    def runs_this_program(self) -> bool:
        return json.loads(self.state.pid_file.read_text()).get('program') == self.program()

    def require_free_port(self) -> None:
        host, port = self.state.address()
        if not port_is_free(host, port):
            raise Problem(
                f'port {port} on {host} is taken by {listener(port)}: stop that, '
                f'or choose another port ({self._how_to_choose_a_port()})'
            )

    def _how_to_choose_a_port(self) -> str:
        return f'[api] port in {self.state.conf}' if self.state.recorded().get('installed') else '--port N'

    def manage(self, *arguments: str, log: RunLog) -> None:
        """Run delfin-manage on this service's configuration."""
        program = self.environment.bin / 'delfin-manage'
        if log.run([program, '--config-file', self.state.conf, *arguments], clean_variables()) != 0:
            said = (log.text().strip().splitlines() or [''])[-1]
            raise Problem(f'delfin-manage {" ".join(arguments)} failed: {said} (all of it: {log.path})')

    def start(self) -> Process:
        """Start it on its own, out of reach of this terminal; no signal may part the start from the note of it."""
        program = self.program()
        command: list[str | Path] = [self.environment.bin / 'delfin-all', '--config-file', self.state.conf]
        held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
        try:
            with self.state.output_file.open('ab') as output:
                child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=self.state.directory,
                    env=clean_variables(),
                    start_new_session=True,
                    preexec_fn=partial(signal.pthread_sigmask, signal.SIG_SETMASK, held),
                )
            process = Process.of(child.pid)
            if process is not None:
                self._note(process, program)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
        if process is None:
            raise Problem(self._died())
        return process

    def _note(self, process: Process, program: str) -> None:
        self.state.pid_file.write_text(json.dumps(vars(process) | {'program': program}) + '\n')

    def stop(self) -> str | None:
        """Stop it, asking first; how that went, None when it did not run."""
        process = self.process()
        ended = None
        if process is not None:
            gently = process.terminate(STOP_SECONDS)
            ended = 'stopped' if gently else f'killed, since it did not stop within {STOP_SECONDS} s'
        self.state.pid_file.unlink(missing_ok=True)
        return ended

    def stop_after_failure(self) -> None:
        shield()
        self.stop()

    def wait_until_ready(self, process: Process, seconds: float = READY_SECONDS) -> None:
        end = time.monotonic() + seconds
        while not self.ready():
            if not process.alive():
                raise Problem(self._died())
            if time.monotonic() > end:
                raise Problem(f'delfin-all was not ready within {seconds:.0f} s; {self._last_words()}')
            time.sleep(0.1)

    def ready(self) -> bool:
        return all(self._answers(path) for path in ('/healthcheck', '/readiness'))

    def _answers(self, path: str) -> bool:
        try:
            with NO_PROXY.open(self.state.url() + path, timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _died(self) -> str:
        return f'delfin-all ended right after its start; {self._last_words()}'

    def _last_words(self) -> str:
        """The end of its output and log. It is copied, since a failed first run takes its state directory back."""
        lines = [*last_lines(self.state.output_file, 15), *last_lines(self.state.log_file, 15)]
        if not lines:
            return 'it said nothing'
        log = self.environment.log
        log.note(lines)
        return f'its last words, more of them in {log.path}: {lines[-1].strip()}'


