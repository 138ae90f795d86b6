"""A minute and more of the life of tokens, with a real daemon: steady use, and a Clerk that falls
silent."""

import shutil
import threading
import time
import unittest

import harness
import test_upstream

MINUTE_S = 60
KEYS = 200
LIFETIME_S = 10
GONE_S = 8  # of those ten
ROUND_S = 0.25


def twenty_a_second(conn, request, seconds):
    """Asks 20 times a second: a list of (when, how long it took, the reply)."""
    began = time.monotonic()
    asked = []
    for n in range(int(20 * seconds)):
        due = began + n / 20
        time.sleep(max(0.0, due - time.monotonic()))
        sent = time.monotonic()
        reply = harness.Reply(conn.ask(request))
        asked.append((sent - began, time.monotonic() - sent, reply))
    return asked


class SteadyTest(harness.Case):
    """Lifetimes of 8 s, and a Clerk that takes 250 ms."""

    def run_beside(self, functions):
        threads = [threading.Thread(target=function) for function in functions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(2 * MINUTE_S)

    def test_steady_use_of_8_s_lifetimes(self):
        """Nobody waits after the first, and it costs little more than the least possible: with
        min_ttl, a token is good for the rest of its life."""
        sandbox = self.sandbox("--latency", "250")
        sandbox.config(lifetime_s=8)
        min_ttls = (5, 1)
        conns = [self.connect(self.daemon(sandbox, {"cache": {"min_ttl": f"{s}s"}}))
                 for s in min_ttls]
        asked = {}

        def steady(min_ttl, conn):
            asked[min_ttl] = twenty_a_second(conn, f"GET sess_{min_ttl} -", MINUTE_S)

        self.run_beside([lambda a=a: steady(*a) for a in zip(min_ttls, conns)])
        for min_ttl in min_ttls:
            with self.subTest(min_ttl=min_ttl):
                self.check(asked[min_ttl], min_ttl)
                least = -(-MINUTE_S // (8 - min_ttl))
                self.assertLessEqual(sandbox.calls(f"sess_{min_ttl}"), 1.5 * least)

    def check(self, asked, min_ttl):
        self.assertEqual(len(asked), 20 * MINUTE_S)
        self.assertEqual(asked[0][2].src, "clerk")
        waited = [(round(at, 2), round(took, 3), reply.line[-80:])
                  for at, took, reply in asked[1:] if not reply.ok or reply.src != "cache"]
        self.assertEqual(waited, [])
        self.assertLess(sorted(took for _, took, _ in asked)[-10], 0.1)
        self.assertTrue(all(reply.ttl >= min_ttl * 1000 for _, _, reply in asked))


class Pollers:
    """Asks for all keys four times a second, on one connection; `seen` is (when, how long it took,
    reply) of each."""

    def __init__(self, conn):
        self.conn = conn
        self.seen = []
        self.began = time.monotonic()

    def now(self):
        return time.monotonic() - self.began

    def round(self):
        began = self.now()
        self.conn.send("".join(f"#{n} GET sess_{n} - min_ttl=0 wait=1000\n" for n in range(KEYS)))
        for _ in range(KEYS):
            reply = harness.Reply(self.conn.line())
            self.seen.append((began, self.now() - began, reply))
        time.sleep(max(0.0, ROUND_S - (self.now() - began)))

    def until(self, when):
        while self.now() < when:
            self.round()


class SilenceTest(harness.Case):
    """Clerk takes every request and answers none, for 8 s of a lifetime of 10 and longer than the
    tokens live: 200 keys in use, and one that is watched."""

    def test_a_black_hole(self):
        self.check_a_black_hole(self.sandbox("--latency", "20"), {})

    @unittest.skipUnless(shutil.which("nghttpx"), "no nghttpx")
    def test_a_black_hole_over_http2(self):
        """Where one connection would take all that is due."""
        sandbox = self.sandbox("--latency", "20")
        proxy = self.own(test_upstream.Nghttpx(sandbox))
        self.check_a_black_hole(sandbox, {"api_url": proxy.url, "ca_file": proxy.ca})

    def check_a_black_hole(self, sandbox, clerk):
        sandbox.config(lifetime_s=LIFETIME_S)
        daemon = self.daemon(sandbox, {
            "clerk": {"rate_limit": "100000/10s", "budget": "100%", **clerk},
            "cache": {"min_ttl": "1s", "refresh_at": "50%"}})
        watcher = self.connect(daemon)
        self.assertTrue(harness.Reply(watcher.ask("WATCH sess_watched -")).ok)
        pollers = Pollers(self.connect(daemon))
        pollers.until(4.0)
        sandbox.fault("hang", count=-1)
        gone_at = pollers.now()
        calls_before = sandbox.calls()
        pollers.until(gone_at + GONE_S)
        attempts = sandbox.calls() - calls_before
        sandbox.clear_faults()
        back_at = pollers.now()
        pollers.until(back_at + 8)
        self.assertLess(attempts / GONE_S, 10, "attempts a second")
        self.check_served(pollers.seen, gone_at)
        self.check_told(pollers.seen, gone_at, back_at)
        self.check_back(pollers.seen, back_at)
        self.assertTrue(harness.Reply(watcher.line(0.1)).jwt)

    def test_a_request_that_hangs(self):
        """Another one, on another connection, brings the answer; its caller hardly notices."""
        sandbox = self.sandbox()
        for https in (False, True):
            daemon = self.daemon(sandbox, https=https)
            self.assertTrue(harness.Reply(daemon.ask("GET sess_first -")).jwt)
            sandbox.fault("hang", session=f"sess_hangs{https}")
            began = time.monotonic()
            self.assertTrue(harness.Reply(daemon.ask(f"GET sess_hangs{https} -")).jwt)
            self.assertLess(time.monotonic() - began, 2)
            self.assertEqual(sandbox.calls(f"sess_hangs{https}"), 2)
            stats = daemon.stats()
            self.assertEqual((stats["in_flight"], stats["ready"]), (0, 1))

    def check_served(self, seen, gone_at):
        """No error while a token of before may be valid, and none of it late."""
        expiry = gone_at + LIFETIME_S - 5 - 1  # renewed at half of it
        for at, took, reply in seen:
            if at < expiry:
                self.assertTrue(reply.ok, (at, reply))
        took = sorted(took for at, took, _ in seen if gone_at < at < expiry)
        self.assertLess(took[len(took) * 99 // 100], 0.2)

    def check_told(self, seen, gone_at, back_at):
        down = [(took, reply) for at, took, reply in seen
                if gone_at + 2 < at < back_at and not reply.ok]
        self.assertGreater(len(down), KEYS)
        self.assertEqual({reply.code for _, reply in down} - {"unavailable", "timeout"}, set())
        at_once = sum(reply.code == "unavailable" and took < 0.2 for took, reply in down)
        self.assertGreater(at_once, 0.9 * len(down))

    def check_back(self, seen, back_at):
        healed = [at for at, _, reply in seen if at > back_at and reply.ok]
        self.assertTrue(healed and healed[0] < back_at + 5, "back within 5 s")
        late = {reply.code for at, _, reply in seen if at > back_at + 6.5}
        self.assertEqual(late, {None}, "all is well")


if __name__ == "__main__":
    unittest.main()
