/* See report.h. */
#include "daemon/sys/report.h"

#include "daemon/sys/log.h"

#include <stdio.h>

/* 0 is left out. */
static struct log_field if_known(const char *name, int64_t number)
{
	return number ? log_number(name, number) : log_text(name, NULL);
}

void report_fetch(const struct answer *answer, const struct outcome *o)
{
	enum log_message message = MESSAGE_FETCH_FAILED;
	int level = LOG_WARNING;

	if (o->kind == OUTCOME_TOKEN || o->kind == OUTCOME_DEFINITE) {
		message = MESSAGE_FETCHED;
		level = LOG_DEBUG;
	} else if (o->kind == OUTCOME_KEY_REFUSED) {
		message = MESSAGE_KEY_REFUSED;
		level = LOG_ERR;
	}
	log_event(level, message, "fetch", log_text("result", code_name(o->code)),
		  if_known("status", o->status), log_number("ms", answer->took_ms),
		  log_text("trace_id", o->trace_id), log_text("key_id", answer->key_id),
		  log_text("detail", o->detail));
}

void report_key(enum key_verdict verdict, const struct keyring *keys)
{
	if (verdict == KEY_PROVEN)
		log_event(LOG_INFO, MESSAGE_KEY_ACCEPTED, "Clerk accepts the new secret key",
			  log_text("key_id", keys->current_id));
	else if (verdict == KEY_FALLS_BACK)
		log_event(LOG_ERR, MESSAGE_KEY_FELL_BACK,
			  "Clerk refuses the new secret key, the one from before is used again",
			  log_text("key_id", keys->current_id),
			  log_text("refused_key_id", keys->other_id));
	else if (verdict == KEY_GIVES_UP)
		log_event(
		    LOG_ERR, MESSAGE_KEY_GIVEN_UP,
		    "Clerk refuses the secret key from before too, the new one is tried again",
		    log_text("key_id", keys->current_id));
}

void report_clock(const struct skew *skew)
{
	if (skew->is_wide)
		log_event(LOG_WARNING, MESSAGE_CLOCK_DIFFERS,
			  "this host's clock and Clerk's differ, which changes nothing",
			  log_number("skew_s", skew->s));
	else
		log_info("this host's clock and Clerk's agree again");
}

/* A name is of printable characters, and bounded where it was parsed. */
#define NAME_ROOM (WIRE_NAME_MAX + 1)

static void copy_name(char to[NAME_ROOM], struct span name)
{
	(void)snprintf(to, NAME_ROOM, "%.*s", (int)name.len, name.ptr);
}

/* Of "JWT id=ID exp=UNIX": the id. */
static struct span id_of(const struct token_view *token)
{
	struct span rest = token->text, word;

	(void)span_split(&rest, ' ', &word); /* the JWT */
	(void)span_split(&rest, ' ', &word);
	return span_starts(word, "id=") ? span_of(word.ptr + 3, word.len - 3) : SPAN_NONE;
}

void report_token(const struct client *client, const char *unit, struct span session,
		  struct span template, const struct token_view *token)
{
	char session_id[NAME_ROOM], template_name[NAME_ROOM], token_id[NAME_ROOM];

	copy_name(session_id, session);
	copy_name(template_name, template.len ? template : SPAN_LITERAL(WIRE_NO_TEMPLATE));
	copy_name(token_id, id_of(token));
	log_event(LOG_INFO, MESSAGE_AUDIT, "token", log_text("session", session_id),
		  log_text("template", template_name), log_text("token_id", token_id),
		  log_text("src", token_source_name(token->source)), log_number("uid", client->uid),
		  log_number("pid", client->pid), log_text("unit", unit));
}
