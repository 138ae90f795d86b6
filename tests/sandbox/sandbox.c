/*
 * sandbox.c: the parts put together.
 *
 * Model: the server asks, this file sends the question to the control interface or to the API by
 * its path, and passes on what the server has to tell to the counters. The same listeners serve
 * both, so a test needs one address only.
 */
#include "sandbox.h"

#include <errno.h>
#include <string.h>
#include <openssl/rand.h>

#include "bapi.h"
#include "clock.h"
#include "control.h"

uint64_t sandbox_draw(struct sandbox *sandbox)
{
	return token_mix(~sandbox->seed + ++sandbox->last_draw * 0x9e3779b97f4a7c15u);
}

int64_t sandbox_wall_s(const struct sandbox *sandbox)
{
	return clock_wall_ms() / 1000 + sandbox->config.date_skew_s;
}

static void handle(void *context, const struct http_request *request, struct answer *answer)
{
	struct sandbox *sandbox = context;

	answer->date_s = sandbox->config.date ? sandbox_wall_s(sandbox) : 0;
	if (strncmp(request->path, "/sandbox/", 9) == 0)
		control_handle(sandbox, request, answer);
	else
		bapi_handle(sandbox, request, answer);
}

static void done(void *context, const struct answer *answer, int status)
{
	struct sandbox *sandbox = context;

	if (answer->ticket)
		stats_end(&sandbox->stats, answer->ticket, status);
}

static void note(void *context, enum server_note note)
{
	struct stats *stats = &((struct sandbox *)context)->stats;

	switch (note) {
	case SERVER_ACCEPTED:
		stats->connections_accepted++;
		stats->connections_open++;
		break;
	case SERVER_CLOSED:
		stats->connections_open--;
		break;
	case SERVER_HANDSHAKE:
		stats->tls_handshakes++;
		break;
	}
}

int sandbox_init(struct sandbox *sandbox, const struct sandbox_setup *setup,
		 struct event_base *base, SSL_CTX *tls)
{
	struct server_app app = {
		.context = sandbox, .handle = handle, .done = done, .note = note
	};

	*sandbox = (struct sandbox){ .setup = setup, .config = setup->config };
	faults_init(&sandbox->faults);
	LIST_INIT(&sandbox->server.conns);
	if (RAND_bytes((unsigned char *)&sandbox->seed, sizeof(sandbox->seed)) != 1)
		return -EIO;
	sessions_init(&sandbox->sessions, setup->strict_sessions, sandbox->seed, clock_wall_ms());
	int r = stats_init(&sandbox->stats, sandbox->seed, clock_mono_ms());
	if (r == 0)
		r = minter_init(&sandbox->minter, setup->fast, sandbox->seed);
	if (r == 0)
		r = server_init(&sandbox->server, base, tls, &app);
	return r;
}

void sandbox_deinit(struct sandbox *sandbox)
{
	server_deinit(&sandbox->server); /* first: its connections report to the others */
	minter_deinit(&sandbox->minter);
	faults_clear(&sandbox->faults);
	sessions_deinit(&sandbox->sessions);
	stats_deinit(&sandbox->stats);
}
