/* A front for relays: an engine, relays and the origin in one loop, and what came of each relay. */
#pragma once

#include "base/mem.h"
#include "daemon/sys/asker.h"
#include "daemon/sys/clock.h"
#include "daemon/sys/relay.h"
#include "daemon/sys/upstream.h"
#include "tests/unit/test_relay_origin.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define KEY "sk_test_key"
#define TEXT_MAX 4096
#define PASSING_MAX 64
#define LARGE (20 << 20)
#define HELD_MAX (512 * 1024) /* bytes that one relay may hold, curl's included */
#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

/* One relay, as its front sees it. */
struct passing {
	struct relay *relay;
	int status;
	int64_t body_len;
	char fields[TEXT_MAX], body[TEXT_MAX];
	size_t body_bytes, takes; /* at most, of a body; SIZE_MAX: all */
	bool has_room, ended, failed, cancel_at_head;
	struct relay_failure failure;
};

static struct fixture {
	struct event_base *base;
	struct origin origin;
	struct engine *engine;
	struct relays *relays;
	struct client client;
	struct passing passing[PASSING_MAX];
	size_t n_dropped, held_max;
	bool inside;
	int64_t timeout_ms;
	size_t budget;
} f;

static inline void note_held(void)
{
	if (mem_held() > f.held_max)
		f.held_max = mem_held();
}

static inline void on_head(void *arg, const struct relay_head *head)
{
	struct passing *p = arg;
	size_t len = 0;

	assert_false(f.inside || p->status);
	p->status = head->status;
	p->body_len = head->body_len;
	for (size_t i = 0; i < head->n_fields; i++)
		len += (size_t)snprintf(p->fields + len, sizeof(p->fields) - len, "%.*s: %.*s\n",
					(int)head->fields[i].name.len, head->fields[i].name.ptr,
					(int)head->fields[i].value.len, head->fields[i].value.ptr);
	if (p->cancel_at_head)
		relay_cancel(p->relay);
}

static inline size_t on_body(void *arg, struct span data)
{
	struct passing *p = arg;
	size_t len = data.len < p->takes ? data.len : p->takes;

	assert_true(p->status && !p->ended && !f.inside);
	for (size_t i = 0; i < len && p->body_bytes + i + 1 < sizeof(p->body); i++)
		p->body[p->body_bytes + i] = data.ptr[i];
	p->body_bytes += len;
	note_held();
	return len;
}

static inline void on_room(void *arg)
{
	struct passing *p = arg;

	p->has_room = true;
}

static inline void on_end(void *arg)
{
	struct passing *p = arg;

	assert_false(p->ended || p->failed || f.inside);
	p->ended = true;
}

static inline void on_failed(void *arg, const struct relay_failure *failure)
{
	struct passing *p = arg;

	assert_false(p->ended || p->failed || f.inside);
	p->failed = true;
	p->failure = *failure;
}

static const struct relay_callbacks callbacks = { on_head, on_body, on_room, on_end, on_failed };

static inline void settle(void *arg)
{
	struct effect effect;

	(void)arg;
	do {
		engine_pop(f.engine, &effect);
		if (effect.type == EFFECT_ADMITTED || effect.type == EFFECT_REFUSED)
			asker_answer(&effect);
		f.n_dropped += effect.type == EFFECT_DROPPED;
	} while (effect.type != EFFECT_NONE);
}

static inline struct engine_config engine_config(void)
{
	return (struct engine_config){
		.freshness = { .min_ttl_ms = 5000, .renew_idle_ms = -1 },
		.default_wait_ms = 1000,
		.max_memory = 1 << 20,
		.max_clients = 10,
		.budget = f.budget,
		.max_connections = 2,
		.budget_window_ms = 10000,
		.greeting = "clerk-tokend",
	};
}

static inline void make_engine(void)
{
	const struct engine_config config = engine_config();
	const struct hash_key hash_key = { 0 };
	const struct identity who = { .uid = 1000 };

	assert_int_equal(engine_new(&config, &hash_key, 1, &f.engine), 0);
	assert_int_equal(engine_client_init(f.engine, &f.client, &who), 0);
}

static inline void make_relays(unsigned port)
{
	char url[64];
	struct secret key = SECRET_NONE;
	const struct upstream_config config = {
		.api_url = url,
		.api_version = "2025-11-10",
		.user_agent = "clerk-tokend/test",
		.connect_timeout_ms = f.timeout_ms,
		.request_timeout_ms = f.timeout_ms,
		.max_connections = 2,
		.max_answer = 1000,
	};

	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
	assert_int_equal(secret_set(&key, SPAN_LITERAL(KEY)), 0);
	if (f.relays)
		assert_int_equal(relays_configure(f.relays, &config, &key), 0);
	else
		assert_int_equal(
		    relays_new(f.base, f.engine, &config, &key, settle, NULL, &f.relays), 0);
	secret_deinit(&key);
}

static inline int setup(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	f.timeout_ms = 20000;
	f.budget = 1000;
	for (size_t i = 0; i < PASSING_MAX; i++)
		f.passing[i].takes = SIZE_MAX;
	f.base = event_base_new();
	origin_start(&f.origin, f.base);
	make_engine();
	make_relays(f.origin.port);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	relays_free(f.relays);
	engine_client_deinit(f.engine, &f.client);
	settle(NULL);
	engine_free(f.engine);
	origin_stop(&f.origin);
	event_base_free(f.base);
	return 0;
}

/* One round of the loop, a few milliseconds at most. */
static inline void turn(void)
{
	const struct timeval after = { .tv_usec = 2000 };

	assert_int_equal(event_base_loopexit(f.base, &after), 0);
	assert_int_equal(event_base_loop(f.base, EVLOOP_ONCE), 0);
	engine_tick(f.engine, clock_boot());
	settle(NULL);
	note_held();
}

/* A condition that never comes is ended by the alarm of main(). */
#define WAIT_FOR(condition)                                                                        \
	while (!(condition))                                                                       \
	turn()

static inline void turns(size_t n)
{
	while (n--)
		turn();
}

static inline int start(size_t i, const struct relay_request *request)
{
	int r;

	f.inside = true;
	r = relay_start(f.relays, clock_boot(), &f.client, request, &callbacks, &f.passing[i],
			&f.passing[i].relay);
	settle(NULL);
	f.inside = false;
	return r;
}

static inline int simple(size_t i, const char *method, const char *target)
{
	const struct relay_request request = { .method = span_str(method),
					       .target = span_str(target),
					       .body_len = RELAY_NO_BODY };

	return start(i, &request);
}

static inline bool is_over(size_t i)
{
	return f.passing[i].ended || f.passing[i].failed;
}

static inline void push_all(struct passing *p, size_t total)
{
	static char text[100000];
	size_t pushed = 0;

	memset(text, 'u', sizeof(text));
	while (pushed < total) {
		size_t len = total - pushed < sizeof(text) ? total - pushed : sizeof(text);
		size_t taken = relay_push(p->relay, span_of(text, len));

		pushed += taken;
		if (taken == len)
			continue;
		p->has_room = false;
		WAIT_FOR(p->has_room || p->failed);
		assert_false(p->failed);
	}
	relay_push_end(p->relay);
}

/* All tests of a program. */
static inline int run(const struct CMUnitTest *tests, size_t count)
{
	(void)signal(SIGPIPE, SIG_IGN);
	(void)alarm(120);
	if (upstream_global_init() != 0)
		return 1;
	return _cmocka_run_group_tests("relay", tests, count, NULL, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
