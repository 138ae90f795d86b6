/*
 * clerk-bapi-sandbox: a stand-in for Clerk's Backend API, for demos and tests.
 *
 * Model: read the options, make the keys, listen, say on standard output where, and serve from one
 * event loop until a signal. Exit status: 0 when stopped as asked, 1 when something failed, 2 for a
 * wrong command line.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <event2/event.h>

#include "cafile.h"
#include "options.h"
#include "sandbox.h"
#include "tls.h"

#ifndef SANDBOX_VERSION
#define SANDBOX_VERSION "unreleased"
#endif

#define EXIT_USAGE 2

struct run {
	struct options options;
	struct event_base *base;
	struct event *on_term;
	struct event *on_int;
	SSL_CTX *tls;
	struct ca_file ca_file;
	struct sandbox sandbox;
	bool sandbox_begun;
};

static int complain(const char *what, int r)
{
	(void)fprintf(stderr, "clerk-bapi-sandbox: %s: %s\n", what, strerror(-r));
	return r;
}

static void on_signal(evutil_socket_t signal_number, short events, void *context)
{
	(void)signal_number; /* both mean the same */
	(void)events;
	(void)event_base_loopbreak(context);
}

/* `parent` is who it was at the start: if that has changed, the death came before the prctl. */
static int bind_to_parent(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
		return -errno;
	return getppid() == parent ? 0 : -ESRCH;
}

/* A descriptor per connection: thousands of them need more than the usual limit. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE,
				&limit); /* with the old one it works too, for fewer */
	}
}

static int init_loop(struct run *run)
{
	run->base = event_base_new();
	if (!run->base)
		return -ENOMEM;
	run->on_term = evsignal_new(run->base, SIGTERM, on_signal, run->base);
	run->on_int = evsignal_new(run->base, SIGINT, on_signal, run->base);
	if (!run->on_term || !run->on_int || event_add(run->on_term, NULL) < 0 ||
	    event_add(run->on_int, NULL) < 0)
		return -ENOMEM;
	return 0;
}

static int init_tls(struct run *run)
{
	struct text pem = { .data = NULL };
	bool wanted = false;

	for (size_t i = 0; i < run->options.n_listens; i++)
		wanted |= run->options.listens[i].secure;
	if (!wanted)
		return 0;
	int r = tls_new(&pem, &run->tls);
	if (r < 0)
		(void)complain("cannot make a certificate", r);
	else if ((r = ca_file_write(&run->ca_file, run->options.directory, &pem)) < 0)
		(void)complain("cannot write ca.pem", r);
	text_deinit(&pem);
	return r;
}

static int listen_all(struct run *run)
{
	for (size_t i = 0; i < run->options.n_listens; i++) {
		const struct options_listen *listen = &run->options.listens[i];
		uint16_t port = 0;
		int r = server_listen(&run->sandbox.server, listen->address, listen->port,
				      listen->secure, &port);
		if (r < 0)
			return complain("cannot listen", r);
		if (listen->secure)
			(void)printf("https=https://localhost:%u\n", port);
		else if (strchr(listen->address, ':'))
			(void)printf("http=http://[%s]:%u\n", listen->address, port);
		else
			(void)printf("http=http://%s:%u\n", listen->address, port);
	}
	if (run->tls)
		(void)printf("ca=%s\n", run->ca_file.path);
	(void)printf("ready\n");
	return fflush(stdout) == 0 ? 0 : complain("cannot write to standard output", -errno);
}

static int serve(struct run *run)
{
	int r = init_loop(run);
	if (r < 0)
		return complain("cannot start the event loop", r);
	r = init_tls(run);
	if (r < 0)
		return r;
	run->sandbox_begun = true;
	r = sandbox_init(&run->sandbox, &run->options.setup, run->base, run->tls);
	if (r < 0)
		return complain("cannot start", r);
	r = listen_all(run);
	if (r < 0)
		return r;
	return event_base_dispatch(run->base) < 0 ? complain("event loop failed", -EIO) : 0;
}

static void run_deinit(struct run *run)
{
	if (run->sandbox_begun)
		sandbox_deinit(&run->sandbox);
	ca_file_deinit(&run->ca_file);
	SSL_CTX_free(run->tls);
	if (run->on_term)
		event_free(run->on_term);
	if (run->on_int)
		event_free(run->on_int);
	if (run->base)
		event_base_free(run->base);
	libevent_global_shutdown();
}

int main(int argc, char **argv)
{
	static struct run run; /* too large for the stack, and the only one */
	pid_t parent = getppid();

	switch (options_parse(argc, argv, &run.options)) {
	case OPTIONS_HELP:
		options_print_usage(stdout);
		return fflush(stdout) == 0 ? 0 : 1;
	case OPTIONS_VERSION:
		(void)printf("clerk-bapi-sandbox %s\n", SANDBOX_VERSION);
		return fflush(stdout) == 0 ? 0 : 1;
	case OPTIONS_WRONG:
		return EXIT_USAGE;
	case OPTIONS_RUN:
		break;
	}
	(void)signal(SIGPIPE, SIG_IGN); /* a client that went away is an error of its connection */
	raise_descriptor_limit();
	int r = run.options.die_with_parent ? bind_to_parent(parent) : 0;
	if (r < 0)
		(void)complain("parent is gone", r);
	else
		r = serve(&run);
	run_deinit(&run);
	return r < 0 ? 1 : 0;
}
