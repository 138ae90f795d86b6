/* See token.h. */
#include "client/token.h"

#include "base/mem.h"
#include "client/clock.h"

#include <errno.h>
#include <stdatomic.h>

static char *put(char *to, struct span s)
{
	return s.len ? mempcpy(to, s.ptr, s.len) : to;
}

int token_new_for(const struct token_key *key, const struct token_view *view, struct mono then,
		  enum clerktoken_source source, struct clerktoken_token **ret)
{
	size_t len = key->session.len + key->template.len + view->jwt.len;
	struct clerktoken_token *token = mem_alloc(sizeof(*token) + len + 1 + TOKEN_ID_LEN + 1);
	char *end;

	if (!token)
		return -ENOMEM;
	*token = (struct clerktoken_token){
		.end_of_reuse = mono_add_ms(then, view->reuse_ms),
		.end = mono_add_ms(then, view->ttl_ms),
		.number = view->id,
		.expires_in_s = (uint32_t)key->expires_in_s, /* WIRE_TTL_MAX_S at most */
		.session_len = (uint8_t)key->session.len,    /* WIRE_NAME_MAX at most, both */
		.template_len = (uint8_t)key->template.len,
		.state = (uint8_t)view->state,
		.source = (uint8_t)source,
		.len = (uint32_t)view->jwt.len, /* LINK_LINE_MAX at most */
		.exp_s = (int64_t)view->exp_s,
	};
	atomic_init(&token->refs, 1);
	end = put(put(put(token->text, key->session), key->template), view->jwt);
	*end++ = '\0';
	*format_hex64(end, view->id) = '\0';
	*ret = token;
	return 0;
}

int token_new(const struct token_view *view, struct mono then, enum clerktoken_source source,
	      struct clerktoken_token **ret)
{
	static const struct token_key none = { 0 };

	return token_new_for(&none, view, then, source, ret);
}

struct clerktoken_token *clerktoken_token_ref(struct clerktoken_token *token)
{
	atomic_fetch_add_explicit(&token->refs, 1, memory_order_relaxed);
	return token;
}

void token_add_refs(struct clerktoken_token *token, uint32_t n)
{
	if (atomic_fetch_add_explicit(&token->refs, n, memory_order_acq_rel) + n == 0)
		mem_free(token);
}

void clerktoken_token_unref(struct clerktoken_token *token)
{
	if (token)
		token_add_refs(token, UINT32_MAX);
}

static const char *jwt_of(const struct clerktoken_token *token)
{
	return token->text + token->session_len + token->template_len;
}

const char *clerktoken_token_jwt(const struct clerktoken_token *token)
{
	return jwt_of(token);
}

size_t clerktoken_token_length(const struct clerktoken_token *token)
{
	return token->len;
}

const char *clerktoken_token_id(const struct clerktoken_token *token)
{
	return jwt_of(token) + token->len + 1;
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
	return (enum clerktoken_state)token->state;
}

enum clerktoken_source clerktoken_token_source(const struct clerktoken_token *token)
{
	return (enum clerktoken_source)token->source;
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
