# SPDX-License-Identifier: Apache-2.0
"""Options: one readable line for every mistake, defaults that fit together, a sample that is up to date."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest
from oslo_config import cfg

from delfin import exception
from delfin.common import config
from tests.unit.support import ROOT

SAMPLE = ROOT / 'etc' / 'delfin' / 'delfin.conf'


@pytest.fixture
def load(tmp_path):
    """`load('[api]\\nport = 1')`: the configuration with this file, not the global one."""
    def make(text='', name='delfin.conf'):
        path = tmp_path / name
        path.write_text(text)
        return config.load(['--config-file', str(path)], 'test', cfg.ConfigOpts(), default_config_dirs=[])
    return make


def complaint(load, *args, **kwargs):
    """The one line that says what is wrong."""
    with pytest.raises(exception.InvalidConfiguration) as caught:
        load(*args, **kwargs)
    assert '\n' not in caught.value.msg
    return caught.value.msg


ALL_OPTIONS = [(group, opt) for group, opts in config.GROUPS.items() for opt in opts]


# --- mistakes ---

@pytest.mark.parametrize(('text', 'message'), [
    ('[api]\nport = http', '[api] port: '), ('[api]\nport = 70000', '[api] port: '),
    ('[api]\nthreads = 0', '[api] threads: '), ('[api]\nhost = not a host!', '[api] host: '),
    ('[rpc]\ntimeout_seconds = soon', '[rpc] timeout_seconds: '),
    ('[cluster]\nlease_seconds = 0', '[cluster] lease_seconds: '),
    ('[sync]\ninterval_seconds = -1', '[sync] interval_seconds: '),
    ('[DEFAULT]\nshutdown_timeout_seconds = 5s', '[DEFAULT] shutdown_timeout_seconds: ')])
def test_a_bad_value_is_one_line_with_group_and_option(load, text, message):
    assert complaint(load, text).startswith(f'configuration: {message}')


def test_a_bad_value_is_found_although_nobody_has_asked_for_it_yet(load):
    assert 'max_limit' in complaint(load, '[api]\nmax_limit = many')


@pytest.mark.parametrize('text', ['no section = 1', '[api\nport = 1', '[api]\nport', '[api]\n  = 1', '\0'])
def test_a_syntax_error_is_one_line_with_the_file(load, text):
    assert complaint(load, text).startswith('configuration file cannot be parsed: ')


def test_a_missing_file_is_one_line_with_its_name(tmp_path):
    path = tmp_path / 'none.conf'
    assert complaint(config.load, ['--config-file', str(path)], 'test', cfg.ConfigOpts()) == (
        f'configuration file not found: {path}')


@pytest.mark.skipif(os.geteuid() == 0, reason='root reads everything')
def test_a_file_that_may_not_be_read_is_one_line_with_its_name(tmp_path):
    path = tmp_path / 'secret.conf'
    path.touch(0o000)
    assert complaint(config.load, ['--config-file', str(path)], 'test', cfg.ConfigOpts()).startswith(
        f'configuration file not readable: {path}')


def test_a_file_that_is_no_text_is_one_line(tmp_path):
    path = tmp_path / 'delfin.conf'
    path.write_bytes(b'[api]\nhost = \xff\xfe')
    assert complaint(config.load, ['--config-file', str(path)], 'test', cfg.ConfigOpts())


def test_a_folder_instead_of_a_file_is_one_line(tmp_path):
    assert complaint(config.load, ['--config-file', str(tmp_path)], 'test', cfg.ConfigOpts())


def test_a_secret_in_a_bad_line_is_not_quoted(load):
    assert 's3cret-word' not in complaint(load, '[database]\nconnection s3cret-word')


def test_a_failure_is_printed_in_one_line_with_the_programs_name(capsys):
    code = config.fail('delfin-api', exception.InvalidConfiguration('set this'))
    assert (code, capsys.readouterr().err) == (2, 'delfin-api: set this\n')


# --- unknown options ---

@pytest.mark.parametrize(('text', 'unknown'), [
    ('[api]\nprot = 1', ['[api] prot']), ('[database]\nconection = x\n[rpc]\nthreads = 2', ['[database] conection']),
    ('[sync]\nlease_seconds = 30', ['[sync] lease_seconds']),       # of an earlier version
    ('[api]\nport = 1', []), ('[oslo_messaging_rabbit]\nanything = 1', []), ('[DEFAULT]\ndebug = true', [])])
def test_a_typo_in_our_groups_is_found(load, text, unknown):
    assert config.unknown_options(load(text)) == unknown


def test_a_typo_is_logged_when_the_service_starts(load, caplog):
    with caplog.at_level(logging.WARNING):
        load('[api]\nprot = 1')
    assert 'option [api] prot in the configuration is unknown and has no effect' in caplog.text


def test_a_good_file_logs_nothing(load, caplog):
    load('[api]\nport = 1')
    assert caplog.text == ''


def test_a_typo_in_a_second_file_is_found(load, tmp_path):
    second = tmp_path / 'second.conf'
    second.write_text('[sync]\nworker = 1')
    (tmp_path / 'first.conf').write_text('')
    conf = config.load(['--config-file', str(tmp_path / 'first.conf'), '--config-file', str(second)], 'test',
                       cfg.ConfigOpts(), default_config_dirs=[])
    assert config.unknown_options(conf) == ['[sync] worker']


# --- defaults ---

def test_a_file_without_any_line_is_enough(load):
    assert load().api.port == 8190


def test_the_api_waits_longer_for_an_answer_than_the_task_service_for_the_array(load):
    conf = load()
    assert conf.rpc.timeout_seconds > conf.drivers.interactive_timeout_seconds


def test_a_lease_outlives_several_heartbeats(load):
    conf = load()
    assert conf.cluster.lease_seconds >= 3 * conf.cluster.heartbeat_seconds


def test_arrays_of_a_dead_node_have_another_one_within_ten_seconds(load):
    """Its lease runs out, and then the others look at their next heartbeat."""
    conf = load()
    assert conf.cluster.lease_seconds + conf.cluster.heartbeat_seconds <= 10


def test_the_second_look_at_a_short_answer_comes_within_a_minute(load):
    assert load().sync.confirm_delay_seconds <= 60


def test_the_pauses_of_quarantine_go_from_a_minute_to_an_hour(load):
    conf = load()
    assert (conf.drivers.quarantine_min_seconds, conf.drivers.quarantine_max_seconds) == (60, 3600)


def test_by_default_nobody_outside_this_machine_is_served(load):
    assert load().api.host == '127.0.0.1'


def test_the_embedded_database_lies_in_the_state_path(load):
    assert config.database_url(load('[DEFAULT]\nstate_path = /srv/d')) == 'sqlite:////srv/d/delfin.sqlite'


def test_a_configured_database_is_taken(load):
    url = 'postgresql+psycopg://u:p@h/d'
    assert config.database_url(load(f'[database]\nconnection = {url}')) == url


def test_what_holds_a_password_is_not_logged(load):
    secret = {opt.name for _, opt in ALL_OPTIONS if opt.secret}
    listed = {opt.name for _, opts in config.list_opts() for opt in opts if opt.secret}
    assert secret == {'connection', 'tls_key_password', 'url'}
    assert listed == {*secret, 'transport_url'}


@pytest.mark.parametrize(('group', 'opt'), ALL_OPTIONS, ids=lambda value: getattr(value, 'name', value))
def test_every_option_has_help_for_the_operator(group, opt):
    assert opt.help and opt.help[0].isupper() and opt.help.rstrip().endswith(('.', ')'))


@pytest.mark.parametrize(('group', 'opt'), ALL_OPTIONS, ids=lambda value: getattr(value, 'name', value))
def test_every_number_has_bounds(group, opt):
    if isinstance(opt, cfg.IntOpt | cfg.FloatOpt):
        assert opt.type.min is not None and opt.type.max is not None
        assert opt.type.min <= opt.default <= opt.type.max


def test_times_and_sizes_say_their_unit():
    plain = {'threads', 'workers', 'port', 'max_limit', 'pool_size', 'keep_runs', 'spool_max_rows', 'keep_failed_traps',
             'trap_port', 'export_queue_max', 'keep_files'}       # counts
    assert all(opt.name in plain or opt.name.endswith(('_seconds', '_days', '_kb', '_mb'))
               for _, opt in ALL_OPTIONS if isinstance(opt, cfg.IntOpt | cfg.FloatOpt))


def test_declaring_the_options_twice_is_harmless():
    conf = cfg.ConfigOpts()
    config.register(conf)
    config.register(conf)


# --- the sample ---

def test_the_sample_configuration_is_what_the_generator_makes_now(tmp_path):
    """Mend with: oslo-config-generator --config-file etc/delfin/config-generator.conf"""
    made = tmp_path / 'delfin.conf'
    # In a process of its own: loading a configuration sets defaults of oslo.log.
    subprocess.run([sys.executable, '-c', 'from oslo_config import generator; generator.main()',
                    '--config-file', 'etc/delfin/config-generator.conf', '--output-file', str(made)],
                   cwd=ROOT, capture_output=True, check=True)
    assert made.read_text() == SAMPLE.read_text()


def test_the_sample_configuration_is_a_good_one(load, caplog):
    conf = load(SAMPLE.read_text())
    assert (config.unknown_options(conf), caplog.text) == ([], '')


def test_every_option_stands_in_the_sample():
    lines = {line.lstrip('#').split('=')[0].strip() for line in SAMPLE.read_text().splitlines() if '=' in line}
    assert {opt.name for _, opts in config.list_opts() for opt in opts} <= lines


def test_nothing_is_set_in_the_sample():
    assert all(line[0] in '#[' for line in SAMPLE.read_text().splitlines() if line)


def test_no_name_of_the_building_machine_stands_in_the_sample():
    assert '#host = <host name>' in SAMPLE.read_text()
