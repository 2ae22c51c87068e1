# SPDX-License-Identifier: Apache-2.0
# ruff: noqa
"""The driver of the driver developer guide, as it is printed there.

This is a quotation and stays as it is, odd indentation and all. Changed is only what would not run: the import of
`constants` (the guide has none), the indentation of two lines (the first of `collect_perf_metrics` and of
`get_capabilities`), and the serial number, which must differ from that of the other driver of this package.
"""

from delfin.common import constants
from delfin.drivers import driver


class SampleStorageDriver(driver.StorageDriver):
  """SampleStorageDriver shows how to implement the StorageDriver,

  """

  def __init__(self, **kwargs):
      super().__init__(**kwargs)

  def reset_connection(self, context, **kwargs):
      pass

  def get_storage(self, context):
      # Do something here
      return {
          'name': 'sample',
          'description': 'sample',
          'vendor': 'sample_vendor',
          'model': 'sample_model',
          'status': 'normal',
          'serial_number': 124,     # the guide says 123, which is the other driver's
          'firmware_version': '1.0.0',
          'location': 'HK',
          'total_capacity': 123,
          'used_capacity': 0,
          'free_capacity': 123,
          'raw_capacity': 123,
          'subscribed_capacity': 123
      }

  def list_storage_pools(self, context):
      pool_list = []
      for idx in range(3):
          p = {
              "name": "sample_pool_" + str(idx),
              "storage_id": self.storage_id,
              "native_storage_pool_id": "sample_original_id_" + str(idx),
              "description": "Sample Pool",
              "status": "normal",
              "total_capacity": 123,
              "used_capacity": 0,
              "free_capacity": 123,
          }
          pool_list.append(p)
      return pool_list

  def list_volumes(self, context):
    volume_list = []
    for i in range(1, 5):
        v = {
            "name": "sample_vol_" + str(i),
            "storage_id": self.storage_id,
            "description": "Sample Volume",
            "status": "normal",
            "native_volume_id": "sample_original_id_" + str(i),
            "wwn": "fake_wwn_" + str(i),
            "total_capacity": 12,
            "used_capacity": 2,
            "free_capacity": 10,
        }
        volume_list.append(v)
        return volume_list

  def list_controllers(self, context):
    controller_list = []
    for i in range(1, 3):
        c = {
            "name": "sample_ctrl_" + str(i),
            "storage_id": self.storage_id,
            "native_controller_id": "sample_original_id_" + str(i),
            "status": "normal",
            "memory_size": 10000000,
            "cpu_info": 'Intel Xenon',
            "location": 'rack-10',
            "soft_version": 'v1.0.0',
        }
        controller_list.append(c)
        return controller_list

  def list_ports(self, context):
    port_list = []
    for i in range(1, 3):
        p = {
            "name": "sample_port_" + str(i),
            "storage_id": self.storage_id,
            "native_port_id": "sample_original_id_" + str(i),
            "health_status": "normal",
            "type": "fc",
            "speed": 1000,
            "max_speed": 10000,
            "wwn": "wwn12345",
        }
        port_list.append(p)
        return port_list

  def list_disks(self, context):
    disk_list = []
    for i in range(1, 3):
        d = {
            "name": "sample_disk_" + str(i),
            "storage_id": self.storage_id,
            "native_disk_id": "sample_original_id_" + str(i),
            "serial_number": "serial-123",
            "manufacturer": "Seagate",
            "model": "Model-SSD",
            "status": "normal",
            "location": "cage-10",
            "capacity": 1000000,
            "speed": 20000,
            "health_score": 98,
        }
        disk_list.append(d)
        return disk_list

  def list_quotas(self, context):
    quota_list = []
    for i in range(1, 5):
        q = {
            "storage_id": self.storage_id,
            "native_quota_id": "sample_original_id_" + str(i),
            "native_qtree_id": "sample_qtree_id_" + str(i),
            "type": "tree",
            "capacity_hard_limit": 9000000,
            "capacity_soft_limit": 7500000,
            "used_capacity": 1000000,
            "file_hard_limit": 900000,
            "file_soft_limit": 750000,
            "file_count": 200000,
        }
        quota_list.append(q)
        return quota_list

  def list_filesystems(self, context):
    fs_list = []
    for i in range(1, 5):
        f = {
            "name": "sample_fs_" + str(i),
            "storage_id": self.storage_id,
            "native_filesystem_id": "sample_original_id_" + str(i),
            "native_pool_id": "sample_pool_id_" + str(i),
            "status": "normal",
            "type": "non_worm",
            "total_capacity": 12,
            "used_capacity": 2,
            "free_capacity": 10,
        }
        fs_list.append(f)
        return fs_list

  def list_qtrees(self, context):
    qtree_list = []
    for i in range(1, 5):
        q = {
            "name": "sample_qtree_" + str(i),
            "storage_id": self.storage_id,
            "native_qtree_id": "sample_original_id_" + str(i),
            "native_filesystem_id": "sample_original_id_" + str(i),
            "security_mode": "ntfs",
            "path": "\opt\path",
        }
        qtree_list.append(q)
        return qtree_list

  def list_shares(self, context):
    share_list = []
    for i in range(1, 5):
        s = {
            "name": "sample_share_" + str(i),
            "storage_id": self.storage_id,
            "native_share_id": "sample_original_id_" + str(i),
            "native_filesystem_id": "sample_fs_id_" + str(i),
            "native_qtree_id": "sample_qt_id_" + str(i),
            "protocol": "cifs",
            "path": "\opt\share_path",
        }
        share_list.append(s)
        return share_list

  def add_trap_config(self, context, trap_config):
      pass

  def remove_trap_config(self, context, trap_config):
      pass

  def parse_alert(self, context, alert):
      pass

  def clear_alert(self, context, alert):
      pass

  def list_alerts(self, context, query_para=None):
      pass

  def collect_perf_metrics(self, context, storage_id, metrics, start, stop):
      perf_metrics_list = [
          constants.metric_struct(name='iops',
                                  labels={
                                      'storage_id': '12345',
                                      'resource_type': 'storage',
                                      'resource_id': '00112233',
                                      'resource_name': 'VMAX00112233',
                                      'type': 'RAW',
                                      'unit': 'IOPS'},
                                  values={1566550500000: 417.42667}
                                  ),
          constants.metric_struct(name='iops',
                                  labels={
                                      'storage_id': '12345',
                                      'resource_type': 'storagePool',
                                      'resource_id': 'SRP_1',
                                      'resource_name': 'SRP_1',
                                      'type': 'RAW',
                                      'unit': 'IOPS'},
                                  values={1566550800000: 304.8}
                                  ),
          constants.metric_struct(name='iops',
                                  labels={
                                      'storage_id': '12345',
                                      'resource_type': 'controller',
                                      'resource_id': 'DF-1C',
                                      'resource_name': 'BEDirector_DF-1C',
                                      'type': 'RAW',
                                      'unit': 'IOPS'
                                  },
                                  values={1566987000000: 248.40666}
                                  ),
          constants.metric_struct(name='iops',
                                  labels={
                                      'storage_id': '12345',
                                      'resource_type': 'port',
                                      'resource_id': '12',
                                      'resource_name': 'BEPort_DF-1C_12',
                                      'type': 'RAW',
                                      'unit': 'IOPS'
                                  },
                                  values={1566987000000: 6.693333}
                                  ),
      ]
      return perf_metrics_list

  def get_capabilities(context, filters=None):
      return {
          'is_historic': False,
          'performance_metric_retention_window': 4500,
          'resource_metrics': {
              "storage": {
                  "throughput": {
                      "unit": "MB/s",
                      "description": "Represents how much data is "
                                     "successfully transferred in MB/s"
                  },
                  "responseTime": {
                      "unit": "ms",
                      "description": "Average time taken for an IO "
                                     "operation in ms"
                  },
                  "iops": {
                      "unit": "IOPS",
                      "description": "Input/output operations per second"
                  },
              },
              "storagePool": {
                  "throughput": {
                      "unit": "MB/s",
                      "description": "Total data transferred per second "
                  },
                  "responseTime": {
                      "unit": "ms",
                      "description": "Average time taken for an IO "
                                     "operation"
                  },
              },
              "volume": {
                  "throughput": {
                      "unit": "MB/s",
                      "description": "Total data transferred per second "
                  },
                  "responseTime": {
                      "unit": "ms",
                      "description": "Average time taken for an IO "
                                     "operation"
                  },
                  "iops": {
                      "unit": "IOPS",
                      "description": "Read and write  operations per"
                                     " second"
                  },
                  "cacheHitRatio": {
                      "unit": "%",
                      "description": "Percentage of io that are cache "
                                     "hits"
                  },
                  "ioSize": {
                      "unit": "KB",
                      "description": "The average size of IO requests in KB"
                  },
              },
              "controller": {
                  "throughput": {
                      "unit": "MB/s",
                      "description": "Total data transferred per second "
                  },
                  "responseTime": {
                      "unit": "ms",
                      "description": "Average time taken for an IO "
                                     "operation"
                  },
                  "iops": {
                      "unit": "IOPS",
                      "description": "Read and write  operations per "
                                     "second"
                  },
              },
              "port": {
                  "throughput": {
                      "unit": "MB/s",
                      "description": "Total data transferred per second "
                  },
                  "responseTime": {
                      "unit": "ms",
                      "description": "Average time taken for an IO "
                                     "operation"
                  },
                  "iops": {
                      "unit": "IOPS",
                      "description": "Read and write  operations per "
                                     "second"
                  },
              },
              "disk": {
                  "throughput": {
                      "unit": "MB/s",
                      "description": "Total data transferred per second "
                  },
                  "responseTime": {
                      "unit": "ms",
                      "description": "Average time taken for an IO "
                                     "operation"
                  },
                  "iops": {
                      "unit": "IOPS",
                      "description": "Read and write  operations per"
                                     " second"
                  },
              },
              "filesystem": {
                  "throughput": {
                      "unit": "MB/s",
                      "description": "Total data transferred per second "
                  },
                  "readResponseTime": {
                      "unit": "ms",
                      "description": "Average time taken for a read"
                                     "operation"
                  },
                  "writeResponseTime": {
                      "unit": "ms",
                      "description": "Average time taken for a write "
                                     "operation"
                  },
                  "iops": {
                      "unit": "IOPS",
                      "description": "Read and write  operations per"
                                     " second"
                  },
                  "ioSize": {
                      "unit": "KB",
                      "description": "The average size of IO requests "
                                     "in KB."
                  },
              },
          },
      }

  def list_storage_host_initiators(self, context):
      storage_host_initiators_list = [
          {
              "name": "storage_host_initiator_1",
              "description": "storage_host_initiator_1",
              "alias": "storage_host_initiator_1",
              "storage_id": self.storage_id,
              "native_storage_host_initiator_id": "storage_host_initiator_1",
              "wwn": "wwn_1",
              "status": "Normal",
              "native_storage_host_id": "storage_host_1",
          },
          {
              "name": "storage_host_initiator_2",
              "description": "storage_host_initiator_2",
              "alias": "storage_host_initiator_2",
              "storage_id": self.storage_id,
              "native_storage_host_initiator_id": "storage_host_initiator_2",
              "wwn": "wwn_2",
              "status": "Normal",
              "native_storage_host_id": "storage_host_2",
          }
      ]
      return storage_host_initiators_list

  def list_storage_hosts(self, context):
      storage_hosts_list = [
          {
              "name": "storage_host_1",
              "description": "storage_host_1",
              "storage_id": self.storage_id,
              "native_storage_host_id": "storage_host_1",
              "os_type": "linux",
              "status": "Normal",
              "ip_address": "1.2.3.4"
          },
          {
              "name": "storage_host_2",
              "description": "storage_host_2",
              "storage_id": self.storage_id,
              "native_storage_host_id": "storage_host_2",
              "os_type": "linux",
              "status": "Normal",
              "ip_address": "1.2.3.5"
          }
      ]
      return storage_hosts_list

  def list_storage_host_groups(self, context):
      host_groups = [
          {
              "name": "storage_host_group_1",
              "description": "storage_host_group_1",
              "storage_id": self.storage_id,
              "native_storage_host_group_id": "storage_host_group_1",
              "storage_hosts": "host1,host2"
          },
          {
              "name": "storage_host_group_2",
              "description": "storage_host_group_2",
              "storage_id": self.storage_id,
              "native_storage_host_group_id": "storage_host_group_2",
              "storage_hosts": "host3,host4"
          }
      ]

      storage_host_group_relation_list = [
          {
              'storage_id': self.storage_id,
              'native_storage_host_group_id': "storage_host_group_1",
              'native_storage_host_id': "host1"
          },
          {
              'storage_id': self.storage_id,
              'native_storage_host_group_id': "storage_host_group_1",
              'native_storage_host_id': "host2"
          },
          {
              'storage_id': self.storage_id,
              'native_storage_host_group_id': "storage_host_group_2",
              'native_storage_host_id': "host3"
          },
          {
              'storage_id': self.storage_id,
              'native_storage_host_group_id': "storage_host_group_2",
              'native_storage_host_id': "host4"
          }
      ]
      result = {
          'storage_host_groups': host_groups,
          'storage_host_grp_host_rels': storage_host_group_relation_list
      }
      return result

  def list_port_groups(self, context):
      port_group_list = [
          {
              "name": "port_group_1",
              "description": "port_group_1",
              "storage_id": self.storage_id,
              "native_port_group_id": "storage_port_group_1",
              "ports": "port_1,port_2"
          }
      ]
      port_group_relation = [
          {
              'storage_id': self.storage_id,
              'native_port_group_id': "storage_port_group_1",
              'native_port_id': "port_1"
          },
          {
              'storage_id': self.storage_id,
              'native_port_group_id': "storage_port_group_1",
              'native_port_id': "port_2"
          }
      ]
      result = {
          'port_groups': port_group_list,
          'port_grp_port_rels': port_group_relation
      }
      return result

  def list_volume_groups(self, context):
      volume_group_list = [
          {
              "name": "volume_group_1",
              "description": "volume_group_1",
              "storage_id": self.storage_id,
              "native_volume_group_id": "volume_group_1",
              "volumes": "volume1,volume2"
          }
      ]
      volume_group_relation = [
          {
              'storage_id': self.storage_id,
              'native_volume_group_id': "volume_group_1",
              'native_volume_id': "volume1"
          },
          {
              'storage_id': self.storage_id,
              'native_volume_group_id': "volume_group_1",
              'native_volume_id': "volume2"

          }
      ]
      result = {
          'volume_groups': volume_group_list,
          'vol_grp_vol_rels': volume_group_relation
      }
      return result

  def list_masking_views(self, context):
      masking_view_list = [
          {
              "name": "masking_view_1",
              "description": "masking_view_1",
              "storage_id": self.storage_id,
              "native_masking_view_id": "masking_view_1",
              "native_storage_host_group_id": "storage_host_group_1",
              "native_volume_group_id": "volume_group_1",
              "native_port_group_id": "port_group_1",
              "native_storage_host_id": "",
              "native_volume_id": "",
          },
          {
              "name": "masking_view_2",
              "description": "masking_view_2",
              "storage_id": self.storage_id,
              "native_masking_view_id": "masking_view_2",
              "native_storage_host_group_id": "storage_host_group_2",
              "native_volume_group_id": "volume_group_2",
              "native_port_group_id": "port_group",
              "native_storage_host_id": "storage_host_1",
              "native_volume_id": "volume_1",
          }
      ]
      return masking_view_list

  def get_alert_sources(self, context):
      return []

  def get_latest_perf_timestamp(self, context):
      pass
