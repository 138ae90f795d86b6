/* Timelines: the core driven in virtual time by a text, with a Clerk that does as it is told.
 *
 *     replay FILE.timeline ...          prints TAP, one test a file
 *
 * A timeline is read line by line; `#` begins a comment:
 *
 *     config KEY=NUMBER ...             before anything else; as settings.c has them
 *     at MS, at +MS                     time passes, to that moment or by so much; what is due is
 *                                       done on the way
 *     sleep MS                          the machine is suspended for so long; then what is due
 *     ask LABEL[@UID] REQUEST           a client of that user (1000) sends a request line
 *     call LABEL[@UID]                  a client asks for a place in the budget, for a call of its
 * own answer LABEL STATUS [MS]          Clerk answers that call, with Retry-After; it is over leave
 * LABEL                       the client of a request or call that waits goes away clerk SESSION
 * TEMPLATE ANSWER     Clerk answers that fetch (a glob), as clerk.h has it key the secret key is
 * another one stop                              the daemon is told to stop expect [MS|MS..MS] EVENT
 * the next event is this one (a glob), at that time expect nothing                    there is no
 * event left expect [not] ready                what the daemon says of its health expect stats
 * NAME=VALUE ...       so it is in STATS (or NAME<NUMBER, NAME>NUMBER) repeat N ... end the lines
 * between, N times; {} in them counts from 1
 *
 * Events: `fetch S T`, `cancel S T`, `reply LABEL LINE`, `admit LABEL`, `push LINE`. Time may not
 * move on, and the file may not end, while there are events that were not expected.
 */
#include "base/mem.h"
#include "daemon/core/engine.h"
#include "daemon/core/stats.h"
#include "proto/request.h"
#include "tests/replay/clerk.h"
#include "tests/replay/numbers.h"
#include "tests/replay/script.h"
#include "tests/replay/settings.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_ASKED 4096
#define MAX_CLIENTS 64
#define MAX_EVENTS 65536
#define MAX_FLIGHTS 4096
#define DEFAULT_UID 1000

struct asked {
	char label[32];
	struct waiter *waiter;
	struct call *call;
};

struct flight {
	struct demand *demand;
	char key[2 * WIRE_NAME_MAX + 2];
};

struct event {
	int64_t at;
	char *text;
};

static struct {
	struct engine *engine;
	struct mono now;
	struct client clients[MAX_CLIENTS];
	size_t n_clients;
	struct asked asked[MAX_ASKED];
	size_t n_asked;
	struct flight flights[MAX_FLIGHTS];
	size_t n_flights;
	struct event events[MAX_EVENTS];
	size_t n_events, seen;
	struct buf scratch;
	char complaint[512];
} world;

static struct engine_config settings;

static int complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(world.complaint, sizeof(world.complaint), format, args);
	va_end(args);
	return -1;
}

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
	struct event *event = &world.events[world.n_events];
	va_list args;

	if (world.n_events == MAX_EVENTS)
		abort();
	va_start(args, format);
	if (vasprintf(&event->text, format, args) < 0)
		abort();
	va_end(args);
	event->at = world.now.ms;
	world.n_events++;
}

static void note_reply(const char *prefix, const struct reply *reply)
{
	struct buf line = BUF_INIT(65536);

	if (reply_write(&line, reply) < 0)
		abort();
	note("%s%.*s", prefix, (int)buf_len(&line) - 1, line.ptr);
	buf_deinit(&line);
}

static void note_answer(const char *label, const struct reply *reply)
{
	char prefix[64];

	(void)snprintf(prefix, sizeof(prefix), "reply %s ", label);
	note_reply(prefix, reply);
}

static void key_text(char to[], size_t size, const struct key *key)
{
	struct span template = key->template.len ? key->template : SPAN_LITERAL("-");

	(void)snprintf(to, size, "%.*s %.*s", (int)key->session.len, key->session.ptr,
		       (int)template.len, template.ptr);
}

static void on_fetch(const struct effect *effect)
{
	struct flight *flight = &world.flights[world.n_flights++];

	if (world.n_flights == MAX_FLIGHTS)
		abort();
	flight->demand = effect->flight;
	key_text(flight->key, sizeof(flight->key), &effect->key);
	note("fetch %s", flight->key);
}

static void on_cancel(const struct effect *effect)
{
	size_t before = world.n_flights;

	for (size_t i = world.n_flights; i-- > 0;) {
		if (world.flights[i].demand != effect->flight)
			continue;
		if (before == world.n_flights)
			note("cancel %s", world.flights[i].key);
		world.flights[i] = world.flights[--world.n_flights];
	}
	if (before == world.n_flights)
		abort();
}

static void on_call(const struct effect *effect)
{
	struct asked *asked = effect->cookie;

	if (effect->type == EFFECT_ADMITTED) {
		note("admit %s", asked->label);
		return;
	}
	asked->call = NULL;
	note_answer(asked->label, &effect->reply);
}

static void on_push(struct watch *watch)
{
	struct reply reply;

	if (!engine_watch_read(world.engine, world.now, watch, &reply))
		return;
	note_reply("push ", &reply);
	if (reply.type == PUSH_GONE)
		engine_watch_end(world.engine, watch);
}

static void drain(void)
{
	struct effect effect;

	do {
		engine_pop(world.engine, &effect);
		if (effect.type == EFFECT_FETCH)
			on_fetch(&effect);
		else if (effect.type == EFFECT_CANCEL)
			on_cancel(&effect);
		else if (effect.type == EFFECT_PUSH)
			on_push(effect.watch);
		else if (effect.type == EFFECT_ADMITTED || effect.type == EFFECT_REFUSED)
			on_call(&effect);
		else if (effect.type == EFFECT_DROPPED)
			note("push * DROP %.*s %.*s", (int)effect.key.session.len,
			     effect.key.session.ptr, (int)effect.key.template.len,
			     effect.key.template.ptr);
		else if (effect.type == EFFECT_REPLY) {
			struct asked *asked = effect.cookie;

			asked->waiter = NULL;
			note_answer(asked->label, &effect.reply);
		}
	} while (effect.type != EFFECT_NONE);
}

static int engine_needed(void)
{
	struct random random = { 7 };
	struct hash_key hash_key;

	if (world.engine)
		return 0;
	for (size_t i = 0; i < HASH_WORDS; i++)
		hash_key.word[i] = random_u64(&random);
	hash_key.low = random_u64(&random);
	hash_key.high = random_u64(&random);
	return engine_new(&settings, &hash_key, 42, &world.engine);
}

static int do_config(const struct line *l)
{
	for (size_t i = 0; i < l->count; i++) {
		char *value = strchr(l->words[i], '=');
		uint64_t number;

		if (!value || span_parse_u64(span_str(value + 1), INT64_MAX, &number) < 0)
			return complain("config takes KEY=NUMBER");
		*value = '\0';
		if (!settings_set(&settings, l->words[i], number))
			return complain("no setting %s", l->words[i]);
	}
	return 0;
}

static int nothing_left(void)
{
	if (world.seen == world.n_events)
		return 0;
	return complain("not expected: %lld %s", (long long)world.events[world.seen].at,
			world.events[world.seen].text);
}

static int do_at(const struct line *l)
{
	bool relative = l->words[0][0] == '+';
	uint64_t to;

	if (span_parse_u64(span_str(l->words[0] + relative), INT64_MAX / 2, &to) < 0)
		return complain("at takes a time");
	if (relative)
		to += (uint64_t)world.now.ms;
	if ((int64_t)to < world.now.ms)
		return complain("at takes a later time");
	if (nothing_left() < 0)
		return -1;
	for (;;) {
		struct mono next = engine_next_deadline(world.engine);

		if (next.ms > (int64_t)to)
			break;
		world.now = mono_max(world.now, next);
		engine_tick(world.engine, world.now);
		drain();
	}
	world.now.ms = (int64_t)to;
	return 0;
}

/* Boot time goes on, and nobody is there to see it. */
static int do_sleep(const struct line *l)
{
	uint64_t ms;

	if (span_parse_u64(span_str(l->words[0]), INT64_MAX / 2, &ms) < 0)
		return complain("sleep takes milliseconds");
	if (nothing_left() < 0)
		return -1;
	world.now = mono_add_ms(world.now, (int64_t)ms);
	engine_tick(world.engine, world.now);
	drain();
	return 0;
}

static struct client *client_of(uint64_t uid)
{
	const struct identity who = { .uid = (uid_t)uid };

	for (size_t i = 0; i < world.n_clients; i++)
		if (world.clients[i].uid == uid)
			return &world.clients[i];
	if (world.n_clients == MAX_CLIENTS ||
	    engine_client_init(world.engine, &world.clients[world.n_clients], &who) != 0)
		return NULL;
	return &world.clients[world.n_clients++];
}

/* LABEL[@UID]: who asks, by what name. */
static struct client *begin_asking(char *label, struct asked **ret)
{
	struct asked *asked = &world.asked[world.n_asked];
	char *at = strchr(label, '@');
	uint64_t uid = DEFAULT_UID;

	if (at) {
		*at = '\0';
		if (span_parse_u64(span_str(at + 1), UINT32_MAX, &uid) < 0)
			return NULL;
	}
	if (world.n_asked == MAX_ASKED)
		return NULL;
	world.n_asked++;
	(void)snprintf(asked->label, sizeof(asked->label), "%s", label);
	*ret = asked;
	return client_of(uid);
}

static int do_ask(const struct line *l)
{
	const char *line = strchr(l->rest, ' ') + 1;
	struct asked *asked;
	struct client *client = begin_asking(l->words[0], &asked);
	struct request request;
	struct request_error error;
	struct reply reply;

	if (!client)
		return complain("no room for that client");
	if (request_parse(span_str(line), &request, &error) < 0)
		return complain("bad request: %s", error.text);
	if (engine_submit(world.engine, world.now, client, &request, &world.scratch, &reply,
			  &asked->waiter) == SUBMIT_REPLIED)
		note_answer(asked->label, &reply);
	else
		asked->waiter->cookie = asked;
	drain();
	return 0;
}

static int do_call(const struct line *l)
{
	struct asked *asked;
	struct client *client = begin_asking(l->words[0], &asked);
	struct reply reply;

	if (!client)
		return complain("no room for that client");
	if (engine_call(world.engine, world.now, client, asked, &reply, &asked->call) ==
	    SUBMIT_REPLIED)
		note_answer(asked->label, &reply);
	drain();
	return 0;
}

static void end_call(struct asked *asked)
{
	engine_call_end(world.engine, world.now, asked->call);
	asked->call = NULL;
}

static int do_answer(const struct line *l)
{
	uint64_t status, retry_after_ms = 0;

	if (span_parse_u64(span_str(l->words[1]), 599, &status) < 0 ||
	    (l->count > 2 && span_parse_u64(span_str(l->words[2]), INT64_MAX, &retry_after_ms) < 0))
		return complain("answer takes a status, and milliseconds");
	for (size_t i = 0; i < world.n_asked; i++) {
		struct asked *asked = &world.asked[i];

		if (strcmp(asked->label, l->words[0]) != 0 || !asked->call)
			continue;
		engine_call_answered(world.engine, world.now, asked->call, (int)status,
				     l->count > 2 ? (int64_t)retry_after_ms : -1);
		end_call(asked);
		drain();
		return 0;
	}
	return complain("no call by the name of %s", l->words[0]);
}

static int do_leave(const struct line *l)
{
	const char *label = l->words[0];

	for (size_t i = 0; i < world.n_asked; i++) {
		struct asked *asked = &world.asked[i];

		if (strcmp(asked->label, label) != 0 || (!asked->waiter && !asked->call))
			continue;
		if (asked->call)
			end_call(asked);
		else
			engine_abandon(world.engine, asked->waiter);
		asked->waiter = NULL;
		drain();
		return 0;
	}
	return complain("nobody waits by the name of %s", label);
}

static int do_clerk(const struct line *l)
{
	char key[2 * WIRE_NAME_MAX + 2];
	struct outcome outcome;
	const char *wrong;

	(void)snprintf(key, sizeof(key), "%s %s", l->words[0], l->words[1]);
	wrong = clerk_answer(l->words + 2, l->count - 2, world.now, &outcome);
	if (wrong)
		return complain("%s", wrong);
	for (size_t i = 0; i < world.n_flights; i++) {
		struct demand *demand = world.flights[i].demand;

		if (fnmatch(key, world.flights[i].key, 0) != 0)
			continue;
		world.flights[i] = world.flights[--world.n_flights];
		engine_fetched(world.engine, world.now, demand, &outcome);
		drain();
		outcome_deinit(&outcome);
		return 0;
	}
	outcome_deinit(&outcome);
	return complain("Clerk was not asked for %s", key);
}

static int expect_event(char *text)
{
	uint64_t from = 0, to = INT64_MAX;
	const struct event *event = &world.events[world.seen];

	(void)script_time(text, &text, &from, &to); /* it may be left out */
	if (world.seen == world.n_events)
		return complain("nothing happened, expected: %s", text);
	if (fnmatch(text, event->text, 0) != 0)
		return complain("expected: %s\n#   happened: %s (at %lld)", text, event->text,
				(long long)event->at);
	if (event->at < (int64_t)from || event->at > (int64_t)to)
		return complain("%s happened at %lld", event->text, (long long)event->at);
	world.seen++;
	return 0;
}

static int expect_stats(const struct line *l)
{
	char text[sizeof(world.complaint)];
	const char *wrong = NULL;

	buf_reset(&world.scratch);
	if (stats_write(world.engine, world.now, &world.scratch) < 0 ||
	    buf_append(&world.scratch, "", 1) < 0)
		return complain("no memory");
	for (size_t i = 1; i < l->count && !wrong; i++)
		wrong = numbers_wrong(world.scratch.ptr + world.scratch.start, l->words[i], text,
				      sizeof(text));
	return wrong ? complain("%s", wrong) : 0;
}

static int do_expect(const struct line *l)
{
	bool ready = engine_is_ready(world.engine);

	if (strcmp(l->rest, "nothing") == 0)
		return nothing_left();
	if (strcmp(l->rest, "ready") == 0)
		return ready ? 0 : complain("it is not ready");
	if (strcmp(l->rest, "not ready") == 0)
		return ready ? complain("it is ready") : 0;
	return strcmp(l->words[0], "stats") == 0 ? expect_stats(l) : expect_event(l->rest);
}

static int do_stop(const struct line *l)
{
	(void)l;
	engine_stop(world.engine, world.now);
	drain();
	return 0;
}

static int do_key(const struct line *l)
{
	(void)l;
	engine_key_changed(world.engine, world.now);
	drain();
	return 0;
}

/* `words`: how many it needs at least. */
static const struct {
	const char *verb;
	size_t words;
	int (*run)(const struct line *l);
} verbs[] = {
	{ "config", 1, do_config }, { "at", 1, do_at },		{ "sleep", 1, do_sleep },
	{ "ask", 2, do_ask },	    { "leave", 1, do_leave },	{ "clerk", 3, do_clerk },
	{ "expect", 1, do_expect }, { "stop", 0, do_stop },	{ "key", 0, do_key },
	{ "call", 1, do_call },	    { "answer", 2, do_answer },
};

static int do_line(const struct line *l)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		if (strcmp(l->verb, verbs[i].verb) != 0)
			continue;
		if (l->count < verbs[i].words)
			return complain("incomplete: %s", l->verb);
		if (verbs[i].run != do_config && engine_needed() < 0)
			return complain("no engine");
		return verbs[i].run(l);
	}
	return complain("unknown: %s", l->verb);
}

static void begin(void)
{
	memset(&world, 0, sizeof(world));
	world.scratch = BUF_INIT(65536);
	settings = (struct engine_config){
		.freshness = { .min_ttl_ms = 5000, .renew_idle_ms = -1 },
		.negative_ttl_ms = 10000,
		.default_wait_ms = 3000,
		.max_memory = 1 << 20,
		.max_clients = 100,
		.budget = 80,
		.budget_window_ms = 10000,
		.greeting = "clerk-tokend",
	};
}

static void end(void)
{
	for (size_t i = 0; i < world.n_asked; i++) {
		if (world.asked[i].waiter)
			engine_abandon(world.engine, world.asked[i].waiter);
		if (world.asked[i].call)
			end_call(&world.asked[i]);
	}
	for (size_t i = 0; i < world.n_clients; i++)
		engine_client_deinit(world.engine, &world.clients[i]);
	if (world.engine)
		drain();
	engine_free(world.engine);
	for (size_t i = 0; i < world.n_events; i++)
		free(world.events[i].text);
	buf_deinit(&world.scratch);
}

static int replay(FILE *file)
{
	struct script script = { .file = file };
	struct line line;
	int result = 0;

	while (result == 0 && script_next(&script, &line))
		result = do_line(&line);
	if (result == 0)
		result = nothing_left();
	if (result < 0)
		printf("# line %d: %s\n", script.number, world.complaint);
	return result;
}

int main(int argc, char **argv)
{
	int failed = 0;

	printf("1..%d\n", argc - 1);
	for (int i = 1; i < argc; i++) {
		const char *name = strrchr(argv[i], '/') ? strrchr(argv[i], '/') + 1 : argv[i];
		FILE *file = fopen(argv[i], "r");
		size_t held = mem_held();
		int result = -1;

		begin();
		if (file) {
			result = replay(file);
			(void)fclose(file);
		}
		end();
		if (result == 0 && mem_held() != held) {
			printf("# %zu bytes were not freed\n", mem_held() - held);
			result = -1;
		}
		printf("%s %d - %s\n", result ? "not ok" : "ok", i, name);
		failed |= result != 0;
	}
	return failed;
}
