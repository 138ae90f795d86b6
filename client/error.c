/* The errors of the public interface; see clerktoken.h. What the protocol knows has its name and
 * text from there. */
#include "client/clerktoken.h"

#include "proto/wire.h"

static const struct {
	enum clerktoken_error error;
	bool retryable;
	const char *name;
	const char *text;
} local[] = {
	{ CLERKTOKEN_OK, false, "ok", "no error" },
	{ CLERKTOKEN_NO_DAEMON, true, "no_daemon", "no daemon at the socket" },
	{ CLERKTOKEN_IO, true, "io", "the connection to the daemon broke" },
	{ CLERKTOKEN_DEADLINE, true, "deadline", "the daemon didn't answer in time" },
	{ CLERKTOKEN_PROTOCOL, false, "protocol", "what answers at the socket is no clerk-tokend" },
	{ CLERKTOKEN_INVALID_ARGUMENT, false, "invalid_argument", "invalid argument" },
	{ CLERKTOKEN_NO_MEMORY, true, "no_memory", "out of memory" },
	{ CLERKTOKEN_UNKNOWN_ERROR, false, "unknown_error",
	  "an error that this version of the library doesn't know" },
};

#define LOCAL_COUNT (sizeof(local) / sizeof(local[0]))

static bool is_code(enum clerktoken_error error)
{
	return (unsigned)error > CODE_OK && (unsigned)error < CODE_COUNT;
}

static size_t find_local(enum clerktoken_error error)
{
	size_t i = 0;

	while (i < LOCAL_COUNT - 1 && local[i].error != error)
		i++;
	return i;
}

const char *clerktoken_error_name(enum clerktoken_error error)
{
	return is_code(error) ? code_name((enum code)error) : local[find_local(error)].name;
}

const char *clerktoken_error_text(enum clerktoken_error error)
{
	return is_code(error) ? code_text((enum code)error) : local[find_local(error)].text;
}

bool clerktoken_error_is_retryable(enum clerktoken_error error)
{
	switch (error) {
	case CLERKTOKEN_RATE_LIMITED:
	case CLERKTOKEN_UNAVAILABLE:
	case CLERKTOKEN_BAD_UPSTREAM:
	case CLERKTOKEN_TIMEOUT:
	case CLERKTOKEN_OVERLOADED:
	case CLERKTOKEN_SHUTTING_DOWN:
	case CLERKTOKEN_INTERNAL:
		return true;
	default:
		return !is_code(error) && local[find_local(error)].retryable;
	}
}
