/* What the daemon adds to a miss: the same request, by curl alone and through the daemon.
 *
 *   direct API_URL SOCKET PAIRS FIRST_KEY       (the secret key in $CLERK_SECRET_KEY)
 *
 * In pairs, each with a session that neither has seen: a POST on a kept connection by a libcurl
 * easy handle, and a GET from the daemon at SOCKET, which has to make the same POST on a connection
 * that it keeps. Which goes first changes from pair to pair. The first two pairs only warm up.
 * Prints one JSON object, microseconds: both medians and the median of the differences.
 */
#define _GNU_SOURCE 1 /* memmem */
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "bench.h"

enum {
	WARM_UP = 2,
	PAIRS_MAX = 10000,
	TIMEOUT_MS = 10000,
	BODY_MAX = 8192,
};

struct body {
	size_t size;
	char text[BODY_MAX];
};

static size_t keep_body(char *text, size_t one, size_t size, void *context)
{
	struct body *body = context;

	if (size > sizeof(body->text) - body->size)
		return 0; /* curl fails the transfer */
	memcpy(body->text + body->size, text, size);
	body->size += size;
	return one * size;
}

static void set_option(CURLcode error)
{
	if (error)
		bench_die("curl_easy_setopt: %s", curl_easy_strerror(error));
}

static struct curl_slist *request_headers(void)
{
	const char *secret = getenv("CLERK_SECRET_KEY");
	struct curl_slist *headers = NULL;
	char authorization[256];

	if (!secret)
		bench_die("CLERK_SECRET_KEY is not set");
	(void)snprintf(authorization, sizeof(authorization), "Authorization: Bearer %s", secret);
	headers = curl_slist_append(headers, authorization);
	headers = curl_slist_append(headers, "Content-Type: application/json");
	headers = curl_slist_append(headers, "Clerk-API-Version: 2025-11-10");
	if (!headers)
		bench_die("out of memory");
	return headers;
}

static CURL *make_handle(struct curl_slist *headers, struct body *body)
{
	CURL *curl = curl_easy_init();

	if (!curl)
		bench_die("curl_easy_init failed");
	set_option(curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "{}"));
	set_option(curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers));
	set_option(curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep_body));
	set_option(curl_easy_setopt(curl, CURLOPT_WRITEDATA, body));
	set_option(curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS));
	set_option(curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L));
	return curl;
}

/* One token from the API itself; the time covers the transfer and nothing else. */
static double direct_us(CURL *curl, struct body *body, const char *api_url, const char *session)
{
	char url[512];
	uint64_t begun_ns, ended_ns;
	long status = 0;
	CURLcode error;

	(void)snprintf(url, sizeof(url), "%s/v1/sessions/%s/tokens/" BENCH_TEMPLATE, api_url,
		       session);
	set_option(curl_easy_setopt(curl, CURLOPT_URL, url));
	body->size = 0;
	begun_ns = bench_now_ns();
	error = curl_easy_perform(curl);
	ended_ns = bench_now_ns();
	if (error)
		bench_die("%s: %s", url, curl_easy_strerror(error));
	if (curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status) || status != 200)
		bench_die("%s: status %ld", url, status);
	if (!memmem(body->text, body->size, "\"jwt\"", 5))
		bench_die("%s: no token in the answer", url);
	return (double)(ended_ns - begun_ns) / 1e3;
}

/* One token from the daemon, which must have had to fetch it. */
static double daemon_us(int fd, const char *session)
{
	char request[128], line[BODY_MAX];
	uint64_t begun_ns, ended_ns;

	(void)snprintf(request, sizeof(request), "GET %s " BENCH_TEMPLATE "\n", session);
	begun_ns = bench_now_ns();
	bench_ask(fd, request, line, sizeof(line));
	ended_ns = bench_now_ns();
	if (strncmp(line, "OK ", 3) != 0)
		bench_die("the daemon's answer: %s", line);
	if (!strstr(line, " src=clerk"))
		bench_die("the daemon had the token of %s already", session);
	return (double)(ended_ns - begun_ns) / 1e3;
}

static void measure_pair(CURL *curl, struct body *body, int fd, const char *api_url,
			 uint64_t number, double *ret_direct, double *ret_daemon)
{
	char session[BENCH_SESSION_SIZE];

	bench_session(number, session);
	if (number % 2)
		*ret_daemon = daemon_us(fd, session);
	*ret_direct = direct_us(curl, body, api_url, session);
	if (number % 2 == 0)
		*ret_daemon = daemon_us(fd, session);
}

int main(int argc, char **argv)
{
	static double direct[PAIRS_MAX], through[PAIRS_MAX], added[PAIRS_MAX];
	static struct body body;
	struct curl_slist *headers;
	uint64_t first, pairs;
	CURL *curl;
	int fd;

	if (argc != 5) {
		(void)fprintf(stderr, "usage: direct API_URL SOCKET PAIRS FIRST_KEY\n");
		return BENCH_USAGE;
	}
	pairs = bench_number("PAIRS", argv[3], PAIRS_MAX);
	first = bench_number("FIRST_KEY", argv[4], UINT32_MAX);
	if (!pairs || curl_global_init(CURL_GLOBAL_DEFAULT))
		bench_die("nothing to measure, or curl does not start");
	headers = request_headers();
	curl = make_handle(headers, &body);
	fd = bench_connect(argv[2], TIMEOUT_MS);
	if (fd < 0)
		bench_die("%s: %s", argv[2], strerror(errno));
	for (uint64_t i = 0; i < pairs + WARM_UP; i++) {
		uint64_t at = i < WARM_UP ? 0 : i - WARM_UP;

		measure_pair(curl, &body, fd, argv[1], first + i, &direct[at], &through[at]);
		added[at] = through[at] - direct[at];
	}
	printf("{\"pairs\": %llu, \"direct_us\": %.1f, \"daemon_us\": %.1f, \"added_us\": %.1f}\n",
	       (unsigned long long)pairs, bench_median(direct, pairs), bench_median(through, pairs),
	       bench_median(added, pairs));
	(void)close(fd); /* all was answered */
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	curl_global_cleanup();
	return 0;
}
