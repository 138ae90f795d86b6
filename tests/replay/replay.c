/* Timelines: the core driven in virtual time by a text, with a Clerk that does as it is told.
 *
 *     replay FILE.timeline ...          prints TAP, one test a file
 *
 * A timeline is read line by line; `#` begins a comment:
 *
 *     config KEY=NUMBER ...             before anything else; the fields of `settings` below
 *     at MS                             time passes, to that moment; what is due is done on the way
 *     ask LABEL[@UID] REQUEST           a client of that user (1000) sends a request line
 *     leave LABEL                       the client of a request that waits goes away
 *     clerk SESSION TEMPLATE ANSWER     Clerk answers that fetch: `token NAME life=SECONDS`, or a
 *                                       code and perhaps `retry_after=MS`
 *     stop                              the daemon is told to stop
 *     expect [MS|MS..MS] EVENT          the next event is this one (a glob), at that time
 *     expect nothing                    there is no event left
 *
 * Events: `fetch S T`, `cancel S T`, `reply LABEL LINE`, `push LINE`. Time may not move on, and the
 * file may not end, while there are events that were not expected.
 */
#include "base/mem.h"
#include "daemon/core/engine.h"
#include "proto/request.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_ASKED 4096
#define MAX_CLIENTS 64
#define MAX_EVENTS 65536
#define MAX_FLIGHTS 4096
#define WORDS 16
#define DEFAULT_UID 1000

struct asked {
	char label[32];
	struct waiter *waiter;
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

static const struct {
	const char *name;
	int64_t *ms;
	size_t *size;
} setting_names[] = {
	{ "min_ttl_ms", &settings.freshness.min_ttl_ms, NULL },
	{ "renew_idle_ms", &settings.freshness.renew_idle_ms, NULL },
	{ "negative_ttl_ms", &settings.negative_ttl_ms, NULL },
	{ "default_wait_ms", &settings.default_wait_ms, NULL },
	{ "budget_window_ms", &settings.budget_window_ms, NULL },
	{ "request_timeout_ms", &settings.request_timeout_ms, NULL },
	{ "max_connections", NULL, &settings.max_connections },
	{ "budget", NULL, &settings.budget },
	{ "max_memory", NULL, &settings.max_memory },
	{ "max_clients", NULL, &settings.max_clients },
};

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

static int do_config(char *const words[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char *value = strchr(words[i], '=');
		uint64_t number;
		bool known = false;

		if (!value || span_parse_u64(span_str(value + 1), INT64_MAX, &number) < 0)
			return complain("config takes KEY=NUMBER");
		*value = '\0';
		for (size_t k = 0; k < sizeof(setting_names) / sizeof(*setting_names); k++) {
			if (strcmp(setting_names[k].name, words[i]) != 0)
				continue;
			known = true;
			if (setting_names[k].ms)
				*setting_names[k].ms = (int64_t)number;
			else
				*setting_names[k].size = number;
		}
		if (!known)
			return complain("no setting %s", words[i]);
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

static int do_at(const char *word)
{
	uint64_t to;

	if (span_parse_u64(span_str(word), INT64_MAX, &to) < 0 || (int64_t)to < world.now.ms)
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

static struct client *client_of(uint64_t uid)
{
	for (size_t i = 0; i < world.n_clients; i++)
		if (world.clients[i].uid == uid)
			return &world.clients[i];
	if (world.n_clients == MAX_CLIENTS ||
	    engine_client_init(world.engine, &world.clients[world.n_clients], (uid_t)uid, 100, 1) !=
		0)
		return NULL;
	return &world.clients[world.n_clients++];
}

static int do_ask(char *label, const char *line)
{
	struct asked *asked = &world.asked[world.n_asked++];
	char *at = strchr(label, '@');
	uint64_t uid = DEFAULT_UID;
	struct request request;
	struct request_error error;
	struct client *client;
	struct reply reply;

	if (at) {
		*at = '\0';
		if (span_parse_u64(span_str(at + 1), UINT32_MAX, &uid) < 0)
			return complain("a uid is a number");
	}
	(void)snprintf(asked->label, sizeof(asked->label), "%s", label);
	client = client_of(uid);
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

static int do_leave(const char *label)
{
	for (size_t i = 0; i < world.n_asked; i++) {
		if (strcmp(world.asked[i].label, label) != 0 || !world.asked[i].waiter)
			continue;
		engine_abandon(world.engine, world.asked[i].waiter);
		world.asked[i].waiter = NULL;
		drain();
		return 0;
	}
	return complain("nobody waits by the name of %s", label);
}

static int outcome_kind(enum code code)
{
	switch (code) {
	case CODE_NOT_FOUND:
	case CODE_FORBIDDEN:
	case CODE_REJECTED:
		return OUTCOME_DEFINITE;
	case CODE_UNAUTHORIZED:
		return OUTCOME_KEY_REFUSED;
	case CODE_RATE_LIMITED:
		return OUTCOME_THROTTLED;
	case CODE_BAD_UPSTREAM:
		return OUTCOME_MALFORMED;
	default:
		return OUTCOME_TRANSIENT;
	}
}

/* life=SECONDS or retry_after=MS, whichever it is. */
static int number_of(const char *word, const char *name, int64_t *ret)
{
	struct span value = span_str(word);
	uint64_t number;

	if (!span_starts(value, name))
		return -1;
	value = span_of(value.ptr + strlen(name), value.len - strlen(name));
	if (span_parse_u64(value, INT64_MAX, &number) < 0)
		return -1;
	*ret = (int64_t)number;
	return 0;
}

static int read_answer(char *const words[], size_t count, struct outcome *ret)
{
	char jwt[128];
	int64_t life;

	*ret = (struct outcome){ .retry_after_ms = -1 };
	if (strcmp(words[0], "token") == 0) {
		if (count != 3 || number_of(words[2], "life=", &life) < 0)
			return complain("token NAME life=SECONDS");
		(void)snprintf(jwt, sizeof(jwt), "h.%s.s", words[1]);
		ret->lifetime_ms = life * MS_PER_S;
		ret->exp_s = (uint64_t)(world.now.ms / MS_PER_S + life);
		ret->id = answer_token_id(span_str(jwt));
		return secret_set(&ret->jwt, span_str(jwt));
	}
	ret->code = code_parse(span_str(words[0]));
	if (ret->code == CODE_COUNT)
		return complain("no code %s", words[0]);
	ret->kind = (enum outcome_kind)outcome_kind(ret->code);
	if (count > 1 && number_of(words[1], "retry_after=", &ret->retry_after_ms) < 0)
		return complain("CODE retry_after=MS");
	return 0;
}

static int do_clerk(char *const words[], size_t count)
{
	char key[2 * WIRE_NAME_MAX + 2];
	struct outcome outcome;

	if (count < 3)
		return complain("clerk SESSION TEMPLATE ANSWER");
	(void)snprintf(key, sizeof(key), "%s %s", words[0], words[1]);
	if (read_answer(words + 2, count - 2, &outcome) < 0)
		return -1;
	for (size_t i = 0; i < world.n_flights; i++) {
		struct demand *demand = world.flights[i].demand;

		if (strcmp(world.flights[i].key, key) != 0)
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

/* MS or MS..MS; *ret_rest is what follows. True if there was one. */
static bool read_time(char *text, char **ret_rest, uint64_t *ret_from, uint64_t *ret_to)
{
	char *space = strchr(text, ' ');
	struct span word = span_of(text, space ? (size_t)(space - text) : strlen(text));
	struct span to = word, from;

	if (!space || !span_split(&to, '.', &from) || span_parse_u64(from, INT64_MAX, ret_from) < 0)
		return false;
	*ret_to = *ret_from;
	*ret_rest = space + 1;
	if (!to.ptr)
		return true;
	return to.len > 1 && to.ptr[0] == '.' &&
	       span_parse_u64(span_of(to.ptr + 1, to.len - 1), INT64_MAX, ret_to) == 0;
}

static int do_expect(char *text)
{
	uint64_t from = 0, to = INT64_MAX;
	const struct event *event = &world.events[world.seen];

	if (strcmp(text, "nothing") == 0)
		return nothing_left();
	(void)read_time(text, &text, &from, &to); /* it may be left out */
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

static int do_line(char *line)
{
	char *words[WORDS], *save = NULL, *rest = strchr(line, ' ');
	char copy[1024];
	size_t count = 0;

	rest = rest ? rest + 1 : line + strlen(line);
	(void)snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok_r(copy, " ", &save); w && count < WORDS;
	     w = strtok_r(NULL, " ", &save))
		words[count++] = w;
	if (count == 0)
		return 0;
	if (strcmp(words[0], "config") == 0)
		return do_config(words + 1, count - 1);
	if (engine_needed() < 0)
		return complain("no engine");
	if (strcmp(words[0], "stop") == 0) {
		engine_stop(world.engine, world.now);
		drain();
		return 0;
	}
	if (count < 2)
		return complain("incomplete: %s", line);
	if (strcmp(words[0], "at") == 0)
		return do_at(words[1]);
	if (strcmp(words[0], "ask") == 0 && count > 2)
		return do_ask(words[1], strchr(rest, ' ') + 1);
	if (strcmp(words[0], "leave") == 0)
		return do_leave(words[1]);
	if (strcmp(words[0], "clerk") == 0)
		return do_clerk(words + 1, count - 1);
	if (strcmp(words[0], "expect") == 0)
		return do_expect(rest);
	return complain("unknown: %s", line);
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
	for (size_t i = 0; i < world.n_asked; i++)
		if (world.asked[i].waiter)
			engine_abandon(world.engine, world.asked[i].waiter);
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
	char line[1024];
	int number = 0, result = 0;

	while (result == 0 && fgets(line, sizeof(line), file)) {
		number++;
		line[strcspn(line, "#\n")] = '\0';
		for (size_t len = strlen(line); len && line[len - 1] == ' '; len--)
			line[len - 1] = '\0';
		if (line[0])
			result = do_line(line);
	}
	if (result == 0)
		result = nothing_left();
	if (result < 0)
		printf("# line %d: %s\n", number, world.complaint);
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
