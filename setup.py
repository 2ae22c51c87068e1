# SPDX-License-Identifier: Apache-2.0
"""Packaging. The metadata stands in setup.cfg; the entry points stand here, where driver authors add their line."""

from setuptools import setup

setup(
    entry_points={
        'console_scripts': [
            'delfin-all = delfin.cmd.all:main',
            'delfin-api = delfin.cmd.api:main',
            'delfin-task = delfin.cmd.task:main',
            'delfin-alert = delfin.cmd.alert:main',
            'delfin-manage = delfin.cmd.manage:main',
            'delfin-compliance = delfin.cmd.compliance:main',
            'delfin-driver = delfin.cmd.driver:main',
        ],
        # "<vendor> <model> = module:Class". The name is what a client registers an array with.
        'delfin.storage.drivers': [
            'fake_storage fake_driver = delfin.drivers.fake_storage:FakeStorageDriver',
            'ibm storwize_svc = delfin.drivers.ibm.storwize_svc:StorwizeDriver',
            'inspur as5500 = delfin.drivers.inspur.as5500:As5500Driver',
            'linux host = delfin.drivers.linux:LinuxHostDriver',
            'huawei oceanstor = delfin.drivers.huawei.oceanstor:OceanStorDriver',
        ],
        # What drivers are tried on, by the driver's name (docs/drivers/compliance.md).
        'delfin.compliance.simulators': [
            'linux host = delfin.drivers.linux.this_machine:ThisMachine',
            'fake_storage fake_driver = delfin.drivers.fake_storage.simulator:FakeSimulator',
        ],
        # What alerts are handed to: the name is what [alerts] exporters selects (docs/exporters.md).
        'delfin.alert.exporters': [
            'log = delfin.exporter.log:LogExporter',
            'alertmanager = delfin.exporter.alertmanager:AlertmanagerFeed',
            'webhook = delfin.exporter.webhook:WebhookExporter',
            'kafka = delfin.exporter.kafka:AlertExporterKafka',
        ],
        # What metrics are handed to, likewise: [metrics] exporters.
        'delfin.performance.exporters': [
            'log = delfin.exporter.log:MetricsLogExporter',
            'prometheus = delfin.exporter.prometheus.endpoint:PrometheusEndpoint',
            'remote_write = delfin.exporter.prometheus.remote_write:PrometheusRemoteWrite',
            'kafka = delfin.exporter.kafka:PerformanceExporterKafka',
            'file = delfin.exporter.file:JsonLinesExporter',
        ],
        'oslo.messaging.drivers': [
            'local = delfin.rpc.local:LocalDriver',
        ],
        'oslo.config.opts': [
            'delfin = delfin.common.config:list_opts',
        ],
    },
)
