# SPDX-License-Identifier: Apache-2.0
"""Our decoder and pysnmp's: the same answer, or both refuse; where they differ, it is one of these classes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyasn1.codec.ber import encoder
from pysnmp.proto import rfc1157, rfc1901, rfc1902, rfc1905
from pysnmp.proto.api import v1 as api_v1
from pysnmp.proto.api import v2c as api_v2c

from delfin.alert_manager.snmp import ber, usm
from delfin.alert_manager.snmp.answers import element, integer
from tests.unit.snmp_support import (
    CLEAR_MESSAGES,
    FAULT,
    HEAD,
    STALLS_PYSNMP,
    USERS,
    PysnmpSender,
    Reading,
    Refused,
    Stalled,
    community_message,
    mutated,
    named,
    notification,
    oid,
    our_reading,
    pdu_of,
    pysnmp_reading,
    restructured,
    scoped_pdu,
    trap_v1,
    variables,
)

UINT32 = st.integers(0, 2**32 - 1)
INT32 = st.integers(-2**31, 2**31 - 1)
OCTETS = st.binary(max_size=20) | st.binary(min_size=100, max_size=400)
ADDRESSES = st.tuples(*[st.integers(0, 255)] * 4).map(lambda parts: '.'.join(map(str, parts)))
OIDS = st.builds(
    lambda first, second, rest: '.'.join(map(str, (first, second % 40 if first < 2 else second, *rest))),
    st.integers(0, 2), st.integers(0, 999), st.lists(st.integers(0, 300) | UINT32, max_size=20))
# Tag -> how pysnmp makes such a value (v2c, v1; None: v1 has none), and what it may hold.
VALUES = {
    ber.INTEGER: (rfc1902.Integer32, api_v1.Integer, INT32),
    ber.OCTET_STRING: (rfc1902.OctetString, api_v1.OctetString, OCTETS),
    ber.OBJECT_ID: (rfc1902.ObjectIdentifier, api_v1.ObjectIdentifier, OIDS),
    ber.IP_ADDRESS: (rfc1902.IpAddress, api_v1.IpAddress, ADDRESSES),
    ber.COUNTER32: (rfc1902.Counter32, api_v1.Counter, UINT32),
    ber.GAUGE32: (rfc1902.Gauge32, api_v1.Gauge, UINT32),
    ber.TIME_TICKS: (rfc1902.TimeTicks, api_v1.TimeTicks, UINT32),
    ber.OPAQUE: (rfc1902.Opaque, api_v1.Opaque, OCTETS),
    ber.COUNTER64: (rfc1902.Counter64, None, st.integers(0, 2**64 - 1)),
    ber.NULL: (lambda _: rfc1902.Null(''), lambda _: api_v1.Null(''), st.none()),
    ber.NO_SUCH_OBJECT: (lambda _: rfc1905.noSuchObject, None, st.none()),
    ber.NO_SUCH_INSTANCE: (lambda _: rfc1905.noSuchInstance, None, st.none()),
    ber.END_OF_MIB_VIEW: (lambda _: rfc1905.endOfMibView, None, st.none()),
}


def variables_of(tags):
    return st.one_of([st.builds(ber.Variable, OIDS, st.just(tag), VALUES[tag][2]) for tag in tags])


MANY_VARIABLES = st.lists(variables_of([ber.INTEGER]), min_size=60, max_size=90)
ANY_VARIABLES = st.lists(variables_of(VALUES), max_size=8) | MANY_VARIABLES
V1_VARIABLES = st.lists(variables_of([tag for tag in VALUES if VALUES[tag][1]]), max_size=8)


# --- what pysnmp makes ---

def pysnmp_pdu(kind, request_id, pairs):
    pdu = kind()
    api_v2c.apiPDU.set_defaults(pdu)
    api_v2c.apiPDU.set_request_id(pdu, request_id)
    api_v2c.apiPDU.set_varbinds(pdu, [(pair.oid, VALUES[pair.tag][0](pair.value)) for pair in pairs])
    return pdu


@settings(max_examples=60)
@given(community=OCTETS, kind=st.sampled_from([rfc1905.SNMPv2TrapPDU, rfc1905.InformRequestPDU]), request_id=INT32,
       pairs=ANY_VARIABLES)
def test_a_v2c_message_of_pysnmp_says_what_was_put_into_it(community, kind, request_id, pairs):
    message = rfc1901.Message()
    api_v2c.apiMessage.set_defaults(message)
    api_v2c.apiMessage.set_community(message, community)
    api_v2c.apiMessage.set_pdu(message, pysnmp_pdu(kind, request_id, pairs))
    tag = ber.TRAP_V2 if kind is rfc1905.SNMPv2TrapPDU else ber.INFORM
    datagram = encoder.encode(message)
    assert ber.read(datagram)[:3] == (ber.V2C, community, tag)
    assert pdu_of(datagram) == ber.Pdu(tag, request_id, pairs)


@given(enterprise=OIDS, address=ADDRESSES, generic=st.integers(0, 6), specific=st.integers(0, 2**31 - 1), ticks=UINT32,
       pairs=V1_VARIABLES)
def test_a_v1_trap_of_pysnmp_says_what_pysnmp_reads(enterprise, address, generic, specific, ticks, pairs):
    pdu = api_v1.TrapPDU()
    api_v1.apiTrapPDU.set_defaults(pdu)
    api_v1.apiTrapPDU.set_enterprise(pdu, enterprise)
    api_v1.apiTrapPDU.set_agent_address(pdu, address)
    api_v1.apiTrapPDU.set_generic_trap(pdu, generic)
    api_v1.apiTrapPDU.set_specific_trap(pdu, specific)
    api_v1.apiTrapPDU.set_timestamp(pdu, ticks)
    api_v1.apiTrapPDU.set_varbinds(pdu, [(pair.oid, VALUES[pair.tag][1](pair.value)) for pair in pairs])
    message = rfc1157.Message()
    api_v1.apiMessage.set_defaults(message)
    api_v1.apiMessage.set_community(message, 'public')
    api_v1.apiMessage.set_pdu(message, pdu)
    datagram = encoder.encode(message)
    ours = our_reading(datagram)
    assert ours == pysnmp_reading(datagram)
    assert ours.variables[2:2 + len(pairs)] == [tuple(pair) for pair in pairs]


@pytest.mark.parametrize('user', USERS, ids=named)
def test_a_v3_trap_of_pysnmp_is_verified_and_opened_with_every_protocol(user):
    datagram = PysnmpSender(user).trap([('1.3.6.1.4.1.32473.1.1', rfc1902.OctetString('Fan 3 failed'))])
    message = ber.read(datagram)
    keys = usm.localise(user, message.engine_id)
    assert usm.verify(datagram, message, keys)
    assert usm.decrypt(datagram, message, keys).pdu.variables == [*HEAD, FAULT[2]]


# --- the same bytes, read by both ---

def readings(datagram):
    """(ours or why there is none, pysnmp's or None)."""
    try:
        ours = our_reading(datagram)
    except ber.Malformed as error:
        ours = str(error)
    try:
        theirs = pysnmp_reading(datagram)
    except (Refused, Stalled):
        theirs = None
    return ours, theirs


def with_pdu(pairs=None, status=None):
    pairs = variables(FAULT) if pairs is None else pairs
    return community_message(ber.V2C, element(ber.TRAP_V2, integer(1) + (status or integer(0)) + integer(0) + pairs))


def with_value(encoded):
    return with_pdu(element(ber.SEQUENCE, element(ber.SEQUENCE, oid('1.3.6') + encoded)))


def with_engine(engine_id, behind=b'', model=integer(3)):       # noqa: B008 - bytes
    """A v3 message in clear whose security parameters have something behind them."""
    header = element(0x30, integer(1) + integer(484) + element(4, b'\0') + model)
    security = element(0x30, element(4, engine_id) + integer(0) + integer(0) + element(4, b'') * 3)
    return element(0x30, integer(3) + header + element(4, security + behind) + scoped_pdu(notification(FAULT)))


# Where we are stricter: why we refuse, and something that pysnmp reads.
STRICTER = {
    'a length that is indefinite or too long': b'\x30\x80' + with_pdu()[2:] + b'\0\0',
    'a value of the unknown type 0x24': with_value(b'\x24\x03\x04\x01a'),       # octets in pieces
    'a value of the unknown type 0x60': with_value(b'\x60\x06\x04\x04\xc0\0\x02\x01'),
    'a value of the unknown type 0x64': with_value(b'\x64\x03\x04\x01a'),
    'tag 0x60 where 0x40 belongs': community_message(ber.V1, element(
        ber.TRAP_V1, oid('1.3.6') + b'\x60\x06\x04\x04\xc0\0\x02\x01' + integer(0) * 2
        + integer(0, ber.TIME_TICKS) + variables([]))),
    'tag 0x24 where 0x4 belongs': with_pdu().replace(b'\x04\x06public', b'\x24\x08\x04\x06public').replace(
        with_pdu()[:2], bytes([0x30, with_pdu()[1] + 2]), 1),
    'an integer without bytes': with_pdu(status=b'\x02\0'),
    'a number without bytes': with_value(b'\x43\0'),
    'an integer out of its range': with_pdu(status=integer(2**40)),              # an error status
    'an object id with a number beyond 32 bits': with_value(element(ber.OBJECT_ID, bytes.fromhex('2b9080808000'))),
    'an object id of too many numbers': with_value(oid('1.3' + '.1' * 127)),
    'bytes behind the security parameters': with_engine(b'', behind=b'\0'),
    'security parameters that make no sense': with_engine(bytes(33)),
}


@pytest.mark.parametrize('why', STRICTER)
def test_where_we_are_stricter_than_pysnmp(why):
    ours, theirs = readings(STRICTER[why])
    assert ours == why and theirs is not None


def is_large(variable):
    """True for a number that needs a zero before it, which not all agents write."""
    _, tag, content = variable
    return (tag in (ber.COUNTER32, ber.GAUGE32, ber.TIME_TICKS) and content >= 2**31
            or tag == ber.COUNTER64 and content >= 2**63)


def is_of_v2(variable):
    return VALUES[variable[1]][1] is None


@pytest.mark.parametrize('datagram', [
    with_value(element(ber.TIME_TICKS, bytes.fromhex('ffffffff'))),
    with_value(element(ber.COUNTER64, bytes.fromhex('8000000000000000'))),
    community_message(ber.V1, trap_v1([ber.Variable('1.3.6', ber.COUNTER64, 1)])),
    community_message(ber.V1, trap_v1([ber.Variable('1.3.6', ber.NO_SUCH_OBJECT, None)]))])
def test_where_we_are_more_patient_than_pysnmp(datagram):
    ours, theirs = readings(datagram)
    assert isinstance(ours, Reading) and theirs is None


def assert_same(datagram):
    """The same reading, or both refuse, or one of the classes above."""
    ours, theirs = readings(datagram)
    if isinstance(ours, str):
        assert theirs is None or ours in STRICTER, (ours, theirs)
    elif theirs is None:
        assert any(is_large(variable) or ours.version == ber.V1 and is_of_v2(variable) for variable in ours.variables)
        rewritten = community_message(ber.V2C, notification([ber.Variable(*variable) for variable in ours.variables]))
        assert pysnmp_reading(rewritten).variables == ours.variables
    else:
        assert ours == theirs


@pytest.mark.parametrize('datagram', [*CLEAR_MESSAGES, STALLS_PYSNMP])
def test_both_read_the_same(datagram):
    assert_same(datagram)


def test_a_security_model_with_zeros_before_it_is_the_same_model():
    ours, theirs = readings(with_engine(b'', model=b'\x02\x04\0\0\0\3'))
    assert ours == theirs == readings(with_engine(b''))[0]


@settings(max_examples=600)
@given(datagram=st.sampled_from(CLEAR_MESSAGES), rng=st.randoms(use_true_random=False))
def test_both_read_the_same_after_a_change_that_fits(datagram, rng):
    assert_same(restructured(datagram, rng))


@settings(max_examples=300)
@given(datagram=st.sampled_from(CLEAR_MESSAGES), rng=st.randoms(use_true_random=False))
def test_both_read_the_same_after_damage(datagram, rng):
    assert_same(mutated(datagram, rng, CLEAR_MESSAGES))


@given(st.binary(max_size=60))
def test_both_read_the_same_in_rubbish(datagram):
    assert_same(datagram)
