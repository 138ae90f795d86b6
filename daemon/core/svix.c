/* See svix.h. */
#include "daemon/core/svix.h"

#include "base/mem.h"
#include "proto/wire.h"

#include <errno.h>
#include <sodium.h>

#define SECRET_PREFIX "whsec_"
#define SECRET_MIN 16 /* bytes; Svix gives out 24 */
#define SECRET_MAX 64
#define VERSION_PREFIX "v1,"
#define TIMESTAMP_MAX UINT64_C(99999999999)

/* Padded or not: people lose the "=" when they copy. */
static bool decode(struct span text, unsigned char *to, size_t max, size_t *ret_len)
{
	while (text.len && text.ptr[text.len - 1] == '=')
		text.len--;
	return sodium_base642bin(to, max, text.ptr, text.len, NULL, ret_len, NULL,
				 sodium_base64_VARIANT_ORIGINAL_NO_PADDING) == 0;
}

static int take_secret(struct span text, struct secret *ret)
{
	unsigned char bytes[SECRET_MAX];
	size_t len = 0;
	int result;

	if (!span_starts(text, SECRET_PREFIX))
		return SVIX_BAD_SECRET;
	text.ptr += strlen(SECRET_PREFIX);
	text.len -= strlen(SECRET_PREFIX);
	if (decode(text, bytes, sizeof(bytes), &len) && len >= SECRET_MIN)
		result = secret_set(ret, span_of((const char *)bytes, len));
	else
		result = SVIX_BAD_SECRET;
	sodium_memzero(bytes, sizeof(bytes));
	return result;
}

/* The next word, behind blanks and line ends; false: there is none. */
static bool next_word(struct span *rest, struct span *ret)
{
	size_t len = 0;

	while (rest->len && memchr(" \t\r\n", *rest->ptr, 4))
		*rest = span_of(rest->ptr + 1, rest->len - 1);
	while (len < rest->len && !memchr(" \t\r\n", rest->ptr[len], 4))
		len++;
	*ret = span_of(rest->ptr, len);
	*rest = span_of(rest->ptr + len, rest->len - len);
	return len > 0;
}

int svix_secrets_parse(struct span text, struct svix_secrets *ret)
{
	struct svix_secrets secrets = { 0 };
	struct span word;
	int result = text.len > SVIX_SECRETS_TEXT_MAX ? SVIX_BAD_SECRET : 0;

	while (result == 0 && next_word(&text, &word)) {
		if (secrets.count == SVIX_SECRETS_MAX)
			result = SVIX_BAD_SECRET;
		else
			result = take_secret(word, &secrets.secret[secrets.count++]);
	}
	if (result == 0 && secrets.count == 0)
		result = SVIX_BAD_SECRET;
	if (result) {
		svix_secrets_deinit(&secrets);
		return result;
	}
	svix_secrets_deinit(ret);
	*ret = secrets;
	return 0;
}

void svix_secrets_deinit(struct svix_secrets *s)
{
	for (size_t i = 0; i < SVIX_SECRETS_MAX; i++)
		secret_deinit(&s->secret[i]);
	s->count = 0;
}

static void add(crypto_auth_hmacsha256_state *state, struct span part)
{
	(void)crypto_auth_hmacsha256_update(state, (const unsigned char *)part.ptr,
					    part.len); /* can't fail */
}

static void sign(const struct secret *secret, const struct svix_message *m,
		 unsigned char ret[crypto_auth_hmacsha256_BYTES])
{
	crypto_auth_hmacsha256_state state;

	(void)crypto_auth_hmacsha256_init(&state, (const unsigned char *)secret->ptr, secret->len);
	add(&state, m->id);
	add(&state, SPAN_LITERAL("."));
	add(&state, m->timestamp);
	add(&state, SPAN_LITERAL("."));
	add(&state, m->body);
	(void)crypto_auth_hmacsha256_final(&state, ret);
	sodium_memzero(&state, sizeof(state));
}

/* All secrets and all signatures are gone through, whichever fits. */
static bool is_signed(const struct svix_secrets *s, const struct svix_message *m)
{
	unsigned char ours[SVIX_SECRETS_MAX][crypto_auth_hmacsha256_BYTES];
	struct span rest = m->signatures, word;
	bool fits = false;

	for (size_t i = 0; i < s->count; i++)
		sign(&s->secret[i], m, ours[i]);
	for (size_t n = 0; n < SVIX_SIGNATURES_MAX && next_word(&rest, &word); n++) {
		unsigned char theirs[crypto_auth_hmacsha256_BYTES];
		size_t len = 0;

		if (!span_starts(word, VERSION_PREFIX))
			continue; /* of another version */
		word =
		    span_of(word.ptr + strlen(VERSION_PREFIX), word.len - strlen(VERSION_PREFIX));
		if (!decode(word, theirs, sizeof(theirs), &len) || len != sizeof(theirs))
			continue;
		for (size_t i = 0; i < s->count; i++)
			fits |= sodium_memcmp(ours[i], theirs, sizeof(theirs)) == 0;
	}
	sodium_memzero(ours, sizeof(ours));
	return fits;
}

enum svix_verdict svix_verify(const struct svix_secrets *s, const struct svix_message *m,
			      struct wall now, int64_t *ret_timestamp_s)
{
	uint64_t timestamp_s;
	int64_t apart_s;

	if (m->id.len == 0 || m->id.len > SVIX_ID_MAX || !wire_is_all(m->id, CLASS_PRINT) ||
	    m->signatures.len == 0 || span_parse_u64(m->timestamp, TIMESTAMP_MAX, &timestamp_s) < 0)
		return SVIX_MALFORMED;
	apart_s = now.ms / MS_PER_S - (int64_t)timestamp_s;
	if (apart_s > SVIX_TOLERANCE_S || apart_s < -SVIX_TOLERANCE_S)
		return SVIX_STALE;
	if (!is_signed(s, m))
		return SVIX_FORGED;
	*ret_timestamp_s = (int64_t)timestamp_s;
	return SVIX_GENUINE;
}
