/* See keyset.h. */
#include "daemon/sys/keyset.h"

#include "base/buf.h"
#include "base/mem.h"
#include "daemon/sys/clock.h"

#include <errno.h>
#include <string.h>

#define HTTP_OK 200

struct keyset {
	struct exchanges *exchanges;
	void (*over)(void *arg);
	void *arg;
	struct jwks jwks;
	uint64_t generation;
	char *api_url, *api_version; /* whose they are */
	char key_id[SECRET_ID_SIZE];

	struct exchange *exchange; /* under way, or NULL */
	struct mono sent_at;
	bool is_ok;
	struct buf body;
	char type[JWKS_TYPE_MAX], cache_control[JWKS_TYPE_MAX];
};

/* What is too long is as if it were not there. */
static void copy(char *to, size_t size, struct span from)
{
	size_t len = from.len < size ? from.len : 0;

	if (len)
		memcpy(to, from.ptr, len);
	to[len] = '\0';
}

static void on_head(void *arg, const struct exchange_head *head)
{
	struct keyset *k = arg;

	k->is_ok = head->status == HTTP_OK;
	copy(k->type, sizeof(k->type), head->content_type);
	copy(k->cache_control, sizeof(k->cache_control), head->cache_control);
}

static size_t on_body(void *arg, struct span data)
{
	struct keyset *k = arg;

	if (buf_append(&k->body, data.ptr, data.len) < 0)
		k->is_ok = false;
	return data.len;
}

static void on_room(void *arg)
{
	(void)arg; /* it has no body */
}

static void on_over(void *arg, enum transport transport)
{
	struct keyset *k = arg;
	struct mono now = clock_boot();

	exchange_free(k->exchange);
	k->exchange = NULL;
	if (transport != TRANSPORT_OK || !k->is_ok)
		jwks_failed(&k->jwks, now);
	else if (jwks_fetched(&k->jwks, now, k->sent_at, span_str(k->type),
			      span_str(k->cache_control), buf_span(&k->body)) == 0)
		k->generation++;
	buf_deinit(&k->body);
	k->over(k->arg);
}

static int fetch(struct keyset *k, struct mono now)
{
	static const struct exchange_callbacks callbacks = { on_head, on_body, on_room, on_over };
	const struct httpfield fields[] = {
		{ SPAN_LITERAL("Clerk-API-Version"), span_str(k->api_version) },
		{ SPAN_LITERAL("Accept"), SPAN_LITERAL("application/json") },
	};
	const struct exchange_request request = {
		.method = SPAN_LITERAL("GET"),
		.target = SPAN_LITERAL("/v1/jwks"),
		.fields = fields,
		.n_fields = sizeof(fields) / sizeof(*fields),
		.body_len = EXCHANGE_NO_BODY,
		.add_key = true,
		.is_brief = true,
	};
	int r = exchange_new(k->exchanges, &request, &callbacks, k, &k->exchange);

	k->is_ok = false;
	k->sent_at = now;
	k->body = BUF_INIT(JWKS_MAX);
	r = r ? r : exchange_begin(k->exchange);
	if (r == 0)
		return 0;
	exchange_free(k->exchange);
	k->exchange = NULL;
	return r;
}

enum jwks_state keyset_ask(struct keyset *k, struct mono now)
{
	enum jwks_state state = jwks_ask(&k->jwks, now);

	if (state != JWKS_FETCH)
		return state;
	if (fetch(k, now) == 0)
		return JWKS_WAIT;
	jwks_failed(&k->jwks, now);
	return jwks_outcome(&k->jwks, now);
}

struct keyset_view keyset_view(const struct keyset *k, struct mono now)
{
	return (struct keyset_view){
		.state = k->exchange ? JWKS_WAIT : jwks_outcome(&k->jwks, now),
		.type = span_str(k->jwks.type),
		.body = buf_span(&k->jwks.body),
		.generation = k->generation,
	};
}

static bool is_same(const struct keyset *k, const char *api_url, const char *key_id)
{
	return k->api_url && strcmp(k->api_url, api_url) == 0 && strcmp(k->key_id, key_id) == 0;
}

static void forget(struct keyset *k)
{
	exchange_free(k->exchange);
	k->exchange = NULL;
	buf_deinit(&k->body);
	jwks_deinit(&k->jwks);
	jwks_init(&k->jwks);
	k->generation++;
}

int keyset_configure(struct keyset *k, const char *api_url, const char *api_version,
		     const struct secret *key)
{
	char *url = mem_strdup(api_url), *version = mem_strdup(api_version);
	char key_id[SECRET_ID_SIZE];
	bool was_fetching = k->exchange;

	if (!url || !version) {
		mem_free(url);
		mem_free(version);
		return -ENOMEM;
	}
	secret_id(key, key_id);
	if (is_same(k, api_url, key_id))
		was_fetching = false;
	else
		forget(k);
	mem_free(k->api_url);
	mem_free(k->api_version);
	k->api_url = url;
	k->api_version = version;
	memcpy(k->key_id, key_id, sizeof(key_id));
	if (was_fetching)
		k->over(k->arg);
	return 0;
}

int keyset_new(struct exchanges *exchanges, void (*over)(void *arg), void *arg, struct keyset **ret)
{
	struct keyset *k = mem_zalloc(sizeof(*k));

	if (!k)
		return -ENOMEM;
	k->exchanges = exchanges;
	k->over = over;
	k->arg = arg;
	jwks_init(&k->jwks);
	*ret = k;
	return 0;
}

void keyset_free(struct keyset *k)
{
	if (!k)
		return;
	exchange_free(k->exchange);
	buf_deinit(&k->body);
	jwks_deinit(&k->jwks);
	mem_free(k->api_url);
	mem_free(k->api_version);
	mem_free(k);
}
