/* See token.h. All of it is one allocation, which mem_free() wipes. */
#include "client/token.h"

#include "base/mem.h"
#include "client/clock.h"

#include <errno.h>
#include <stdatomic.h>

#define ID_LEN 16

struct clerktoken_token {
	_Atomic unsigned refs;
	enum clerktoken_state state;
	enum clerktoken_source source;
	int64_t exp_s;
	struct mono end; /* of its life */
	struct mono end_of_reuse;
	size_t len;
	char id[ID_LEN + 1];
	char jwt[];
};

int token_new(const struct token_view *view, struct mono then, enum clerktoken_source source,
	      struct clerktoken_token **ret)
{
	struct clerktoken_token *token = mem_alloc(sizeof(*token) + view->jwt.len + 1);

	if (!token)
		return -ENOMEM;
	*token = (struct clerktoken_token){
		.state = (enum clerktoken_state)view->state,
		.source = source,
		.exp_s = (int64_t)view->exp_s,
		.end = mono_add_ms(then, view->ttl_ms),
		.end_of_reuse = mono_add_ms(then, view->reuse_ms),
		.len = view->jwt.len,
	};
	atomic_init(&token->refs, 1);
	(void)format_hex64(token->id, view->id); /* exactly ID_LEN */
	memcpy(token->jwt, view->jwt.ptr, view->jwt.len);
	token->jwt[view->jwt.len] = '\0';
	*ret = token;
	return 0;
}

struct clerktoken_token *clerktoken_token_ref(struct clerktoken_token *token)
{
	atomic_fetch_add_explicit(&token->refs, 1, memory_order_relaxed);
	return token;
}

void clerktoken_token_unref(struct clerktoken_token *token)
{
	if (token && atomic_fetch_sub_explicit(&token->refs, 1, memory_order_acq_rel) == 1)
		mem_free(token);
}

const char *clerktoken_token_jwt(const struct clerktoken_token *token)
{
	return token->jwt;
}

size_t clerktoken_token_length(const struct clerktoken_token *token)
{
	return token->len;
}

const char *clerktoken_token_id(const struct clerktoken_token *token)
{
	return token->id;
}

int64_t clerktoken_token_exp(const struct clerktoken_token *token)
{
	return token->exp_s;
}

static int64_t left_ms(struct mono end)
{
	int64_t left = mono_diff_ms(end, clock_boot());

	return left > 0 ? left : 0;
}

int64_t clerktoken_token_ttl_ms(const struct clerktoken_token *token)
{
	return left_ms(token->end);
}

int64_t clerktoken_token_reuse_ms(const struct clerktoken_token *token)
{
	return left_ms(token->end_of_reuse);
}

enum clerktoken_state clerktoken_token_state(const struct clerktoken_token *token)
{
	return token->state;
}

enum clerktoken_source clerktoken_token_source(const struct clerktoken_token *token)
{
	return token->source;
}

_Static_assert((int)CLERKTOKEN_STATE_FRESH == (int)TOKEN_FRESH &&
		   (int)CLERKTOKEN_STATE_DUE == (int)TOKEN_DUE &&
		   (int)CLERKTOKEN_STATE_STALE == (int)TOKEN_STALE &&
		   (int)CLERKTOKEN_SOURCE_CACHE == (int)SOURCE_CACHE &&
		   (int)CLERKTOKEN_SOURCE_CLERK == (int)SOURCE_CLERK &&
		   (int)CLERKTOKEN_SOURCE_PUSH == (int)SOURCE_COUNT,
	       "the numbers are part of the ABI");

const char *clerktoken_state_name(enum clerktoken_state state)
{
	return (unsigned)state < TOKEN_STATE_COUNT ? token_state_name((enum token_state)state)
						   : "unknown";
}

const char *clerktoken_source_name(enum clerktoken_source source)
{
	if (source == CLERKTOKEN_SOURCE_PUSH)
		return "push";
	return (unsigned)source < SOURCE_COUNT ? token_source_name((enum token_source)source)
					       : "unknown";
}
