import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.stun import Attribute
from server.stun_turn import codec
from server.stun_turn.codec import MAX_ATTRIBUTES, Class, Message, Method

# RFC 5769, section 2.1: a Binding request with a short-term credential
SAMPLE = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b151263b36"
    "000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"
)
SAMPLE_KEY = b"VOkJxbRl1RmTxUk/WvJxBt"


def test_reads_the_sample_request_of_rfc_5769() -> None:
    message = codec.parse(SAMPLE)
    assert (message.method, message.message_class) == (Method.BINDING, Class.REQUEST)
    assert message.get(Attribute.USERNAME) == b"evtj:h6vY"
    assert message.integrity == codec.integrity_of(message.signed, SAMPLE_KEY)


def test_a_changed_bit_is_noticed_by_the_fingerprint() -> None:
    changed = bytearray(SAMPLE)
    changed[30] ^= 1
    with pytest.raises(ValueError, match="FINGERPRINT"):
        codec.parse(bytes(changed))


def test_attributes_behind_message_integrity_do_not_count() -> None:
    built = codec.build(Message(Method.BINDING, Class.REQUEST, bytes(12)), b"key", fingerprint=False)
    smuggled = built[:2] + (len(built) - 20 + 8).to_bytes(2, "big") + built[4:] + b"\0\x0d\0\x04\0\0\0\x01"
    assert codec.parse(smuggled).get(Attribute.LIFETIME) is None


def test_a_message_of_more_attributes_than_anyone_needs_is_refused() -> None:
    def built(count: int) -> bytes:
        return codec.build(Message(Method.BINDING, Class.REQUEST, bytes(12), [(0xFABC, b"")] * count), fingerprint=False)

    assert len(codec.parse(built(MAX_ATTRIBUTES)).attributes) == MAX_ATTRIBUTES
    with pytest.raises(ValueError, match="too many"):
        codec.parse(built(MAX_ATTRIBUTES + 1))
    integrity = codec.build(Message(Method.BINDING, Class.REQUEST, bytes(12)), b"key", fingerprint=False)[20:]
    behind = integrity + built(MAX_ATTRIBUTES)[20:]
    with pytest.raises(ValueError, match="too many"):
        codec.parse(built(0)[:2] + len(behind).to_bytes(2, "big") + built(0)[4:] + behind)


@given(
    st.sampled_from(list(Method)),
    st.sampled_from(list(Class)),
    st.binary(min_size=12, max_size=12),
    st.lists(
        st.tuples(st.integers(0, 0xFFFF).filter(lambda kind: kind not in (0x0008, 0x8028)), st.binary(max_size=40)), max_size=40
    ),
    st.none() | st.binary(min_size=1),
)
def test_what_was_built_is_read_back(
    method: Method, message_class: Class, transaction_id: bytes, attributes: list[tuple[int, bytes]], key: bytes | None
) -> None:
    message = codec.parse(codec.build(Message(method, message_class, transaction_id, list(attributes)), key))
    assert (message.method, message.message_class, message.transaction_id) == (method, message_class, transaction_id)
    assert message.attributes == attributes
    assert (message.integrity is None) == (key is None)


@given(st.binary(max_size=100))
def test_channel_data_is_read_back_with_and_without_padding(payload: bytes) -> None:
    assert codec.parse_channel_data(codec.pack_channel_data(0x4001, payload)) == (0x4001, payload)
    padded = codec.pack_channel_data(0x4001, payload, padded=True)
    assert len(padded) % 4 == 0
    assert codec.parse_channel_data(padded) == (0x4001, payload)


def test_channel_data_that_is_cut_short_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        codec.parse_channel_data(b"\x40\x00\x00\x05abcd")
