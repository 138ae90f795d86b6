/* token.h: minting JSON Web Tokens, and the key that signs them. */
#ifndef SANDBOX_TOKEN_H
#define SANDBOX_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <openssl/evp.h>

#include "text.h"

#define TOKEN_ISSUER "https://sandbox.clerk.accounts.dev"
#define TOKEN_PARTY "http://localhost:3000"
#define TOKEN_MAX_SIZE ((int64_t)16 << 20)

struct minter {
	EVP_PKEY *key;
	char kid[32];
	struct text head; /* the encoded header, with its dot */
	uint64_t seed;
	uint64_t last_serial;
	bool fast; /* random bytes instead of a signature */
};

/* Whose token it is; `template` is NULL for the plain session token. */
struct token_subject {
	const char *session;
	const char *user;
	const char *template;
};

/* All that tells one token of a subject from another: the same stamp makes the same token again. */
struct token_stamp {
	uint64_t serial; /* 0: no token */
	int64_t issued_s;
	int64_t expires_s; /* 0: without an exp claim */
	size_t size;	   /* length to pad the token to, in bytes; 0: none */
};

/* Makes the key (RSA, 2048 bits). `seed` is a random number. 0 or -errno. */
int minter_init(struct minter *minter, bool fast, uint64_t seed);

void minter_deinit(struct minter *minter);

/* A serial number that no token has yet. */
uint64_t minter_serial(struct minter *minter);

/* Appends the token to `text`. 0 or -errno. */
int minter_mint(const struct minter *minter, const struct token_subject *subject,
		const struct token_stamp *stamp, struct text *text);

/* Appends the JSON Web Key Set (RFC 7517) with the public key. 0 or -errno. */
int minter_key_set(const struct minter *minter, struct text *text);

/* A bijection that makes a number look random (the finalizer of splitmix64). */
uint64_t token_mix(uint64_t number);

#endif
