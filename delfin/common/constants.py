# SPDX-License-Identifier: Apache-2.0
"""Enumerations, metric names and a few other values that drivers import. Names and strings are a public contract.

Enumerations are plain classes of strings; `ALL` is the tuple of their values. A value a driver returns that is not in
its enumeration is kept as given and reported; an enumeration is extended here, once, for all drivers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

DEFAULT_RESOURCE_TYPE = 'Storage'       # of an alert that names no other
ACCESS_TYPE = ['rest', 'ssh', 'cli', 'smis']
BLOCK_SIZE = 4096
DB_MAX_INT = 0x7FFFFFFF


class StorageStatus:
    NORMAL = 'normal'
    OFFLINE = 'offline'
    ABNORMAL = 'abnormal'
    DEGRADED = 'degraded'
    UNKNOWN = 'unknown'

    ALL = (NORMAL, OFFLINE, ABNORMAL, DEGRADED, UNKNOWN)


class StoragePoolStatus:
    NORMAL = 'normal'
    OFFLINE = 'offline'
    ABNORMAL = 'abnormal'
    DEGRADED = 'degraded'
    UNKNOWN = 'unknown'

    ALL = (NORMAL, OFFLINE, ABNORMAL, DEGRADED, UNKNOWN)


class VolumeStatus:
    AVAILABLE = 'available'
    ERROR = 'error'
    DEGRADED = 'degraded'       # it can be used, but not all of its copies or paths

    ALL = (AVAILABLE, ERROR, DEGRADED)


class StorageType:
    BLOCK = 'block'
    FILE = 'file'
    UNIFIED = 'unified'

    ALL = (BLOCK, FILE, UNIFIED)


class SyncStatus:
    SYNCED = 0


class VolumeType:
    THICK = 'thick'
    THIN = 'thin'

    ALL = (THICK, THIN)


class PortConnectionStatus:
    CONNECTED = 'connected'
    DISCONNECTED = 'disconnected'
    UNKNOWN = 'unknown'

    ALL = (CONNECTED, DISCONNECTED, UNKNOWN)


class PortHealthStatus:
    NORMAL = 'normal'
    ABNORMAL = 'abnormal'
    UNKNOWN = 'unknown'

    ALL = (NORMAL, ABNORMAL, UNKNOWN)


class PortType:
    FC = 'fc'
    ISCSI = 'iscsi'
    FICON = 'ficon'
    FCOE = 'fcoe'
    ETH = 'eth'
    SAS = 'sas'
    IB = 'ib'
    LOGIC = 'logic'
    CIFS = 'cifs'
    NFS = 'nfs'
    FCACHE = 'fcache'
    COMBO = 'combo'
    CNA = 'cna'
    RCIP = 'rcip'
    NFS_CIFS = 'nfs-cifs'
    OTHER = 'other'

    ALL = (FC, ISCSI, FICON, FCOE, ETH, SAS, IB, LOGIC, CIFS, NFS, FCACHE, COMBO, CNA, RCIP, NFS_CIFS, OTHER)


class PortLogicalType:
    FRONTEND = 'frontend'
    BACKEND = 'backend'
    SERVICE = 'service'
    MANAGEMENT = 'management'
    INTERNAL = 'internal'
    MAINTENANCE = 'maintenance'
    INTERCONNECT = 'interconnect'
    CLUSTER = 'cluster'
    DATA = 'data'
    NODE_MGMT = 'node-mgmt'
    INTERCLUSTER = 'intercluster'
    CLUSTER_MGMT = 'cluster-mgmt'
    PHYSICAL = 'physical'
    IF_GROUP = 'if-group'
    VLAN = 'vlan'
    OTHER = 'other'

    ALL = (
        FRONTEND, BACKEND, SERVICE, MANAGEMENT, INTERNAL, MAINTENANCE, INTERCONNECT, CLUSTER, DATA,
        NODE_MGMT, INTERCLUSTER, CLUSTER_MGMT, PHYSICAL, IF_GROUP, VLAN, OTHER,
    )


class DiskStatus:
    NORMAL = 'normal'
    ABNORMAL = 'abnormal'
    DEGRADED = 'degraded'
    OFFLINE = 'offline'

    ALL = (NORMAL, ABNORMAL, DEGRADED, OFFLINE)


class DiskPhysicalType:
    SATA = 'sata'
    SAS = 'sas'
    SSD = 'ssd'
    NL_SSD = 'nl-ssd'
    FC = 'fc'
    LUN = 'lun'
    ATA = 'ata'
    FLASH = 'flash'
    VMDISK = 'vmdisk'
    NL_SAS = 'nl-sas'
    SSD_CARD = 'ssd-card'
    SAS_FLASH_VP = 'sas-flash-vp'
    HDD = 'hdd'
    NVME_SSD = 'nvme-ssd'
    UNKNOWN = 'unknown'

    ALL = (
        SATA, SAS, SSD, NL_SSD, FC, LUN, ATA, FLASH, VMDISK, NL_SAS, SSD_CARD, SAS_FLASH_VP, HDD, NVME_SSD,
        UNKNOWN,
    )


class DiskLogicalType:
    FREE = 'free'
    MEMBER = 'member'
    HOTSPARE = 'hotspare'
    CACHE = 'cache'
    AGGREGATE = 'aggregate'
    BROKEN = 'broken'
    FOREIGN = 'foreign'
    LABELMAINT = 'labelmaint'
    MAINTENANCE = 'maintenance'
    SHARED = 'shared'
    SPARE = 'spare'
    UNASSIGNED = 'unassigned'
    UNSUPPORTED = 'unsupported'
    REMOTE = 'remote'
    MEDIATOR = 'mediator'
    DATA = 'data'
    UNKNOWN = 'unknown'

    ALL = (
        FREE, MEMBER, HOTSPARE, CACHE, AGGREGATE, BROKEN, FOREIGN, LABELMAINT, MAINTENANCE, SHARED, SPARE,
        UNASSIGNED, UNSUPPORTED, REMOTE, MEDIATOR, DATA, UNKNOWN,
    )


class FilesystemStatus:
    NORMAL = 'normal'
    FAULTY = 'faulty'

    ALL = (NORMAL, FAULTY)


class WORMType:
    NON_WORM = 'non_worm'
    AUDIT_LOG = 'audit_log'
    COMPLIANCE = 'compliance'
    ENTERPRISE = 'enterprise'

    ALL = (NON_WORM, AUDIT_LOG, COMPLIANCE, ENTERPRISE)


class NASSecurityMode:
    MIXED = 'mixed'
    NATIVE = 'native'
    NTFS = 'ntfs'
    UNIX = 'unix'

    ALL = (MIXED, NATIVE, NTFS, UNIX)


class QuotaType:
    TREE = 'tree'
    USER = 'user'
    GROUP = 'group'

    ALL = (TREE, USER, GROUP)


class FSType:
    THICK = 'thick'
    THIN = 'thin'

    ALL = (THICK, THIN)


class ShareProtocol:
    CIFS = 'cifs'
    NFS = 'nfs'
    FTP = 'ftp'
    HDFS = 'hdfs'

    ALL = (CIFS, NFS, FTP, HDFS)


class Severity:
    FATAL = 'Fatal'
    CRITICAL = 'Critical'
    MAJOR = 'Major'
    MINOR = 'Minor'
    WARNING = 'Warning'
    INFORMATIONAL = 'Informational'
    NOT_SPECIFIED = 'NotSpecified'


class Category:
    FAULT = 'Fault'
    EVENT = 'Event'
    RECOVERY = 'Recovery'
    NOT_SPECIFIED = 'NotSpecified'


class ClearType:
    AUTOMATIC = 'Automatic'
    MANUAL = 'Manual'


class ControllerStatus:
    NORMAL = 'normal'
    OFFLINE = 'offline'
    FAULT = 'fault'
    DEGRADED = 'degraded'
    UNKNOWN = 'unknown'

    ALL = (NORMAL, OFFLINE, FAULT, DEGRADED, UNKNOWN)


class InitiatorType:
    FC = 'fc'
    ISCSI = 'iscsi'
    NVME_OVER_ROCE = 'roce'
    SAS = 'sas'
    NVME_OVER_FABRIC = 'nvme-of'
    UNKNOWN = 'unknown'

    ALL = (FC, ISCSI, NVME_OVER_ROCE, SAS, NVME_OVER_FABRIC, UNKNOWN)


class EventType:
    COMMUNICATIONS_ALARM = 'CommunicationsAlarm'
    EQUIPMENT_ALARM = 'EquipmentAlarm'
    PROCESSING_ERROR_ALARM = 'ProcessingErrorAlarm'
    QUALITY_OF_SERVICE_ALARM = 'QualityOfServiceAlarm'
    ENVIRONMENTAL_ALARM = 'EnvironmentalAlarm'
    INTEGRITY_VIOLATION = 'IntegrityViolation'
    OPERATIONAL_VIOLATION = 'OperationalViolation'
    PHYSICAL_VIOLATION = 'PhysicalViolation'
    SECURITY_MECHANISM_VIOLATION = 'SecurityServiceOrMechanismViolation'
    TIME_DOMAIN_VIOLATION = 'TimeDomainViolation'
    NOT_SPECIFIED = 'NotSpecified'


class SecurityLevel:
    AUTHPRIV = 'authPriv'
    AUTHNOPRIV = 'authNoPriv'
    NOAUTHNOPRIV = 'noAuthnoPriv'


class ResourceType:
    STORAGE = 'storage'
    STORAGE_POOL = 'storagePool'
    VOLUME = 'volume'
    CONTROLLER = 'controller'
    PORT = 'port'
    DISK = 'disk'
    FILESYSTEM = 'filesystem'
    SHARE = 'share'

    ALL = (STORAGE, STORAGE_POOL, VOLUME, CONTROLLER, PORT, DISK, FILESYSTEM, SHARE)


class ResourceSync:
    START = 100
    SUCCEED = 100
    FAILED = 101


class TelemetryTaskStatus:
    TASK_EXEC_STATUS_SUCCESS = True
    TASK_EXEC_STATUS_FAILURE = False


class TelemetryJobStatus:
    FAILED_JOB_STATUS_SUCCESS = 'Success'
    FAILED_JOB_STATUS_RETRYING = 'Retrying'
    FAILED_JOB_STATUS_INIT = 'Initialized'


class MetricUnit:
    IOPS = 'IOPS'
    MBS = 'MB/s'
    MS = 'ms'
    KB = 'KB'
    PERCENTAGE = '%'

    ALL = (IOPS, MBS, MS, KB, PERCENTAGE)


class HostStatus:
    NORMAL = 'normal'
    OFFLINE = 'offline'
    ABNORMAL = 'abnormal'
    DEGRADED = 'degraded'

    ALL = (NORMAL, OFFLINE, ABNORMAL, DEGRADED)


class HostOSTypes:
    LINUX = 'Linux'
    WINDOWS = 'Windows'
    SOLARIS = 'Solaris'
    HP_UX = 'HP-UX'
    AIX = 'AIX'
    XEN_SERVER = 'XenServer'
    VMWARE_ESX = 'VMware ESX'
    LINUX_VIS = 'LINUX_VIS'
    WINDOWS_SERVER_2012 = 'Windows Server 2012'
    ORACLE_VM = 'Oracle VM'
    OPEN_VMS = 'Open VMS'
    MAC_OS = 'Mac OS'
    UNKNOWN = 'Unknown'

    ALL = (
        LINUX, WINDOWS, SOLARIS, HP_UX, AIX, XEN_SERVER, VMWARE_ESX, LINUX_VIS, WINDOWS_SERVER_2012,
        ORACLE_VM, OPEN_VMS, MAC_OS, UNKNOWN,
    )


class InitiatorStatus:
    ONLINE = 'online'
    OFFLINE = 'offline'
    UNKNOWN = 'unknown'

    ALL = (ONLINE, OFFLINE, UNKNOWN)


class TelemetryCollection:
    """Defaults of metric collection, in seconds unless the name says otherwise."""

    FAILED_JOB_SCHEDULE_INTERVAL = 900
    MAX_FAILED_JOB_RETRY_COUNT = 5
    DEF_PERFORMANCE_COLLECTION_INTERVAL = 900
    DEF_PERFORMANCE_HISTORY_ON_RESCHEDULE = 1800
    DEF_PERFORMANCE_TIMESTAMP_OVERLAP = 60
    MAX_FAILED_TASK_RETRY_WINDOW = 7200


class metric_struct(NamedTuple):  # noqa: N801  the name drivers import
    """One time series: `labels` names the resource, `values` maps epoch milliseconds to numbers."""

    name: str
    labels: dict[str, Any]
    values: dict[int, float]


class Metric(NamedTuple):
    """Description of a metric."""

    name: str
    unit: str
    description: str


IOPS = Metric('iops', 'IOPS', 'Read and write operations per second')
READ_IOPS = Metric('readIops', 'IOPS', 'Read operations per second')
WRITE_IOPS = Metric('writeIops', 'IOPS', 'Write operations per second')
THROUGHPUT = Metric('throughput', 'MB/s', 'Data read and written per second')
READ_THROUGHPUT = Metric('readThroughput', 'MB/s', 'Data read per second')
WRITE_THROUGHPUT = Metric('writeThroughput', 'MB/s', 'Data written per second')
RESPONSE_TIME = Metric('responseTime', 'ms', 'Average time of an operation')
READ_RESPONSE_TIME = Metric('readResponseTime', 'ms', 'Average time of a read')
WRITE_RESPONSE_TIME = Metric('writeResponseTime', 'ms', 'Average time of a write')
IO_SIZE = Metric('ioSize', 'KB', 'Average size of an operation')
READ_IO_SIZE = Metric('readIoSize', 'KB', 'Average size of a read')
WRITE_IO_SIZE = Metric('writeIoSize', 'KB', 'Average size of a write')
CACHE_HIT_RATIO = Metric('cacheHitRatio', '%', 'Operations served from cache')
READ_CACHE_HIT_RATIO = Metric('readCacheHitRatio', '%', 'Reads served from cache')
WRITE_CACHE_HIT_RATIO = Metric('writeCacheHitRatio', '%', 'Writes served from cache')
CPU_USAGE = Metric('cpuUsage', '%', 'Processor use')


class StorageMetric:
    IOPS = IOPS
    READ_IOPS = READ_IOPS
    WRITE_IOPS = WRITE_IOPS
    THROUGHPUT = THROUGHPUT
    READ_THROUGHPUT = READ_THROUGHPUT
    WRITE_THROUGHPUT = WRITE_THROUGHPUT
    RESPONSE_TIME = RESPONSE_TIME
    READ_RESPONSE_TIME = READ_RESPONSE_TIME
    WRITE_RESPONSE_TIME = WRITE_RESPONSE_TIME
    CACHE_HIT_RATIO = CACHE_HIT_RATIO
    READ_CACHE_HIT_RATIO = READ_CACHE_HIT_RATIO
    WRITE_CACHE_HIT_RATIO = WRITE_CACHE_HIT_RATIO
    IO_SIZE = IO_SIZE
    READ_IO_SIZE = READ_IO_SIZE
    WRITE_IO_SIZE = WRITE_IO_SIZE


class StoragePoolMetric:
    IOPS = IOPS
    READ_IOPS = READ_IOPS
    WRITE_IOPS = WRITE_IOPS
    THROUGHPUT = THROUGHPUT
    READ_THROUGHPUT = READ_THROUGHPUT
    WRITE_THROUGHPUT = WRITE_THROUGHPUT
    RESPONSE_TIME = RESPONSE_TIME
    READ_RESPONSE_TIME = READ_RESPONSE_TIME
    WRITE_RESPONSE_TIME = WRITE_RESPONSE_TIME
    CACHE_HIT_RATIO = CACHE_HIT_RATIO
    READ_CACHE_HIT_RATIO = READ_CACHE_HIT_RATIO
    WRITE_CACHE_HIT_RATIO = WRITE_CACHE_HIT_RATIO
    IO_SIZE = IO_SIZE
    READ_IO_SIZE = READ_IO_SIZE
    WRITE_IO_SIZE = WRITE_IO_SIZE


class VolumeMetric:
    IOPS = IOPS
    READ_IOPS = READ_IOPS
    WRITE_IOPS = WRITE_IOPS
    THROUGHPUT = THROUGHPUT
    READ_THROUGHPUT = READ_THROUGHPUT
    WRITE_THROUGHPUT = WRITE_THROUGHPUT
    RESPONSE_TIME = RESPONSE_TIME
    READ_RESPONSE_TIME = READ_RESPONSE_TIME
    WRITE_RESPONSE_TIME = WRITE_RESPONSE_TIME
    IO_SIZE = IO_SIZE
    READ_IO_SIZE = READ_IO_SIZE
    WRITE_IO_SIZE = WRITE_IO_SIZE
    CACHE_HIT_RATIO = CACHE_HIT_RATIO
    READ_CACHE_HIT_RATIO = READ_CACHE_HIT_RATIO
    WRITE_CACHE_HIT_RATIO = WRITE_CACHE_HIT_RATIO


class ControllerMetric:
    IOPS = IOPS
    READ_IOPS = READ_IOPS
    WRITE_IOPS = WRITE_IOPS
    THROUGHPUT = THROUGHPUT
    READ_THROUGHPUT = READ_THROUGHPUT
    WRITE_THROUGHPUT = WRITE_THROUGHPUT
    RESPONSE_TIME = RESPONSE_TIME
    READ_RESPONSE_TIME = READ_RESPONSE_TIME
    WRITE_RESPONSE_TIME = WRITE_RESPONSE_TIME
    CACHE_HIT_RATIO = CACHE_HIT_RATIO
    READ_CACHE_HIT_RATIO = READ_CACHE_HIT_RATIO
    WRITE_CACHE_HIT_RATIO = WRITE_CACHE_HIT_RATIO
    IO_SIZE = IO_SIZE
    READ_IO_SIZE = READ_IO_SIZE
    WRITE_IO_SIZE = WRITE_IO_SIZE
    CPU_USAGE = CPU_USAGE


class PortMetric:
    IOPS = IOPS
    READ_IOPS = READ_IOPS
    WRITE_IOPS = WRITE_IOPS
    THROUGHPUT = THROUGHPUT
    READ_THROUGHPUT = READ_THROUGHPUT
    WRITE_THROUGHPUT = WRITE_THROUGHPUT
    RESPONSE_TIME = RESPONSE_TIME
    READ_RESPONSE_TIME = READ_RESPONSE_TIME
    WRITE_RESPONSE_TIME = WRITE_RESPONSE_TIME
    CACHE_HIT_RATIO = CACHE_HIT_RATIO
    READ_CACHE_HIT_RATIO = READ_CACHE_HIT_RATIO
    WRITE_CACHE_HIT_RATIO = WRITE_CACHE_HIT_RATIO
    IO_SIZE = IO_SIZE
    READ_IO_SIZE = READ_IO_SIZE
    WRITE_IO_SIZE = WRITE_IO_SIZE


class DiskMetric:
    IOPS = IOPS
    READ_IOPS = READ_IOPS
    WRITE_IOPS = WRITE_IOPS
    THROUGHPUT = THROUGHPUT
    READ_THROUGHPUT = READ_THROUGHPUT
    WRITE_THROUGHPUT = WRITE_THROUGHPUT
    RESPONSE_TIME = RESPONSE_TIME
    READ_RESPONSE_TIME = READ_RESPONSE_TIME
    WRITE_RESPONSE_TIME = WRITE_RESPONSE_TIME
    CACHE_HIT_RATIO = CACHE_HIT_RATIO
    READ_CACHE_HIT_RATIO = READ_CACHE_HIT_RATIO
    WRITE_CACHE_HIT_RATIO = WRITE_CACHE_HIT_RATIO


class FileSystemMetric:
    IOPS = IOPS
    READ_IOPS = READ_IOPS
    WRITE_IOPS = WRITE_IOPS
    THROUGHPUT = THROUGHPUT
    READ_THROUGHPUT = READ_THROUGHPUT
    WRITE_THROUGHPUT = WRITE_THROUGHPUT
    READ_RESPONSE_TIME = READ_RESPONSE_TIME
    WRITE_RESPONSE_TIME = WRITE_RESPONSE_TIME
    IO_SIZE = IO_SIZE
    READ_IO_SIZE = READ_IO_SIZE
    WRITE_IO_SIZE = WRITE_IO_SIZE
