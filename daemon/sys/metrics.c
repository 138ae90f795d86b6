/* See metrics.h. */
#include "daemon/sys/metrics.h"

#include "base/mem.h"
#include "daemon/core/engine.h"
#include "daemon/core/openmetrics.h"
#include "daemon/core/setting.h"
#include "daemon/sys/activation.h"
#include "daemon/sys/clock.h"
#include "daemon/sys/http.h"
#include "daemon/sys/log.h"
#include "daemon/sys/process.h"

#include <errno.h>
#include <stdio.h>

#define FIELDS_MAX 256

struct metrics {
	struct engine *engine;
	struct http_server *server;
	struct buf body; /* of the answer that is being made */
};

struct answer_text {
	int status;
	const char *type;
	const char *field; /* one more, or "" */
	struct span body;
};

static const char plain[] = "text/plain; charset=utf-8";

static struct answer_text refusal(int status, const char *field, const char *text)
{
	return (struct answer_text){ status, plain, field, span_str(text) };
}

static struct answer_text numbers(struct metrics *m, struct span accept)
{
	enum openmetrics_format format = openmetrics_choose(accept);
	struct mono now = clock_boot();

	process_tell(m->engine, now);
	buf_reset(&m->body);
	if (openmetrics_write(m->engine, now, format, &m->body) < 0)
		return refusal(503, "", "out of memory\n");
	return (struct answer_text){ 200, openmetrics_content_type(format), "Vary: Accept\r\n",
				     buf_span(&m->body) };
}

static struct answer_text readiness(const struct metrics *m)
{
	if (engine_is_ready(m->engine))
		return refusal(200, "", "ready\n");
	return refusal(503, "",
		       "not ready: Clerk can't be used now; clerk-token doctor says why\n");
}

static struct answer_text answer_to(struct metrics *m, const struct httphead *head)
{
	if (!span_is(head->method, "GET") && !span_is(head->method, "HEAD"))
		return refusal(405, "Allow: GET, HEAD\r\n", "GET or HEAD\n");
	if (span_is(head->path, "/metrics"))
		return numbers(m, httphead_find(head, "accept", NULL));
	if (span_is(head->path, "/livez"))
		return refusal(200, "", "live\n");
	if (span_is(head->path, "/readyz"))
		return readiness(m);
	return refusal(404, "", "there are /metrics, /livez and /readyz\n");
}

static void on_request(void *arg, struct http_exchange *x)
{
	struct answer_text text = answer_to(arg, http_head(x));
	char fields[FIELDS_MAX];
	int len =
	    snprintf(fields, sizeof(fields), "%sContent-Type: %s\r\nCache-Control: no-store\r\n",
		     text.field, text.type); /* it fits */

	http_answer(x, &(struct http_answer){ .status = text.status,
					      .fields = span_of(fields, (size_t)len),
					      .body = text.body });
}

static int listen_to_scrapers(struct metrics *m, struct event_base *base,
			      const struct config *config, const struct activation_sockets *handed)
{
	static const struct http_handler handler = { .request = on_request };
	const char *path = setting_socket_of(span_str(config->metrics)).ptr;
	const struct http_config http = {
		.address = path ? path : config->metrics,
		.mode = config->socket_mode,
		.group = config->socket_group,
		.sockets = handed->fds,
		.n_sockets = handed->count,
		.max_connections = METRICS_CONNECTIONS_MAX,
		.closes = true,
		.idle_ms = METRICS_DEADLINE_MS,
		.head_ms = METRICS_DEADLINE_MS,
		.body_ms = METRICS_DEADLINE_MS,
		.write_ms = METRICS_DEADLINE_MS,
	};
	char text[LISTENER_ERROR_SIZE];
	int result = http_server_new(base, &http, &handler, m, text, &m->server);

	if (result < 0)
		log_error("[listen] metrics: %s", text);
	return result;
}

int metrics_new(struct event_base *base, struct engine *engine, const struct config *config,
		const struct activation_sockets *handed, struct metrics **ret)
{
	struct metrics *m;
	int result;

	*ret = NULL;
	if (!config->metrics)
		return 0;
	m = mem_zalloc(sizeof(*m));
	if (!m)
		return -ENOMEM;
	*m = (struct metrics){ .engine = engine, .body = BUF_INIT(OPENMETRICS_MAX) };
	result = listen_to_scrapers(m, base, config, handed);
	if (result < 0) {
		metrics_free(m);
		return result;
	}
	*ret = m;
	return 0;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	http_server_free(m->server);
	buf_deinit(&m->body);
	mem_free(m);
}
