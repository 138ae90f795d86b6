/* See log.h. The level, the journal's file, and the counters of held-back messages are the
 * process's own, as standard error is. */
#include "daemon/sys/log.h"

#include "daemon/sys/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define IDENTIFIER "clerk-tokend"
#define PREFIX "CLERK_"
#define LINE_MAX_BYTES 1024
#define BURST 10 /* of one message in a period */
#define PERIOD_MS 10000
#define OTHERS 64 /* messages without an id that are told apart */
#define RECORD_MAX 4096
#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define PATIENCE_MS 100 /* for a journal that has much to do */

/* Made with `journalctl --new-id128`, once and for all. */
static const struct {
	const char *id, *name;
} messages[] = {
	[MESSAGE_OTHER] = { NULL, "other" },
	[MESSAGE_STARTED] = { "9a6a8d5d35d0431aa9945019448f268e", "started" },
	[MESSAGE_STOPPING] = { "f3076ff786b2474f82b7a24578528449", "stopping" },
	[MESSAGE_STOPPED] = { "0004422abdf74c6ab50917daa28440fe", "stopped" },
	[MESSAGE_RELOADED] = { "0e4994724522412eb087279097a76d61", "reloaded" },
	[MESSAGE_RELOAD_FAILED] = { "9c6ad84a3dde45ac8a0fc8c857cf4a49", "reload-failed" },
	[MESSAGE_BAD_CONFIG] = { "45c01c477b70400889d90eed973bd3a4", "bad-config" },
	[MESSAGE_BAD_KEY] = { "ffe14988dd3044cfb1dd65b93ebf04f6", "bad-key" },
	[MESSAGE_FETCHED] = { "a6d33e998fe54c86ada58dac5ce03e42", "fetched" },
	[MESSAGE_FETCH_FAILED] = { "ef59b761e69e42a685df07a4a80d256e", "fetch-failed" },
	[MESSAGE_KEY_REFUSED] = { "af794f0ea74343c5a20437e21eeac38e", "key-refused" },
	[MESSAGE_KEY_ACCEPTED] = { "f45ded0be72245bbbb54fec2a139a1c6", "key-accepted" },
	[MESSAGE_KEY_FELL_BACK] = { "fb3a908ecbd14007a880b2cfa5a5a477", "key-fell-back" },
	[MESSAGE_KEY_GIVEN_UP] = { "4d8f2313a2e14fcba3d97eefeed2a580", "key-given-up" },
	[MESSAGE_CLOCK_DIFFERS] = { "50db0f357d3d4a97b7689f2cca5c4f7f", "clock-differs" },
	[MESSAGE_CLIENT_REFUSED] = { "debf5137fe3d4ffab90643e1e7552adc", "client-refused" },
	[MESSAGE_WEBHOOK_REFUSED] = { "22d38c1694d14a828948a125cb710afd", "webhook-refused" },
	[MESSAGE_NOT_LOCKED] = { "d8a1046a53994f4f9a501bbb9a586dfa", "memory-not-locked" },
	[MESSAGE_SUPPRESSED] = { "6c49e3ec082f47bb8ba0034df1b964a9", "suppressed" },
	[MESSAGE_AUDIT] = { "0d81d3deda0c4d86a1a10e23db9ad561", "token-handed-out" },
};

_Static_assert(sizeof(messages) / sizeof(*messages) == MESSAGE_COUNT, "each has an id");

static int max_level = LOG_INFO;

static struct {
	int fd;	       /* -1: not yet */
	bool is_stuck; /* it had no room for the last message */
	uint64_t lost; /* messages, since it took one */
} journal = { .fd = -1 };

/* How often a message came in this period. One without an id is known by its format string. */
static struct repeats {
	const char *format;
	struct mono since;
	int level; /* of the first that was held back */
	unsigned written, held_back;
} repeats[MESSAGE_COUNT + OTHERS];

void log_set_level(int level)
{
	max_level = level;
}

/* Whether standard error is the stream that systemd made for us (systemd.exec(5)). */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char own[64];
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st) < 0)
		return false;
	(void)snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, own) == 0;
}

/* What the journal gets of one message, in its native protocol: a line for each field. */
struct record {
	char text[RECORD_MAX];
	size_t len;
};

/* "NAME=value"; one that doesn't fit is left out, the line has as much of it as fits there. */
static void record_add(struct record *r, const char *prefix, struct log_field field)
{
	char *at = r->text + r->len;
	size_t room = sizeof(r->text) - r->len;
	int len = field.text
		      ? snprintf(at, room, "%s%s=%s", prefix, field.name, field.text)
		      : snprintf(at, room, "%s%s=%" PRId64, prefix, field.name, field.number);
	char *c = at;

	if (len < 0 || (size_t)len >= room)
		return;
	for (; *c != '='; c++)
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
	while ((c = strchr(c, '\n')))
		*c = ' ';
	at[len] = '\n';
	r->len += (size_t)len + 1;
}

static bool has_value(const struct log_field *field)
{
	return !field->text || *field->text;
}

static int journal_open(void)
{
	const struct timeval patience = { .tv_usec = PATIENCE_MS * 1000 };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0) {
		(void)close(fd); /* nothing was written */
		return -1;
	}
	return fd;
}

/* Whoever waits for a journal that stands still, as sd_journal_sendv(3) does, stands still, too: it
 * is waited for once, and from then on not before it takes something again. 0, or negative errno:
 * -EAGAIN, it has no room. */
static int journal_send(const struct record *r)
{
	static const struct sockaddr_un address = { AF_UNIX, JOURNAL_SOCKET };
	ssize_t n;

	if (journal.fd < 0)
		journal.fd = journal_open();
	if (journal.fd < 0)
		return -errno;
	n = sendto(journal.fd, r->text, r->len,
		   MSG_NOSIGNAL | (journal.is_stuck ? MSG_DONTWAIT : 0),
		   (const struct sockaddr *)&address, sizeof(address));
	if (n < 0 && errno != EAGAIN)
		return -errno;
	journal.is_stuck = n < 0;
	return n < 0 ? -EAGAIN : 0;
}

static int write_record(int level, enum log_message message, const char *line,
			const struct log_field fields[])
{
	struct record r = { .len = 0 };

	record_add(&r, "", log_text("MESSAGE", line));
	record_add(&r, "", log_number("PRIORITY", level));
	record_add(&r, "", log_text("SYSLOG_IDENTIFIER", IDENTIFIER));
	if (messages[message].id)
		record_add(&r, "", log_text("MESSAGE_ID", messages[message].id));
	for (size_t i = 0; i < LOG_FIELDS_MAX && fields[i].name; i++)
		if (has_value(&fields[i]))
			record_add(&r, PREFIX, fields[i]);
	return journal_send(&r);
}

/* What it had no room for is told as a number, before the next that it takes. */
static int tell_lost(void)
{
	const struct log_field fields[] = { log_number("lost", (int64_t)journal.lost), LOG_END };
	int result = journal.lost ? write_record(LOG_WARNING, MESSAGE_OTHER,
						 "the journal had no room for messages", fields)
				  : 0;

	if (result == 0)
		journal.lost = 0;
	return result;
}

/* False if the journal is not there. */
static bool write_to_journal(int level, enum log_message message, const char *line,
			     const struct log_field fields[])
{
	int result = tell_lost();

	if (result == 0)
		result = write_record(level, message, line, fields);
	journal.lost += result == -EAGAIN;
	return result == 0 || result == -EAGAIN;
}

static void write_line(int level, enum log_message message, const char *line,
		       const struct log_field fields[])
{
	if (!is_journal())
		dprintf(STDERR_FILENO, IDENTIFIER ": %s\n", line);
	else if (!write_to_journal(level, message, line, fields))
		dprintf(STDERR_FILENO, "<%d>%s\n", level, line); /* sd-daemon(3) */
}

/* " name=value" behind what is there, cut off where that is too long. */
static void append_field(char line[LINE_MAX_BYTES], const struct log_field *field)
{
	size_t len = strlen(line);
	const char *quote = field->text && strchr(field->text, ' ') ? "\"" : "";

	if (field->text)
		(void)snprintf(line + len, LINE_MAX_BYTES - len, " %s=%s%s%s", field->name, quote,
			       field->text, quote);
	else
		(void)snprintf(line + len, LINE_MAX_BYTES - len, " %s=%" PRId64, field->name,
			       field->number);
}

static void write_event(int level, enum log_message message, const char *sentence,
			const struct log_field fields[])
{
	char line[LINE_MAX_BYTES];

	(void)snprintf(line, sizeof(line), "%s", sentence);
	for (size_t i = 0; fields[i].name; i++)
		if (has_value(&fields[i]))
			append_field(line, &fields[i]);
	write_line(level, message, line, fields);
}

static const char *name_of(const struct repeats *r)
{
	return r->format ? r->format : messages[r - repeats].name;
}

/* The period is over: tells what was held back in it. */
static void end_period(struct repeats *r)
{
	unsigned held_back = r->held_back;

	r->written = r->held_back = 0;
	if (held_back)
		write_event(r->level, MESSAGE_SUPPRESSED, "suppressed",
			    (const struct log_field[]){ log_number("suppressed", held_back),
							log_text("like", name_of(r)), LOG_END });
}

static bool is_limited(int level, enum log_message message)
{
	return level < LOG_DEBUG && message != MESSAGE_AUDIT;
}

/* True if it may be written now. */
static bool admit(int level, enum log_message message, const char *format)
{
	size_t other = MESSAGE_COUNT + (uintptr_t)format / sizeof(void *) % OTHERS;
	struct repeats *r = &repeats[format ? other : message];
	struct mono now = clock_boot();

	if (level > max_level && message != MESSAGE_AUDIT)
		return false;
	if (!is_limited(level, message))
		return true;
	if (r->format != format || mono_diff_ms(now, r->since) >= PERIOD_MS) {
		end_period(r);
		r->format = format;
		r->since = now;
	}
	if (r->written == BURST) {
		r->level = r->held_back && r->level < level ? r->level : level;
		r->held_back++;
		return false;
	}
	r->written++;
	return true;
}

void log_fields(int level, enum log_message message, const char *sentence,
		const struct log_field fields[])
{
	if (admit(level, message, NULL))
		write_event(level, message, sentence, fields);
}

void log_write(int level, const char *format, ...)
{
	static const struct log_field none[] = { LOG_END };
	char line[LINE_MAX_BYTES];
	va_list args;

	if (!admit(level, MESSAGE_OTHER, format))
		return;
	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args); /* cut off where it is too long */
	va_end(args);
	write_line(level, MESSAGE_OTHER, line, none);
}

void log_tick(struct mono now)
{
	for (size_t i = 0; i < sizeof(repeats) / sizeof(*repeats); i++)
		if (repeats[i].held_back && mono_diff_ms(now, repeats[i].since) >= PERIOD_MS)
			end_period(&repeats[i]);
}

struct mono log_next_deadline(void)
{
	struct mono at = MONO_NEVER;

	for (size_t i = 0; i < sizeof(repeats) / sizeof(*repeats); i++)
		if (repeats[i].held_back)
			at = mono_min(at, mono_add_ms(repeats[i].since, PERIOD_MS));
	return at;
}
