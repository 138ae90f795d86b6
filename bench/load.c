/* Closed-loop load generator for stream sockets.
 *
 * Each of C connections keeps D requests in flight; a reply makes room for the next request, and
 * all the requests that one read made room for leave in one write. Every reply is checked: framing,
 * the value's length and, with --verify, that one key always has the same value. The first wrong,
 * late, missing or surplus reply ends the run with status 2, so a printed figure has no errors in
 * it.
 *
 * A run warms up, measures, and then waits for what is still in flight. Latency is the time from
 * just before the write of a request to just after the read that completed its reply; a queue that
 * this program makes for itself (depth > 1) is part of it. The server's CPU time is its process's
 * clock, all threads together, over the measured part of the run.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "bench.h"
#include "draw.h"
#include "histogram.h"
#include "protocol.h"

enum {
	EVENTS_MAX = 512,
	INPUT_MAX = 256 * 1024,	  /* bytes of one read */
	VERIFIED_SIZE = 64,	  /* bytes of a value that --verify looks at */
	CHECK_INTERVAL_MS = 1000, /* between two looks for late replies */
};

static const char usage_text[] =
    "usage: load --socket PATH|ADDRESS:PORT --protocol tokend|get|meta|set|http [options]\n"
    "  --connections N  (1)       --depth N      requests in flight on each (1)\n"
    "  --for MS         (1000)    --warm-up MS   not measured (0)\n"
    "  --count N        send N requests instead of for a time\n"
    "  --keys N         (10000)   --first N      number of the first key (0)\n"
    "  --zipf S         draw keys by Zipf's law of exponent S, not uniformly\n"
    "  --sequential     take the keys in order, to fill a cache\n"
    "  --length BYTES   each value's length (900; 0: not checked)\n"
    "  --verify         a key's value must be the same in all its replies\n"
    "  --idle N         first open N connections that make one request each and stay\n"
    "  --server PID     account this process's CPU time and memory\n"
    "  --timeout MS     the latest that a reply may come (10000)\n";

struct options {
	const char *socket, *protocol_name, *host;
	enum protocol protocol;
	uint64_t connections, depth, for_ms, warm_up_ms, count, keys, first, length, idle, server,
	    timeout_ms, sequential, verify, owner;
	double zipf;
};

struct slot {
	uint64_t key; /* index into load->sessions */
	uint64_t sent_ns;
};

struct connection {
	int fd;
	size_t oldest, in_flight; /* ring of depth slots */
	struct slot *slots;
	char *out; /* requests not yet written: out_size bytes from out_start */
	size_t out_start, out_size;
	size_t partial; /* bytes of an incomplete reply, kept in input */
	char input[REPLY_MAX];
};

enum phase { PHASE_WARM_UP, PHASE_MEASURE, PHASE_DRAIN };

struct snapshot {
	uint64_t at_ns, server_ns, received;
};

struct load {
	struct options options;
	enum phase phase;
	int epoll;
	struct connection *connections;
	int *idle;
	struct draw draw;
	uint64_t sent, received, resident_start, resident_idle;
	double *zipf; /* cumulative weights, NULL: uniform */
	char (*sessions)[BENCH_SESSION_SIZE];
	uint64_t *verified; /* each key's hash, 0: not seen; NULL: not wanted */
	struct snapshot start, end;
	struct histogram latency;
	char input[INPUT_MAX];
};

static uint64_t next_key(struct load *load)
{
	const struct options *options = &load->options;

	return options->sequential ? load->sent % options->keys : draw_next(&load->draw);
}

/* Replies */

/* Of the value's end, where tokens have their signature and ours have their key: enough to tell
 * values apart. The whole of it would make this program the slower side, and a server that waits
 * for its client seems to cost more than it does.
 */
static uint64_t hash(const char *bytes, size_t length)
{
	uint64_t value = length, word;

	if (length > VERIFIED_SIZE) {
		bytes += length - VERIFIED_SIZE;
		length = VERIFIED_SIZE;
	}
	for (; length >= sizeof(word); bytes += sizeof(word), length -= sizeof(word)) {
		memcpy(&word, bytes, sizeof(word));
		value = (value ^ word) * 0x9e3779b97f4a7c15;
		value ^= value >> 32;
	}
	for (; length; bytes++, length--)
		value = (value ^ (unsigned char)*bytes) * 0x9e3779b97f4a7c15;
	return value | 1; /* 0 stands for "not seen" */
}

static void check_reply(struct load *load, uint64_t key, const struct reply *reply)
{
	uint64_t *known, seen;

	if (!reply->value)
		return;
	if (load->options.length && reply->length != load->options.length)
		bench_die("a value of %zu bytes, not %llu", reply->length,
			  (unsigned long long)load->options.length);
	if (load->options.owner && !protocol_owns(load->sessions[key], reply))
		bench_die("%s got another session's token", load->sessions[key]);
	if (!load->verified)
		return;
	known = &load->verified[key];
	seen = hash(reply->value, reply->length);
	if (*known && *known != seen)
		bench_die("%s got a value that is not its own", load->sessions[key]);
	*known = seen;
}

static void take_reply(struct load *load, struct connection *connection, const struct reply *reply,
		       uint64_t now_ns)
{
	struct slot *slot = &connection->slots[connection->oldest];

	check_reply(load, slot->key, reply);
	if (now_ns - slot->sent_ns > load->options.timeout_ms * 1000000)
		bench_die("a reply came after %llu ms",
			  (unsigned long long)((now_ns - slot->sent_ns) / 1000000));
	if (load->phase == PHASE_MEASURE)
		histogram_add(&load->latency, now_ns - slot->sent_ns);
	connection->oldest = (connection->oldest + 1) % load->options.depth;
	connection->in_flight--;
	load->received++;
}

/* Takes all whole replies from the first size bytes of load->input, keeps the rest. */
static void take_replies(struct load *load, struct connection *connection, size_t size,
			 uint64_t now_ns)
{
	const char *text = load->input;
	struct reply reply;

	while (size) {
		if (!connection->in_flight)
			bench_die("%zu bytes that nothing asked for", size);
		if (!protocol_reply(load->options.protocol,
				    load->sessions[connection->slots[connection->oldest].key], text,
				    size, &reply))
			break;
		take_reply(load, connection, &reply, now_ns);
		text += reply.size;
		size -= reply.size;
	}
	if (size > sizeof(connection->input))
		bench_die("a reply of more than %d bytes", REPLY_MAX);
	memcpy(connection->input, text, size);
	connection->partial = size;
}

/* Connections */

static void watch(struct load *load, struct connection *connection, int operation, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = connection };

	if (epoll_ctl(load->epoll, operation, connection->fd, &event))
		bench_die("epoll_ctl: %s", strerror(errno));
}

static void flush(struct load *load, struct connection *connection)
{
	bool waited = connection->out_start > 0;
	ssize_t n = send(connection->fd, connection->out + connection->out_start,
			 connection->out_size, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN)
		bench_die("send: %s", strerror(errno));
	n = n < 0 ? 0 : n;
	connection->out_start += (size_t)n;
	connection->out_size -= (size_t)n;
	if (!connection->out_size)
		connection->out_start = 0;
	if (connection->out_size || waited)
		watch(load, connection, EPOLL_CTL_MOD,
		      connection->out_size ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static bool may_send(const struct load *load)
{
	return load->phase != PHASE_DRAIN &&
	       (!load->options.count || load->sent < load->options.count);
}

/* Puts as many requests in flight as fit; while some wait to be written, no more. */
static void fill(struct load *load, struct connection *connection)
{
	const struct options *options = &load->options;
	uint64_t now_ns = bench_now_ns();

	if (connection->out_size)
		return;
	while (connection->in_flight < options->depth && may_send(load)) {
		size_t at = (connection->oldest + connection->in_flight) % options->depth;

		connection->slots[at] = (struct slot){ next_key(load), now_ns };
		connection->out_size += protocol_request(
		    options->protocol, options->host, load->sessions[connection->slots[at].key],
		    options->length, connection->out + connection->out_size);
		connection->in_flight++;
		load->sent++;
	}
	if (connection->out_size)
		flush(load, connection);
}

static void on_readable(struct load *load, struct connection *connection)
{
	size_t kept = connection->partial;
	ssize_t n;

	memcpy(load->input, connection->input, kept);
	n = recv(connection->fd, load->input + kept, INPUT_MAX - kept, MSG_DONTWAIT);
	if (n == 0)
		bench_die("the server closed a connection");
	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0)
		bench_die("recv: %s", strerror(errno));
	take_replies(load, connection, kept + (size_t)n, bench_now_ns());
	fill(load, connection);
}

static int connect_server(const struct options *options)
{
	int fd = bench_connect(options->socket, options->timeout_ms);

	if (fd < 0)
		bench_die("%s: %s", options->socket, strerror(errno));
	return fd;
}

/* One request and its reply on a connection of its own, which stays open. */
static int open_idle(struct load *load, uint64_t key)
{
	const struct options *options = &load->options;
	char request[REQUEST_MAX];
	size_t size = protocol_request(options->protocol, options->host, load->sessions[key], 0,
				       request),
	       have = 0;
	struct reply reply;
	int fd = connect_server(options);

	if (send(fd, request, size, MSG_NOSIGNAL) != (ssize_t)size)
		bench_die("send: %s", strerror(errno));
	do {
		ssize_t n = recv(fd, load->input + have, INPUT_MAX - have, 0);

		if (n <= 0)
			bench_die("idle connection: %s", n ? strerror(errno) : "closed");
		have += (size_t)n;
	} while (
	    !protocol_reply(options->protocol, load->sessions[key], load->input, have, &reply));
	if (reply.size != have)
		bench_die("bytes after a reply's end");
	check_reply(load, key, &reply);
	return fd;
}

static void open_connections(struct load *load)
{
	const struct options *options = &load->options;
	size_t request_max = protocol_request_max(options->protocol, options->length);

	load->idle = bench_array(options->idle + 1, sizeof(*load->idle));
	for (uint64_t i = 0; i < options->idle; i++)
		load->idle[i] = open_idle(load, i % options->keys);
	if (options->server)
		load->resident_idle = bench_resident((pid_t)options->server);
	load->connections = bench_array(options->connections, sizeof(*load->connections));
	for (uint64_t i = 0; i < options->connections; i++) {
		struct connection *connection = &load->connections[i];

		connection->fd = connect_server(options);
		connection->slots = bench_array(options->depth, sizeof(*connection->slots));
		connection->out = bench_array(options->depth, request_max);
		watch(load, connection, EPOLL_CTL_ADD, EPOLLIN);
	}
}

/* Nothing may be left over, and nobody may have hung up, when the last reply is in. */
static void close_quiet(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

	if (n >= 0 || errno != EAGAIN)
		bench_die("after the last reply: %s", n > 0    ? "more bytes"
						      : n == 0 ? "connection closed"
							       : strerror(errno));
	(void)close(fd); /* nothing was buffered */
}

static void close_connections(struct load *load)
{
	for (uint64_t i = 0; i < load->options.connections; i++) {
		close_quiet(load->connections[i].fd);
		free(load->connections[i].slots);
		free(load->connections[i].out);
	}
	for (uint64_t i = 0; i < load->options.idle; i++)
		close_quiet(load->idle[i]);
	free(load->connections);
	free(load->idle);
}

/* The run */

static uint64_t server_cpu_ns(pid_t pid)
{
	struct timespec t;
	clockid_t clock;
	int error = clock_getcpuclockid(pid, &clock);

	if (error || clock_gettime(clock, &t))
		bench_die("CPU time of process %d: %s", (int)pid, strerror(error ? error : errno));
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static struct snapshot snapshot(const struct load *load)
{
	return (struct snapshot){
		.at_ns = bench_now_ns(),
		.server_ns = load->options.server ? server_cpu_ns((pid_t)load->options.server) : 0,
		.received = load->received,
	};
}

static void advance(struct load *load, uint64_t now_ns, uint64_t begun_ns)
{
	const struct options *options = &load->options;

	if (load->phase == PHASE_WARM_UP && now_ns - begun_ns >= options->warm_up_ms * 1000000) {
		load->phase = PHASE_MEASURE;
		load->start = snapshot(load);
	} else if (load->phase == PHASE_MEASURE &&
		   (options->count ? load->received == options->count
				   : now_ns - load->start.at_ns >= options->for_ms * 1000000)) {
		load->phase = PHASE_DRAIN;
		load->end = snapshot(load);
	}
}

static void check_late(const struct load *load, uint64_t now_ns)
{
	for (uint64_t i = 0; i < load->options.connections; i++) {
		const struct connection *connection = &load->connections[i];
		uint64_t sent_ns = connection->slots[connection->oldest].sent_ns;

		if (connection->in_flight && now_ns - sent_ns > load->options.timeout_ms * 1000000)
			bench_die("no reply for %llu ms; %llu sent, %llu received",
				  (unsigned long long)((now_ns - sent_ns) / 1000000),
				  (unsigned long long)load->sent,
				  (unsigned long long)load->received);
	}
}

static void serve_events(struct load *load)
{
	struct epoll_event events[EVENTS_MAX];
	int n = epoll_wait(load->epoll, events, EVENTS_MAX, CHECK_INTERVAL_MS);

	if (n < 0 && errno != EINTR)
		bench_die("epoll_wait: %s", strerror(errno));
	for (int i = 0; i < n; i++) {
		struct connection *connection = events[i].data.ptr;

		if (events[i].events & EPOLLOUT)
			flush(load, connection);
		if (events[i].events & ~(uint32_t)EPOLLOUT)
			on_readable(load, connection);
	}
}

static void run(struct load *load)
{
	uint64_t begun_ns = bench_now_ns(), checked_ns = begun_ns;

	advance(load, begun_ns, begun_ns); /* without a warm-up the first request counts */
	for (uint64_t i = 0; i < load->options.connections; i++)
		fill(load, &load->connections[i]);
	while (load->phase != PHASE_DRAIN || load->received < load->sent) {
		uint64_t now_ns;

		serve_events(load);
		now_ns = bench_now_ns();
		advance(load, now_ns, begun_ns);
		if (now_ns - checked_ns >= CHECK_INTERVAL_MS * 1000000ULL) {
			check_late(load, now_ns);
			checked_ns = now_ns;
		}
	}
}

static void print_result(const struct load *load)
{
	uint64_t requests = load->end.received - load->start.received;
	double seconds = (double)(load->end.at_ns - load->start.at_ns) / 1e9;

	if (!requests)
		bench_die("no reply came in the measured time");
	printf("{\"requests\": %llu, \"seconds\": %.6f, \"per_second\": %.1f",
	       (unsigned long long)requests, seconds, (double)requests / seconds);
	printf(", \"latency_us\": {\"p50\": %.3f, \"p99\": %.3f, \"p999\": %.3f, \"max\": %.3f}",
	       (double)histogram_at(&load->latency, 500) / 1e3,
	       (double)histogram_at(&load->latency, 990) / 1e3,
	       (double)histogram_at(&load->latency, 999) / 1e3, (double)load->latency.max / 1e3);
	if (load->options.server)
		printf(", \"server_ns\": %.1f, \"resident\": "
		       "{\"start\": %llu, \"idle\": %llu, \"end\": %llu}",
		       (double)(load->end.server_ns - load->start.server_ns) / (double)requests,
		       (unsigned long long)load->resident_start,
		       (unsigned long long)load->resident_idle,
		       (unsigned long long)bench_resident((pid_t)load->options.server));
	printf("}\n");
}

/* Options */

static _Noreturn void usage(void)
{
	(void)fputs(usage_text, stderr);
	exit(BENCH_USAGE);
}

/* Takes one number or flag; false when name is none of them. */
static bool take_number(struct options *options, const char *name, const char *value,
			bool *ret_used)
{
	const struct {
		const char *name;
		uint64_t *target, max; /* max 0: a flag */
	} numbers[] = {
		{ "--connections", &options->connections, 100000 },
		{ "--depth", &options->depth, 10000 },
		{ "--for", &options->for_ms, 3600000 },
		{ "--warm-up", &options->warm_up_ms, 3600000 },
		{ "--count", &options->count, UINT32_MAX },
		{ "--keys", &options->keys, 10000000 },
		{ "--first", &options->first, UINT32_MAX },
		{ "--length", &options->length, VALUE_MAX },
		{ "--idle", &options->idle, 1000000 },
		{ "--server", &options->server, INT32_MAX },
		{ "--timeout", &options->timeout_ms, 3600000 },
		{ "--sequential", &options->sequential, 0 },
		{ "--verify", &options->verify, 0 },
		{ "--owner", &options->owner, 0 },
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		if (strcmp(numbers[i].name, name) != 0)
			continue;
		*ret_used = numbers[i].max > 0;
		if (numbers[i].max && !value)
			usage();
		*numbers[i].target = numbers[i].max ? bench_number(name, value, numbers[i].max) : 1;
		return true;
	}
	return false;
}

static void take_text(struct options *options, const char *name, const char *value)
{
	char *end;

	if (!value)
		usage();
	if (strcmp(name, "--socket") == 0) {
		options->socket = value;
	} else if (strcmp(name, "--protocol") == 0) {
		options->protocol_name = value;
	} else if (strcmp(name, "--zipf") == 0) {
		options->zipf = strtod(value, &end);
		if (*end || !(options->zipf > 0 && options->zipf < 10))
			usage();
	} else {
		usage();
	}
}

static struct options parse_options(int argc, char **argv)
{
	struct options options = { .connections = 1,
				   .depth = 1,
				   .for_ms = 1000,
				   .keys = 10000,
				   .length = 900,
				   .timeout_ms = 10000 };

	for (int i = 1; i < argc; i++) {
		bool used = true;

		if (!take_number(&options, argv[i], argv[i + 1], &used))
			take_text(&options, argv[i], argv[i + 1]);
		i += used;
	}
	options.host = options.socket && *options.socket != '/' ? options.socket : "localhost";
	options.protocol = protocol_find(options.protocol_name ? options.protocol_name : "");
	if (!options.socket || options.protocol == PROTOCOL_COUNT || !options.connections ||
	    !options.depth || !options.keys || (options.count && options.warm_up_ms) ||
	    (options.idle && options.protocol == PROTOCOL_SET))
		usage();
	return options;
}

static void raise_file_limit(const struct options *options)
{
	rlim_t wanted = options->connections + options->idle + 16;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		bench_die("getrlimit: %s", strerror(errno));
	if (limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted;
	if (limit.rlim_max < wanted)
		limit.rlim_max = wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		bench_die("%llu open files are too many here: %s", (unsigned long long)wanted,
			  strerror(errno));
}

int main(int argc, char **argv)
{
	struct load *load = bench_array(1, sizeof(*load));

	load->options = parse_options(argc, argv);
	draw_init(&load->draw, load->options.keys, load->options.zipf);
	raise_file_limit(&load->options);
	load->sessions = bench_array(load->options.keys, sizeof(*load->sessions));
	for (uint64_t i = 0; i < load->options.keys; i++)
		bench_session(load->options.first + i, load->sessions[i]);
	if (load->options.verify)
		load->verified = bench_array(load->options.keys, sizeof(*load->verified));
	load->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (load->epoll < 0)
		bench_die("epoll_create1: %s", strerror(errno));
	if (load->options.server)
		load->resident_start = bench_resident((pid_t)load->options.server);
	open_connections(load);
	run(load);
	print_result(load); /* with all connections still open: their memory is in the figure */
	close_connections(load);
	(void)close(load->epoll);
	draw_deinit(&load->draw);
	free(load->sessions);
	free(load->verified);
	free(load);
	return 0;
}
