"""What happens to a fleet, one thing after another."""

import contextlib
import signal
import statistics
import threading
import time

from estate import FLEET, LIFETIME, LOCK, Daemon, Estate, LockHosts, Monitor, new_fake
from fleet_hosts import events, share
from fleet_store import FleetStore
from programs import latencies
from redis_sentinel import SentinelStore
from redis_server import free_port
from rows import Rows
from waiting import wait_until

POLL = 10.0  # fleet_poll
ALONE = 3  # fleet_alone
PUSH_MS = 50.0
HOUR = 3600.0
AWAY = 40.0  # seconds
COOLDOWN = 30.0  # reject_cooldown
MINTS, WINDOW = 15, 300.0  # mint_limit


@contextlib.contextmanager
def closing(*things):
    """Whatever happens they are ended, the last first."""
    with contextlib.ExitStack() as stack:
        for thing in things:
            stack.callback(getattr(thing, "close", None) or thing.stop)
        yield


# --- What every store has to pass ---

def cold_start(rows: Rows, e: Estate, where: str) -> None:
    taken = e.start()
    e.settle(timeout=90)
    posts = e.posts()
    took = e.adoptions(share(e.hosts[0])["generation"])
    late = max(took) - posts[0]["answered"]
    rows.add(f"{where}: cold start of {len(e.hosts)}", "1 POST; all have it 2 s after the answer",
             f"{len(posts)} POSTs; started within {taken:.1f} s; the last of the {len(took)} others "
             f"had it {late:.2f} s after the answer",
             len(posts) == 1 and late <= 2 and len(took) == len(e.hosts) - 1)
    e.wait_up()


def refresh(rows: Rows, e: Estate, where: str, server: FleetStore) -> None:
    """By itself, when it is due."""
    monitor = Monitor(server)
    before = e.tokens()
    with closing(monitor), e.span() as span:
        wait_until(lambda: e.tokens() != before, "the refresh", LIFETIME, pause=0.5)
        e.settle(but=before)
        time.sleep(1)
    scripts = [name for _, name in monitor.seen]
    puts = [at for at, name in monitor.seen if name == "put"]
    took = e.adoptions(share(e.hosts[0])["generation"])
    late = 1000 * (max(took) - puts[0]) if puts and took else float("inf")
    rows.add(f"{where}: a refresh", f"1 POST, 1 ACQUIRE, 1 PUT; the last has it {PUSH_MS:g} ms after",
             f"{span.posts} POST, {scripts.count('acquire')} ACQUIRE, {len(puts)} PUT; the last of "
             f"{len(took)} after {late:.0f} ms; {span.failed} of {span.seen['calls']} calls failed",
             span.posts == 1 and scripts.count("acquire") == 1 and len(puts) == 1
             and late <= PUSH_MS and span.failed == 0)


# --- One redis-server ---

def questions(e: Estate) -> int:
    """How often the API was asked whether it takes a token."""
    return len([asked for asked in e.fake.log("me") if asked["method"] == "HEAD"])


def reported(rows: Rows, e: Estate) -> None:
    first = e.tokens()
    time.sleep(3)  # the API is believed about a token that it can know
    heads = questions(e)
    with e.span() as span:
        e.fake.revoke(client=FLEET)
        e.fake.revoke(client=LOCK)
        e.settle(but=first)
        time.sleep(5)
    heads = questions(e) - heads
    rows.add("revoked at the API", "1 POST, 1 HEAD",
             f"{span}, {heads} HEADs; by lock: {span.lock()}", span.posts == 1 and heads == 1)


def false_report(rows: Rows, e: Estate) -> None:
    time.sleep(COOLDOWN)  # what has only just replaced a reported token is not asked about
    e.settle()
    first = e.tokens()
    heads = questions(e)
    with e.span() as span:
        answers = e.on_all(lambda d: d.post(
            f"/v1/token/reject?generation={d.status()['generation']}&wait=5").status)
    heads = questions(e) - heads
    rows.add("a false report on every host", "0 POSTs, 1 HEAD",
             f"{span.posts} POSTs, {heads} HEADs, answered {sorted(set(answers))}",
             span.posts == 0 and heads == 1 and set(answers) == {429} and e.tokens() == first)


def due_first(e: Estate, victim: Daemon) -> bool:
    """Its token is due, and it asks. Another host may be earlier that read the token late, and so
    is less sure how long it lives."""
    count = len(e.posts())
    wait_until(lambda: len(e.posts()) > count, "the refresh", LIFETIME, pause=0.1)
    lease = e.store.ask("HGET", e.store.key(":lease"), "host")
    return lease is not None and lease.decode() == share(victim)["host"]


def fault_in_post(rows: Rows, e: Estate, number: int, what: str, begin, end) -> None:
    """The host of that number asks when its token is due, and then it happens."""
    victim, program = e.hosts[number], e.programs[number]
    others = [d for d in e.hosts if d is not victim]
    for _ in range(3):
        e.refresh(victim)
        e.settle()
        first = e.tokens()
        e.fake.fault("token", "delay", client=FLEET, work=3, times=1)
        with e.span() as span:
            asked = due_first(e, victim)
            if not asked:
                e.settle(but=first)
                continue
            if what in ("killed", "stopped"):
                program.away = True
            began = time.monotonic()
            begin(number)
            try:
                e.settle(others, but=first, timeout=LIFETIME)
                taken = time.monotonic() - began
            finally:
                end(number)
            e.settle(timeout=LIFETIME)
            program.away = False
            time.sleep(2)
        break
    assert asked, "another host was earlier, three times"
    rows.add(f"the host that fetches is {what} in its POST",
             "0 failed calls, at most 1 POST more",
             f"{span}; the others had a new one after {taken:.1f} s",
             span.failed == 0 and span.posts <= 2)


def faults_in_post(rows: Rows, e: Estate) -> None:
    def kill(number: int) -> None:
        e.hosts[number].kill()

    def start(number: int) -> None:
        e.hosts[number].start()

    def stop(number: int) -> None:
        e.hosts[number].process.send_signal(signal.SIGSTOP)

    def go_on(number: int) -> None:
        e.hosts[number].process.send_signal(signal.SIGCONT)

    for number, (what, begin, end) in enumerate([
            ("cut from the store", lambda n: e.store_wires[n].cut("silence"),
             lambda n: e.store_wires[n].mend()),
            ("cut from the login", lambda n: e.login_wires[n].cut("reset"),
             lambda n: e.login_wires[n].mend()),
            ("killed", kill, start), ("stopped", stop, go_on)]):
        fault_in_post(rows, e, number, what, begin, end)


def lost(rows: Rows, e: Estate) -> None:
    e.refresh(e.hosts[-1])
    e.settle()
    first, generation = e.tokens(), e.store.generation()
    with e.span() as span:
        began = time.monotonic()
        e.store.ask("FLUSHALL")
        wait_until(lambda: e.store.generation() == generation, "the token to be back", 2 * POLL)
        back = time.monotonic() - began
        time.sleep(2)
    rows.add("FLUSHALL", "0 POSTs, 0 failed calls",
             f"{span}; the token was back after {back:.1f} s; by lock: {span.lock()}",
             span.posts == 0 and span.failed == 0 and e.tokens() == first)
    with e.span() as span:
        for kind in ("normal", "pubsub"):
            e.store.ask("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        time.sleep(0.5)
        back = e.wait_up()
    rows.add("CLIENT KILL of all", "0 POSTs, 0 failed calls",
             f"{span}; all were connected again after {back + 0.5:.1f} s",
             span.posts == 0 and span.failed == 0 and e.tokens() == first)


def clock_steps(rows: Rows, e: Estate) -> None:
    """Ahead by an hour and back again, and then the token is replaced in its time."""
    e.refresh(e.hosts[-1])
    e.settle()
    first = e.tokens()
    with e.span() as span:
        e.store.clock.step(HOUR)
        time.sleep(POLL + 5)
        early = e.tokens() != first
        e.store.clock.step(-HOUR)
        wait_until(lambda: e.tokens() != first, "the refresh", LIFETIME, pause=0.5)
        e.settle(but=first)
        time.sleep(LIFETIME / 3)  # past the end of the first
    rows.add("the store's clock an hour ahead, and back", "1 POST (the refresh), 0 failed calls",
             str(span), span.posts == 1 and span.failed == 0 and not early)


def hang(rows: Rows, e: Estate) -> None:
    """Some hosts beside as many daemons without a fleet, in turns, and the median of the turns: the
    machine is busy with all the others."""
    some, turns, count = 3, 40, 200
    alone = Estate(e.fake, None, some, client_id=LOCK, secret=e.fake.clients[1]["secret"])
    taken: dict[bool, list[list[float]]] = {True: [], False: []}
    with closing(alone):
        alone.start()
        e.on_all(lambda d: d.token(wait=20), alone.hosts)
        e.settle()
        for program in e.programs:
            program.away = True
        e.store.freeze()
        try:
            for turn in range(turns * some):
                for frozen, hosts in ((True, e.hosts), (False, alone.hosts)):
                    taken[frozen].append(latencies(hosts[-1 - turn % some], count))
        finally:
            e.store.thaw()
            for program in e.programs:
                program.away = False
    e.wait_up()

    def middle(frozen: bool, part: float) -> float:
        return statistics.median(one[int(count * part)] for one in taken[frozen])

    rows.add("the store hangs: a request for a token", "p99 as without a fleet",
             f"p50 {middle(True, 0.5):.3f} ms and {middle(False, 0.5):.3f} without a fleet, p99 "
             f"{middle(True, 0.99):.3f} and {middle(False, 0.99):.3f}; {turns * some} turns of "
             f"{count} requests each",
             middle(True, 0.99) <= 1.25 * middle(False, 0.99) + 0.05)


def away(rows: Rows, e: Estate) -> None:
    """The store is killed before the refresh is due, and comes back empty."""
    life = 90
    e.fake.set(lifetime=life)
    e.store.ask("DEL", "token")  # the lock's
    e.refresh(e.hosts[-1])
    e.settle()
    time.sleep(35)
    alone = events(e.hosts, "minted_alone")
    with e.span() as span:
        e.store.kill()
        time.sleep(AWAY)
        e.store.start()
        back = e.settle(timeout=life)
        time.sleep(life - 75 - back + 3)  # to the end of the first
    e.fake.set(lifetime=LIFETIME)
    rows.add(f"the store is away for {AWAY:g} s over the refresh",
             f"0 failed calls, at most {ALONE} + 1 POSTs, one token {POLL + 2:g} s after",
             f"{span}; {events(e.hosts, 'minted_alone') - alone} hosts fetched for themselves, one "
             f"token after {back:.1f} s; by lock: {span.lock()}",
             span.failed == 0 and span.posts <= ALONE + 1 and back <= POLL + 2)


def one(rows: Rows, hosts: int) -> None:
    fake, store = new_fake(), FleetStore(free_port(), clock=True)
    # Faults that are tried again would use up 15 in 300 s; that limit has a row of its own.
    e = Estate(fake, store, hosts, wired=4, mint_limit=60)
    with closing(store, fake, e):
        cold_start(rows, e, "one")
        e.run_programs()
        refresh(rows, e, "one", store)
        e.lock = LockHosts(e)
        wait_until(lambda: store.ask("GET", "token"), "the lock's token")
        lost(rows, e)
        reported(rows, e)
        false_report(rows, e)
        hang(rows, e)
        faults_in_post(rows, e)
        clock_steps(rows, e)
        away(rows, e)


# --- A primary, a replica and Sentinels ---

def fail_over(rows: Rows, e: Estate, name: str, lose_put: bool = False,
              next_ahead: float = 0) -> None:
    """`next_ahead`: how far the clock of the next replica is to be ahead of the primary's."""
    store = e.store
    if lose_put:
        store.cut_replica()
    e.refresh(e.hosts[-1])
    e.settle()
    first, generation, put_again = e.tokens(), store.generation(), events(e.hosts, "restored")
    with e.span() as span:
        began = time.monotonic()
        store.fail_over()
        elected = time.monotonic() - began
        e.wait_up()
        wait_until(lambda: store.generation() == generation, "the token to be back", 2 * POLL)
        back = time.monotonic() - began
        time.sleep(POLL)
    put_again = events(e.hosts, "restored") - put_again
    rows.add(f"sentinel: {name}", "0 POSTs, 0 failed calls",
             f"{span}; another primary after {elected:.1f} s, all connected and the token there "
             f"after {back:.1f} s, put again {put_again} times",
             put_again >= lose_put and span.posts == 0 and span.failed == 0 and e.tokens() == first)
    with e.span() as span:
        store.return_replica(next_ahead)
        wait_until(lambda: e.tokens() != first, "the refresh", LIFETIME, pause=0.5)
        e.settle(but=first)
        time.sleep(LIFETIME / 3)  # past the end of the first
    rows.add(f"sentinel: {name}, and the refresh after it", "1 POST, 0 failed calls", str(span),
             span.posts == 1 and span.failed == 0)


def sentinel(rows: Rows, hosts: int) -> None:
    fake, store = new_fake(), SentinelStore(clock=True)
    e = Estate(fake, store, hosts, broker={"fleet_plain": "yes"})
    with closing(store, fake, e):
        cold_start(rows, e, "sentinel")
        e.run_programs()
        refresh(rows, e, "sentinel", store.primary)
        fail_over(rows, e, "failover")
        fail_over(rows, e, "failover that loses the put", lose_put=True, next_ahead=HOUR)
        fail_over(rows, e, "failover to a clock 1 h ahead", next_ahead=-HOUR)
        fail_over(rows, e, "failover to a clock 1 h behind")


# --- TLS ---

def tls(rows: Rows, hosts: int) -> None:
    fake = new_fake()
    store = FleetStore(free_port(), tls=(fake.directory, "good"))
    e = Estate(fake, store, hosts, broker={"fleet_ca_file": fake.ca_file})
    with closing(store, fake, e):
        cold_start(rows, e, "tls")
        e.run_programs()
        refresh(rows, e, "tls", store)
        first = e.tokens()
        with e.span() as span:
            store.kill()
            time.sleep(2)
            store.start()
            back = e.wait_up()
            e.settle()
        rows.add("tls: the store is killed, and back after 2 s", "0 POSTs, 0 failed calls",
                 f"{span}; all were connected again after {back:.1f} s",
                 span.posts == 0 and span.failed == 0 and e.tokens() == first)


# --- Hosts that crash ---

def limit(rows: Rows) -> None:
    """Ten hosts, each killed as soon as its POST is received, and started again."""
    try:
        _limit(rows)
    except Exception as error:  # in a thread: it belongs into the table
        rows.broken("mint_limit", error)


def _limit(rows: Rows) -> None:
    fake, store = new_fake(), FleetStore(free_port())
    e = Estate(fake, store, 10)
    over = threading.Event()
    kills = 0
    fake.set(delay_work=3600)
    with closing(store, fake, e):
        e.start()
        began, count = time.monotonic(), 0
        while not over.wait(0.1) and time.monotonic() - began < WINDOW + 20:
            posts = e.posts()
            if len(posts) == count:
                continue
            count = len(posts)
            lease = store.ask("HGET", store.key(":lease"), "host")
            for d in e.hosts:
                if lease and share(d)["host"] == lease.decode():
                    d.kill()
                    d.start()
                    kills += 1
        times = [post["time"] for post in e.posts()]
        fake.set(delay_work=0)
        fake.close_connections()
    # they are counted where they are granted, and are on their way for a moment
    least = min((later - at for at, later in zip(times, times[MINTS:])), default=WINDOW)
    rows.add("ten hosts that crash in each POST", f"at most {MINTS} POSTs in {WINDOW:g} s",
             f"{kills} kills in {WINDOW + 20:g} s: {MINTS} POSTs within "
             f"{times[min(len(times), MINTS) - 1] - times[0]:.0f} s, and the next {least:.1f} s "
             "after the first", least >= WINDOW - 1 and kills >= MINTS)
