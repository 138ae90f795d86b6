/* See wire.h. */
#include "proto/wire.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define WORD (CLASS_SESSION | CLASS_TEMPLATE | CLASS_TAG | CLASS_PRINT)
#define DOT (CLASS_TEMPLATE | CLASS_TAG | CLASS_PRINT)
#define TILDE (CLASS_TEMPLATE | CLASS_PRINT)
#define COLON (CLASS_TAG | CLASS_PRINT)

/* In the order of ASCII; all that is not named is in no class. */
/* clang-format off */
const unsigned char wire_classes[256] = {
	[' ' ... ','] = CLASS_PRINT,
	['-']         = WORD,
	['.']         = DOT,
	['/']         = CLASS_PRINT,
	['0' ... '9'] = WORD,
	[':']         = COLON,
	[';' ... '@'] = CLASS_PRINT,
	['A' ... 'Z'] = WORD,
	['[' ... '^'] = CLASS_PRINT,
	['_']         = WORD,
	['`']         = CLASS_PRINT,
	['a' ... 'z'] = WORD,
	['{' ... '}'] = CLASS_PRINT,
	['~']         = TILDE,
};
/* clang-format on */

static const char *const verb_names[VERB_COUNT] = {
	[VERB_GET] = "GET",   [VERB_WATCH] = "WATCH", [VERB_UNWATCH] = "UNWATCH",
	[VERB_DROP] = "DROP", [VERB_TRACK] = "TRACK", [VERB_FLUSH] = "FLUSH",
	[VERB_PING] = "PING", [VERB_HELLO] = "HELLO", [VERB_STATS] = "STATS",
	[VERB_WHY] = "WHY",
};

static const struct {
	const char *name;
	bool permanent;
	const char *text;
} codes[CODE_COUNT] = {
	[CODE_OK] = { "OK", false, "" },
	[CODE_BAD_REQUEST] = { "bad_request", true, "malformed request" },
	[CODE_TOO_LONG] = { "too_long", true, "a request line has at most 1024 bytes" },
	[CODE_UNKNOWN_COMMAND] = { "unknown_command", true, "no such command" },
	[CODE_UNSUPPORTED] = { "unsupported", true, "this daemon speaks protocol 1" },
	[CODE_DENIED] = { "denied", true, "local policy forbids it" },
	[CODE_NOT_FOUND] = { "not_found", false, "Clerk knows no such session or template" },
	[CODE_UNAUTHORIZED] = { "unauthorized", false, "Clerk rejects the daemon's secret key" },
	[CODE_FORBIDDEN] = { "forbidden", false, "Clerk forbids it for this session" },
	[CODE_REJECTED] = { "rejected", false, "Clerk rejected the request" },
	[CODE_RATE_LIMITED] = { "rate_limited", false, "no room in the rate limit within wait" },
	[CODE_UNAVAILABLE] = { "unavailable", false, "Clerk can't be reached or is failing" },
	[CODE_BAD_UPSTREAM] = { "bad_upstream", false, "Clerk's answer holds no usable token" },
	[CODE_TIMEOUT] = { "timeout", false, "wait has passed" },
	[CODE_SHORT_LIVED] = { "short_lived", true, "no token of it can have min_ttl left" },
	[CODE_OVERLOADED] = { "overloaded", false, "a limit of the daemon is reached" },
	[CODE_SHUTTING_DOWN] = { "shutting_down", false, "the daemon is stopping" },
	[CODE_INTERNAL] = { "internal", false, "a fault of the daemon" },
};

static const char *const state_names[TOKEN_STATE_COUNT] = {
	[TOKEN_FRESH] = "fresh",
	[TOKEN_DUE] = "due",
	[TOKEN_STALE] = "stale",
};

static const char *const source_names[SOURCE_COUNT] = {
	[SOURCE_CACHE] = "cache",
	[SOURCE_CLERK] = "clerk",
};

#ifdef __SSE2__
typedef unsigned char lanes __attribute__((vector_size(16)));

/* A bit for each of 16 characters, set where it can't be in a session id. */
static unsigned strangers(const char *at)
{
	lanes c, letter, digit, good;

	memcpy(&c, at, sizeof(c));
	letter = (c | 0x20) - 'a';
	digit = c - '0';
	good = (lanes)(letter < 26) | (lanes)(digit < 10) | (lanes)(c == '_') | (lanes)(c == '-');
	return ~(unsigned)__builtin_ia32_pmovmskb128((__v16qi)good) & 0xffff;
}

size_t wire_session_len(struct span s)
{
	size_t n = 0;

	for (; s.len - n >= sizeof(lanes); n += sizeof(lanes)) {
		unsigned bad = strangers(s.ptr + n);

		if (bad)
			return n + (unsigned)__builtin_ctz(bad);
	}
	while (n < s.len && wire_classes[(unsigned char)s.ptr[n]] & CLASS_SESSION)
		n++;
	return n;
}

bool wire_is_print(struct span s)
{
	lanes c, good = { 0 };
	size_t n = 0;

	good = ~good;
	for (; s.len - n >= sizeof(lanes); n += sizeof(lanes)) {
		memcpy(&c, s.ptr + n, sizeof(c));
		good &= (lanes)(c - ' ' <= '~' - ' ');
	}
	return (unsigned)__builtin_ia32_pmovmskb128((__v16qi)good) == 0xffff &&
	       wire_is_all(span_of(s.ptr + n, s.len - n), CLASS_PRINT);
}
#else
size_t wire_session_len(struct span s)
{
	return wire_class_len(s, CLASS_SESSION);
}

bool wire_is_print(struct span s)
{
	return wire_is_all(s, CLASS_PRINT);
}
#endif

static size_t find(const char *const *names, size_t count, struct span name)
{
	size_t i = 0;

	while (i < count && !span_is(name, names[i]))
		i++;
	return i;
}

bool wire_is_session(struct span s)
{
	return s.len >= 1 && s.len <= WIRE_NAME_MAX && wire_session_len(s) == s.len;
}

bool wire_is_template(struct span s)
{
	return s.len >= 1 && s.len <= WIRE_NAME_MAX && wire_is_all(s, CLASS_TEMPLATE) &&
	       !span_is(s, ".") && !span_is(s, "..") && !span_is(s, WIRE_NO_TEMPLATE);
}

/* base64url has the characters of session ids. */
bool wire_is_jwt(struct span s)
{
	for (int parts = 1;; parts++) {
		size_t len = wire_session_len(s);

		if (len == 0)
			return false;
		if (len == s.len || parts == 3)
			return len == s.len && parts == 3;
		if (s.ptr[len] != '.')
			return false;
		s = span_of(s.ptr + len + 1, s.len - len - 1);
	}
}

const char *verb_name(enum verb verb)
{
	return verb_names[verb];
}

const char *code_name(enum code code)
{
	return codes[code].name;
}

const char *code_text(enum code code)
{
	return codes[code].text;
}

bool code_is_permanent(enum code code)
{
	return codes[code].permanent;
}

const char *token_state_name(enum token_state state)
{
	return state_names[state];
}

const char *token_source_name(enum token_source source)
{
	return source_names[source];
}

enum verb verb_parse(struct span name)
{
	return (enum verb)find(verb_names, VERB_COUNT, name);
}

enum code code_parse(struct span name)
{
	size_t i = CODE_OK + 1;

	while (i < CODE_COUNT && !span_is(name, codes[i].name))
		i++;
	return (enum code)i;
}

enum token_state token_state_parse(struct span name)
{
	return (enum token_state)find(state_names, TOKEN_STATE_COUNT, name);
}

enum token_source token_source_parse(struct span name)
{
	return (enum token_source)find(source_names, SOURCE_COUNT, name);
}
