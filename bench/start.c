/* Time from exec of a server to its first answered request.
 *
 *   start ROUNDS SOCKET REQUEST COMMAND [ARGUMENT...] [-- SOCKET REQUEST COMMAND [ARGUMENT...]]
 *
 * REQUEST is one line without its end (PING, version); any line is an answer. In each round each
 * command is started in turn (the order changes from round to round), a connect is tried every
 * 20 us until it works, and the request is asked. The server is then ended by its pid and reaped.
 * Prints one JSON object: microseconds of each command, and the median of the pairs' ratios.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "bench.h"

enum {
	COMMANDS_MAX = 2,
	ROUNDS_MAX = 1000,
	POLL_NS = 20000,
	TIMEOUT_MS = 10000, /* to the answer, and from SIGTERM to the end */
	LINE_MAX_BYTES = 4096,
};

struct command {
	const char *socket, *request;
	char **argv; /* NULL ended, borrowed from main() */
	double us[ROUNDS_MAX];
};

static void pause_ns(long ns)
{
	struct timespec t = { .tv_nsec = ns };

	(void)nanosleep(&t, NULL); /* cut short: one more try */
}

/* Starts the command; it ends with us, however we end. */
static pid_t spawn(const struct command *command)
{
	pid_t pid = fork();
	int null;

	if (pid < 0)
		bench_die("fork: %s", strerror(errno));
	if (pid > 0)
		return pid;
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	/* standard output is for the result */
	if (null < 0 || dup2(null, STDOUT_FILENO) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL))
		bench_die("before exec: %s", strerror(errno));
	(void)execvp(command->argv[0], command->argv); /* comes back to say why not */
	bench_die("%s: %s", command->argv[0], strerror(errno));
}

/* Connects as soon as the server listens. */
static int await_server(const struct command *command, pid_t pid, uint64_t begun_ns)
{
	int fd;

	while ((fd = bench_connect(command->socket, TIMEOUT_MS)) < 0) {
		if (errno != ENOENT && errno != ECONNREFUSED && errno != EACCES)
			bench_die("%s: %s", command->socket, strerror(errno));
		if (waitpid(pid, NULL, WNOHANG) == pid)
			bench_die("%s ended before it answered", command->argv[0]);
		if (bench_now_ns() - begun_ns > TIMEOUT_MS * 1000000ULL)
			bench_die("%s does not listen on %s", command->argv[0], command->socket);
		pause_ns(POLL_NS);
	}
	return fd;
}

static void stop(pid_t pid)
{
	uint64_t begun_ns = bench_now_ns();

	(void)kill(pid, SIGTERM); /* our own child, not yet reaped */
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		if (bench_now_ns() - begun_ns > TIMEOUT_MS * 1000000ULL)
			bench_die("the server does not end");
		pause_ns(1000000);
	}
}

static double start_us(const struct command *command)
{
	char request[256], line[LINE_MAX_BYTES];
	uint64_t begun_ns, ended_ns;
	pid_t pid;
	int fd;

	(void)snprintf(request, sizeof(request), "%s\r\n", command->request);
	(void)unlink(command->socket); /* left by the run before, or not there */
	begun_ns = bench_now_ns();
	pid = spawn(command);
	fd = await_server(command, pid, begun_ns);
	bench_ask(fd, request, line, sizeof(line));
	ended_ns = bench_now_ns();
	(void)close(fd); /* answered */
	stop(pid);
	if (strncmp(line, "ERR", 3) == 0)
		bench_die("%s: %s", command->argv[0], line);
	return (double)(ended_ns - begun_ns) / 1e3;
}

static _Noreturn void usage(void)
{
	(void)fprintf(stderr, "usage: start ROUNDS SOCKET REQUEST COMMAND [ARGUMENT...] "
			      "[-- SOCKET REQUEST COMMAND [ARGUMENT...]]\n");
	exit(BENCH_USAGE);
}

/* Cuts the arguments at "--". Returns the number of commands. */
static size_t parse_commands(char **argv, struct command *commands)
{
	size_t count = 0;

	while (*argv) {
		if (count == COMMANDS_MAX || !argv[0] || !argv[1] || !argv[2])
			usage();
		commands[count].socket = argv[0];
		commands[count].request = argv[1];
		commands[count++].argv = argv + 2;
		for (argv += 2; *argv && strcmp(*argv, "--") != 0; argv++)
			continue;
		if (*argv)
			*argv++ = NULL;
	}
	return count;
}

static void print_results(struct command *commands, size_t count, size_t rounds)
{
	double ratios[ROUNDS_MAX];

	for (size_t i = 0; i < rounds && count > 1; i++)
		ratios[i] = commands[0].us[i] / commands[1].us[i];
	printf("{\"rounds\": %zu, \"commands\": [", rounds);
	for (size_t i = 0; i < count; i++) {
		double median = bench_median(commands[i].us, rounds);

		printf("%s{\"median_us\": %.1f, \"min_us\": %.1f}", i ? ", " : "", median,
		       commands[i].us[0]);
	}
	printf("]");
	if (count > 1)
		printf(", \"ratio\": %.4f", bench_median(ratios, rounds));
	printf("}\n");
}

int main(int argc, char **argv)
{
	static struct command commands[COMMANDS_MAX];
	size_t count, rounds;

	if (argc < 5)
		usage();
	rounds = bench_number("ROUNDS", argv[1], ROUNDS_MAX);
	count = parse_commands(argv + 2, commands);
	if (!rounds)
		usage();
	/* nanosleep() rounds up by 50 us otherwise */
	if (prctl(PR_SET_TIMERSLACK, 1))
		bench_die("prctl: %s", strerror(errno));
	for (size_t round = 0; round < rounds; round++) {
		for (size_t i = 0; i < count; i++) {
			struct command *command = &commands[round % 2 ? count - 1 - i : i];

			command->us[round] = start_us(command);
		}
	}
	print_results(commands, count, rounds);
	return 0;
}
