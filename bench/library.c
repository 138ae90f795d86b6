/* What libclerktoken adds to a hit: its get, and a bare write and read of the same bytes, in turn.
 *
 *   library SOCKET ROUNDS GETS
 *
 * A round is GETS of each kind, of one key, first the one and then the other, in the next round the
 * other way round; its two times are one pair. Both connections stay open. Printed are the medians
 * of the times for one get, the median of the ratios of the pairs, and the same for this process's
 * CPU time.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "bench.h"
#include "client/clerktoken.h"

enum {
	ROUNDS_MAX = 10000,
	GETS_MAX = 1000000,
	TIMEOUT_MS = 3000,
	WAIT_MS = 2900, /* what the library asks for with that timeout */
	LINE_MAX_BYTES = 8192,
	WARM_UP = 100,
};

struct times {
	double wall[ROUNDS_MAX], cpu[ROUNDS_MAX];
};

struct bare {
	int fd;
	char request[128];
	size_t size;
};

static double cpu_ns(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t))
		bench_die("clock_gettime: %s", strerror(errno));
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void get_bare(const struct bare *bare)
{
	char line[LINE_MAX_BYTES];
	ssize_t size = 0;

	if (write(bare->fd, bare->request, bare->size) != (ssize_t)bare->size)
		bench_die("write: %s", strerror(errno));
	while (size == 0 || line[size - 1] != '\n') {
		ssize_t more = read(bare->fd, line + size, sizeof(line) - (size_t)size);

		if (more <= 0)
			bench_die("read: %s", more ? strerror(errno) : "closed");
		size += more;
	}
}

static void get_token(struct clerktoken_client *client, const char *session)
{
	struct clerktoken_failure failure;
	struct clerktoken_token *token;

	if (clerktoken_get(client, session, BENCH_TEMPLATE, NULL, TIMEOUT_MS, &token, &failure) !=
	    CLERKTOKEN_OK)
		bench_die("%s", failure.text);
	clerktoken_token_unref(token);
}

static void measure(struct times *times, uint64_t round, uint64_t gets, const struct bare *bare,
		    struct clerktoken_client *client, const char *session)
{
	uint64_t begun_ns = bench_now_ns();
	double begun_cpu = cpu_ns();

	for (uint64_t i = 0; i < gets; i++) {
		if (bare)
			get_bare(bare);
		else
			get_token(client, session);
	}
	times->cpu[round] = (cpu_ns() - begun_cpu) / (double)gets;
	times->wall[round] = (double)(bench_now_ns() - begun_ns) / (double)gets;
}

static void prepare(struct bare *bare, const char *path, const char *session)
{
	bare->fd = bench_connect(path, TIMEOUT_MS);
	if (bare->fd < 0)
		bench_die("%s: %s", path, strerror(errno));
	bare->size =
	    (size_t)snprintf(bare->request, sizeof(bare->request),
			     "#100000 GET %s " BENCH_TEMPLATE " wait=%d\n", session, WAIT_MS);
	for (int i = 0; i < WARM_UP; i++)
		get_bare(bare);
}

int main(int argc, char **argv)
{
	static struct times bare_times, library_times;
	static double wall[ROUNDS_MAX], cpu[ROUNDS_MAX];
	struct clerktoken_options options = { .size = sizeof(options), .no_copies = true };
	struct clerktoken_client *client;
	char session[BENCH_SESSION_SIZE];
	struct bare bare;
	uint64_t rounds, gets;

	if (argc != 4) {
		(void)fprintf(stderr, "usage: library SOCKET ROUNDS GETS\n");
		return BENCH_USAGE;
	}
	rounds = bench_number("ROUNDS", argv[2], ROUNDS_MAX);
	gets = bench_number("GETS", argv[3], GETS_MAX);
	options.socket = argv[1];
	if (!rounds || !gets || clerktoken_new(&options, &client, NULL) != CLERKTOKEN_OK)
		bench_die("nothing to measure");
	bench_session(0, session);
	prepare(&bare, argv[1], session);
	for (uint64_t i = 0; i < rounds; i++) {
		if (i % 2)
			measure(&bare_times, i, gets, &bare, NULL, session);
		measure(&library_times, i, gets, NULL, client, session);
		if (i % 2 == 0)
			measure(&bare_times, i, gets, &bare, NULL, session);
		wall[i] = library_times.wall[i] / bare_times.wall[i];
		cpu[i] = library_times.cpu[i] / bare_times.cpu[i];
	}
	printf("{\"bare_ns\": %.0f, \"library_ns\": %.0f, \"ratio\": %.4f, \"bare_cpu_ns\": %.0f, "
	       "\"library_cpu_ns\": %.0f, \"cpu_ratio\": %.4f}\n",
	       bench_median(bare_times.wall, rounds), bench_median(library_times.wall, rounds),
	       bench_median(wall, rounds), bench_median(bare_times.cpu, rounds),
	       bench_median(library_times.cpu, rounds), bench_median(cpu, rounds));
	clerktoken_free(client);
	(void)close(bare.fd); /* all was answered */
	return 0;
}
