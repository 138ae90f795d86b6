/* The HTTP client against a server in the same loop that does what it is told, good or bad.
 *
 * TLS and HTTP/2 are tested with the whole daemon; here it is what happens to a call.
 */
#include "daemon/sys/upstream.h"

#include "base/buf.h"
#include "base/mem.h"
#include "tests/unit/test_upstream_server.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS_MAX 64
#define TEXT_MAX 512
#define FIRST_KEY "sk_test_first"
#define SECOND_KEY "sk_test_second"
#define MAX_ANSWER 10000
struct call {
	int done;
	enum transport transport;
	int status;
	char body[TEXT_MAX], date[TEXT_MAX], trace_id[TEXT_MAX], retry_after[TEXT_MAX];
	char detail[TEXT_MAX];
};

struct fixture {
	struct event_base *base;
	struct server server;
	struct upstream *upstream;
	struct call calls[CALLS_MAX];
	size_t n_done;
	int64_t timeout_ms;
	bool inside;	     /* of upstream_fetch() */
	struct call *cancel; /* within the next done */
};

static void copy(char to[TEXT_MAX], struct span from)
{
	(void)snprintf(to, TEXT_MAX, "%.*s", (int)from.len, from.ptr ? from.ptr : "");
}

static void on_done(void *arg, void *flight, const struct answer *answer)
{
	struct fixture *f = arg;
	struct call *call = flight;

	assert_false(f->inside);
	call->done++;
	f->n_done++;
	call->transport = answer->transport;
	call->status = answer->status;
	copy(call->body, answer->body);
	copy(call->date, answer->date);
	copy(call->trace_id, answer->trace_id);
	copy(call->retry_after, answer->retry_after);
	copy(call->detail, span_str(answer->detail));
	assert_int_equal(answer->detail != NULL, answer->transport != TRANSPORT_OK);
	upstream_cancel(f->upstream, call); /* must do nothing */
	if (f->cancel)
		upstream_cancel(f->upstream, f->cancel);
	f->cancel = NULL;
}

static void configure(struct fixture *f, const char *key, size_t max_connections)
{
	char url[64];
	struct secret secret = SECRET_NONE;
	struct upstream_config config = {
		.api_url = url,
		.api_version = "2025-11-10",
		.user_agent = "clerk-tokend/test",
		.connect_timeout_ms = f->timeout_ms,
		.request_timeout_ms = f->timeout_ms,
		.max_connections = max_connections,
		.max_answer = MAX_ANSWER,
	};

	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", f->server.port);
	assert_int_equal(secret_set(&secret, span_str(key)), 0);
	if (f->upstream)
		assert_int_equal(upstream_configure(f->upstream, &config, &secret), 0);
	else
		assert_int_equal(upstream_new(f->base, &config, &secret, on_done, f, &f->upstream),
				 0);
	secret_deinit(&secret);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->base = event_base_new();
	assert_non_null(f->base);
	server_start(&f->server, f->base);
	f->timeout_ms = 20000;
	configure(f, FIRST_KEY, 8);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	upstream_free(f->upstream);
	server_stop(&f->server);
	event_base_free(f->base);
	free(f);
	return 0;
}

static int fetch(struct fixture *f, size_t i)
{
	int r;

	f->inside = true;
	r = upstream_fetch(f->upstream, &f->calls[i], span_str("sess_1"), span_str("hasura"), 0,
			   false);
	f->inside = false;
	return r;
}

/* Runs the loop until so many calls are done; a test that never gets there hangs no longer than
 * the alarm that main() sets. */
static void wait_for(struct fixture *f, size_t n_done)
{
	while (f->n_done < n_done)
		assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 0);
}

static void run_for(struct fixture *f, unsigned ms)
{
	struct timeval after = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	assert_int_equal(event_base_loopexit(f->base, &after), 0);
	assert_int_equal(event_base_dispatch(f->base), 0);
}

static struct call *fetch_one(struct fixture *f)
{
	f->calls[0] = (struct call){ 0 };
	f->n_done = 0;
	assert_int_equal(fetch(f, 0), 0);
	wait_for(f, 1);
	assert_int_equal(f->calls[0].done, 1);
	return &f->calls[0];
}

static void test_request(void **state)
{
	struct fixture *f = *state;
	char expected[REQUEST_MAX];
	struct call *call = fetch_one(f);

	(void)snprintf(expected, sizeof(expected),
		       "POST /v1/sessions/sess_1/tokens/hasura HTTP/1.1\r\n"
		       "Host: 127.0.0.1:%u\r\n"
		       "User-Agent: clerk-tokend/test\r\n"
		       "Content-Length: 0\r\n"
		       "Authorization: Bearer " FIRST_KEY "\r\n"
		       "Clerk-API-Version: 2025-11-10\r\n"
		       "Content-Type: application/json\r\n"
		       "Accept: application/json\r\n\r\n",
		       f->server.port);
	assert_string_equal(f->server.last, expected);
	assert_int_equal(call->transport, TRANSPORT_OK);
	assert_int_equal(call->status, 200);
	assert_string_equal(call->body, "{}");
	assert_string_equal(call->date, DATE);
	assert_string_equal(call->trace_id, "ray-1");
	assert_string_equal(call->retry_after, "");
}

static void test_request_body(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
	    upstream_fetch(f->upstream, &f->calls[0], span_str("sess_2"), SPAN_NONE, 600, false),
	    0);
	wait_for(f, 1);
	assert_memory_equal(f->server.last, "POST /v1/sessions/sess_2/tokens HTTP/1.1\r\n", 42);
	assert_non_null(strstr(f->server.last, "\r\nContent-Length: 26\r\n"));
	assert_non_null(strstr(f->server.last, "\r\n\r\n{\"expires_in_seconds\":600}"));
	assert_null(strstr(f->server.last, "Expect"));
}

static void test_bad_names(void **state)
{
	static const char *const names[] = { "", "a/b", "a?b", "a b", "a%2f", "a#", "a\r\nb" };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct span name = span_str(names[i]), good = span_str("a");

		assert_int_equal(upstream_fetch(f->upstream, f, name, good, 0, false), -EINVAL);
		if (name.len)
			assert_int_equal(upstream_fetch(f->upstream, f, good, name, 0, false),
					 -EINVAL);
	}
	assert_int_equal(upstream_fetch(f->upstream, f, span_str("a"), span_str(".."), 0, false),
			 -EINVAL);
}

static void test_keep_alive(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < 10; i++)
		assert_int_equal(fetch_one(f)->transport, TRANSPORT_OK);
	assert_int_equal(f->server.n_requests, 10);
	assert_int_equal(f->server.n_conns, 1);
}

static void test_parallel(void **state)
{
	struct fixture *f = *state;

	configure(f, FIRST_KEY, 4);
	for (size_t i = 0; i < 40; i++)
		assert_int_equal(fetch(f, i), 0);
	wait_for(f, 40);
	for (size_t i = 0; i < 40; i++)
		assert_true(f->calls[i].done == 1 && f->calls[i].status == 200);
	assert_int_equal(f->server.n_requests, 40);
	assert_int_equal(f->server.max_open, 4);
	assert_int_equal(f->server.n_conns, 4);
}

static void test_statuses(void **state)
{
	struct fixture *f = *state;
	struct call *call;

	f->server.answer = "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n"
			   "Content-Length: 0\r\n\r\n";
	assert_int_equal(fetch_one(f)->status, 302);
	assert_int_equal(f->server.n_requests, 1);
	f->server.answer = "HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 1\r\n\r\nx";
	call = fetch_one(f);
	assert_int_equal(call->transport, TRANSPORT_OK);
	assert_int_equal(call->status, 429);
	assert_string_equal(call->retry_after, "7");
	assert_string_equal(call->body, "x");
	assert_string_equal(call->date, "");
	/* of two answers to one request the final one counts */
	f->server.answer = "HTTP/1.1 103 Hints\r\nRetry-After: 1\r\nDate: x\r\n\r\n" OK_ANSWER;
	call = fetch_one(f);
	assert_int_equal(call->status, 200);
	assert_string_equal(call->retry_after, "");
	assert_string_equal(call->date, DATE);
	f->server.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
			   "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n";
	assert_string_equal(fetch_one(f)->body, "abc");
	f->server.answer = "HTTP/1.1 204 None\r\n\r\n";
	assert_int_equal(fetch_one(f)->status, 204);
}

static void test_broken(void **state)
{
	static const struct {
		const char *answer;
		enum after after;
	} cases[] = {
		{ NULL, CLOSE },
		{ NULL, RESET },
		{ "HTTP/1.1 200 OK\r\nContent-Len", CLOSE },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345", CLOSE },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123", CLOSE },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", KEEP },
		{ "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", KEEP },
		{ "nonsense\n\n\n", KEEP },
		{ "nonsense", CLOSE },
		{ "SSH-2.0-x\r\n", CLOSE },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct call *call;

		f->server.answer = cases[i].answer;
		f->server.after = cases[i].after;
		call = fetch_one(f);
		if (call->transport != TRANSPORT_BROKEN)
			fail_msg("%zu: transport %d, %s", i, call->transport, call->detail);
		assert_null(strstr(call->detail, FIRST_KEY));
		assert_null(strstr(call->detail, "sess_1"));
	}
	f->server.answer = OK_ANSWER;
	f->server.after = KEEP;
	assert_int_equal(fetch_one(f)->transport, TRANSPORT_OK);
}

/* The server closes an idle connection just when it is used again: that costs no call. */
static void test_stale_connection(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fetch_one(f)->transport, TRANSPORT_OK);
	server_drop(&f->server, f->server.conns[0]);
	assert_int_equal(fetch_one(f)->transport, TRANSPORT_OK);
	assert_int_equal(f->server.n_conns, 2);
}

static void test_too_large(void **state)
{
	struct fixture *f = *state;

	f->server.answer = "HTTP/1.1 200 OK\r\nContent-Length: 10001\r\n\r\n";
	assert_int_equal(fetch_one(f)->transport, TRANSPORT_TOO_LARGE);
	f->server.answer = "HTTP/1.1 200 OK\r\n\r\n";
	f->server.after = FLOOD;
	f->server.flood = MAX_ANSWER + 100;
	assert_int_equal(fetch_one(f)->transport, TRANSPORT_TOO_LARGE);
	f->server.answer = "HTTP/1.1 200 OK\r\n";
	f->server.flood = 200000;
	assert_int_equal(fetch_one(f)->transport, TRANSPORT_TOO_LARGE);
}

static void test_unreachable(void **state)
{
	struct fixture *f = *state;

	(void)evconnlistener_disable(f->server.listener);
	evconnlistener_free(f->server.listener);
	assert_int_equal(fetch_one(f)->transport, TRANSPORT_UNREACHABLE);
	server_start(&f->server, f->base); /* for the teardown */
}

/* Calls on a connection that says nothing time out; those after them get another. */
static void test_timeout(void **state)
{
	struct fixture *f = *state;

	f->timeout_ms = 300;
	configure(f, FIRST_KEY, 8);
	f->server.answer = NULL;
	assert_int_equal(fetch_one(f)->transport, TRANSPORT_TIMEOUT);
	assert_int_equal(fetch_one(f)->transport, TRANSPORT_TIMEOUT);
	f->server.answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345";
	assert_int_equal(fetch_one(f)->transport, TRANSPORT_TIMEOUT);
	f->server.answer = OK_ANSWER;
	assert_int_equal(fetch_one(f)->transport, TRANSPORT_OK);
}

/* The very first call gets no answer: that holds up no other. */
static void test_cold_start(void **state)
{
	struct fixture *f = *state;

	f->server.answer = NULL;
	assert_int_equal(fetch(f, 0), 0);
	while (f->server.n_requests == 0)
		assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 0);
	f->server.answer = OK_ANSWER;
	assert_int_equal(fetch(f, 1), 0);
	wait_for(f, 1);
	assert_int_equal(f->calls[1].status, 200);
	assert_int_equal(f->calls[0].done, 0);
}

/* Calls that wait for a connection end too. */
static void test_queue_times_out(void **state)
{
	struct fixture *f = *state;

	f->timeout_ms = 300;
	configure(f, FIRST_KEY, 1);
	f->server.answer = NULL;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(fetch(f, i), 0);
	wait_for(f, 4);
	assert_int_equal(f->calls[0].transport, TRANSPORT_TIMEOUT);
	for (size_t i = 1; i < 4; i++)
		assert_int_equal(f->calls[i].transport, TRANSPORT_QUEUED);
}

static void test_cancel(void **state)
{
	struct fixture *f = *state;

	f->server.answer = NULL;
	assert_int_equal(fetch(f, 0), 0);
	assert_int_equal(fetch(f, 1), 0);
	upstream_cancel(f->upstream, &f->calls[0]);
	upstream_cancel(f->upstream, &f->calls[0]);
	run_for(f, 50);
	upstream_cancel(f->upstream, &f->calls[1]);
	run_for(f, 100);
	assert_int_equal(f->n_done, 0);
	f->server.answer = OK_ANSWER;
	assert_int_equal(fetch_one(f)->transport, TRANSPORT_OK);
}

/* On a connection of its own, though one is idle; forgotten together. */
static void test_a_second_request_of_a_name(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fetch_one(f)->transport, TRANSPORT_OK);
	f->server.answer = NULL;
	assert_int_equal(
	    upstream_fetch(f->upstream, &f->calls[1], span_str("sess_1"), SPAN_NONE, 0, true), 0);
	run_for(f, 50);
	assert_int_equal(f->server.n_conns, 2);
	assert_int_equal(fetch(f, 1), 0);
	run_for(f, 50);
	assert_int_equal(f->server.n_requests, 3);
	upstream_cancel(f->upstream, &f->calls[1]);
	run_for(f, 100);
	assert_int_equal(f->n_done, 1);
	assert_int_equal(f->server.n_open, 0);
}

static void test_cancel_within_done(void **state)
{
	struct fixture *f = *state;

	for (size_t round = 0; round < 5; round++) {
		for (size_t i = 0; i < 8; i++)
			assert_int_equal(fetch(f, i), 0);
		f->cancel = &f->calls[7];
		f->n_done = 0;
		wait_for(f, 7);
		run_for(f, 20);
		assert_int_equal(f->n_done, f->calls[7].done ? 8 : 7);
		f->calls[7] = (struct call){ 0 };
	}
}

static void test_free_with_calls(void **state)
{
	struct fixture *f = *state;

	f->server.answer = NULL;
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(fetch(f, i), 0);
	run_for(f, 30);
	upstream_free(f->upstream);
	f->upstream = NULL;
	run_for(f, 100);
	assert_int_equal(f->n_done, 0);
}

static void test_configure(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fetch_one(f)->transport, TRANSPORT_OK);
	assert_int_equal(fetch(f, 1), 0);
	configure(f, SECOND_KEY, 8);
	configure(f, SECOND_KEY, 8);
	wait_for(f, 2);
	assert_int_equal(f->calls[1].status, 200);
	assert_non_null(strstr(f->server.last, FIRST_KEY));
	assert_int_equal(fetch(f, 2), 0);
	wait_for(f, 3);
	assert_int_equal(f->calls[2].status, 200);
	assert_non_null(strstr(f->server.last, SECOND_KEY));
	/* one under way may be cancelled when its pool was replaced */
	assert_int_equal(fetch(f, 3), 0);
	configure(f, FIRST_KEY, 8);
	upstream_cancel(f->upstream, &f->calls[3]);
	run_for(f, 20);
	assert_int_equal(f->n_done, 3);
}

/* Wherever memory runs out, the call ends, and the next one works. */
static void test_no_memory(void **state)
{
	struct fixture *f = *state;
	pid_t server = server_fork(&f->server.port);
	size_t failures = 0, in_a_row_good = 0;

	f->timeout_ms = 1000;
	configure(f, FIRST_KEY, 8);
	for (size_t n = 0; in_a_row_good < 50; n++) {
		bool failed;

		assert_true(n < 2000);
		f->calls[0] = (struct call){ 0 };
		f->n_done = 0;
		mem_fail_after(n);
		failed = fetch(f, 0) != 0;
		if (!failed) {
			wait_for(f, 1);
			failed = f->calls[0].transport != TRANSPORT_OK;
		}
		mem_fail_after(SIZE_MAX);
		failures += failed;
		in_a_row_good = failed ? 0 : in_a_row_good + 1;
		if (failed)
			assert_int_equal(fetch_one(f)->transport, TRANSPORT_OK);
	}
	assert_true(failures > 20);
	(void)kill(server, SIGKILL);
	assert_int_equal(waitpid(server, NULL, 0), server);
}

static void test_all_memory_is_given_back(void **state)
{
	struct fixture *f = *state;
	size_t held = 0;

	for (size_t i = 0; i < 5; i++) {
		(void)fetch_one(f);
		if (i == 1)
			held = mem_held();
	}
	assert_int_equal(mem_held(), held);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_request),
		TEST(test_request_body),
		TEST(test_bad_names),
		TEST(test_keep_alive),
		TEST(test_parallel),
		TEST(test_statuses),
		TEST(test_broken),
		TEST(test_stale_connection),
		TEST(test_too_large),
		TEST(test_unreachable),
		TEST(test_timeout),
		TEST(test_cold_start),
		TEST(test_queue_times_out),
		TEST(test_cancel),
		TEST(test_a_second_request_of_a_name),
		TEST(test_cancel_within_done),
		TEST(test_free_with_calls),
		TEST(test_configure),
		TEST(test_no_memory),
		TEST(test_all_memory_is_given_back),
	};
	int r;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)alarm(120);
	event_set_mem_functions(mem_alloc, mem_realloc, mem_free);
	if (upstream_global_init() != 0)
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	upstream_global_deinit();
	return r;
}
