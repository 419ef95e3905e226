import pytest

from storage.connector import Query, Row, Transaction


def test_a_transaction_is_sent_rows_and_returns_its_result():
    def doubled(number: int) -> Transaction[int]:
        rows = yield Query("find", {"number": number})
        return 2 * int(rows[0]["number"])

    transaction = doubled(4)
    assert next(transaction) == Query("find", {"number": 4})
    row: Row = {"number": 4}
    with pytest.raises(StopIteration) as end:
        transaction.send([row])
    assert end.value.value == 8
