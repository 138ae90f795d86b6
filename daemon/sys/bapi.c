/* See bapi.h. */
#include "daemon/sys/bapi.h"

#include "base/buf.h"
#include "base/mem.h"
#include "daemon/core/url.h"
#include "daemon/sys/harden.h"
#include "proto/wire.h"

#include <errno.h>
#include <stdio.h>

#define KEEPALIVE_IDLE_S 30	/* until the first TCP probe */
#define KEEPALIVE_INTERVAL_S 10 /* between probes */
#define CONNECTION_IDLE_S 300	/* a connection that was idle for longer is not used again */
#define STALLED_S 30
#define CONNECTION_LIFETIME_S 3600 /* names are resolved again at least that often */
#define PATH_MAX_LEN (2 * WIRE_NAME_MAX + 64)

struct bapi_fields *bapi_fields_ref(struct bapi_fields *f)
{
	f->refs++;
	return f;
}

void bapi_fields_unref(struct bapi_fields *f)
{
	if (!f || --f->refs)
		return;
	curl_slist_free_all(f->list);
	mem_free(f);
}

static int add_field(struct bapi_fields *f, const char *name, struct span value)
{
	struct buf line = BUF_INIT(SIZE_MAX);
	struct curl_slist *list = NULL;

	if (buf_append_str(&line, name) == 0 && buf_append(&line, value.ptr, value.len) == 0 &&
	    buf_append(&line, "", 1) == 0)
		list = curl_slist_append(f->list, line.ptr);
	buf_deinit(&line);
	if (!list)
		return -ENOMEM;
	f->list = list;
	return 0;
}

static int fields_new(const struct secret *key, const char *api_version, struct bapi_fields **ret)
{
	struct bapi_fields *f = mem_zalloc(sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->refs = 1;
	secret_id(key, f->key_id);
	if (add_field(f, "Authorization: Bearer ", span_of(key->ptr, key->len)) != 0 ||
	    add_field(f, "Clerk-API-Version: ", span_str(api_version)) != 0 ||
	    add_field(f, "Content-Type: application/json", SPAN_NONE) != 0 ||
	    add_field(f, "Accept: application/json", SPAN_NONE) != 0 ||
	    add_field(f, "Expect:", SPAN_NONE) != 0) { /* without a value: not to be sent */
		bapi_fields_unref(f);
		return -ENOMEM;
	}
	harden_key(f->list->data, strlen(f->list->data));
	*ret = f;
	return 0;
}

int bapi_init(struct bapi *b, const struct upstream_config *config, const struct secret *key)
{
	*b = (struct bapi){
		.api_url = mem_strdup(config->api_url),
		.api_version = mem_strdup(config->api_version),
		.user_agent = mem_strdup(config->user_agent),
		.ca_file = config->ca_file ? mem_strdup(config->ca_file) : NULL,
		.is_loopback = url_is_loopback(span_str(config->api_url)),
		.connect_timeout_ms = config->connect_timeout_ms,
		.request_timeout_ms = config->request_timeout_ms,
		.max_answer = config->max_answer,
	};
	if (!b->api_url || !b->api_version || !b->user_agent || (config->ca_file && !b->ca_file))
		return -ENOMEM;
	return fields_new(key, b->api_version, &b->fields);
}

void bapi_deinit(struct bapi *b)
{
	bapi_fields_unref(b->fields);
	mem_free(b->api_url);
	mem_free(b->api_version);
	mem_free(b->user_agent);
	mem_free(b->ca_file);
	*b = (struct bapi){ 0 };
}

/* Redirects, credentials in files, cookies and compression stay off, as they are by default. */
static const struct {
	CURLoption option;
	long value;
} numbers[] = {
	{ CURLOPT_NOSIGNAL, 1 },
	{ CURLOPT_QUICK_EXIT, 1 }, /* don't wait for a resolver's thread: it ends by itself */
	{ CURLOPT_PATH_AS_IS, 1 },
	{ CURLOPT_SUPPRESS_CONNECT_HEADERS, 1 },
	{ CURLOPT_SSL_VERIFYPEER, 1 },
	{ CURLOPT_SSL_VERIFYHOST, 2 },
	{ CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
	{ CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS },
	{ CURLOPT_TCP_KEEPALIVE, 1 },
	{ CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
	{ CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S },
	{ CURLOPT_LOW_SPEED_LIMIT, 1 }, /* for a request_timeout longer than STALLED_S */
	{ CURLOPT_LOW_SPEED_TIME, STALLED_S },
	{ CURLOPT_MAXAGE_CONN, CONNECTION_IDLE_S },
	{ CURLOPT_MAXLIFETIME_CONN, CONNECTION_LIFETIME_S },
};

static CURLcode set_numbers(const struct bapi *b, CURL *easy)
{
	CURLcode r = CURLE_OK;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers) && r == CURLE_OK; i++)
		r = curl_easy_setopt(easy, numbers[i].option, numbers[i].value);
	r = r ? r : curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)b->connect_timeout_ms);
	r = r ? r : curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)b->request_timeout_ms);
	return r ? r : curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)b->max_answer);
}

/* Whom to trust, and the way there: elsewhere than on this host curl goes by $HTTPS_PROXY and
 * $NO_PROXY, as everything does that runs behind a proxy. */
static CURLcode set_route(const struct bapi *b, CURL *easy)
{
	CURLcode r = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");

	if (b->ca_file) {
		r = r ? r : curl_easy_setopt(easy, CURLOPT_CAINFO, b->ca_file);
		r = r ? r : curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	}
	if (b->is_loopback)
		r = r ? r : curl_easy_setopt(easy, CURLOPT_PROXY, "");
	/* While a first connection is made: whether it can be shared shows in its handshake.
	 * Without TLS it would show in the first answer only, and one that does not come would stop
	 * all. */
	if (span_starts(span_str(b->api_url), "https:"))
		r = r ? r : curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
	return r;
}

int bapi_prepare(const struct bapi *b, CURL *easy)
{
	CURLcode r = set_numbers(b, easy);

	r = r ? r : set_route(b, easy);
	return r ? -ENOMEM : 0;
}

static CURLcode set_body(struct bapi_request *r, CURL *easy)
{
	CURLcode c = curl_easy_setopt(easy, CURLOPT_HTTPHEADER, r->fields->list);

	c = c ? c : curl_easy_setopt(easy, CURLOPT_POSTFIELDS, r->body);
	return c ? c : curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)strlen(r->body));
}

/* A POST that curl takes for a GET. As a POST it would end an HTTP/2 stream with a frame of its
 * own, and a proxy that passes on the answer before that arrives may lose it (nghttpx does). */
static CURLcode set_no_body(struct bapi_request *r, CURL *easy)
{
	static char content_length[] = "Content-Length: 0";
	CURLcode c;

	r->no_body = (struct curl_slist){ .data = content_length, .next = r->fields->list };
	c = curl_easy_setopt(easy, CURLOPT_HTTPHEADER, &r->no_body);
	return c ? c : curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "POST");
}

static CURLcode set_message(struct bapi_request *r, const struct bapi *b, CURL *easy,
			    const char *url)
{
	CURLcode c = curl_easy_setopt(easy, CURLOPT_URL, url);

	c = c ? c : curl_easy_setopt(easy, CURLOPT_USERAGENT, b->user_agent);
	if (c)
		return c;
	return *r->body ? set_body(r, easy) : set_no_body(r, easy);
}

static int make_url(const struct bapi *b, struct span session, struct span template, struct buf *to)
{
	int r;

	if (!wire_is_session(session) || (template.len && !wire_is_template(template)))
		return -EINVAL;
	r = buf_append_str(to, b->api_url);
	r = r ? r : buf_append_str(to, "/v1/sessions/");
	r = r ? r : buf_append(to, session.ptr, session.len);
	r = r ? r : buf_append_str(to, "/tokens");
	if (template.len)
		r = r ? r : buf_append_str(to, "/");
	r = r ? r : buf_append(to, template.ptr, template.len);
	return r ? r : buf_append(to, "", 1);
}

int bapi_request_init(struct bapi_request *r, const struct bapi *b, CURL *easy, struct span session,
		      struct span template, uint64_t expires_in_s)
{
	struct buf url = BUF_INIT(URL_MAX + PATH_MAX_LEN);
	int result;

	r->fields = bapi_fields_ref(b->fields);
	if (expires_in_s)
		(void)snprintf(r->body, sizeof(r->body), "{\"expires_in_seconds\":%llu}",
			       (unsigned long long)expires_in_s);
	result = make_url(b, session, template, &url);
	result = result ? result : bapi_prepare(b, easy);
	if (result == 0 && set_message(r, b, easy, url.ptr) != CURLE_OK)
		result = -ENOMEM;
	buf_deinit(&url);
	return result;
}

void bapi_request_deinit(struct bapi_request *r)
{
	bapi_fields_unref(r->fields);
	r->fields = NULL;
}
