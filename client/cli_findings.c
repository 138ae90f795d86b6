/* See cli_findings.h. */
#include "client/cli_findings.h"

#include "client/cli_json.h"
#include "client/cli_output.h"

#include <stdarg.h>
#include <stdio.h>

#define TEXT_SIZE 1024

static const char *const names[] = {
	[FINDING_OK] = "ok",
	[FINDING_NOTE] = "note",
	[FINDING_PROBLEM] = "problem",
};

static void put(struct findings *f, const char *first, const char *second, const char *third)
{
	if (f->error == 0)
		f->error = output_text(first, second, third);
}

static void make_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

/* A member whose name comes with what stands before it: {"check":  */
static void put_member(struct findings *f, const char *name, const char *text)
{
	char escaped[2 * TEXT_SIZE];

	json_escape(escaped, sizeof(escaped), text);
	put(f, name, escaped, "\"");
}

static void put_json(struct findings *f, enum finding kind, const char *check, const char *advice,
		     const char *text)
{
	put(f, f->count == 0 ? "{\"findings\":[" : ",", "", "");
	put_member(f, "{\"check\":\"", check);
	put_member(f, ",\"result\":\"", names[kind]);
	put_member(f, ",\"text\":\"", text);
	if (advice)
		put_member(f, ",\"advice\":\"", advice);
	put(f, "}", "", "");
}

static void put_lines(struct findings *f, enum finding kind, const char *check, const char *advice,
		      const char *text)
{
	char head[32];

	(void)snprintf(head, sizeof(head), "%-8s %-12s ", names[kind], check); /* it fits */
	put(f, head, text, "\n");
	if (advice)
		put(f, "                      ", advice, "\n");
}

void findings_add(struct findings *f, enum finding kind, const char *check, const char *advice,
		  const char *format, ...)
{
	char text[TEXT_SIZE], copy[TEXT_SIZE];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args); /* a long one may be cut */
	va_end(args);
	make_printable(text);
	if (advice) {
		(void)snprintf(copy, sizeof(copy), "%s", advice);
		make_printable(copy);
	}
	(f->as_json ? put_json : put_lines)(f, kind, check, advice ? copy : NULL, text);
	f->count++;
	f->problems += kind == FINDING_PROBLEM;
}

void findings_end(struct findings *f)
{
	char number[32];

	(void)snprintf(number, sizeof(number), "%zu", f->problems); /* it fits */
	if (f->as_json)
		put(f, f->count ? "],\"problems\":" : "{\"findings\":[],\"problems\":", number,
		    "}\n");
	else if (f->problems == 0)
		put(f, "no problems\n", "", "");
	else
		put(f, number, f->problems == 1 ? " problem" : " problems", "\n");
}
