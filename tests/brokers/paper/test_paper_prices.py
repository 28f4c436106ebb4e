"""Prices: frozen, walked by a seed, or replayed from a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from brokers.paper.price_replay import read_rows
from brokers.paper.prices import LONGEST_WALK, FrozenPrices, PriceReplay, RandomWalk
from brokers.paper.random_streams import seeded
from brokers.paper.wire import TopOfBook
from core.errors import ConfigError
from tests.brokers.paper.kit import GTC, STOP, D, ask, book, opened

MARKET_DATA = Path(__file__).parents[3].parent / "shared" / "data" / "market"
BARS = """timestamp,open,high,low,close,volume,bid,ask
1767225600000,100,105,95,104,1,103,106
1767225660000,104,104,90,91,1,90.5,92
"""


def rows(text=BARS):
    return read_rows(text.splitlines(), "BTC-1m.csv")


def test_a_rising_bar_is_walked_low_first_and_a_falling_one_high_first():
    rising, falling = rows()
    assert rising.prices == (D(100), D(95), D(105), D(104))
    assert falling.prices == (D(104), D(104), D(90), D(91))


def test_bid_and_ask_keep_their_distance_from_the_price_within_a_bar():
    tops = list(rows()[0].tops())
    assert [(t.bid, t.last, t.ask) for t in tops][:2] == [(D(99), D(100), D(102)), (D(94), D(95), D(97))]
    assert (tops[-1].bid, tops[-1].ask) == (D(103), D(106))


def test_a_file_of_single_prices_is_read_too():
    assert [r.prices for r in rows("timestamp,price\n1767225600000,1.5\n1767225600001,1.6\n")] == [
        (D("1.5"),),
        (D("1.6"),),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "its header must have"),
        ("timestamp,price\n", "there is no price in it"),
        ("timestamp,price\n1767225600000,1\n1767225600001,x\n", "line 3: price: 'x' is not a number"),
        ("timestamp,price\n1767225600000,-1\n", "line 2: price must be more than 0"),
        ("timestamp,open,high,low,close\n1767225600000,1,1\n", "line 2: low"),
    ],
)
def test_a_bad_price_file_is_an_error_that_names_file_and_line(text, said):
    with pytest.raises(ConfigError) as caught:
        rows(text)
    assert str(caught.value).startswith("BTC-1m.csv")
    assert said in str(caught.value)


def test_a_replay_at_speed_60_walks_a_bar_each_second_and_its_last_price_stays():
    replay = PriceReplay(rows(), 60)
    assert [t.last for t in replay.advance(0, TopOfBook())] == [100]
    assert [t.last for t in replay.advance(0.75, TopOfBook())] == [95, 105, 104]
    assert [t.last for t in replay.advance(60, TopOfBook())] == [104, 104, 90, 91]
    assert replay.advance(600, TopOfBook()) == []


def test_a_walk_follows_its_seed_and_keeps_the_spread_on_the_tick():
    def walked(seed):
        top, tops = TopOfBook(D("99.9"), D("100.1"), D(100)), []
        walk = RandomWalk(seeded(seed), D("0.1"), 60)
        for second in range(1, 200):
            tops.extend(walk.advance(second, top))
            top = tops[-1]
        return tops

    one = walked(1)
    assert one == walked(1) != walked(2)
    assert len({t.last for t in one}) > 10
    assert all(t.ask - t.bid == D("0.2") and t.last % D("0.1") == 0 for t in one)


def test_a_walk_makes_up_for_a_pause_only_so_far():
    walk, top = RandomWalk(seeded(1), D("0.001"), 1), TopOfBook(last=D(100))
    assert len(walk.advance(LONGEST_WALK, top)) == LONGEST_WALK
    (long,) = walk.advance(100_000, top)
    assert long.last != 100
    assert len(walk.advance(100_001, long)) == 1


def test_a_long_step_is_as_wide_as_the_steps_that_it_stands_for():
    def moved(seconds):
        tops = [RandomWalk(seeded(n), D("0.0001"), 1).advance(seconds, TopOfBook(last=D(100)))[-1] for n in range(300)]
        return sum(abs(top.last - 100) for top in tops)

    assert 7 < moved(100) / moved(1) < 13  # the square root of 100


def test_frozen_prices_stay():
    assert FrozenPrices().advance(100, TopOfBook()) == ()


async def test_a_price_file_moves_its_symbol_and_leaves_frozen_ones_alone(tmp_path):
    (tmp_path / "BTC-1m.csv").write_text(BARS)
    content = book()
    content["quotes"]["ETH"] = {"last": "5"}
    broker = opened(tmp_path, content, prices=[str(tmp_path / "BTC-1m.csv")], speed=60)
    seen = {q.symbol: q.last for q in await broker.quotes(["BTC", "ETH"])}
    assert seen == {"BTC": D(100), "ETH": D(5)}
    await broker._clock.sleep(2)
    seen = {q.symbol: q.last for q in await broker.quotes(["BTC", "ETH"])}
    assert seen == {"BTC": D(91), "ETH": D(5)}


async def test_a_price_file_finds_a_symbol_that_is_written_differently(tmp_path):
    (tmp_path / "BTC-USD-1m.csv").write_text(BARS)
    broker = opened(tmp_path, {"quotes": {"BTC/USD": {"last": "5"}}}, prices=[str(tmp_path / "BTC-USD-1m.csv")])
    assert [q.last for q in await broker.quotes(["BTC/USD"])] == [100]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["BTCUSD_1h.csv"], "no symbol of its book is called BTCUSD_1h; a price file is called like its symbol"),
        (["BTCUSD_1h.csv"], "for example BTC-USD-1m.csv"),
        (["BTC-USD-1m.csv", "BTCUSD-1m.csv"], "BTCUSD-1m.csv is a second price file of BTC/USD"),
    ],
)
def test_a_price_file_that_no_symbol_of_the_book_follows_is_an_error(tmp_path, names, said):
    for name in names:
        (tmp_path / name).write_text(BARS)
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path, {"quotes": {"BTC/USD": {"last": "5"}}}, prices=[str(tmp_path / name) for name in names])
    assert said in str(caught.value)


async def test_a_level_inside_a_bar_triggers_a_stop(tmp_path):
    (tmp_path / "BTC-1m.csv").write_text(BARS)
    broker = opened(tmp_path, prices=[str(tmp_path / "BTC-1m.csv")], speed=60)
    order = await broker.submit(ask("1", type=STOP, tif=GTC, trigger=D(94)))
    await broker._clock.sleep(30)
    found = await broker.find_order("BTC", order_id=order.id)
    assert found is not None
    assert found.average_price == 94


@pytest.mark.parametrize("name", ["coinbase/BTC-USD-1m.csv", "us-equity/IBM-1m.csv", "cme/ESZ3-1m.csv"])
def test_recorded_markets_replay_within_their_bars(name):
    path = MARKET_DATA / name
    if not path.exists():
        pytest.skip(f"NOT TESTED: there is no recorded market {name} beside the project")
    recorded = read_rows(path.read_text().splitlines(), name)
    assert len(recorded) > 1000
    for row in recorded:
        assert min(row.prices) > 0
        assert max(row.prices) in row.prices[1:3]
    tops = PriceReplay(recorded, 6000).advance(10, TopOfBook())
    assert len(tops) == 4001
