/* See app.h.
 *
 * Every entry into the core, be it a request, an answer of Clerk's, a timer or a signal, ends the
 * same way: effects are carried out until there are none, then the one timer is set for what is
 * due next.
 */
#include "daemon/app.h"

#include "base/mem.h"
#include "daemon/core/config.h"
#include "daemon/core/engine.h"
#include "daemon/core/json.h"
#include "daemon/sys/activation.h"
#include "daemon/sys/asker.h"
#include "daemon/sys/clock.h"
#include "daemon/sys/conns.h"
#include "daemon/sys/front.h"
#include "daemon/sys/harden.h"
#include "daemon/sys/listener.h"
#include "daemon/sys/log.h"
#include "daemon/sys/loop.h"
#include "daemon/sys/metrics.h"
#include "daemon/sys/notify.h"
#include "daemon/sys/report.h"
#include "daemon/sys/settings.h"
#include "daemon/sys/upstream.h"
#include "daemon/sys/warm.h"
#include "daemon/sys/webhooks.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifndef CLERK_TOKEND_VERSION
#define CLERK_TOKEND_VERSION "0.0.0-dev"
#endif

#define STOP_GRACE_MS 3000
#define TEARDOWN_MS 5000 /* at most, for wiping what a large cache holds */
/* An answer holds the token as JSON, and a little more. */
#define ANSWER_OVERHEAD 4096
#define GREETING_MAX 128

struct app {
	const struct app_options *options;
	struct config config;
	struct keyring keys;
	struct loop *loop;
	struct engine *engine;
	struct upstream *upstream;
	struct conns *conns;
	struct listener *listener;
	struct metrics *metrics;	     /* NULL: off */
	struct webhooks *webhooks;	     /* the same */
	struct svix_secrets webhook_secrets; /* until `webhooks` takes them */
	struct front *front;		     /* the same */
	struct notify notify;
	struct activation handed;
	struct mono stop_at; /* MONO_NEVER: not stopping */
	char greeting[GREETING_MAX];
};

static struct engine_config engine_config(const struct app *app, const struct config *c,
					  const struct secret *key)
{
	struct config_budget budget = config_budget(c, span_of(key->ptr, key->len));

	return (struct engine_config){
		.freshness = { .min_ttl_ms = c->min_ttl_ms,
			       .renew_idle_ms = c->renew_idle_ms,
			       .refresh_percent = (unsigned)c->refresh_at_percent },
		.negative_ttl_ms = c->negative_ttl_ms,
		.default_wait_ms = c->default_wait_ms,
		.max_memory = c->max_memory,
		.max_clients = c->max_clients,
		.budget = budget.count,
		.budget_window_ms = budget.window_ms,
		.request_timeout_ms = c->request_timeout_ms,
		.max_connections = c->max_connections,
		.own_uid = geteuid(),
		.audit = c->audit,
		.keys = &app->keys,
		.greeting = app->greeting,
		.about = about_of(c, span_of(key->ptr, key->len), CLERK_TOKEND_VERSION),
	};
}

static size_t max_reply(const struct config *c)
{
	return c->max_token_size + WIRE_REPLY_OVERHEAD;
}

static void set_greeting(struct app *app, const struct config *c)
{
	(void)snprintf(app->greeting, sizeof(app->greeting),
		       "clerk-tokend version=%s proto=%d max_line=%zu", CLERK_TOKEND_VERSION,
		       WIRE_VERSION, max_reply(c));
}

static void fetch(struct app *app, const struct effect *effect)
{
	static const struct outcome no_memory = { .kind = OUTCOME_TRANSIENT,
						  .code = CODE_OVERLOADED,
						  .retry_after_ms = -1 };

	if (upstream_fetch(app->upstream, effect->flight, effect->key.session, effect->key.template,
			   effect->key.expires_in_s, effect->is_second) < 0)
		engine_fetched(app->engine, clock_boot(), effect->flight, &no_memory);
}

static void drain(void *arg)
{
	struct app *app = arg;
	struct effect effect;

	do {
		engine_pop(app->engine, &effect);
		switch (effect.type) {
		case EFFECT_FETCH:
			fetch(app, &effect);
			break;
		case EFFECT_CANCEL:
			upstream_cancel(app->upstream, effect.flight);
			break;
		case EFFECT_REPLY:
		case EFFECT_ADMITTED:
		case EFFECT_REFUSED:
			asker_answer(&effect);
			break;
		default:
			conns_effect(app->conns, &effect);
			break;
		}
	} while (effect.type != EFFECT_NONE);
}

static void settled(void *arg)
{
	struct app *app = arg;
	struct mono at =
	    mono_min(engine_next_deadline(app->engine), conns_next_deadline(app->conns));

	at = mono_min(at, log_next_deadline());
	at = mono_min(at, app->notify.next);
	if (app->stop_at.ms != MONO_NEVER.ms) {
		if (conns_count(app->conns) == 0 && front_count(app->front) == 0)
			loop_stop(app->loop);
		at = mono_min(at, app->stop_at);
	}
	loop_arm(app->loop, at);
}

static void note_clock(struct app *app, const struct outcome *o)
{
	struct skew skew;

	if (engine_note_clock(app->engine, clock_wall(), o, &skew))
		report_clock(&skew);
}

static void settle(void *arg)
{
	struct app *app = arg;

	conns_settle(app->conns, clock_boot());
}

static void on_accept(void *arg, int fd)
{
	struct app *app = arg;

	conns_accept(app->conns, fd);
	settle(app);
}

static void on_turn(void *arg)
{
	struct app *app = arg;

	conns_take_turns(app->conns);
}

static void on_timer(void *arg)
{
	struct app *app = arg;
	struct mono now = clock_boot();

	if (mono_is_due(app->stop_at, now)) {
		engine_give_up(app->engine, now);
		conns_settle(app->conns, now);
		loop_stop(app->loop);
		return;
	}
	if (mono_is_due(app->notify.next, now))
		notify_beat(&app->notify, now);
	engine_tick(app->engine, now);
	conns_tick(app->conns, now);
	log_tick(now);
	conns_settle(app->conns, now);
}

static void stop(struct app *app)
{
	struct mono now = clock_boot();

	if (app->stop_at.ms != MONO_NEVER.ms) {
		loop_stop(app->loop); /* told twice */
		return;
	}
	log_event(LOG_INFO, MESSAGE_STOPPING, "stopping",
		  log_number("clients", (int64_t)conns_count(app->conns)),
		  log_number("waiting", (int64_t)engine_pending(app->engine)));
	notify_stopping(STOP_GRACE_MS + TEARDOWN_MS);
	app->stop_at = mono_add_ms(now, STOP_GRACE_MS);
	listener_free(app->listener);
	app->listener = NULL;
	front_stop(app->front);
	engine_stop(app->engine, now);
	conns_drain(app->conns);
	conns_settle(app->conns, now);
}

static struct upstream_config upstream_config(const struct config *c)
{
	return (struct upstream_config){
		.api_url = c->api_url,
		.api_version = c->api_version,
		.ca_file = c->ca_file,
		.user_agent = "clerk-tokend/" CLERK_TOKEND_VERSION,
		.connect_timeout_ms = c->connect_timeout_ms,
		.request_timeout_ms = c->request_timeout_ms,
		.max_connections = c->max_connections,
		.max_answer = c->max_token_size + ANSWER_OVERHEAD,
	};
}

static int log_level(const struct config *c)
{
	static const int levels[] = {
		[CONFIG_LOG_ERR] = LOG_ERR,
		[CONFIG_LOG_WARNING] = LOG_WARNING,
		[CONFIG_LOG_INFO] = LOG_INFO,
		[CONFIG_LOG_DEBUG] = LOG_DEBUG,
	};

	return levels[c->log_level];
}

/* Where memory runs out nothing is changed but what is harmless. */
static int use(struct app *app, const struct config *config, const struct secret *key)
{
	const struct upstream_config upstream = upstream_config(config);
	struct engine_config engine = engine_config(app, config, key);
	int result = engine_configure(app->engine, &engine);

	result = result < 0 ? result : upstream_configure(app->upstream, &upstream, key);
	return result < 0 ? result : front_connect(app->front, &upstream, key);
}

/* Takes on a configuration and a key that have passed; both are moved in. */
static int adopt(struct app *app, struct mono now, struct config *config, struct secret *key)
{
	bool moves = strcmp(app->config.api_url, config->api_url) != 0, is_other;
	int result = use(app, config, key);

	if (result < 0)
		return result;
	harden_key(key->ptr, key->len);
	is_other = keyring_configure(&app->keys, key);
	if (moves) {
		keyring_start_over(&app->keys);
		engine_moved(app->engine, now); /* another key is a part of it */
	} else if (is_other) {
		engine_key_changed(app->engine, now);
	}
	conns_set_audit(app->conns, config->audit);
	conns_set_access(app->conns, config->access);
	front_configure(app->front, config);
	engine_enforce(app->engine, now);
	config_deinit(&app->config);
	app->config = *config;
	*config = (struct config){ 0 };
	set_greeting(app, &app->config);
	conns_set_max_reply(app->conns, max_reply(&app->config));
	log_set_level(log_level(&app->config));
	harden_raise_files(&app->config);
	return 0;
}

/* A key that Clerk refuses after a reload gives way to the one from before, and who waits is asked
 * for again with that. Without memory for it the next refusal says the same. */
static void note_key(struct app *app, struct mono now, const struct answer *answer,
		     const struct outcome *o)
{
	enum key_verdict verdict = keyring_judge(&app->keys, answer->key_id, o->kind);
	bool swaps = key_verdict_swaps(verdict);

	if (swaps && use(app, &app->config, &app->keys.other) < 0)
		return;
	keyring_follow(&app->keys, verdict);
	report_key(verdict, &app->keys);
	if (swaps)
		engine_key_changed(app->engine, now);
}

static void on_answer(void *arg, void *flight, const struct answer *answer)
{
	struct app *app = arg;
	struct mono now = clock_boot();
	struct outcome outcome;

	answer_judge(answer, app->config.max_token_size, &outcome);
	report_fetch(answer, &outcome);
	note_clock(app, &outcome);
	note_key(app, now, answer, &outcome);
	engine_fetched(app->engine, now, flight, &outcome);
	conns_settle(app->conns, now);
	outcome_deinit(&outcome);
}

static int reload_key(const struct app *app, const struct config *config, struct secret *ret)
{
	const struct secret *last = keyring_configured(&app->keys);
	int result = secret_set(ret, span_of(last->ptr, last->len));

	return result < 0 ? result : settings_load_key(config, ret);
}

static void warn_of_restart(const struct app *app, const struct config *config)
{
	const struct config *last = &app->config;
	const struct {
		const char *name, *last, *next;
	} texts[] = {
		{ "socket", last->socket, config->socket },
		{ "socket_group", last->socket_group, config->socket_group },
		{ "http", last->http, config->http },
		{ "metrics", last->metrics, config->metrics },
		{ "webhooks", last->webhooks, config->webhooks },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!span_equal(span_str(texts[i].last), span_str(texts[i].next)))
			log_warning("[listen] %s changes at the next start only", texts[i].name);
	if (last->socket_mode != config->socket_mode)
		log_warning("[listen] socket_mode changes at the next start only");
}

/* What is wrong with the new configuration leaves the old one in place. */
static void reload(struct app *app)
{
	struct mono now = clock_boot();
	struct config config = { 0 };
	struct secret key = SECRET_NONE;
	struct svix_secrets webhook_secrets = { 0 };
	int result;

	notify_reloading();
	result =
	    settings_load(app->options->config_path, app->options->socket, &app->handed, &config);
	if (result == 0)
		result = settings_load_webhook_secrets(&config, &webhook_secrets);
	if (result == 0)
		result = reload_key(app, &config, &key);
	if (result >= 0) {
		warn_of_restart(app, &config);
		result = adopt(app, now, &config, &key);
	}
	if (result == 0 && webhook_secrets.count)
		webhooks_configure(app->webhooks, &webhook_secrets);
	if (result < 0)
		log_event(LOG_ERR, MESSAGE_RELOAD_FAILED,
			  "reload failed, the configuration from before stays");
	else
		log_event(LOG_INFO, MESSAGE_RELOADED, "reloaded",
			  log_text("key_id", app->keys.current_id));
	config_deinit(&config);
	secret_deinit(&key);
	svix_secrets_deinit(&webhook_secrets);
	conns_settle(app->conns, now);
	notify_reloaded(&app->notify, now, result == 0);
}

static void on_signal(void *arg, int number)
{
	if (number == SIGHUP)
		reload(arg);
	else
		stop(arg);
}

static int listen_to_clients(struct app *app)
{
	const struct activation_sockets *handed = &app->handed.sockets[ACTIVATION_CLIENTS];
	const struct listener_config config = {
		.path = app->config.socket,
		.mode = app->config.socket_mode,
		.group = app->config.socket_group,
		.sockets = handed->fds,
		.n_sockets = handed->count,
	};
	char text[LISTENER_ERROR_SIZE];
	int result =
	    listener_new(loop_base(app->loop), &config, on_accept, app, text, &app->listener);

	if (result < 0)
		log_error("%s", text);
	return result;
}

/* With what the last process knew, if it can be used. */
static int build_engine(struct app *app)
{
	struct engine_config config = engine_config(app, &app->config, &app->keys.current);
	const struct warm_owner owner = { &app->keys.current, app->config.api_url };
	struct hash_key hash_key;
	uint64_t seed;
	int result;

	randombytes_buf(&hash_key, sizeof(hash_key));
	randombytes_buf(&seed, sizeof(seed));
	do {
		engine_free(app->engine);
		app->engine = NULL;
		result = engine_new(&config, &hash_key, seed, &app->engine);
	} while (result == 0 &&
		 !warm_restore(app->engine, &owner, &app->handed, app->config.max_token_size));
	return result;
}

static int build(struct app *app)
{
	const struct loop_callbacks loop = { on_timer, on_signal, on_turn, app };
	const struct conns_callbacks conns = { drain, settled, app };
	const struct webhooks_callbacks webhooks = { settle, app };
	const struct front_callbacks front = { settle, settled, app };
	const struct upstream_config upstream = upstream_config(&app->config);
	const struct activation_sockets *handed = app->handed.sockets;
	int result;

	set_greeting(app, &app->config);
	result = loop_new(&loop, &app->loop);
	if (result == 0)
		result = build_engine(app);
	if (result == 0)
		result = upstream_new(loop_base(app->loop), &upstream, &app->keys.current,
				      on_answer, app, &app->upstream);
	if (result == 0)
		result = conns_new(loop_base(app->loop), app->engine, max_reply(&app->config),
				   app->config.access, &conns, &app->conns);
	if (result == 0)
		conns_set_audit(app->conns, app->config.audit);
	if (result == 0)
		result = metrics_new(loop_base(app->loop), app->engine, &app->config,
				     &handed[ACTIVATION_METRICS], &app->metrics);
	if (result == 0)
		result = webhooks_new(loop_base(app->loop), app->engine, &app->config,
				      &handed[ACTIVATION_WEBHOOKS], &app->webhook_secrets,
				      &webhooks, &app->webhooks);
	if (result == 0)
		result = front_new(loop_base(app->loop), app->engine, &app->keys, &app->config,
				   &handed[ACTIVATION_HTTP], &upstream, &front, &app->front);
	return result == 0 ? listen_to_clients(app) : result;
}

static void teardown(struct app *app)
{
	front_free(app->front);
	webhooks_free(app->webhooks);
	metrics_free(app->metrics);
	listener_free(app->listener);
	conns_free(app->conns);
	upstream_free(app->upstream);
	engine_free(app->engine);
	loop_free(app->loop);
	svix_secrets_deinit(&app->webhook_secrets);
	keyring_deinit(&app->keys);
	config_deinit(&app->config);
}

static int global_init(void)
{
	if (sodium_init() < 0)
		return -ENOSYS;
	loop_global_init();
	json_global_init();
	return upstream_global_init();
}

/* From here on somebody may drop what was handed over, so it goes; a start that failed before has
 * left it to the next one. */
static int serve(struct app *app)
{
	int result;

	warm_forget(&app->handed);
	notify_init(&app->notify, app->engine);
	notify_ready(&app->notify, clock_boot());
	loop_arm(app->loop, app->notify.next);
	result = loop_run(app->loop);
	front_free(app->front); /* what it has under way may have ended sessions */
	app->front = NULL;
	/* Not for the one in use, but the one that the next process will have. */
	warm_keep(app->engine,
		  &(struct warm_owner){ keyring_configured(&app->keys), app->config.api_url });
	return result;
}

static enum app_result run(struct app *app)
{
	int result;

	harden_raise_files(&app->config);
	result = build(app);
	if (result == 0) {
		log_event(
		    LOG_INFO, MESSAGE_STARTED, "started", log_text("version", CLERK_TOKEND_VERSION),
		    log_text("socket", app->config.socket), log_text("http", app->config.http),
		    log_text("metrics", app->config.metrics),
		    log_text("webhooks", app->config.webhooks),
		    log_text("api_url", app->config.api_url),
		    log_text("key_id", app->keys.current_id));
		result = serve(app);
	}
	teardown(app);
	log_tick(MONO_NEVER);
	log_event(LOG_INFO, MESSAGE_STOPPED, "stopped");
	return result < 0 ? APP_FAILED : APP_OK;
}

enum app_result app_run(const struct app_options *options)
{
	struct app app = { .options = options, .stop_at = MONO_NEVER };
	struct secret key = SECRET_NONE;
	enum app_result result;

	harden_process();
	if (activation_take(&app.handed) < 0 ||
	    settings_load(options->config_path, options->socket, &app.handed, &app.config) < 0)
		return APP_BAD_CONFIG;
	log_set_level(log_level(&app.config));
	if (settings_load_key(&app.config, &key) != 0 ||
	    settings_load_webhook_secrets(&app.config, &app.webhook_secrets) != 0) {
		secret_deinit(&key);
		config_deinit(&app.config);
		return APP_BAD_CONFIG;
	}
	harden_memory();
	harden_key(key.ptr, key.len);
	(void)keyring_configure(&app.keys, &key);
	if (global_init() < 0) {
		log_error("the libraries can't be used");
		return APP_FAILED;
	}
	result = run(&app);
	upstream_global_deinit();
	return result;
}

enum app_result app_check(const struct app_options *options)
{
	struct config config;
	struct secret key = SECRET_NONE;
	struct svix_secrets webhook_secrets = { 0 };
	int result = settings_load(options->config_path, options->socket, NULL, &config);

	if (result < 0)
		return APP_BAD_CONFIG;
	result = settings_load_key(&config, &key);
	if (result == 0)
		result = settings_load_webhook_secrets(&config, &webhook_secrets);
	secret_deinit(&key);
	svix_secrets_deinit(&webhook_secrets);
	config_deinit(&config);
	return result ? APP_BAD_CONFIG : APP_OK;
}

enum app_result app_print_config(const struct app_options *options)
{
	struct buf text = BUF_INIT(CONFIG_PRINT_MAX);
	struct config config;
	int result = settings_load(options->config_path, options->socket, NULL, &config);

	if (result < 0)
		return APP_BAD_CONFIG;
	result = config_print(&config, &text);
	if (result == 0 &&
	    fwrite(text.ptr + text.start, 1, buf_len(&text), stdout) != buf_len(&text))
		result = -EIO;
	buf_deinit(&text);
	config_deinit(&config);
	return result < 0 || fflush(stdout) != 0 ? APP_FAILED : APP_OK;
}
