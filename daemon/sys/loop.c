/* See loop.h.
 *
 * The timer is a timerfd(2), which counts as the core does, through suspend, and leaves libevent
 * with no timer of its own while Clerk is not being asked: then a wake costs no look at a clock,
 * and epoll_wait(2) none either. Signals come through a signalfd(2) for the same reason: libevent's
 * own are looked after in each wake.
 */
#include "daemon/sys/loop.h"

#include "base/mem.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define NS_PER_MS 1000000
#define MAX_CALLBACKS 256 /* between two looks at the sockets */

struct loop {
	struct event_base *base;
	struct loop_callbacks callbacks;
	struct event timer, signals;
	struct mono armed_at;
	bool stopped;
};

void loop_global_init(void)
{
	event_set_mem_functions(mem_alloc, mem_realloc, mem_free);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	uint64_t expirations;

	(void)what;
	if (read(fd, &expirations, sizeof(expirations)) < 0)
		return; /* it was set anew meanwhile */
	l->armed_at = MONO_NEVER;
	l->callbacks.timer(l->callbacks.arg);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	struct signalfd_siginfo info;

	(void)what;
	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		l->callbacks.signal(l->callbacks.arg, (int)info.ssi_signo);
}

static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	if (!config)
		return NULL;
	/* One thread; and nothing here asks libevent what time it is. */
	(void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_NO_CACHE_TIME);
	/* Else whoever is made active again while others are served would be served before any
	 * socket is looked at. */
	(void)event_config_set_max_dispatch_interval(config, NULL, MAX_CALLBACKS, 0);
	base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

/* Takes over `fd`, or the errno of having none. */
static int add_fd(struct loop *l, struct event *event, int fd, event_callback_fn callback)
{
	if (fd < 0)
		return -errno;
	(void)event_assign(event, l->base, fd, EV_READ | EV_PERSIST, callback, l);
	return event_add(event, NULL) < 0 ? -ENOMEM : 0;
}

static int add_timer(struct loop *l)
{
	int fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);

	return add_fd(l, &l->timer, fd, on_timer);
}

static int add_signals(struct loop *l)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, NULL); /* for good: this is the process's one loop */
	return add_fd(l, &l->signals, signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), on_signal);
}

static void remove_fd(struct event *event)
{
	if (!event_initialized(event))
		return;
	(void)event_del(event);
	(void)close(event_get_fd(event));
}

int loop_new(const struct loop_callbacks *callbacks, struct loop **ret)
{
	struct loop *l = mem_zalloc(sizeof(*l));
	int result;

	if (!l)
		return -ENOMEM;
	l->callbacks = *callbacks;
	l->armed_at = MONO_NEVER;
	l->base = new_base();
	result = l->base ? add_timer(l) : -ENOMEM;
	if (result == 0)
		result = add_signals(l);
	if (result < 0) {
		loop_free(l);
		return result;
	}
	*ret = l;
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	remove_fd(&l->timer);
	remove_fd(&l->signals);
	if (l->base)
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
	struct itimerspec spec = { 0 }; /* never */
	int64_t ms = at.ms > 0 ? at.ms : 1;

	if (at.ms == l->armed_at.ms)
		return;
	l->armed_at = at;
	if (at.ms != MONO_NEVER.ms)
		spec.it_value = (struct timespec){ .tv_sec = ms / MS_PER_S,
						   .tv_nsec = ms % MS_PER_S * NS_PER_MS };
	/* fails for bad values and strange descriptors only */
	(void)timerfd_settime(event_get_fd(&l->timer), TFD_TIMER_ABSTIME, &spec, NULL);
}

int loop_run(struct loop *l)
{
	int result;

	do {
		result = event_base_loop(l->base, EVLOOP_ONCE);
		l->callbacks.turn(l->callbacks.arg);
	} while (result == 0 && !l->stopped);
	return result < 0 ? -EIO : 0;
}

void loop_stop(struct loop *l)
{
	l->stopped = true;
	(void)event_base_loopbreak(l->base);
}
