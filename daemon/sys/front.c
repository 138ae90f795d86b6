/* See front.h. */
#include "daemon/sys/front.h"

#include "base/mem.h"
#include "daemon/core/access.h"
#include "daemon/core/frontrequest.h"
#include "daemon/core/refusal.h"
#include "daemon/core/setting.h"
#include "daemon/core/tokenapi.h"
#include "daemon/sys/activation.h"
#include "daemon/sys/asker.h"
#include "daemon/sys/clock.h"
#include "daemon/sys/http.h"
#include "daemon/sys/log.h"
#include "daemon/sys/passon.h"
#include "daemon/sys/peer.h"
#include "daemon/sys/report.h"

#include <errno.h>
#include <sodium.h>

#define IDLE_MS 75000
#define HEAD_MS 10000
#define BODY_MS 10000
#define WRITE_MS 30000
#define PORT_PARTS 4		   /* of max_clients, connections at a port are one at most */
#define TEXT_MAX (2 * 1024 * 1024) /* bytes; a token is at most half as long */
#define TEXT_KEPT 65536
#define FIELDS_MAX 512

struct front {
	struct engine *engine;
	const struct keyring *keys;
	struct front_callbacks callbacks;
	struct http_server *server;
	struct relays *relays;
	struct passon_callbacks passing;
	struct list callers;
	bool is_port; /* or several; else a Unix socket */
	bool names_groups, names_units, audit;
	uint64_t trace[2]; /* the next trace id */
	struct buf text;   /* the body of the answer that is being made */
};

/* Who has connected. */
struct caller {
	struct asker asker;
	struct front *owner;
	struct list node;
	struct client client;
	struct mono connected_at; /* or somewhat later */
	int fd;
	char address[ADDRESS_SIZE]; /* of the port that it has come to */
	char *unit;		    /* systemd's; NULL: not known, or no audit */
	struct waiter *waiter;	    /* NULL: nothing is waited for */
	struct http_exchange *x;    /* what it is for */
};

static char *put(char *to, struct span s)
{
	memcpy(to, s.ptr, s.len);
	return to + s.len;
}

#define PUT(to, literal) put(to, SPAN_LITERAL(literal))

static void next_trace(struct front *f, char ret[TOKENAPI_TRACE_LEN])
{
	(void)format_hex64(format_hex64(ret, f->trace[0]), f->trace[1]++);
}

/* What all answers have; in the order of BAPI's. */
static char *put_fields(char *to, struct span trace)
{
	to = PUT(to, "Content-Type: application/json\r\nCache-Control: no-store\r\n"
		     "Clerk-Trace-Id: ");
	to = put(to, trace);
	to = PUT(to, "\r\nX-Clerk-Trace-Id: ");
	to = put(to, trace);
	return PUT(to, "\r\n");
}

/* The text was written with that result. */
static void answer(struct front *f, struct http_exchange *x, int status, struct span fields,
		   int result)
{
	if (result < 0)
		http_abort(x); /* no memory: better no answer than a wrong one */
	else
		http_answer(x, &(struct http_answer){ .status = status,
						      .fields = fields,
						      .body = buf_span(&f->text) });
	buf_wipe(&f->text, TEXT_KEPT);
}

static void answer_error(struct front *f, struct http_exchange *x,
			 const struct tokenapi_error *error, int64_t retry_ms)
{
	char fields[FIELDS_MAX], trace[TOKENAPI_TRACE_LEN];
	char *end;

	next_trace(f, trace);
	end = put_fields(fields, span_of(trace, TOKENAPI_TRACE_LEN));
	if (retry_ms > 0 && (error->status == 429 || error->status == 503)) {
		end = PUT(end, "Retry-After: ");
		end = format_u64(end, (uint64_t)(retry_ms + MS_PER_S - 1) / MS_PER_S);
		end = PUT(end, "\r\n");
	}
	answer(f, x, error->status, span_of(fields, (size_t)(end - fields)),
	       tokenapi_write_error(&f->text, error, trace));
}

/* RFC 9211. */
static char *put_cache_status(char *to, const struct token_view *token)
{
	to = PUT(to, "Cache-Status: clerk-tokend; ");
	to = token->source == SOURCE_CACHE ? PUT(to, "hit; ttl=") : PUT(to, "fwd=miss; ttl=");
	to = format_u64(to, (uint64_t)token->ttl_ms / MS_PER_S);
	to = PUT(to, "; detail=");
	to = put(to, span_str(token_state_name(token->state)));
	return PUT(to, "\r\n");
}

static void answer_token(struct front *f, struct http_exchange *x, const struct token_view *token)
{
	char fields[FIELDS_MAX], trace[TOKENAPI_TRACE_LEN];
	struct span rest = token->text, jwt;
	char *end;

	next_trace(f, trace);
	end = put_fields(fields, span_of(trace, TOKENAPI_TRACE_LEN));
	end = put_cache_status(end, token);
	(void)span_split(&rest, ' ', &jwt); /* it comes first */
	answer(f, x, 200, span_of(fields, (size_t)(end - fields)),
	       tokenapi_write_token(&f->text, jwt));
}

/* As Clerk has answered it, or did a while ago. */
static void answer_refusal(struct front *f, struct http_exchange *x, const struct refusal *refusal)
{
	char fields[FIELDS_MAX], trace[TOKENAPI_TRACE_LEN];
	struct span trace_id = refusal->trace_id;
	char *end;

	if (!trace_id.len) {
		next_trace(f, trace);
		trace_id = span_of(trace, TOKENAPI_TRACE_LEN);
	}
	end = put_fields(fields, trace_id);
	http_answer(x, &(struct http_answer){ .status = refusal->status,
					      .fields = span_of(fields, (size_t)(end - fields)),
					      .body = refusal->body });
}

static void answer_reply(struct caller *c, struct http_exchange *x, struct span session,
			 struct span template, const struct reply *reply)
{
	struct refusal refusal;

	if (reply->type == REPLY_TOKEN) {
		if (c->owner->audit)
			report_token(&c->client, c->unit, session, template, &reply->token);
		answer_token(c->owner, x, &reply->token);
		return;
	}
	if (refusal_read(reply->refusal, &refusal))
		answer_refusal(c->owner, x, &refusal);
	else
		answer_error(c->owner, x, tokenapi_error_of(reply->code), reply->retry_ms);
}

static void on_answer(struct asker *asker, const struct effect *effect)
{
	struct caller *c = container_of(asker, struct caller, asker);

	c->waiter = NULL;
	answer_reply(c, c->x, effect->key.session, effect->key.template, &effect->reply);
}

static void ask(struct caller *c, struct http_exchange *x, const struct request *request)
{
	struct front *f = c->owner;
	struct reply reply;

	if (engine_submit(f->engine, clock_boot(), &c->client, request, &f->text, &reply,
			  &c->waiter) == SUBMIT_PENDING) {
		c->x = x;
		c->waiter->cookie = &c->asker;
	} else {
		answer_reply(c, x, request->session, request->template, &reply);
	}
	f->callbacks.settle(f->callbacks.arg);
}

static void on_no_answer(void *arg, struct http_exchange *x, const struct relay_failure *failure)
{
	struct front *f = arg;
	const struct tokenapi_error error = { failure->status, failure->code, failure->message,
					      failure->message };

	answer_error(f, x, &error, failure->retry_ms);
}

/* With the daemon's key Clerk answers anything, so that rules about some tokens leave nothing but
 * the public keys. */
static bool may_pass(const struct caller *c, const struct http_exchange *x)
{
	const struct httphead *head = http_head(x);

	return c->client.grant.scope == ACCESS_ALL ||
	       (!head->query.ptr && passage_is_jwks(head->method, head->path));
}

/* What is not ours to answer is Clerk's. */
static void pass_on(struct caller *c, struct http_exchange *x, bool is_collected)
{
	static const struct tokenapi_error error = { 400, "bad_request", "Bad request",
						     "No such request can be passed on to Clerk." };
	struct front *f = c->owner;
	int result = 0;

	if (may_pass(c, x))
		result =
		    passon_begin(f->relays, &c->client, x, !f->is_port, is_collected, &f->passing);
	else
		answer_error(f, x, tokenapi_error_of(CODE_DENIED), 0);
	if (result == -EINVAL)
		answer_error(f, x, &error, 0);
	else if (result < 0)
		http_abort(x);
}

static void on_request(void *arg, struct http_exchange *x)
{
	struct front *f = arg;
	struct caller *c = http_peer(x);
	struct request request = { .verb = VERB_GET };
	struct frontrequest asked;
	const struct tokenapi_error *error =
	    frontrequest_check(http_head(x), f->is_port ? c->address : NULL, f->keys, &asked);

	request.session = asked.session;
	request.template = asked.template;
	if (error)
		answer_error(f, x, error, 0);
	else if (!asked.is_for_token)
		pass_on(c, x, false);
	else if (asked.has_body)
		http_collect(x, TOKENAPI_BODY_MAX);
	else
		ask(c, x, &request);
}

/* Of a request for a token, if it is not passed on. */
static void on_token_body(struct http_exchange *x)
{
	struct caller *c = http_peer(x);
	struct request request = { .verb = VERB_GET };
	int result = tokenapi_parse_body(http_body(x, NULL), &request.expires_in_s);

	(void)tokenapi_parse_path(http_head(x)->path, &request.session,
				  &request.template); /* as before */
	if (result < 0)
		http_abort(x);
	else if (result)
		pass_on(c, x, true);
	else
		ask(c, x, &request);
}

static void on_body(void *arg, struct http_exchange *x)
{
	(void)arg;
	if (http_data(x))
		passon_body(http_data(x));
	else
		on_token_body(x);
}

static void on_writable(void *arg, struct http_exchange *x)
{
	(void)arg;
	passon_writable(http_data(x));
}

static void on_gone(void *arg, struct http_exchange *x)
{
	struct caller *c = http_peer(x);
	struct front *f = arg;

	if (http_data(x))
		passon_gone(http_data(x));
	if (!c->waiter)
		return;
	engine_abandon(f->engine, c->waiter);
	c->waiter = NULL;
	f->callbacks.settle(f->callbacks.arg);
}

/* For the audit. */
static void keep_unit(struct caller *c, struct peer *peer)
{
	mem_free(c->unit);
	c->unit = NULL;
	if (!c->owner->audit || !peer->who.unit.len)
		return;
	c->unit = peer->unit;
	peer->unit = NULL;
}

static int identify(struct caller *c, struct peer *ret)
{
	const struct front *f = c->owner;

	return peer_get(c->fd, f->names_groups, f->names_units || f->audit, c->connected_at, ret);
}

static int admit(struct caller *c)
{
	struct engine *e = c->owner->engine;
	struct peer peer;
	int result;

	if (c->owner->is_port) {
		result = address_of(c->fd, c->address);
		return result < 0 ? result : engine_client_init_trusted(e, &c->client);
	}
	result = identify(c, &peer);
	if (result == 0)
		result = engine_client_init(e, &c->client, &peer.who);
	if (result == 0)
		keep_unit(c, &peer);
	peer_deinit(&peer);
	return result;
}

static int on_connected(void *arg, int fd, void **ret_peer)
{
	struct front *f = arg;
	struct caller *c = mem_zalloc(sizeof(*c));
	int result;

	if (!c)
		return -ENOMEM;
	c->asker.answer = on_answer;
	c->owner = f;
	c->connected_at = clock_boot();
	c->fd = fd;
	result = admit(c);
	if (result) {
		engine_note_error(f->engine, CODE_OVERLOADED);
		mem_free(c);
		return result;
	}
	list_append(&f->callers, &c->node);
	*ret_peer = c;
	return 0;
}

static void on_disconnected(void *arg, void *peer)
{
	struct front *f = arg;
	struct caller *c = peer;

	list_unlink(&c->node);
	engine_client_deinit(f->engine, &c->client);
	mem_free(c->unit);
	mem_free(c);
}

static void on_drained(void *arg)
{
	struct front *f = arg;

	f->callbacks.drained(f->callbacks.arg);
}

static void judge(struct caller *c)
{
	struct peer peer;

	if (identify(c, &peer) < 0 ||
	    engine_client_judge(c->owner->engine, &c->client, &peer.who) < 0)
		engine_client_forbid(&c->client);
	keep_unit(c, &peer);
	peer_deinit(&peer);
}

static void take_config(struct front *f, const struct config *config)
{
	f->audit = config->audit;
	f->names_groups = config->access && config->access->names_groups;
	f->names_units = config->access && config->access->names_units;
}

void front_configure(struct front *f, const struct config *config)
{
	if (!f)
		return;
	take_config(f, config);
	if (f->is_port)
		return; /* who knows the key may have everything */
	list_for_each (it, &f->callers)
		judge(container_of(it, struct caller, node));
}

static size_t max_connections(const struct front *f, const struct config *config)
{
	size_t part = config->max_clients / PORT_PARTS + 1;

	if (!f->is_port)
		return config->max_clients; /* which each user has a part of */
	return part < FRONT_CONNECTIONS_MAX ? part : FRONT_CONNECTIONS_MAX;
}

static int listen_to_callers(struct front *f, struct event_base *base, const struct config *config,
			     const struct activation_sockets *handed)
{
	static const struct http_handler handler = {
		.connected = on_connected,
		.disconnected = on_disconnected,
		.request = on_request,
		.body = on_body,
		.writable = on_writable,
		.gone = on_gone,
		.drained = on_drained,
	};
	const char *path = setting_socket_of(span_str(config->http)).ptr;
	const struct http_config http = {
		.address = path ? path : config->http,
		.mode = config->socket_mode,
		.group = config->socket_group,
		.sockets = handed->fds,
		.n_sockets = handed->count,
		.max_connections = max_connections(f, config),
		.idle_ms = IDLE_MS,
		.head_ms = HEAD_MS,
		.body_ms = BODY_MS,
		.write_ms = WRITE_MS,
	};
	char text[LISTENER_ERROR_SIZE];
	int result = http_server_new(base, &http, &handler, f, text, &f->server);

	if (result < 0)
		log_error("[listen] http: %s", text);
	return result;
}

int front_new(struct event_base *base, struct engine *engine, const struct keyring *keys,
	      const struct config *config, const struct activation_sockets *handed,
	      const struct upstream_config *upstream, const struct front_callbacks *callbacks,
	      struct front **ret)
{
	struct front *f;
	int result;

	*ret = NULL;
	if (!config->http)
		return 0;
	f = mem_zalloc(sizeof(*f));
	if (!f)
		return -ENOMEM;
	*f = (struct front){
		.engine = engine, .keys = keys, .callbacks = *callbacks, .text = BUF_INIT(TEXT_MAX)
	};
	f->passing =
	    (struct passon_callbacks){ on_no_answer, callbacks->settle, f, callbacks->arg };
	list_init(&f->callers);
	randombytes_buf(f->trace, sizeof(f->trace));
	take_config(f, config);
	f->is_port = !setting_socket_of(span_str(config->http)).ptr;
	result = relays_new(base, engine, upstream, &keys->current, callbacks->settle,
			    callbacks->arg, &f->relays);
	if (result == 0)
		result = listen_to_callers(f, base, config, handed);
	if (result < 0) {
		front_free(f);
		return result;
	}
	*ret = f;
	return 0;
}

void front_free(struct front *f)
{
	if (!f)
		return;
	http_server_free(f->server);
	relays_free(f->relays);
	buf_deinit(&f->text);
	mem_free(f);
}

int front_connect(struct front *f, const struct upstream_config *upstream, const struct secret *key)
{
	return f ? relays_configure(f->relays, upstream, key) : 0;
}

void front_stop(struct front *f)
{
	if (f)
		http_server_stop(f->server);
}

size_t front_count(const struct front *f)
{
	return f ? http_server_count(f->server) : 0;
}
