/* A token as the caller gets it; see clerktoken.h. */
#pragma once

#include "base/instant.h"
#include "client/clerktoken.h"
#include "proto/reply.h"

#define TOKEN_ID_LEN 16

/* What the token is for; an empty template: the plain session token. */
struct token_key {
	struct span session, template;
	uint64_t expires_in_s;
};

/* One allocation, wiped when it is freed. What a look at the copies reads comes first. */
struct clerktoken_token {
	_Atomic uint32_t refs;
	uint32_t stamp; /* see copies.h */
	struct mono end_of_reuse;
	struct mono end; /* of its life */
	uint64_t number; /* the id */
	uint32_t expires_in_s;
	uint8_t session_len, template_len;
	uint8_t state, source;
	uint32_t len;
	int64_t exp_s;
	char text[]; /* session, template; JWT, NUL; id, NUL */
};

/* A copy with one reference, made for that key. `then` is the earliest moment at which
 * view->ttl_ms may have been true. 0 or -ENOMEM. */
int token_new_for(const struct token_key *key, const struct token_view *view, struct mono then,
		  enum clerktoken_source source, struct clerktoken_token **ret);

/* The same for one that isn't looked for by its key. */
int token_new(const struct token_view *view, struct mono then, enum clerktoken_source source,
	      struct clerktoken_token **ret);

/* Modulo 2^32: takes references off, too. */
void token_add_refs(struct clerktoken_token *token, uint32_t n);

static inline struct token_key token_key(const struct clerktoken_token *token)
{
	return (struct token_key){
		.session = span_of(token->text, token->session_len),
		.template = span_of(token->text + token->session_len, token->template_len),
		.expires_in_s = token->expires_in_s,
	};
}

static inline bool token_is_for(const struct clerktoken_token *token, const struct token_key *key)
{
	struct token_key own = token_key(token);

	return own.expires_in_s == key->expires_in_s && span_equal(own.session, key->session) &&
	       span_equal(own.template, key->template);
}
