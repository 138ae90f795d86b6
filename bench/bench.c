#define _GNU_SOURCE 1 /* program_invocation_short_name */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void bench_die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)fprintf(stderr, "%s: ", program_invocation_short_name);
	(void)vfprintf(stderr, format, arguments);
	(void)fputc('\n', stderr);
	va_end(arguments);
	exit(BENCH_FAILED);
}

uint64_t bench_now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void *bench_array(size_t count, size_t size)
{
	void *array = calloc(count, size);

	if (!array)
		bench_die("out of memory for %zu x %zu bytes", count, size);
	return array;
}

uint64_t bench_number(const char *what, const char *text, uint64_t max)
{
	uint64_t value = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9' && value <= max / 10; p++)
		value = value * 10 + (uint64_t)(*p - '0');
	if (p == text || *p != '\0' || value > max) {
		(void)fprintf(stderr, "%s: %s: a number up to %llu is wanted, not \"%s\"\n",
			      program_invocation_short_name, what, (unsigned long long)max, text);
		exit(BENCH_USAGE);
	}
	return value;
}

/* A bijection of 64-bit numbers that looks random (the finalizer of MurmurHash3). */
static uint64_t scramble(uint64_t x)
{
	x = (x ^ (x >> 33)) * 0xff51afd7ed558ccd;
	x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53;
	return x ^ (x >> 33);
}

void bench_session(uint64_t number, char ret_session[static BENCH_SESSION_SIZE])
{
	static const char digits[] = "0123456789"
				     "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz";
	uint64_t rest = 0;
	char *p = ret_session;

	memcpy(p, "sess_", 5);
	/* 11 digits hold 64 bits: the first 11 alone make different numbers' sessions differ */
	for (size_t i = 0; i < 29; i++, rest /= 62) {
		if (i % 11 == 0)
			rest = scramble(number + 1 + (i << 56));
		p[5 + i] = digits[rest % 62];
	}
	p[BENCH_SESSION_SIZE - 1] = '\0';
}

union address {
	struct sockaddr any;
	struct sockaddr_un local;
	struct sockaddr_in inet;
};

static void parse_address(const char *text, union address *ret_address)
{
	const char *port = strchr(text, ':');
	char number[INET_ADDRSTRLEN];

	*ret_address = (union address){ .local.sun_family = AF_UNIX };
	if (*text == '/') {
		if (strlen(text) >= sizeof(ret_address->local.sun_path))
			bench_die("the socket's path is too long: %s", text);
		memcpy(ret_address->local.sun_path, text, strlen(text));
		return;
	}
	ret_address->inet.sin_family = AF_INET;
	(void)snprintf(number, sizeof(number), "%.*s", port ? (int)(port - text) : 0, text);
	if (inet_pton(AF_INET, number, &ret_address->inet.sin_addr) != 1)
		bench_die("neither a path nor ADDRESS:PORT: %s", text);
	ret_address->inet.sin_port = htons((uint16_t)bench_number("port", port + 1, UINT16_MAX));
}

int bench_connect(const char *path, uint64_t timeout_ms)
{
	struct timeval timeout = { (time_t)(timeout_ms / 1000),
				   (suseconds_t)(timeout_ms % 1000 * 1000) };
	union address address;
	int fd, on = 1;

	parse_address(path, &address);
	fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		bench_die("socket: %s", strerror(errno));
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)))
		bench_die("setsockopt: %s", strerror(errno));
	if (address.any.sa_family == AF_INET &&
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		bench_die("setsockopt: %s", strerror(errno));
	if (connect(fd, &address.any,
		    address.any.sa_family == AF_INET ? sizeof(address.inet)
						     : sizeof(address.local))) {
		int error = errno;

		(void)close(fd); /* never connected */
		errno = error;
		return -1;
	}
	return fd;
}

void bench_ask(int fd, const char *request, char *ret_line, size_t capacity)
{
	size_t length = strlen(request), have = 0;

	if (send(fd, request, length, MSG_NOSIGNAL) != (ssize_t)length)
		bench_die("send: %s", strerror(errno));
	do {
		ssize_t n;

		if (have == capacity)
			bench_die("a reply longer than %zu bytes", capacity);
		n = recv(fd, ret_line + have, capacity - have, 0);
		if (n <= 0)
			bench_die("no reply: %s", n ? strerror(errno) : "connection closed");
		have += (size_t)n;
	} while (!memchr(ret_line, '\n', have));
	if ((char *)memchr(ret_line, '\n', have) != ret_line + have - 1)
		bench_die("bytes after the reply's end");
	ret_line[have - 1] = '\0';
}

uint64_t bench_resident(pid_t pid)
{
	char path[64], text[512], *line, *end;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		bench_die("%s: %s", path, n ? strerror(errno) : "empty");
	(void)close(fd); /* only read from */
	text[n] = '\0';
	line = strstr(text, "\nRss:");
	if (!line)
		bench_die("%s: no Rss line", path);
	line += strlen("\nRss:");
	line += strspn(line, " ");
	end = line + strspn(line, "0123456789");
	*end = '\0';
	return bench_number(path, line, UINT32_MAX) * 1024;
}

static int compare_doubles(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

double bench_median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare_doubles);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}
