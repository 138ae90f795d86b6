/* See cli_doctor.h. What an older daemon doesn't tell is passed over. */
#include "client/cli_doctor.h"
#include "client/cli_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WORD_SIZE 128
#define SKEW_S 5	 /* less than that is Clerk's whole seconds, and the way */
#define PERCENT_NEAR 90	 /* of a limit */
#define FILES_BESIDE 128 /* descriptors that the daemon needs beside its clients' */
#define MIB (1 << 20)

/* What is missing counts as 0. */
static int64_t number(const char *json, const char *name)
{
	int64_t value = 0;

	return json_number(json, name, &value) ? value : 0;
}

static bool is_near(int64_t value, int64_t limit)
{
	return limit > 0 && value >= limit - limit * (100 - PERCENT_NEAR) / 100;
}

static void check_version(struct doctor *d, const char *json)
{
	char version[WORD_SIZE];

	if (!json_word(json, "version", version, sizeof(version)))
		findings_add(&d->findings, FINDING_NOTE, "daemon",
			     "systemctl restart clerk-tokend, or update it",
			     "it is older than this program: not all can be seen");
	else if (strcmp(version, clerktoken_version()) != 0)
		findings_add(&d->findings, FINDING_NOTE, "daemon",
			     "After an update: systemctl restart clerk-tokend",
			     "it answers; its version is %s, this program's %s", version,
			     clerktoken_version());
	else
		findings_add(&d->findings, FINDING_OK, "daemon", NULL, "it answers; version %s",
			     version);
	if (version[0] && number(json, "uid") == 0)
		findings_add(&d->findings, FINDING_NOTE, "daemon",
			     "The units that come with it run it as a user of its own",
			     "it runs as root, and need not");
}

static void check_rules(struct doctor *d, const char *json)
{
	int64_t rules;

	if (d->failure.error == CLERKTOKEN_DENIED)
		findings_add(&d->findings, d->session ? FINDING_PROBLEM : FINDING_NOTE, "rules",
			     d->session
				 ? "clerk-token why SESSION TEMPLATE tells which rule decides"
				 : "Try with your own: clerk-token doctor SESSION TEMPLATE",
			     "they refuse %s to you", d->session ? "this token" : "a test session");
	else if (json_number(json, "rules", &rules) && rules)
		findings_add(&d->findings, FINDING_OK, "rules", NULL, "%" PRId64 " in [access]",
			     rules);
	else if (json_number(json, "rules", &rules))
		findings_add(&d->findings, FINDING_OK, "rules", NULL,
			     "none: who may open the socket may have any token");
}

static void check_key(struct doctor *d, const char *json)
{
	char key[WORD_SIZE];

	if (d->failure.error == CLERKTOKEN_UNAUTHORIZED)
		findings_add(&d->findings, FINDING_PROBLEM, "key",
			     "Put the right one in its place; then systemctl restart clerk-tokend",
			     "Clerk rejects the secret key");
	if (!json_word(json, "key", key, sizeof(key)))
		return;
	if (strcmp(key, "unknown") == 0)
		findings_add(&d->findings, FINDING_PROBLEM, "key",
			     "Is it the secret key, and whole?",
			     "it begins neither with sk_live_ nor with sk_test_");
	else if (d->failure.error != CLERKTOKEN_UNAUTHORIZED)
		findings_add(&d->findings, FINDING_OK, "key", NULL, "of a %s instance", key);
}

/* True if `text` speaks of certificates, in curl's words. */
static bool is_about_tls(const char *text)
{
	return strstr(text, "SSL") || strstr(text, "certificate") || strstr(text, "CA cert");
}

/* Whether Clerk has anything to do with what became of the GET. */
static bool has_answered(const struct doctor *d)
{
	switch (d->failure.error) {
	case CLERKTOKEN_OK:
	case CLERKTOKEN_NOT_FOUND:
	case CLERKTOKEN_FORBIDDEN:
	case CLERKTOKEN_REJECTED:
	case CLERKTOKEN_UNAUTHORIZED:
	case CLERKTOKEN_SHORT_LIVED:
		return true;
	default:
		return false;
	}
}

static bool is_out_of_reach(const struct doctor *d)
{
	switch (d->failure.error) {
	case CLERKTOKEN_UNAVAILABLE:
	case CLERKTOKEN_TIMEOUT:
	case CLERKTOKEN_DEADLINE:
	case CLERKTOKEN_BAD_UPSTREAM:
		return true;
	default:
		return false;
	}
}

/* The breaker is a consequence; a problem only where its cause is not named beside it. */
static void check_breaker(struct doctor *d, const char *json)
{
	bool is_explained = d->failure.error == CLERKTOKEN_UNAUTHORIZED || is_out_of_reach(d);
	char state[WORD_SIZE];

	if (!json_word(json, "clerk", state, sizeof(state)))
		return;
	if (strcmp(state, "up") == 0)
		findings_add(&d->findings, FINDING_OK, "breaker", NULL, "closed");
	else
		findings_add(&d->findings, is_explained ? FINDING_NOTE : FINDING_PROBLEM, "breaker",
			     "It closes by itself as soon as Clerk answers",
			     "open: after failures Clerk is asked once in a while only");
}

static void check_clerk(struct doctor *d, const char *json)
{
	char reason[WORD_SIZE], detail[WORD_SIZE];

	(void)json_word(json, "clerk_reason", reason,
			sizeof(reason)); /* what is missing is empty */
	(void)json_word(json, "clerk_detail", detail, sizeof(detail));
	if (has_answered(d))
		findings_add(&d->findings, FINDING_OK, "clerk", NULL,
			     "it answers; its slowest lately took %" PRId64 " ms",
			     number(json, "slowest_ms"));
	else if (is_out_of_reach(d) && !is_about_tls(detail))
		findings_add(&d->findings, FINDING_PROBLEM, "clerk",
			     "Does this host reach api_url (firewall, DNS, $HTTPS_PROXY)? Is Clerk "
			     "well: status.clerk.com",
			     "%s%s%s", reason[0] ? reason : d->failure.text, detail[0] ? ": " : "",
			     detail);
}

static void check_tls(struct doctor *d, const char *json)
{
	char tls[WORD_SIZE], detail[WORD_SIZE];

	if (!json_word(json, "tls", tls, sizeof(tls)))
		return;
	(void)json_word(json, "clerk_detail", detail, sizeof(detail));
	if (strcmp(tls, "off") == 0)
		findings_add(&d->findings, FINDING_NOTE, "tls", NULL,
			     "none: api_url is a stand-in for Clerk on this host");
	else if (!has_answered(d) && is_about_tls(detail))
		findings_add(&d->findings, FINDING_PROBLEM, "tls",
			     strcmp(tls, "file") == 0
				 ? "Does [clerk] ca_file hold the CA of what api_url leads to?"
				 : "apt install ca-certificates; behind a proxy that looks into "
				   "TLS, its CA is [clerk] ca_file",
			     "Clerk's certificate is not trusted: %s", detail);
	else if (has_answered(d))
		findings_add(&d->findings, FINDING_OK, "tls", NULL, "trusts %s",
			     strcmp(tls, "file") == 0 ? "the CAs in [clerk] ca_file"
						      : "this host's CAs");
}

/* What became of the GET, where no other check has said so. */
static void check_token(struct doctor *d)
{
	const char *advice = "Is the session's id right, has it ended, does the template exist?";

	if (d->failure.error == CLERKTOKEN_DENIED || d->failure.error == CLERKTOKEN_UNAUTHORIZED ||
	    d->failure.error == CLERKTOKEN_RATE_LIMITED || is_out_of_reach(d))
		return;
	if (!has_answered(d))
		findings_add(&d->findings, FINDING_PROBLEM, "token",
			     "See: systemctl status clerk-tokend; journalctl -u clerk-tokend",
			     "%s: %s", clerktoken_error_name(d->failure.error), d->failure.text);
	else if (d->session && d->failure.error != CLERKTOKEN_OK)
		findings_add(&d->findings, FINDING_PROBLEM, "token", advice, "%s: %s",
			     clerktoken_error_name(d->failure.error), d->failure.text);
}

static void check_clock(struct doctor *d, const char *json)
{
	int64_t skew_s;

	if (!json_number(json, "clock_skew_s", &skew_s))
		return;
	if (number(json, "clock_known") == 0)
		findings_add(&d->findings, FINDING_NOTE, "clock", NULL,
			     "Clerk has not said yet what time it is");
	else if (skew_s >= SKEW_S || skew_s <= -SKEW_S)
		findings_add(&d->findings, FINDING_PROBLEM, "clock",
			     "timedatectl set-ntp true; tokens are counted right, but what "
			     "verifies them here may refuse them",
			     "this host's is %" PRId64 " s %s Clerk's",
			     skew_s < 0 ? -skew_s : skew_s, skew_s < 0 ? "behind" : "ahead of");
	else
		findings_add(&d->findings, FINDING_OK, "clock", NULL, "agrees with Clerk's");
}

static void check_budget(struct doctor *d, const char *json)
{
	int64_t budget = number(json, "budget"), allowed = number(json, "budget_allowed");
	int64_t used = number(json, "budget_used");
	int64_t window_s = number(json, "budget_window_ms") / 1000;

	if (budget == 0)
		return;
	if (allowed < budget)
		findings_add(&d->findings, FINDING_PROBLEM, "budget",
			     "What else uses the secret key? Lower [clerk] budget, or set "
			     "rate_limit to what Clerk grants",
			     "Clerk has answered 429: of %" PRId64 " requests in %" PRId64
			     " s it takes %" PRId64 " for now",
			     budget, window_s, allowed);
	else if (is_near(used, allowed) || d->failure.error == CLERKTOKEN_RATE_LIMITED)
		findings_add(
		    &d->findings, FINDING_PROBLEM, "budget",
		    "Raise [clerk] budget if nothing else uses the key, or ask Clerk for a "
		    "higher limit and set rate_limit",
		    "%" PRId64 " of %" PRId64 " requests in %" PRId64 " s are in use", used,
		    allowed, window_s);
	else
		findings_add(&d->findings, FINDING_OK, "budget", NULL,
			     "%" PRId64 " of %" PRId64 " requests in %" PRId64 " s are in use",
			     used, allowed, window_s);
}

static void check_memory(struct doctor *d, const char *json)
{
	int64_t bytes = number(json, "cache_bytes"), max = number(json, "cache_max_bytes");
	int64_t evictions = number(json, "evictions");

	if (max == 0)
		return;
	findings_add(&d->findings, is_near(bytes, max) && evictions ? FINDING_NOTE : FINDING_OK,
		     "memory",
		     is_near(bytes, max) && evictions
			 ? "If tokens in use are among what had to go, raise [cache] max_memory"
			 : NULL,
		     "%" PRId64 " of %" PRId64 " MiB, %" PRId64 " entries had to go", bytes / MIB,
		     max / MIB, evictions);
}

static void check_files(struct doctor *d, const char *json)
{
	int64_t files_max = number(json, "files_max"), open = number(json, "files_open");
	int64_t clients = number(json, "clients"), max_clients = number(json, "max_clients");

	if (files_max == 0)
		return;
	if (files_max < max_clients + FILES_BESIDE)
		findings_add(&d->findings, FINDING_PROBLEM, "descriptors",
			     "LimitNOFILE= in a drop-in of the unit, or a smaller max_clients",
			     "the limit is %" PRId64 ", too few for max_clients = %" PRId64,
			     files_max, max_clients);
	else if (is_near(open, files_max) || is_near(clients, max_clients))
		findings_add(&d->findings, FINDING_PROBLEM, "descriptors",
			     "Raise max_clients; does a program open connections and keep them?",
			     "%" PRId64 " of %" PRId64 " connections, %" PRId64 " of %" PRId64
			     " descriptors are in use",
			     clients, max_clients, open, files_max);
	else
		findings_add(&d->findings, FINDING_OK, "descriptors", NULL,
			     "%" PRId64 " of %" PRId64 " connections, the limit is %" PRId64,
			     clients, max_clients, files_max);
}

/* Beyond its heading /proc/swaps has a line for each place to swap to. */
static bool has_swap(void)
{
	FILE *file = fopen("/proc/swaps", "re");
	size_t lines = 0;
	int c;

	if (!file)
		return true;
	while ((c = fgetc(file)) != EOF)
		lines += c == '\n';
	(void)fclose(file); /* it was only read */
	return lines > 1;
}

static void check_swap(struct doctor *d, const char *json)
{
	int64_t locked, max = number(json, "locked_max_bytes");

	if (!json_number(json, "locked_bytes", &locked))
		return;
	if (!has_swap())
		findings_add(&d->findings, FINDING_OK, "swap", NULL, "this host has none");
	else if (locked)
		findings_add(&d->findings, FINDING_OK, "swap", NULL,
			     "%" PRId64 " KiB are locked in memory", locked / 1024);
	else
		findings_add(&d->findings, FINDING_NOTE, "swap",
			     "LimitMEMLOCK= in a drop-in of the unit, or encrypt the swap",
			     "tokens can get there: nothing is locked in memory (limit %" PRId64
			     " KiB)",
			     max / 1024);
}

void doctor_read_stats(struct doctor *d, const char *json)
{
	check_version(d, json);
	check_rules(d, json);
	check_key(d, json);
	check_clerk(d, json);
	check_breaker(d, json);
	check_tls(d, json);
	check_token(d);
	check_clock(d, json);
	check_budget(d, json);
	check_memory(d, json);
	check_files(d, json);
	check_swap(d, json);
}
