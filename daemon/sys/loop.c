/* See loop.h. */
#include "daemon/sys/loop.h"

#include "base/mem.h"
#include "daemon/sys/clock.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <signal.h>

#define SIGNALS 3
#define MAX_SLEEP_MS 30000 /* suspend stops libevent's clock, not ours: wake to look */

struct loop {
	struct event_base *base;
	struct loop_callbacks callbacks;
	struct event timer;
	struct event signals[SIGNALS];
	struct mono armed_at;
};

void loop_global_init(void)
{
	event_set_mem_functions(mem_alloc, mem_realloc, mem_free);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;

	(void)fd;
	(void)what;
	l->armed_at = MONO_NEVER;
	l->callbacks.timer(l->callbacks.arg);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	struct loop *l = arg;

	(void)what;
	l->callbacks.signal(l->callbacks.arg, (int)number);
}

int loop_new(const struct loop_callbacks *callbacks, struct loop **ret)
{
	static const int numbers[SIGNALS] = { SIGTERM, SIGINT, SIGHUP };
	struct event_config *config = event_config_new();
	struct loop *l = mem_zalloc(sizeof(*l));

	if (config && l) {
		(void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK); /* one thread */
		l->base = event_base_new_with_config(config);
	}
	if (config)
		event_config_free(config);
	if (!l || !l->base) {
		mem_free(l);
		return -ENOMEM;
	}
	l->callbacks = *callbacks;
	l->armed_at = MONO_NEVER;
	(void)evtimer_assign(&l->timer, l->base, on_timer, l); /* fails for a NULL base only */
	for (size_t i = 0; i < SIGNALS; i++) {
		(void)evsignal_assign(&l->signals[i], l->base, numbers[i], on_signal, l);
		if (evsignal_add(&l->signals[i], NULL) < 0) {
			loop_free(l);
			return -ENOMEM;
		}
	}
	*ret = l;
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	(void)evtimer_del(&l->timer);
	for (size_t i = 0; i < SIGNALS; i++)
		if (evsignal_initialized(&l->signals[i]))
			(void)evsignal_del(&l->signals[i]);
	event_base_free(l->base);
	libevent_global_shutdown();
	mem_free(l);
}

struct event_base *loop_base(struct loop *l)
{
	return l->base;
}

void loop_arm(struct loop *l, struct mono at)
{
	int64_t ms;
	struct timeval tv;

	if (at.ms == l->armed_at.ms)
		return;
	l->armed_at = at;
	if (at.ms == MONO_NEVER.ms) {
		(void)evtimer_del(&l->timer);
		return;
	}
	ms = mono_diff_ms(at, clock_boot());
	ms = ms < 0 ? 0 : ms > MAX_SLEEP_MS ? MAX_SLEEP_MS : ms;
	tv = (struct timeval){ .tv_sec = ms / MS_PER_S, .tv_usec = ms % MS_PER_S * 1000 };
	(void)evtimer_add(&l->timer, &tv); /* the heap's room was made when it was first added */
}

int loop_run(struct loop *l)
{
	return event_base_dispatch(l->base) < 0 ? -EIO : 0;
}

void loop_stop(struct loop *l)
{
	(void)event_base_loopbreak(l->base);
}
