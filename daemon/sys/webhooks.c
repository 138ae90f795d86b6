/* See webhooks.h. */
#include "daemon/sys/webhooks.h"

#include "base/mem.h"
#include "daemon/core/engine.h"
#include "daemon/core/setting.h"
#include "daemon/core/webhook.h"
#include "daemon/sys/activation.h"
#include "daemon/sys/clock.h"
#include "daemon/sys/http.h"
#include "daemon/sys/log.h"

#include <errno.h>
#include <sodium.h>

/* Who is slow loses the message; Clerk sends it again. */
#define IDLE_MS 60000
#define HEAD_MS 5000
#define BODY_MS 10000
#define WRITE_MS 10000

struct webhooks {
	struct engine *engine;
	struct http_server *server;
	struct svix_secrets secrets;
	struct replay *replay;
	struct webhooks_callbacks callbacks;
};

static void answer(struct http_exchange *x, int status, const char *fields, const char *text)
{
	http_answer(x, &(struct http_answer){
			   .status = status, .fields = span_str(fields), .body = span_str(text) });
}

/* Sent again, Clerk's own message is fine, so that it isn't sent once more. */
static void answer_verdict(struct http_exchange *x, enum webhook_verdict verdict)
{
	switch (verdict) {
	case WEBHOOK_MALFORMED:
		answer(x, 400, "", "no webhook: svix-id, svix-timestamp and svix-signature\n");
		return;
	case WEBHOOK_STALE:
		answer(x, 401, "", "not of now\n");
		return;
	case WEBHOOK_FORGED:
		answer(x, 401, "", "not signed with the secret\n");
		return;
	case WEBHOOK_REPLAYED:
		answer(x, 409, "", "has been taken already\n");
		return;
	default:
		answer(x, 204, "", "");
		return;
	}
}

/* What two readers could take for different values is none. */
static struct span only(const struct httphead *head, const char *name)
{
	size_t count;
	struct span value = httphead_find(head, name, &count);

	return count == 1 ? value : SPAN_NONE;
}

static void report(enum webhook_verdict verdict, const struct svix_message *m,
		   const struct webhook_session *session)
{
	char name[WIRE_NAME_MAX + 1] = "";

	if (verdict == WEBHOOK_ENDED) {
		memcpy(name, session->id, session->len);
		name[session->len] = '\0';
		log_event(LOG_DEBUG, MESSAGE_OTHER, "a session has ended, says a webhook",
			  log_text("session", name));
	} else if (verdict == WEBHOOK_STALE || verdict == WEBHOOK_FORGED ||
		   verdict == WEBHOOK_REPLAYED) {
		log_event(LOG_WARNING, MESSAGE_WEBHOOK_REFUSED, "a webhook was refused",
			  log_text("reason", webhook_verdict_name(verdict)),
			  log_number("bytes", (int64_t)m->body.len));
	}
}

static void on_request(void *arg, struct http_exchange *x)
{
	(void)arg;
	if (span_is(http_head(x)->method, "POST"))
		http_collect(x, WEBHOOK_BODY_MAX);
	else
		answer(x, 405, "Allow: POST\r\n", "webhooks are sent by POST\n");
}

static void on_body(void *arg, struct http_exchange *x)
{
	struct webhooks *w = arg;
	const struct httphead *head = http_head(x);
	const struct svix_message message = { only(head, "svix-id"), only(head, "svix-timestamp"),
					      only(head, "svix-signature"), http_body(x, NULL) };
	struct webhook_session session;
	struct mono now = clock_boot();
	int verdict = webhook_judge(&w->secrets, w->replay, now,
				    engine_clerk_time(w->engine, clock_wall()), &message, &session);

	if (verdict < 0) {
		answer(x, 503, "", "out of memory\n");
		return;
	}
	engine_note_webhook(w->engine, (enum webhook_verdict)verdict);
	report((enum webhook_verdict)verdict, &message, &session);
	if (verdict == WEBHOOK_ENDED) {
		engine_drop_session(w->engine, now, span_of(session.id, session.len));
		w->callbacks.settle(w->callbacks.arg);
	}
	answer_verdict(x, (enum webhook_verdict)verdict);
}

static void on_gone(void *arg, struct http_exchange *x)
{
	(void)arg;
	(void)x; /* nothing is kept with it */
}

static int listen_at(struct webhooks *w, struct event_base *base, const struct config *config,
		     const struct activation_sockets *handed)
{
	static const struct http_handler handler = {
		.request = on_request,
		.body = on_body,
		.gone = on_gone,
	};
	const char *path = setting_socket_of(span_str(config->webhooks)).ptr;
	const struct http_config http = {
		.address = path ? path : config->webhooks,
		.mode = config->socket_mode,
		.group = config->socket_group,
		.sockets = handed->fds,
		.n_sockets = handed->count,
		.max_connections = WEBHOOKS_CONNECTIONS_MAX,
		.idle_ms = IDLE_MS,
		.head_ms = HEAD_MS,
		.body_ms = BODY_MS,
		.write_ms = WRITE_MS,
	};
	char text[LISTENER_ERROR_SIZE];
	int result = http_server_new(base, &http, &handler, w, text, &w->server);

	if (result < 0)
		log_error("[listen] webhooks: %s", text);
	return result;
}

int webhooks_new(struct event_base *base, struct engine *engine, const struct config *config,
		 const struct activation_sockets *handed, struct svix_secrets *secrets,
		 const struct webhooks_callbacks *callbacks, struct webhooks **ret)
{
	struct hash_key key;
	struct webhooks *w;
	int result;

	*ret = NULL;
	if (!config->webhooks)
		return 0;
	w = mem_zalloc(sizeof(*w));
	if (!w)
		return -ENOMEM;
	*w = (struct webhooks){ .engine = engine, .callbacks = *callbacks };
	webhooks_configure(w, secrets);
	randombytes_buf(&key, sizeof(key));
	result = replay_new(&key, &w->replay);
	if (result == 0)
		result = listen_at(w, base, config, handed);
	if (result < 0) {
		webhooks_free(w);
		return result;
	}
	*ret = w;
	return 0;
}

void webhooks_free(struct webhooks *w)
{
	if (!w)
		return;
	http_server_free(w->server);
	replay_free(w->replay);
	svix_secrets_deinit(&w->secrets);
	mem_free(w);
}

void webhooks_configure(struct webhooks *w, struct svix_secrets *secrets)
{
	if (!w)
		return;
	svix_secrets_deinit(&w->secrets);
	w->secrets = *secrets;
	*secrets = (struct svix_secrets){ 0 };
}
