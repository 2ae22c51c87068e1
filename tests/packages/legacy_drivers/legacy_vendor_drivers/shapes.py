# SPDX-License-Identifier: Apache-2.0
"""Habits in how methods are declared and what they return."""

import decorator
from delfin import exception
from delfin.drivers import driver

from legacy_vendor_drivers.base import CAPABILITIES, Array, alert_of, points_of


class Generators(Array):
    """Yields."""

    MODEL = 'generators'

    def list_volumes(self, context):
        for number in (1, 2):
            yield self.volume(number)

    def list_alerts(self, context, query_para=None):
        yield from super().list_alerts(context, query_para)

    def collect_perf_metrics(self, context, storage_id, resource_metrics, start_time, end_time):
        yield from points_of(storage_id, resource_metrics, start_time, end_time)


class Tuples(Array):
    """Tuples, maps and sets in place of lists."""

    MODEL = 'tuples'

    def list_storage_pools(self, context):
        return (self.pool(),)

    def list_volumes(self, context):
        return map(self.volume, (1, 2))

    def collect_perf_metrics(self, context, storage_id, resource_metrics, start_time, end_time):
        return tuple(points_of(storage_id, resource_metrics, start_time, end_time))


class OddNames(Array):
    """Arguments by other names, without defaults, and too few of them (1.3)."""

    MODEL = 'odd_names'

    def get_storage(self, ctx):
        return super().get_storage(ctx)

    def list_volumes(self, content):
        return [self.volume(1), self.volume(2)]

    def list_disks(self):
        return [self.disk()]

    def list_alerts(self, content, query_param):
        return []

    def clear_alert(self, context, trap_config):
        pass

    @staticmethod
    def parse_alert(ctx, alert_info):
        return alert_of(alert_info)

    @staticmethod
    def get_capabilities(ctx):
        return CAPABILITIES

    def collect_perf_metrics(self, context, storage, metrics, start, stop):
        return points_of(storage, metrics, start, stop)


class Swallowing(Array):
    """`*args` and `**kwargs` everywhere."""

    MODEL = 'swallowing'

    def list_volumes(self, *args, **kwargs):
        return [self.volume(1), self.volume(2)]

    def list_disks(self, context, **kwargs):
        return [self.disk()]

    def list_alerts(self, *args):
        return []

    @staticmethod
    def parse_alert(*args, **kwargs):
        return alert_of(args[1])

    def collect_perf_metrics(self, *args, **kwargs):
        return points_of(*args[1:])


@decorator.decorator
def logged(function, *args, **kwargs):
    """As drivers time their calls."""
    return function(*args, **kwargs)


class Decorated(Array):
    """Its methods are wrapped (3.9)."""

    MODEL = 'decorated'

    @logged
    def list_volumes(self, context):
        return [self.volume(1), self.volume(2)]

    @staticmethod
    @logged
    def parse_alert(context, alert):
        return alert_of(alert)

    @logged
    def collect_perf_metrics(self, context, storage_id, resource_metrics, start_time, end_time):
        return points_of(storage_id, resource_metrics, start_time, end_time)


class CapabilitiesWithoutDecorator(Array):
    """`get_capabilities` as the driver guide prints it: neither `self` nor decorator."""

    MODEL = 'capabilities_without_decorator'

    def get_capabilities(context, filters=None):      # noqa: N805
        return CAPABILITIES


class CapabilitiesOfInstance(Array):
    """`get_capabilities` is a method and needs what the constructor has set (2.4)."""

    MODEL = 'capabilities_of_instance'

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.window = 7200

    def get_capabilities(self, context, filters=None):
        return {**CAPABILITIES, 'performance_metric_retention_window': self.window}


class CapabilitiesByVersion(Array):
    """A map from versions to capabilities, unless it is told the version (2.4)."""

    MODEL = 'capabilities_by_version'

    @staticmethod
    def get_capabilities(context, filters=None):
        versions = {9.0: {**CAPABILITIES, 'resource_metrics': {}}, 9.3: CAPABILITIES}
        if filters:
            return versions[float('.'.join(filters.get('firmware_version').split('.')[:2]))]
        return versions


class CapabilitiesByVersionAlways(Array):
    """The same map, whatever it is told (2.4)."""

    MODEL = 'capabilities_by_version_always'

    @staticmethod
    def get_capabilities(context):
        return {9.0: {**CAPABILITIES, 'resource_metrics': {}}, 9.3: CAPABILITIES}


class ParsesAsMethod(Array):
    """`parse_alert` is a method, which needs nothing of its instance (the driver guide)."""

    MODEL = 'parses_as_method'

    def parse_alert(self, context, alert):
        return alert_of(alert)


class ParsesWithState(Array):
    """`parse_alert` is a method and needs what the constructor has set."""

    MODEL = 'parses_with_state'

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.severity = 'Critical'

    def parse_alert(self, context, alert):
        return {**alert_of(alert), 'severity': self.severity}


class ParsesIncompletely(Array):
    """Its traps say too little: it asks for its list instead (1.4)."""

    MODEL = 'parses_incompletely'

    @staticmethod
    def parse_alert(context, alert):
        raise exception.IncompleteTrapInformation(alert['storage_id'])


class NestedMetrics(Array):
    """A list for each resource, as an old comment says (2.5)."""

    MODEL = 'nested_metrics'

    def collect_perf_metrics(self, context, storage_id, resource_metrics, start_time, end_time):
        flat = points_of(storage_id, resource_metrics, start_time, end_time)
        return [flat[:2], flat[2:]]


class SharedLabels(Array):
    """One dict of labels for all metrics of a volume, numbers as texts (2.5)."""

    MODEL = 'shared_labels'

    def collect_perf_metrics(self, context, storage_id, resource_metrics, start_time, end_time):
        points = points_of(storage_id, resource_metrics, start_time, end_time)
        labels = points[0].labels
        del labels['unit']
        return [point._replace(labels=labels, values={str(at): str(value) for at, value in point.values.items()})
                for point in points[::2]]


class WithoutBase:
    """Derives from nothing of ours and has the eight methods that must be there (1.3)."""

    MODEL = 'without_base'

    def __init__(self, **kwargs):
        self.array = Array(**kwargs)

    def reset_connection(self, context, **kwargs):
        pass

    def get_storage(self, context):
        return self.array.get_storage(context)

    def list_storage_pools(self, context):
        return self.array.list_storage_pools(context)

    def list_volumes(self, context):
        return self.array.list_volumes(context)

    def add_trap_config(self, context, trap_config):
        pass

    def remove_trap_config(self, context, trap_config):
        pass

    def list_alerts(self, context, query_para):
        return []

    def clear_alert(self, context, alert):
        pass

    def parse_alert(self, context, alert):
        return alert_of(alert)


class AnothersSubclass(Generators):
    """Derives from another vendor's driver and changes a few texts (1.1)."""

    MODEL = 'anothers_subclass'

    def get_storage(self, context):
        return {**super().get_storage(context), 'vendor': 'rebranded'}


assert issubclass(Array, driver.StorageDriver)
