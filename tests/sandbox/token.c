/*
 * token.c: minting JSON Web Tokens (RFC 7519) as Clerk does.
 *
 * Model: a token is a pure function of the minter, the subject and the stamp. RSASSA-PKCS1-v1_5 is
 * deterministic, the fake signature of fast mode is derived from the serial number, and so is the
 * jti, by a bijection: two serials never share one. A token can thus be had again without being
 * kept. Claims are in alphabetical order, as Clerk's.
 */
#include "token.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>

#define TOKEN_KEY_BITS 2048
#define TOKEN_SIGNATURE_BYTES (TOKEN_KEY_BITS / 8)
#define TOKEN_SIGNATURE_CHARS ((TOKEN_SIGNATURE_BYTES * 4 + 2) / 3)
#define TOKEN_SKEW_S 5 /* how far nbf lies before iat, Clerk's default */

static const char filler_head[] = ",\"filler\":\"";

uint64_t token_mix(uint64_t number)
{
	number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9u;
	number = (number ^ number >> 27) * 0x94d049bb133111ebu;
	return number ^ number >> 31;
}

/* The public key's number of that name, big-endian; the length, or 0. */
static size_t key_number(const struct minter *minter, const char *name, unsigned char *bytes,
			 size_t size)
{
	BIGNUM *number = NULL;
	size_t length = 0;

	if (EVP_PKEY_get_bn_param(minter->key, name, &number) != 1)
		return 0;
	if ((size_t)BN_num_bytes(number) <= size)
		length = (size_t)BN_bn2bin(number, bytes);
	BN_free(number);
	return length;
}

/* Clerk names its keys after the instance: "ins_" and 27 characters. */
static int name_key(struct minter *minter)
{
	unsigned char modulus[TOKEN_SIGNATURE_BYTES];
	unsigned char digest[SHA256_DIGEST_LENGTH];
	char *out = minter->kid;

	size_t length = key_number(minter, OSSL_PKEY_PARAM_RSA_N, modulus, sizeof(modulus));
	if (length == 0 || !SHA256(modulus, length, digest))
		return -EIO;
	memcpy(out, "ins_", 4);
	for (size_t i = 0; i < 27; i++)
		out[4 + i] = (char)((digest[i] % 36 < 10 ? '0' : 'a' - 10) + digest[i] % 36);
	out[31] = 0;
	return 0;
}

int minter_init(struct minter *minter, bool fast, uint64_t seed)
{
	struct text head = { .data = NULL };

	*minter = (struct minter){ .fast = fast, .seed = seed };
	minter->key = EVP_RSA_gen(TOKEN_KEY_BITS);
	if (!minter->key || name_key(minter) < 0)
		return -EIO;
	text_printf(&head, "{\"alg\":\"RS256\",\"kid\":\"%s\",\"typ\":\"JWT\"}", minter->kid);
	if (!head.failed)
		text_base64url(&minter->head, head.data, head.length);
	text_puts(&minter->head, ".");
	bool failed = head.failed || minter->head.failed;
	text_deinit(&head);
	return failed ? -ENOMEM : 0;
}

void minter_deinit(struct minter *minter)
{
	EVP_PKEY_free(minter->key);
	text_deinit(&minter->head);
	minter->key = NULL;
}

uint64_t minter_serial(struct minter *minter)
{
	return ++minter->last_serial;
}

static void add_number(struct text *text, const char *claim, int64_t number)
{
	text_printf(text, ",\"%s\":%" PRId64, claim, number);
}

static void add_string(struct text *text, const char *claim, const char *string)
{
	text_printf(text, ",\"%s\":", claim);
	text_json(text, string);
}

/* The claims, without the closing brace. */
static void add_claims(const struct minter *minter, const struct token_subject *subject,
		       const struct token_stamp *stamp, struct text *text)
{
	uint64_t unique = token_mix(minter->seed + stamp->serial);

	text_puts(text, "{\"azp\":\"" TOKEN_PARTY "\"");
	if (stamp->expires_s)
		add_number(text, "exp", stamp->expires_s);
	if (!subject->template)
		text_puts(text, ",\"fva\":[0,-1]");
	add_number(text, "iat", stamp->issued_s);
	text_puts(text, ",\"iss\":\"" TOKEN_ISSUER "\"");
	text_printf(text, ",\"jti\":\"%04x%016" PRIx64 "\"", (unsigned)(minter->seed & 0xffff),
		    unique);
	add_number(text, "nbf", stamp->issued_s - TOKEN_SKEW_S);
	if (!subject->template) {
		add_string(text, "sid", subject->session);
		text_puts(text, ",\"sts\":\"active\"");
	}
	add_string(text, "sub", subject->user);
	if (subject->template)
		add_string(text, "template", subject->template);
	else
		add_number(text, "v", 2);
}

/* Of all claim lengths, the longest whose base64 form fits: the token is `size` long, or one byte
 * shorter where no base64 string has the length that is left. */
static void add_filler(size_t size, size_t rest, struct text *claims)
{
	if (size <= rest)
		return;
	size_t room = (size - rest) / 4 * 3;
	room += (size - rest) % 4 == 3 ? 2 : (size - rest) % 4 == 2 ? 1 : 0;
	size_t used = claims->length + sizeof(filler_head) - 1 + 2; /* its quote and the brace */
	if (claims->failed || room < used)
		return;
	text_puts(claims, filler_head);
	text_fill(claims, 'x', room - used);
	text_puts(claims, "\"");
}

static int sign(const struct minter *minter, const struct text *text, unsigned char *signature)
{
	size_t length = TOKEN_SIGNATURE_BYTES;
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	if (!context)
		return -ENOMEM;
	bool ok = EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, minter->key) == 1 &&
		  EVP_DigestSign(context, signature, &length, (const unsigned char *)text->data,
				 text->length) == 1;
	EVP_MD_CTX_free(context);
	return ok && length == TOKEN_SIGNATURE_BYTES ? 0 : -EIO;
}

static void fake_signature(const struct minter *minter, uint64_t serial, unsigned char *signature)
{
	uint64_t state = token_mix(minter->seed ^ token_mix(serial));

	for (size_t i = 0; i < TOKEN_SIGNATURE_BYTES; i += sizeof(state)) {
		state += 0x9e3779b97f4a7c15u;
		uint64_t word = token_mix(state);
		memcpy(signature + i, &word, sizeof(word));
	}
}

int minter_mint(const struct minter *minter, const struct token_subject *subject,
		const struct token_stamp *stamp, struct text *text)
{
	unsigned char signature[TOKEN_SIGNATURE_BYTES];
	struct text claims = { .data = NULL };
	struct text token = { .data = NULL };
	int r = 0;

	add_claims(minter, subject, stamp, &claims);
	add_filler(stamp->size, minter->head.length + 1 + TOKEN_SIGNATURE_CHARS, &claims);
	text_puts(&claims, "}");
	text_add(&token, minter->head.data, minter->head.length);
	if (!claims.failed)
		text_base64url(&token, claims.data, claims.length);
	if (claims.failed || token.failed)
		r = -ENOMEM;
	else if (minter->fast)
		fake_signature(minter, stamp->serial, signature);
	else
		r = sign(minter, &token, signature);
	if (r == 0) {
		text_puts(&token, ".");
		text_base64url(&token, signature, sizeof(signature));
		if (token.failed)
			r = -ENOMEM;
		else
			text_add(text, token.data, token.length);
	}
	text_deinit(&claims);
	text_deinit(&token);
	return r;
}

int minter_key_set(const struct minter *minter, struct text *text)
{
	unsigned char modulus[TOKEN_SIGNATURE_BYTES];
	unsigned char exponent[8];

	size_t n = key_number(minter, OSSL_PKEY_PARAM_RSA_N, modulus, sizeof(modulus));
	size_t e = key_number(minter, OSSL_PKEY_PARAM_RSA_E, exponent, sizeof(exponent));
	if (n == 0 || e == 0)
		return -EIO;
	text_printf(text,
		    "{\"keys\":[{\"use\":\"sig\",\"kty\":\"RSA\",\"kid\":\"%s\","
		    "\"alg\":\"RS256\",\"n\":\"",
		    minter->kid);
	text_base64url(text, modulus, n);
	text_puts(text, "\",\"e\":\"");
	text_base64url(text, exponent, e);
	text_puts(text, "\"}]}");
	return text->failed ? -ENOMEM : 0;
}
