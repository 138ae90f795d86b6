/* What the measuring tools share: time, options' numbers, keys, Unix sockets, a server's memory.
 *
 * These are tools for a developer's terminal: whatever goes wrong ends the program with a message
 * and status BENCH_FAILED, so that a figure is printed only when every reply was right.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	BENCH_FAILED = 2, /* exit status: a wrong reply, a closed connection, a failed call */
	BENCH_USAGE = 64, /* exit status: EX_USAGE */
	BENCH_SESSION_SIZE = 35, /* "sess_", 29 characters, NUL */
};

/* The template that every request asks for; with a session it makes a key of 40 bytes. */
#define BENCH_TEMPLATE "hasura"

/* Says what went wrong on standard error and exits with BENCH_FAILED. */
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Monotonic time, in nanoseconds. */
uint64_t bench_now_ns(void);

/* A zeroed array; dies when memory is out. Released with free(). */
void *bench_array(size_t count, size_t size);

/* The decimal number that text is, at most max; usage error (named after what) otherwise. */
uint64_t bench_number(const char *what, const char *text, uint64_t max);

/* The session of key number: the same in every run, different for different numbers. */
void bench_session(uint64_t number, char ret_session[static BENCH_SESSION_SIZE]);

/* A blocking stream connection to path, or to ADDRESS:PORT in numbers of IPv4, whose reads and
 * writes fail after timeout_ms. Returns the descriptor, or -1 with errno when nobody listens there;
 * other failures are the caller's to judge by the same errno.
 */
int bench_connect(const char *path, uint64_t timeout_ms);

/* Writes request and reads one whole reply line into ret_line (capacity bytes; LF replaced by NUL).
 * Dies on a failed call, a closed connection, a longer line, or bytes after it.
 */
void bench_ask(int fd, const char *request, char *ret_line, size_t capacity);

/* Resident memory of process pid in bytes: the exact sum over its mappings, not the kernel's
 * batched counter.
 */
uint64_t bench_resident(pid_t pid);

/* Sorts values and returns the middle one. count > 0. */
double bench_median(double *values, size_t count);
