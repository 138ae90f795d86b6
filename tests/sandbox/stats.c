/*
 * stats.c: counters.
 *
 * Model: a token request has a ticket from its arrival to its end; tickets only grow, so one that
 * outlives a reset is recognized and leaves the new counts alone. Memory is bounded: the first
 * 200,000 keys are kept, the ring has 2,000 places. Invariant: in_flight is the number of tickets
 * begun and not ended.
 */
#include "stats.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_TEMPLATE "-" /* stands for the plain session token */

struct stats_call {
	uint64_t ticket; /* 0: unused place */
	int64_t at_ms;	 /* since the start */
	int status;	 /* 0: not answered, or not yet */
	char session[STATS_MAX_NAME];
	char template[STATS_MAX_NAME];
};

struct stats_key {
	struct table_node node; /* first: nodes are cast back */
	uint64_t calls;
	struct token_stamp last;
	char name[]; /* "session template" */
};

static void stats_key_free(struct table_node *node)
{
	free(node);
}

int stats_init(struct stats *stats, uint64_t seed, int64_t now_ms)
{
	*stats = (struct stats){ .start_ms = now_ms, .first_ticket = 1 };
	table_init(&stats->keys, seed);
	stats->recent = calloc(STATS_MAX_RECENT, sizeof(*stats->recent));
	return stats->recent ? 0 : -ENOMEM;
}

void stats_deinit(struct stats *stats)
{
	table_clear(&stats->keys, stats_key_free);
	free(stats->recent);
	stats->recent = NULL;
}

void stats_reset(struct stats *stats)
{
	table_clear(&stats->keys, stats_key_free);
	memset(stats->recent, 0, STATS_MAX_RECENT * sizeof(*stats->recent));
	memset(stats->by_status, 0, sizeof(stats->by_status));
	stats->token_calls = 0;
	stats->tokens_minted = 0;
	stats->connections_accepted = 0;
	stats->tls_handshakes = 0;
	stats->max_in_flight = stats->in_flight;
	stats->first_ticket = stats->last_ticket + 1;
}

static struct stats_key *stats_key(struct stats *stats, const char *session, const char *template)
{
	char name[2 * STATS_MAX_NAME];

	(void)snprintf(name, sizeof(name), "%s %s", session, template);
	struct stats_key *key = (struct stats_key *)table_find(&stats->keys, name);
	if (key || stats->keys.n_nodes >= STATS_MAX_KEYS)
		return key;
	size_t size = strlen(name) + 1;
	key = calloc(1, sizeof(*key) + size);
	if (!key)
		return NULL;
	memcpy(key->name, name, size);
	key->node.key = key->name;
	if (table_insert(&stats->keys, &key->node) < 0) {
		free(key);
		return NULL;
	}
	return key;
}

static struct stats_call *stats_place(const struct stats *stats, uint64_t ticket)
{
	return &stats->recent[ticket % STATS_MAX_RECENT];
}

uint64_t stats_begin(struct stats *stats, const char *session, const char *template, int64_t now_ms,
		     struct token_stamp **ret_last)
{
	uint64_t ticket = ++stats->last_ticket;
	struct stats_call *call = stats_place(stats, ticket);

	template = template ? template : NO_TEMPLATE;
	stats->token_calls++;
	if (++stats->in_flight > stats->max_in_flight)
		stats->max_in_flight = stats->in_flight;
	call->ticket = ticket;
	call->at_ms = now_ms - stats->start_ms;
	call->status = 0;
	(void)snprintf(call->session, sizeof(call->session), "%s", session ? session : "?");
	(void)snprintf(call->template, sizeof(call->template), "%s", template);

	struct stats_key *key = session ? stats_key(stats, session, template) : NULL;
	if (key)
		key->calls++;
	*ret_last = key ? &key->last : NULL;
	return ticket;
}

void stats_end(struct stats *stats, uint64_t ticket, int status)
{
	struct stats_call *call = stats_place(stats, ticket);

	stats->in_flight--;
	if (ticket < stats->first_ticket)
		return;
	if (status >= 0 && status < (int)STATS_MAX_STATUS)
		stats->by_status[status]++;
	if (call->ticket == ticket)
		call->status = status;
}

static void print_statuses(const struct stats *stats, struct text *text)
{
	const char *comma = "";

	text_puts(text, ",\"by_status\":{");
	for (size_t status = 0; status < STATS_MAX_STATUS; status++) {
		if (!stats->by_status[status])
			continue;
		text_printf(text, "%s\"%zu\":%" PRIu64, comma, status, stats->by_status[status]);
		comma = ",";
	}
	text_puts(text, "}");
}

static void print_key(const struct table_node *node, void *context)
{
	const struct stats_key *key = (const struct stats_key *)node;
	struct text *text = context;

	if (text->length > 0 && text->data[text->length - 1] != '{')
		text_puts(text, ",");
	text_json(text, key->name);
	text_printf(text, ":%" PRIu64, key->calls);
}

static void print_recent(const struct stats *stats, struct text *text)
{
	uint64_t ticket = stats->first_ticket;

	if (stats->last_ticket >= ticket + STATS_MAX_RECENT)
		ticket = stats->last_ticket - STATS_MAX_RECENT + 1;
	text_puts(text, ",\"recent\":[");
	for (const char *comma = ""; ticket <= stats->last_ticket; ticket++, comma = ",") {
		const struct stats_call *call = stats_place(stats, ticket);
		text_printf(text, "%s[%" PRId64 ",", comma, call->at_ms);
		text_json(text, call->session);
		text_puts(text, ",");
		text_json(text, call->template);
		text_printf(text, ",%d]", call->status);
	}
	text_puts(text, "]");
}

void stats_print(const struct stats *stats, bool brief, struct text *text)
{
	text_printf(text,
		    "{\"token_calls\":%" PRIu64 ",\"tokens_minted\":%" PRIu64
		    ",\"in_flight\":%" PRIu64 ",\"max_in_flight\":%" PRIu64
		    ",\"connections_accepted\":%" PRIu64 ",\"connections_open\":%" PRIu64
		    ",\"tls_handshakes\":%" PRIu64 ",\"keys\":%zu",
		    stats->token_calls, stats->tokens_minted, stats->in_flight,
		    stats->max_in_flight, stats->connections_accepted, stats->connections_open,
		    stats->tls_handshakes, stats->keys.n_nodes);
	print_statuses(stats, text);
	if (!brief) {
		text_puts(text, ",\"by_key\":{");
		table_each(&stats->keys, print_key, text);
		text_puts(text, "}");
		print_recent(stats, text);
	}
	text_puts(text, "}");
}
