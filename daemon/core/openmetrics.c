/* See openmetrics.h.
 *
 * In OpenMetrics a family's name goes without the suffix that its samples have ("_total", "_info"),
 * and units are told; in Prometheus' own format it is the samples' name, and there are neither
 * units nor infos.
 */
#include "daemon/core/openmetrics.h"

#include "daemon/core/state.h"

#define PREFIX "clerk_tokend_"
#define WEIGHT_MAX 1000 /* of q=1 */

enum type {
	COUNTER,
	GAUGE,
	HISTOGRAM,
	INFO,
};

enum scale {
	AS_IT_IS,
	MS_TO_S,
};

struct family {
	const char *name;
	enum type type;
	const char *unit; /* which the name ends with, or NULL */
	const char *help;
};

/* A sample of a number. Those of one family stand together, the first with its help. */
struct sample {
	const char *name;
	enum type type;
	const char *unit;
	const char *help;   /* NULL: one more sample of the family before */
	const char *labels; /* or NULL */
	enum stats_number number;
	enum scale scale;
};

static const struct sample samples[] = {
	{ PREFIX "gets", COUNTER, NULL, "Requests for a token (GET and WATCH).", NULL, STATS_GETS,
	  AS_IT_IS },
	{ PREFIX "hits", COUNTER, NULL, "Requests that were answered from memory at once.", NULL,
	  STATS_HITS, AS_IT_IS },
	{ PREFIX "waits", COUNTER, NULL, "Requests that had to wait for Clerk.", NULL, STATS_WAITS,
	  AS_IT_IS },
	{ PREFIX "drops", COUNTER, NULL, "DROP requests.", NULL, STATS_DROPS, AS_IT_IS },
	{ PREFIX "flushes", COUNTER, NULL, "FLUSH requests.", NULL, STATS_FLUSHES, AS_IT_IS },
	{ PREFIX "webhooks", COUNTER, NULL, "Webhooks that came.", NULL, STATS_WEBHOOKS, AS_IT_IS },
	{ PREFIX "webhooks_ended_sessions", COUNTER, NULL,
	  "Webhooks by which a session was forgotten.", NULL, STATS_WEBHOOKS_ENDED, AS_IT_IS },
	{ PREFIX "webhooks_refused", COUNTER, NULL,
	  "Webhooks that were not of Clerk, not of now, or had come before.", NULL,
	  STATS_WEBHOOKS_REFUSED, AS_IT_IS },
	{ PREFIX "fetches", COUNTER, NULL, "Requests sent to Clerk, by whom they were for.",
	  "for=\"caller\"", STATS_FETCHES_FOR_CALLERS, AS_IT_IS },
	{ PREFIX "fetches", COUNTER, NULL, NULL, "for=\"renewal\"", STATS_FETCHES_FOR_RENEWAL,
	  AS_IT_IS },
	{ PREFIX "fetched_tokens", COUNTER, NULL, "Requests to Clerk that brought a token.", NULL,
	  STATS_FETCHED_TOKENS, AS_IT_IS },
	{ PREFIX "retries", COUNTER, NULL, "Requests to Clerk that were another attempt.", NULL,
	  STATS_RETRIES, AS_IT_IS },
	{ PREFIX "same_tokens", COUNTER, NULL, "Renewals that brought nothing newer.", NULL,
	  STATS_SAME_TOKENS, AS_IT_IS },
	{ PREFIX "cancelled_fetches", COUNTER, NULL, "Requests to Clerk that were given up.", NULL,
	  STATS_CANCELLED, AS_IT_IS },
	{ PREFIX "calls", COUNTER, NULL, "Requests that were passed on to Clerk.", NULL,
	  STATS_CALLS, AS_IT_IS },
	{ PREFIX "throttled", COUNTER, NULL, "Requests that Clerk answered with 429.", NULL,
	  STATS_THROTTLED, AS_IT_IS },
	{ PREFIX "evictions", COUNTER, NULL, "Entries that had to go to make room.", NULL,
	  STATS_EVICTIONS, AS_IT_IS },
	{ PREFIX "entries", GAUGE, NULL, "Keys in the cache.", NULL, STATS_ENTRIES, AS_IT_IS },
	{ PREFIX "tokens", GAUGE, NULL, "Tokens in the cache.", NULL, STATS_TOKENS, AS_IT_IS },
	{ PREFIX "cache_bytes", GAUGE, "bytes", "Memory that the cache holds.", NULL,
	  STATS_CACHE_BYTES, AS_IT_IS },
	{ PREFIX "cache_limit_bytes", GAUGE, "bytes", "Memory that the cache may hold.", NULL,
	  STATS_CACHE_MAX_BYTES, AS_IT_IS },
	{ PREFIX "clients", GAUGE, NULL, "Connections of clients.", NULL, STATS_CLIENTS, AS_IT_IS },
	{ PREFIX "clients_limit", GAUGE, NULL, "Connections of clients that there may be.", NULL,
	  STATS_MAX_CLIENTS, AS_IT_IS },
	{ PREFIX "watches", GAUGE, NULL, "Keys that are watched, once for each watcher.", NULL,
	  STATS_WATCHES, AS_IT_IS },
	{ PREFIX "waiting_requests", GAUGE, NULL, "Requests that wait for Clerk now.", NULL,
	  STATS_WAITING, AS_IT_IS },
	{ PREFIX "fetches_in_flight", GAUGE, NULL, "Requests to Clerk that are under way.", NULL,
	  STATS_IN_FLIGHT, AS_IT_IS },
	{ PREFIX "fetches_queued", GAUGE, NULL, "Fetches that wait for their turn.", NULL,
	  STATS_QUEUED, AS_IT_IS },
	{ PREFIX "budget_requests", GAUGE, NULL, "Requests that may be sent to Clerk in a window.",
	  NULL, STATS_BUDGET, AS_IT_IS },
	{ PREFIX "budget_allowed_requests", GAUGE, NULL,
	  "The same, less what Clerk has lately objected to.", NULL, STATS_BUDGET_ALLOWED,
	  AS_IT_IS },
	{ PREFIX "budget_used_requests", GAUGE, NULL,
	  "Requests that were sent to Clerk within the last window.", NULL, STATS_BUDGET_USED,
	  AS_IT_IS },
	{ PREFIX "budget_window_seconds", GAUGE, "seconds", "The length of that window.", NULL,
	  STATS_BUDGET_WINDOW_MS, MS_TO_S },
	{ PREFIX "ready", GAUGE, NULL, "1 if Clerk's last answers were of use, or none was needed.",
	  NULL, STATS_READY, AS_IT_IS },
	{ PREFIX "access_rules", GAUGE, NULL, "Rules of the section [access].", NULL, STATS_RULES,
	  AS_IT_IS },
	{ PREFIX "locked_memory_bytes", GAUGE, "bytes", "Memory that can't go to swap.", NULL,
	  STATS_LOCKED_BYTES, AS_IT_IS },
	{ "process_cpu_seconds", COUNTER, "seconds", "Processor time in all.", NULL, STATS_CPU_MS,
	  MS_TO_S },
	{ "process_start_time_seconds", GAUGE, "seconds", "When it was started, since 1970.", NULL,
	  STATS_STARTED_S, AS_IT_IS },
	{ "process_resident_memory_bytes", GAUGE, "bytes", "Resident memory.", NULL,
	  STATS_RESIDENT_BYTES, AS_IT_IS },
	{ "process_open_fds", GAUGE, NULL, "Open file descriptors.", NULL, STATS_FILES_OPEN,
	  AS_IT_IS },
	{ "process_max_fds", GAUGE, NULL, "File descriptors that there may be.", NULL,
	  STATS_FILES_MAX, AS_IT_IS },
};

/* One text under way. The first failure stays, and what comes after it does nothing. */
struct text {
	struct buf *to;
	enum openmetrics_format format;
	int result;
};

static void put(struct text *t, const char *s)
{
	if (t->result == 0)
		t->result = buf_append_str(t->to, s);
}

static void put_u64(struct text *t, uint64_t value)
{
	if (t->result == 0)
		t->result = buf_append_u64(t->to, value);
}

static void put_seconds(struct text *t, uint64_t ms)
{
	unsigned rest = (unsigned)(ms % MS_PER_S);
	char fraction[] = { '.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10),
			    (char)('0' + rest % 10), '\0' };

	put_u64(t, ms / MS_PER_S);
	put(t, fraction);
}

static const char *suffix(enum type type)
{
	return type == COUNTER ? "_total" : type == INFO ? "_info" : "";
}

static void put_head(struct text *t, const struct family *f)
{
	static const char *const types[] = {
		[COUNTER] = " counter\n",
		[GAUGE] = " gauge\n",
		[HISTOGRAM] = " histogram\n",
		[INFO] = " info\n",
	};
	bool is_open = t->format == OPENMETRICS_1_0;
	const char *end = is_open ? "" : suffix(f->type);

	put(t, "# TYPE ");
	put(t, f->name);
	put(t, end);
	put(t, types[f->type == INFO && !is_open ? GAUGE : f->type]);
	if (is_open && f->unit) {
		put(t, "# UNIT ");
		put(t, f->name);
		put(t, " ");
		put(t, f->unit);
		put(t, "\n");
	}
	put(t, "# HELP ");
	put(t, f->name);
	put(t, end);
	put(t, " ");
	put(t, f->help);
	put(t, "\n");
}

/* Up to the value. `before` and `value` make a label, both NULL: none. */
static void put_name(struct text *t, const char *name, const char *end, const char *before,
		     const char *value)
{
	put(t, name);
	put(t, end);
	if (before) {
		put(t, "{");
		put(t, before);
		put(t, value);
		put(t, "\"}");
	}
	put(t, " ");
}

static void put_samples(struct text *t, const uint64_t numbers[STATS_NUMBERS])
{
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct sample *s = &samples[i];
		const struct family family = { s->name, s->type, s->unit, s->help };

		if (s->help)
			put_head(t, &family);
		put(t, s->name);
		put(t, suffix(s->type));
		put(t, s->labels ? "{" : "");
		put(t, s->labels ? s->labels : "");
		put(t, s->labels ? "} " : " ");
		if (s->scale == MS_TO_S)
			put_seconds(t, numbers[s->number]);
		else
			put_u64(t, numbers[s->number]);
		put(t, "\n");
	}
}

static void put_errors(struct text *t, const struct stats *stats)
{
	static const struct family family = { PREFIX "errors", COUNTER, NULL,
					      "Requests that were answered with an error." };

	put_head(t, &family);
	for (size_t i = CODE_OK + 1; i < CODE_COUNT; i++) {
		put_name(t, family.name, "_total", "code=\"", code_name((enum code)i));
		put_u64(t, stats->errors[i]);
		put(t, "\n");
	}
}

/* The shortest with a fraction, as OpenMetrics wants it: 0.01, 2.5, 10.0. */
static void put_bound(struct text *t, uint64_t ms)
{
	put_seconds(t, ms);
	for (size_t zeros = 0; t->result == 0 && zeros < 2 && t->to->ptr[t->to->end - 1] == '0';
	     zeros++)
		t->to->end--;
}

static void put_bucket(struct text *t, const char *name, size_t i, uint64_t count)
{
	put(t, name);
	put(t, "_bucket{le=\"");
	if (i < HISTOGRAM_BOUNDS)
		put_bound(t, histogram_bounds_ms[i]);
	else
		put(t, "+Inf");
	put(t, "\"} ");
	put_u64(t, count);
	put(t, "\n");
}

static void put_histogram(struct text *t, const char *name, const char *help,
			  const struct histogram *h)
{
	const struct family family = { name, HISTOGRAM, "seconds", help };
	uint64_t count = 0;

	put_head(t, &family);
	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
		count += h->counts[i];
		put_bucket(t, name, i, count);
	}
	put_name(t, name, "_sum", NULL, NULL);
	put_seconds(t, h->sum_ms);
	put(t, "\n");
	put_name(t, name, "_count", NULL, NULL);
	put_u64(t, count);
	put(t, "\n");
}

static void put_state(struct text *t, const struct engine *e)
{
	static const struct family family = {
		PREFIX "clerk_state", GAUGE, NULL,
		"1 for what Clerk is taken for: up, down (not asked), or probing (asked once)."
	};
	static const char *const states[] = { "up", "down", "probing" };

	put_head(t, &family);
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		put_name(t, family.name, "", "state=\"", states[i]);
		put_u64(t, strcmp(stats_clerk(e), states[i]) == 0);
		put(t, "\n");
	}
}

/* Nothing is said of the clocks before Clerk has told its own. */
static void put_skew(struct text *t, const struct skew *skew)
{
	static const struct family family = { PREFIX "clock_skew_seconds", GAUGE, "seconds",
					      "How far this host's clock is ahead of Clerk's." };

	put_head(t, &family);
	if (!skew->is_known)
		return;
	put(t, family.name);
	put(t, skew->s < 0 ? " -" : " ");
	put_u64(t, skew->s < 0 ? -(uint64_t)skew->s : (uint64_t)skew->s);
	put(t, "\n");
}

static void put_build(struct text *t, const struct about *about)
{
	static const struct family family = { PREFIX "build", INFO, NULL,
					      "The version, and the kind of the secret key." };

	put_head(t, &family);
	put(t, PREFIX "build_info{version=\"");
	put(t, about->version ? about->version : "");
	put(t, "\",key=\"");
	put(t, about->key ? about->key : "");
	put(t, "\"} 1\n");
}

int openmetrics_write(struct engine *e, struct mono now, enum openmetrics_format format,
		      struct buf *to)
{
	struct text t = { .to = to, .format = format };
	uint64_t numbers[STATS_NUMBERS];

	stats_read(e, now, numbers);
	put_build(&t, &e->config.about);
	put_samples(&t, numbers);
	put_errors(&t, &e->stats);
	put_state(&t, e);
	put_skew(&t, &e->skew);
	put_histogram(&t, PREFIX "fetch_duration_seconds", "How long Clerk's answers took.",
		      &e->stats.answered);
	put_histogram(&t, PREFIX "wait_duration_seconds",
		      "How long the requests waited that had to.", &e->stats.waited);
	if (format == OPENMETRICS_1_0)
		put(&t, "# EOF\n");
	return t.result;
}

const char *openmetrics_content_type(enum openmetrics_format format)
{
	return format == OPENMETRICS_1_0
		   ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
		   : "text/plain; version=0.0.4; charset=utf-8";
}

/* "0.75" -> 750. What is no weight counts as the least. */
static unsigned parse_weight(struct span s)
{
	uint64_t whole, part = 0;
	struct span head;

	if (!span_split(&s, '.', &head) || span_parse_u64(head, 1, &whole) != 0 || s.len > 3 ||
	    (s.len && span_parse_u64(s, 999, &part) != 0))
		return 0;
	for (size_t digits = s.len; s.len && digits < 3; digits++)
		part *= 10;
	return whole ? WEIGHT_MAX : (unsigned)part;
}

/* The weight of one media range, whose type goes to *ret_type; one of another version than ours
 * weighs nothing. */
static unsigned weigh(struct span range, const char *version, struct span *ret_type)
{
	unsigned weight = WEIGHT_MAX;
	struct span parameter;

	(void)span_split(&range, ';', ret_type); /* there is a first part, if only an empty one */
	*ret_type = span_trim(*ret_type);
	while (span_split(&range, ';', &parameter)) {
		parameter = span_trim(parameter);
		if (span_starts(parameter, "q="))
			weight = parse_weight(span_of(parameter.ptr + 2, parameter.len - 2));
		else if (span_starts(parameter, "version=") &&
			 !span_is(span_of(parameter.ptr + 8, parameter.len - 8), version))
			return 0;
	}
	return weight;
}

enum openmetrics_format openmetrics_choose(struct span accept)
{
	unsigned best_open = 0, best_text = 0;
	struct span range, type;

	while (span_split(&accept, ',', &range)) {
		unsigned open = weigh(range, "1.0.0", &type);
		unsigned text = weigh(range, "0.0.4", &type);

		if (span_is(type, "application/openmetrics-text") && open > best_open)
			best_open = open;
		if (span_is(type, "text/plain") && text > best_text)
			best_text = text;
	}
	return best_open && best_open >= best_text ? OPENMETRICS_1_0 : OPENMETRICS_TEXT;
}
