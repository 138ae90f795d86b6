/* Any sequence of requests, answers, failures and jumps in time leaves the engine's promises kept.
 *
 * The bytes are read as operations on an engine in virtual time, as the daemon would call it. The
 * promises are in engine_model.h.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/engine_model.h"

#include "daemon/core/refusal.h"

static void drain(void)
{
	struct effect effect;

	do {
		engine_pop(world.engine, &effect);
		if (effect.type == EFFECT_FETCH)
			on_fetch(&effect);
		else if (effect.type == EFFECT_CANCEL)
			on_cancel(effect.flight);
		else if (effect.type == EFFECT_REPLY)
			on_reply(&effect);
		else if (effect.type == EFFECT_PUSH)
			on_push(effect.watch);
		else if (effect.type == EFFECT_ADMITTED || effect.type == EFFECT_REFUSED)
			on_call(&effect);
	} while (effect.type != EFFECT_NONE);
	check();
}

static struct ask *free_ask(void)
{
	for (size_t i = 0; i < ASKS; i++)
		if (!world.asks[i].waiter)
			return &world.asks[i];
	return NULL;
}

static struct seat *some_seat(void)
{
	struct seat *seat = &world.seats[byte() % CLIENTS];
	const struct identity who = { .uid = uids[seat - world.seats] };

	if (!seat->present && engine_client_init(world.engine, &seat->client, &who) == 0) {
		seat->present = true;
		memset(seat->watches, 0, sizeof(seat->watches));
		list_init(&seat->news);
	}
	return seat->present ? seat : NULL;
}

static void submit(struct seat *seat, const struct request *request, struct ask *ask)
{
	struct waiter *waiter = NULL;
	enum submission submission;
	struct reply reply;

	read_news(seat);
	drain();
	begin_call();
	submission = engine_submit(world.engine, now(), &seat->client, request, &world.scratch,
				   &reply, &waiter);
	end_call();
	if (submission == SUBMIT_PENDING) {
		fuzz_require(ask && waiter && !world.stopped);
		ask->waiter = waiter;
		waiter->cookie = ask;
	} else if (ask) {
		check_answer(&reply, ask);
	} else {
		(void)on_the_wire(&reply);
	}
}

/* GET or WATCH. */
static void ask(enum verb verb)
{
	struct seat *seat = some_seat();
	struct ask *a = free_ask();
	size_t options = byte(), index = byte() % KEYS;
	struct key key = key_of(index);
	struct request r = {
		.verb = verb,
		.session = key.session,
		.template = key.template,
		.expires_in_s = key.expires_in_s,
		.has_min_ttl = options & 1,
		.has_wait = options & 2,
		.has_not = options & 4,
		.not_id = world.keys[index].last,
	};

	if (!seat || !a)
		return;
	if (r.has_min_ttl)
		r.min_ttl_s = (uint64_t)ONE_OF(0, 1, 5, 30, 59, 601);
	if (r.has_wait)
		r.wait_ms = (uint64_t)ONE_OF(0, 1, 50, 1000, 20000, HOUR_MS);
	*a = (struct ask){
		.seat = seat,
		.key = index,
		.deadline_ms = world.now_ms + (r.has_wait ? (int64_t)r.wait_ms : 3000),
		.min_ttl_ms = r.has_min_ttl ? (int64_t)r.min_ttl_s * MS_PER_S
					    : world.config.freshness.min_ttl_ms,
		.is_watch = verb == VERB_WATCH,
	};
	submit(seat, &r, a);
	drain();
}

static void call(void)
{
	struct seat *seat = some_seat();
	struct passing *p = &world.calls[byte() % CALLS];
	enum submission submission;
	struct reply reply;

	if (!seat || p->call)
		return;
	*p = (struct passing){ .seat = seat,
			       .deadline_ms = world.now_ms + world.config.default_wait_ms };
	begin_call();
	submission = engine_call(world.engine, now(), &seat->client, p, &reply, &p->call);
	end_call();
	if (submission == SUBMIT_REPLIED)
		(void)on_the_wire(&reply); /* which takes memory of its own */
	drain();
}

/* With an answer of Clerk's, or without. */
static void end_of_call(void)
{
	struct passing *p = &world.calls[byte() % CALLS];
	int status = (int)ONE_OF(0, 200, 404, 429, 429, 500);

	if (!p->call)
		return;
	if (p->admitted && status)
		engine_call_answered(world.engine, now(), p->call, status,
				     ONE_OF(-1, 0, 100, 5000));
	engine_call_end(world.engine, now(), p->call);
	p->call = NULL;
	drain();
}

static void unwatch(void)
{
	struct seat *seat = some_seat();
	size_t index = byte() % KEYS;
	struct key key = key_of(index);
	struct request r = { .verb = VERB_UNWATCH,
			     .session = key.session,
			     .template = key.template,
			     .expires_in_s = key.expires_in_s };

	if (!seat)
		return;
	submit(seat, &r, NULL);
	seat->watches[index] = false;
	for (size_t i = 0; i < ASKS; i++) /* nor does one stand that still waits */
		if (world.asks[i].seat == seat && world.asks[i].key == index)
			world.asks[i].is_watch = false;
	drain();
}

/* With all of the session's templates, or both lifetimes of one; SESSIONS: everything. */
static void forget(size_t session, bool all, size_t template)
{
	++world.turn;
	for (size_t i = 0; i < KEYS; i++)
		if (session == SESSIONS || (i / 4 == session && (all || i % 2 == template)))
			world.keys[i].dropped_turn = world.turn;
}

static void drop(void)
{
	struct seat *seat = some_seat();
	size_t session = byte() % SESSIONS, which = byte() % 3;
	struct request r = { .verb = VERB_DROP,
			     .session = span_str(sessions[session]),
			     .template = which == 1 ? SPAN_LITERAL("t") : SPAN_NONE,
			     .all_templates = which == 2 };

	if (!seat)
		return;
	submit(seat, &r, NULL);
	forget(session, which == 2, which);
	drain();
}

static void other_request(void)
{
	struct seat *seat = some_seat();
	struct request r = { .verb = (enum verb)ONE_OF(VERB_FLUSH, VERB_TRACK, VERB_PING,
						       VERB_HELLO, VERB_STATS, VERB_WHY) };

	if (!seat)
		return;
	submit(seat, &r, NULL);
	if (r.verb == VERB_FLUSH && seat->client.admin)
		forget(SESSIONS, true, 0);
	drain();
}

/* A new token, or the one from before as long as it lives. */
static void make_token(size_t key, bool same, struct outcome *ret)
{
	struct key_model *k = &world.keys[key];
	static char text[TOKEN_SIZE];
	struct token_model *t;
	int len;

	same = same && k->last && world.tokens[k->last].expires_ms > world.now_ms + MS_PER_S;
	if (!same) {
		k->last = ++world.token_count;
		world.tokens[k->last] = (struct token_model){
			.key = key, .padding = (size_t)ONE_OF(0, 100, 1000, TOKEN_SIZE - 100)
		};
	}
	t = &world.tokens[k->last];
	ret->lifetime_ms = same ? t->expires_ms - world.now_ms
				: ONE_OF(1, 2, 10, 60, 60, 60, 3600, 86400, 315360000) * MS_PER_S;
	if (t->expires_ms < k->sent_ms + ret->lifetime_ms)
		t->expires_ms = k->sent_ms + ret->lifetime_ms;
	t->sent_turn = k->sent_turn;
	ret->id = k->last;
	ret->exp_s = (uint64_t)(t->expires_ms / MS_PER_S);
	memset(text, 's', sizeof(text));
	len = snprintf(text, sizeof(text), "h.%zu.", k->last);
	text[len] = 's';
	fuzz_require(secret_set(&ret->jwt, span_of(text, (size_t)len + 1 + t->padding)) == 0);
}

static void make_refusal(size_t key, size_t len, struct outcome *ret)
{
	char *to;

	ret->refusal = BUF_INIT(REFUSAL_MAX);
	to = buf_reserve(&ret->refusal, len);
	fuzz_require(to);
	memset(to, (char)('A' + key), len);
	buf_commit(&ret->refusal, len);
}

static void make_outcome(size_t key, struct outcome *ret)
{
	static const struct {
		enum outcome_kind kind;
		enum code code;
	} outcomes[] = {
		{ OUTCOME_TOKEN, CODE_OK },
		{ OUTCOME_TOKEN, CODE_OK },
		{ OUTCOME_TOKEN, CODE_OK },
		{ OUTCOME_TOKEN, CODE_OK },
		{ OUTCOME_DEFINITE, CODE_NOT_FOUND },
		{ OUTCOME_DEFINITE, CODE_REJECTED },
		{ OUTCOME_KEY_REFUSED, CODE_UNAUTHORIZED },
		{ OUTCOME_THROTTLED, CODE_RATE_LIMITED },
		{ OUTCOME_TRANSIENT, CODE_UNAVAILABLE },
		{ OUTCOME_MALFORMED, CODE_BAD_UPSTREAM },
	};
	size_t pick = byte();
	size_t i = pick % (sizeof(outcomes) / sizeof(*outcomes));

	*ret = (struct outcome){ .kind = outcomes[i].kind,
				 .code = outcomes[i].code,
				 .retry_after_ms = -1 };
	if (ret->kind == OUTCOME_DEFINITE || ret->kind == OUTCOME_KEY_REFUSED)
		make_refusal(key, (size_t)ONE_OF(0, 1, 200, REFUSAL_MAX), ret);
	if (ret->kind == OUTCOME_TOKEN)
		make_token(key, i == 3, ret);
	else
		ret->retry_after_ms = ONE_OF(-1, -1, 0, 100, 5000, 60000);
}

static void answer(void)
{
	struct demand *flight = NULL;
	struct outcome outcome;
	size_t key = byte();

	for (size_t i = 0; i < KEYS && !flight; i++) {
		key = (key + 1) % KEYS;
		flight = world.keys[key].flight;
	}
	if (!flight)
		return;
	make_outcome(key, &outcome);
	one_over(&world.keys[key]);
	begin_call();
	engine_fetched(world.engine, now(), flight, &outcome);
	end_call();
	drain();
	outcome_deinit(&outcome);
}

static void tick(void)
{
	begin_call();
	engine_tick(world.engine, now());
	end_call();
	/* what goes in parts is due again at once */
	fuzz_require(engine_next_deadline(world.engine).ms > world.now_ms ||
		     cache_has_work(&world.engine->cache));
	drain();
	for (size_t i = 0; i < ASKS; i++)
		fuzz_require(!world.asks[i].waiter || world.asks[i].deadline_ms > world.now_ms);
	for (size_t i = 0; i < CALLS; i++)
		fuzz_require(!world.calls[i].call || world.calls[i].admitted ||
			     world.calls[i].deadline_ms >= world.now_ms);
}

/* Through all that is due on the way, or in one jump, as when the host slept; at times the timer
 * comes later than the next call. */
static void pass(int64_t ms)
{
	int64_t to_ms = world.now_ms + ms;
	size_t how = byte() % 4;

	for (size_t i = 0;
	     how < 2 && ms <= HOUR_MS && engine_next_deadline(world.engine).ms <= to_ms; i++) {
		fuzz_require(i < STEPS_MAX);
		if (engine_next_deadline(world.engine).ms > world.now_ms)
			world.now_ms = engine_next_deadline(world.engine).ms;
		tick();
	}
	world.now_ms = to_ms;
	if (how != 3)
		tick();
}

static void leave(struct seat *seat)
{
	for (size_t i = 0; i < ASKS; i++) {
		struct ask *a = &world.asks[i];

		if (!a->waiter || a->seat != seat)
			continue;
		engine_abandon(world.engine, a->waiter);
		a->waiter = NULL;
	}
	for (size_t i = 0; i < CALLS; i++) {
		if (!world.calls[i].call || world.calls[i].seat != seat)
			continue;
		engine_call_end(world.engine, now(), world.calls[i].call);
		world.calls[i].call = NULL;
	}
	engine_client_deinit(world.engine, &seat->client);
	seat->present = false;
	drain();
}

static void add_wanted(void *arg, struct entry *entry)
{
	*(size_t *)arg += entry->demand ? slab_footprint_of(entry) : 0;
}

/* What somebody wants now stays, even where the bound was made smaller. */
static void set_max_bytes(void)
{
	size_t wanted = 0;

	cache_visit_all(&world.engine->cache, add_wanted, &wanted);
	world.max_bytes = world.config.max_memory;
	if (wanted > world.max_bytes)
		world.max_bytes = wanted;
}

static void configure(void)
{
	struct engine_config config = world.config;

	config.budget = (size_t)ONE_OF(1, 2, 5, 20, 80);
	config.max_memory = (size_t)ONE_OF(512, 2048, 16384, 1 << 20);
	config.freshness.min_ttl_ms = ONE_OF(0, 5000, 40000);
	config.freshness.refresh_percent = (unsigned)ONE_OF(0, 0, 1, 50, 99);
	begin_call();
	if (engine_configure(world.engine, &config) == 0)
		world.config = config;
	end_call();
	set_max_bytes();
	drain();
}

/* Who waits now waits for a fetch that is under way: all others have been told. */
static void stop(void)
{
	engine_stop(world.engine, now());
	world.stopped = true;
	drain();
	for (size_t i = 0; i < ASKS; i++)
		fuzz_require(!world.asks[i].waiter || world.keys[world.asks[i].key].flight);
}

static void get(void)
{
	ask(VERB_GET);
}

static void watch(void)
{
	ask(VERB_WATCH);
}

static void sleep_briefly(void)
{
	pass((int64_t)byte());
}

static void sleep_seconds(void)
{
	pass(ONE_OF(500, 1000, 3000, 10000, 20000));
}

static void sleep_long(void)
{
	pass(ONE_OF(25000, 55000, 60000, HOUR_MS, 259200000));
}

static void read_one(void)
{
	struct seat *seat = some_seat();

	if (seat)
		read_news(seat);
	drain();
}

static void leave_one(void)
{
	struct seat *seat = some_seat();

	if (seat)
		leave(seat);
}

static void change_key(void)
{
	engine_key_changed(world.engine, now());
	drain();
}

static void run_out_of_memory(void)
{
	world.fail_after = byte() % 8;
}

static void refuse_fetches(void)
{
	world.refuses_fetches = byte() % 4 == 0;
}

static void stop_at_times(void)
{
	if (byte() >= 240)
		stop();
}

static void (*const operations[])(void) = {
	get,
	get,
	get,
	watch,
	watch,
	unwatch,
	drop,
	answer,
	answer,
	answer,
	answer,
	tick,
	read_one,
	leave_one,
	configure,
	sleep_briefly,
	sleep_seconds,
	sleep_long,
	change_key,
	other_request,
	run_out_of_memory,
	refuse_fetches,
	stop_at_times,
	call,
	call,
	end_of_call,
};

static void begin(const uint8_t *data, size_t size)
{
	struct hash_key hash_key;

	memset(&world, 0, sizeof(world));
	memset(&hash_key, 0xa7, sizeof(hash_key));
	world.at = data;
	world.end = data + size;
	world.fail_after = SIZE_MAX;
	world.scratch = BUF_INIT(TEXT_MAX);
	world.text = BUF_INIT(TEXT_MAX);
	world.config = (struct engine_config){
		.freshness = { .min_ttl_ms = 5000, .renew_idle_ms = -1 },
		.negative_ttl_ms = 10000,
		.default_wait_ms = 3000,
		.max_memory = 16384,
		.max_clients = 20,
		.budget = 8,
		.budget_window_ms = WINDOW_MS,
		.request_timeout_ms = 5000,
		.max_connections = 2,
		.own_uid = 1,
		.greeting = "clerk-tokend",
	};
	world.max_bytes = world.config.max_memory;
	fuzz_require(engine_new(&world.config, &hash_key, byte(), &world.engine) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t held = mem_held();

	begin(data, size);
	while (world.at < world.end && world.token_count + 1 < TOKENS)
		operations[byte() % (sizeof(operations) / sizeof(*operations))]();
	world.fail_after = SIZE_MAX;
	pass(HOUR_MS); /* nobody waits longer */
	for (size_t i = 0; i < CLIENTS; i++)
		if (world.seats[i].present)
			leave(&world.seats[i]);
	fuzz_require(engine_pending(world.engine) == 0);
	engine_free(world.engine);
	buf_deinit(&world.scratch);
	buf_deinit(&world.text);
	fuzz_require(mem_held() == held);
	return 0;
}
