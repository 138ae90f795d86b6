/* The vocabulary of the wire: limits, verbs, error codes, classes of characters.
 *
 * One table each, used by both sides. PROTOCOL.md is the normative text.
 */
#pragma once

#include "base/span.h"

#define WIRE_VERSION 1

#define WIRE_REQUEST_MAX 1024	 /* bytes of a request line, its LF included */
#define WIRE_REPLY_OVERHEAD 512	 /* bytes of a reply line beside the token */
#define WIRE_TAG_MAX 32		 /* characters */
#define WIRE_NAME_MAX 128	 /* characters of a session id, of a template's name */
#define WIRE_WAIT_MAX_MS 3600000 /* an hour */
#define WIRE_TTL_MAX_S 315360000 /* ten years, BAPI's own limit for expires_in_seconds */
#define WIRE_EXPIRES_IN_MIN_S 30
#define WIRE_UNIT_MAX 255   /* characters of a unit's name */
#define WIRE_GROUPS_MAX 128 /* that a WHY can name */

#define WIRE_NO_TEMPLATE "-" /* stands for the plain session token */
#define WIRE_ANY "*"	     /* in a DROP push: all templates, or all sessions */

enum verb {
	VERB_GET,
	VERB_WATCH,
	VERB_UNWATCH,
	VERB_DROP,
	VERB_TRACK,
	VERB_FLUSH,
	VERB_PING,
	VERB_HELLO,
	VERB_STATS,
	VERB_WHY,
	VERB_COUNT,
};

enum code {
	CODE_OK,
	CODE_BAD_REQUEST,
	CODE_TOO_LONG,
	CODE_UNKNOWN_COMMAND,
	CODE_UNSUPPORTED,
	CODE_DENIED,
	CODE_NOT_FOUND,
	CODE_UNAUTHORIZED,
	CODE_FORBIDDEN,
	CODE_REJECTED,
	CODE_RATE_LIMITED,
	CODE_UNAVAILABLE,
	CODE_BAD_UPSTREAM,
	CODE_TIMEOUT,
	CODE_SHORT_LIVED,
	CODE_OVERLOADED,
	CODE_SHUTTING_DOWN,
	CODE_INTERNAL,
	CODE_COUNT,
};

enum token_state {
	TOKEN_FRESH,
	TOKEN_DUE,   /* its renewal is under way */
	TOKEN_STALE, /* its renewal is failing; still valid */
	TOKEN_STATE_COUNT,
};

enum token_source {
	SOURCE_CACHE,
	SOURCE_CLERK,
	SOURCE_COUNT,
};

/* Classes of characters; several may be tested at once. */
enum wire_class {
	CLASS_SESSION = 1,  /* ALPHA DIGIT _ - */
	CLASS_TEMPLATE = 2, /* ALPHA DIGIT _ - . ~ */
	CLASS_TAG = 4,	    /* ALPHA DIGIT _ - . : */
	CLASS_PRINT = 8,    /* space to tilde */
};

extern const unsigned char wire_classes[256];

/* How many characters from the front are of that class. */
static inline size_t wire_class_len(struct span s, enum wire_class class)
{
	size_t n = 0;

	while (n < s.len && wire_classes[(unsigned char)s.ptr[n]] & class)
		n++;
	return n;
}

static inline bool wire_is_all(struct span s, enum wire_class class)
{
	return wire_class_len(s, class) == s.len;
}

bool wire_is_session(struct span s);

/* As wire_class_len(s, CLASS_SESSION), sixteen characters at once where the machine can. */
size_t wire_session_len(struct span s);

/* As wire_is_all(s, CLASS_PRINT), in the same way. */
bool wire_is_print(struct span s);

/* Neither "." nor "..", which would change the path of a URL; "-" is no name either. */
bool wire_is_template(struct span s);

/* Three non-empty parts of base64url, separated by dots (RFC 7519, JWS compact serialization). */
bool wire_is_jwt(struct span s);

/* Names as they stand on the wire; the parsers return the COUNT of their enum if there is none. */
const char *verb_name(enum verb verb);
const char *code_name(enum code code);
const char *token_state_name(enum token_state state);
const char *token_source_name(enum token_source source);
enum verb verb_parse(struct span name);
enum code code_parse(struct span name);
enum token_state token_state_parse(struct span name);
enum token_source token_source_parse(struct span name);

/* A sentence for people, without a full stop, where the error has no better one of its own. */
const char *code_text(enum code code);

/* True for errors that no retry of the same request mends. */
bool code_is_permanent(enum code code);
