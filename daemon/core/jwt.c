/* See jwt.h. */
#include "daemon/core/jwt.h"

#include "base/mem.h"
#include "daemon/core/json.h"

#include <errno.h>
#include <sodium.h>

/* Whole seconds, with what is after the point cut off or counted as one more. */
static bool read_time(const struct json *claim, bool round_up, int64_t *ret)
{
	double value;
	int64_t whole;

	if (!json_number(claim, &value) || !(value >= 0 && value <= JWT_TIME_MAX_S))
		return false;
	whole = (int64_t)value;
	if (round_up && (double)whole < value)
		whole++;
	*ret = whole;
	return true;
}

static int read_claims(const struct json *payload, struct jwt_times *ret)
{
	struct jwt_times times = { 0 };

	if (!read_time(json_member(payload, "exp"), false, &times.exp_s) || times.exp_s == 0)
		return JWT_MALFORMED;
	times.has_iat = read_time(json_member(payload, "iat"), true, &times.iat_s);
	*ret = times;
	return 0;
}

/* The part between the dots, as bytes in *ret, which the caller owns. */
static int decode_payload(struct span jwt, char **ret, size_t *ret_len)
{
	struct span part = SPAN_NONE;
	cleanup_mem char *bytes = NULL;

	if (!span_split(&jwt, '.', &part) || !span_split(&jwt, '.', &part))
		return JWT_MALFORMED;
	bytes = mem_alloc(part.len);
	if (!bytes)
		return -ENOMEM;
	if (sodium_base642bin((unsigned char *)bytes, part.len, part.ptr, part.len, NULL, ret_len,
			      NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
		return JWT_MALFORMED;
	*ret = bytes;
	bytes = NULL;
	return 0;
}

int jwt_read_times(struct span jwt, struct jwt_times *ret)
{
	cleanup_mem char *bytes = NULL;
	cleanup_json struct json *payload = NULL;
	size_t len;
	int r;

	r = decode_payload(jwt, &bytes, &len);
	if (r)
		return r;
	r = json_parse(span_of(bytes, len), &payload);
	if (r)
		return r < 0 ? r : JWT_MALFORMED;
	return read_claims(payload, ret);
}
