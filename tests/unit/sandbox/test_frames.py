import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer

from bot.sandbox import frames

# Recorded from Bedrock: its first event.
RECORDED = bytes.fromhex(
    "0000008e00000052ee91e1420b3a6576656e742d7479706507000c6d65737361676553746172740d3a636f6e74656e742d7479"
    "70650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b2270223a226162"
    "636465666768696a6b6c6d6e6f7071222c22726f6c65223a22617373697374616e74227df450ac95"
)


def test_an_event_is_byte_for_byte_what_bedrock_sends():
    payload = {"role": "assistant", "p": "abcdefghijklmnopq"}
    assert frames.event("messageStart", payload) == RECORDED


def test_an_exception_is_read_by_botocore():
    buffer = EventStreamBuffer()
    buffer.add_data(frames.exception("throttlingException", {"message": "Grüße"}))
    (message,) = buffer
    assert message.headers[":exception-type"] == "throttlingException"
    assert message.payload.decode() == '{"message":"Grüße"}'


def test_a_damaged_frame_is_refused_by_botocore():
    buffer = EventStreamBuffer()
    buffer.add_data(frames.damaged(RECORDED))
    with pytest.raises(ChecksumMismatch):
        list(buffer)
